"""What a stack's description, events and failed checks say; CloudFormation's responses are those of its documentation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from dropsort.contract import stack
from dropsort.contract.stack import Stack, StackEvent

ARN = "arn:aws:cloudformation:eu-west-1:1:stack/dropsort/5"
TIME = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture
def cloudformation() -> Any:
    return boto3.Session("key", "secret", region_name="eu-west-1").client("cloudformation")


def described(**members: Any) -> dict[str, Any]:
    """A response with one stack."""
    return {
        "Stacks": [
            {"StackName": "dropsort", "StackStatus": "CREATE_COMPLETE", "CreationTime": TIME} | members
        ]
    }


def event(number: int, **members: Any) -> dict[str, Any]:
    """A line of the history, as CloudFormation lists it."""
    return {"StackId": ARN, "EventId": f"e{number}", "StackName": "dropsort", "Timestamp": TIME} | members


def failed(
    resource: str, reason: str, kind: str = "AWS::S3::Bucket", status: str = "CREATE_FAILED"
) -> StackEvent:
    return StackEvent("e", resource, kind, status, reason)


def test_a_stack_is_read_with_its_outputs_and_parameters(cloudformation: Any) -> None:
    full = described(
        StackId=ARN,
        StackStatusReason="because",
        Outputs=[{"OutputKey": "Bucket", "OutputValue": "images"}],
        Parameters=[{"ParameterKey": "Threshold", "ParameterValue": "0.9"}, {"ParameterKey": "Hidden"}],
    )
    with Stubber(cloudformation) as stub:
        stub.add_response("describe_stacks", full, {"StackName": "dropsort"})
        stub.add_response("describe_stacks", described(), {"StackName": "dropsort"})
        assert stack.find(cloudformation, "dropsort") == Stack(
            ARN,
            "dropsort",
            "CREATE_COMPLETE",
            "because",
            {"Bucket": "images"},
            {"Threshold": "0.9", "Hidden": ""},
        )
        # AND with the least that CloudFormation returns
        assert stack.find(cloudformation, "dropsort") == Stack(
            "dropsort", "dropsort", "CREATE_COMPLETE", "", {}, {}
        )


def test_only_a_stack_that_does_not_exist_is_none(cloudformation: Any) -> None:
    with Stubber(cloudformation) as stub:
        stub.add_client_error(
            "describe_stacks",
            "ValidationError",
            "Stack with id dropsort does not exist",
            http_status_code=400,
        )
        assert stack.find(cloudformation, "dropsort") is None
        for message in ("not authorized", ""):
            stub.add_client_error("describe_stacks", "AccessDenied", message, http_status_code=403)
            with pytest.raises(ClientError, match="AccessDenied"):
                stack.find(cloudformation, "dropsort")


@pytest.mark.parametrize(
    ("status", "busy"),
    [
        ("UPDATE_IN_PROGRESS", True),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", True),
        ("REVIEW_IN_PROGRESS", False),  # a change set of a stack that does not exist yet
        ("UPDATE_COMPLETE", False),
    ],
)
def test_a_stack_is_busy_while_an_operation_is_in_progress(status: str, busy: bool) -> None:
    assert Stack(ARN, "dropsort", status, "", {}, {}).busy is busy


def test_the_endpoint_of_a_stack_and_its_alarms() -> None:
    own = Stack(ARN, "dropsort", "", "", {"EndpointAlarmArns": "arn:a,,arn:b"}, {"CreateEndpoint": "true"})
    assert own.creates_endpoint
    assert own.alarms == ["arn:a", "arn:b"]
    other = Stack(ARN, "dropsort", "", "", {}, {"CreateEndpoint": "false"})
    assert not other.creates_endpoint
    assert other.alarms == []
    assert not Stack(ARN, "dropsort", "", "", {}, {}).creates_endpoint


def test_events_are_read_to_the_last_one_seen_oldest_first(cloudformation: Any) -> None:
    newest = event(
        3,
        LogicalResourceId="Bucket",
        ResourceType="AWS::S3::Bucket",
        ResourceStatus="CREATE_FAILED",
        ResourceStatusReason="taken",
    )
    pages: list[dict[str, Any]] = [
        {"StackEvents": [newest, event(2)], "NextToken": "more"},
        {"StackEvents": [event(1), event(0)]},
    ]
    third = StackEvent("e3", "Bucket", "AWS::S3::Bucket", "CREATE_FAILED", "taken")
    former = [StackEvent(f"e{number}", "", "", "", "") for number in range(3)]
    for marker, expected in (
        (None, [*former, third]),
        ("e0", [*former[1:], third]),
        ("e2", [third]),
        ("e3", []),
    ):
        with Stubber(cloudformation) as stub:
            stub.add_response("describe_stack_events", pages[0], {"StackName": ARN})
            stub.add_response("describe_stack_events", pages[1], {"StackName": ARN, "NextToken": "more"})
            assert stack.events_after(cloudformation, ARN, marker) == expected
    with Stubber(cloudformation) as stub:
        stub.add_response("describe_stack_events", pages[0], {"StackName": ARN})
        assert stack.last_event(cloudformation, ARN) == "e3"
        stub.add_response("describe_stack_events", {"StackEvents": []}, {"StackName": ARN})
        assert stack.last_event(cloudformation, ARN) is None


def test_an_event_is_a_line() -> None:
    assert str(failed("Bucket", "taken")) == "CREATE_FAILED        Bucket (AWS::S3::Bucket): taken"
    assert str(failed("Bucket", "")) == "CREATE_FAILED        Bucket (AWS::S3::Bucket)"


def test_the_first_three_causes_of_a_failure_are_named() -> None:
    whole = failed("dropsort", "The following resource(s) failed", "AWS::CloudFormation::Stack")
    cancelled = failed("Topic", "Resource creation Cancelled", "AWS::SNS::Topic")
    many = [failed(name, f"reason {name}") for name in "ABCD"]
    fine = failed("Fine", "", status="CREATE_COMPLETE")
    assert (
        stack.failures([whole, cancelled, fine, *many])
        == "A (AWS::S3::Bucket): reason A; B (AWS::S3::Bucket): reason B; C (AWS::S3::Bucket): reason C"
    )
    # AND what is left if nothing else failed
    assert stack.failures([cancelled]) == "Topic (AWS::SNS::Topic): Resource creation Cancelled"
    assert (
        stack.failures([whole]) == "dropsort (AWS::CloudFormation::Stack): The following resource(s) failed"
    )


def test_without_a_failed_resource_the_first_roll_back_has_the_reason() -> None:
    events = [
        failed("dropsort", "User Initiated", "AWS::CloudFormation::Stack", "UPDATE_IN_PROGRESS"),
        failed("dropsort", "An alarm went off", "AWS::CloudFormation::Stack", "UPDATE_ROLLBACK_IN_PROGRESS"),
        failed("dropsort", "again", "AWS::CloudFormation::Stack", "UPDATE_ROLLBACK_IN_PROGRESS"),
    ]
    assert stack.failures(events) == "An alarm went off"
    assert stack.failures(events[:1]) == ""


def test_failed_checks_of_the_latest_operation_are_named(cloudformation: Any) -> None:
    def check(operation: str, name: str, status: str = "FAILED") -> dict[str, Any]:
        return {
            "OperationId": operation,
            "EventId": name,
            "StackId": ARN,
            "Timestamp": TIME,
            "LogicalResourceId": name,
            "ResourceType": "AWS::S3::Bucket",
            "ValidationStatus": status,
            "ValidationStatusReason": f"reason {name}",
        }

    events = [check("2", "Skipped", "SKIPPED"), check("2", "A"), check("1", "Old")]
    events += [check("2", name) for name in "BCD"]
    with Stubber(cloudformation) as stub:
        stub.add_response(
            "describe_events",
            {"OperationEvents": events},
            {"Filters": {"FailedEvents": True}, "StackName": ARN},
        )
        assert stack.validation_failures(cloudformation, stack=ARN) == (
            "A (AWS::S3::Bucket): reason A; B (AWS::S3::Bucket): reason B; C (AWS::S3::Bucket): reason C"
        )
        bare = {
            "OperationId": "1",
            "EventId": "e",
            "StackId": ARN,
            "Timestamp": TIME,
            "ValidationStatus": "FAILED",
        }
        stub.add_response(
            "describe_events",
            {"OperationEvents": [bare]},
            {"Filters": {"FailedEvents": True}, "ChangeSetName": "arn:set"},
        )
        assert stack.validation_failures(cloudformation, change_set="arn:set") == " (): "
        stub.add_response(
            "describe_events", {"OperationEvents": []}, {"Filters": {"FailedEvents": True}, "StackName": ARN}
        )
        assert stack.validation_failures(cloudformation, stack=ARN) == ""
        # AND nothing for those who may not read them
        stub.add_client_error("describe_events", "AccessDenied")
        assert stack.validation_failures(cloudformation, stack=ARN) == ""
