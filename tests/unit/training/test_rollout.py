"""The roll-out: from an approved version to stack parameters, through a change set, watched to its end or its undoing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from dropsort.contract.errors import StackError
from training.aws.requests import AwsRequest
from training.errors import TrainingError
from training.registry import registry, rollout
from training.registry.model_packages import ModelPackage

STACK = "dropsort"
ARN = "arn:aws:cloudformation:us-east-1:123456789012:stack/dropsort/1"
CHANGE_SET = "arn:aws:cloudformation:us-east-1:123456789012:changeSet/rollout-7/1"
OLD, NEW = "s3://artifacts/models/bikes/old/model.tar.gz", "s3://artifacts/models/bikes/new/model.tar.gz"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
ALARM = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:dropsort-endpoint-errors"
PACKAGE = ModelPackage(
    arn="arn:aws:sagemaker:us-east-1:123456789012:model-package/bikes/7",
    version=7,
    status="Approved",
    image=IMAGE,
    model_data=NEW,
    labels=("bicycle", "motorcycle"),
    metrics={"accuracy": 0.97, "threshold": 0.87, "familiarity_threshold": 0.02},
    name="bikes-2.0.0",
)
PARAMETERS = {
    "CreateEndpoint": "true",
    "ModelDataUrl": OLD,
    "ModelImageUri": IMAGE,
    "Labels": "bicycle,motorcycle",
    "Threshold": "0.93",
    "FamiliarityThreshold": "0.05",
    "AlarmEmail": "me@example.com",
    "EndpointName": "",
}
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def stack(status: str = "UPDATE_COMPLETE", **changes: str) -> dict[str, Any]:
    """What DescribeStacks returns."""
    parameters = {**PARAMETERS, **changes}
    return {
        "Stacks": [
            {
                "StackId": ARN,
                "StackName": STACK,
                "CreationTime": NOW,
                "StackStatus": status,
                "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
                "Outputs": [
                    {"OutputKey": "EndpointName", "OutputValue": STACK},
                    {"OutputKey": "EndpointAlarmArns", "OutputValue": ALARM},
                ],
            }
        ]
    }


WHOLE = "AWS::CloudFormation::Stack"


def event(
    resource: str, status: str, reason: str = "", kind: str = "AWS::SageMaker::Endpoint", *, number: int
) -> dict[str, Any]:
    return {
        "StackId": ARN,
        "EventId": str(number),
        "StackName": STACK,
        "Timestamp": NOW,
        "LogicalResourceId": resource,
        "ResourceType": kind,
        "ResourceStatus": status,
        **({"ResourceStatusReason": reason} if reason else {}),
    }


class Session:
    """A boto3 session whose two clients return what a test sets, each response held against the service's model."""

    def __init__(self) -> None:
        real = boto3.Session("key", "secret", region_name="us-east-1")
        self.clients = {name: real.client(name) for name in ("cloudformation", "sagemaker")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        self.events = [event(STACK, "CREATE_COMPLETE", kind=WHOLE, number=0)]
        for stub in self.stubs.values():
            stub.activate()

    def client(self, name: str) -> Any:
        return self.clients[name]

    def cloudformation(self, method: str, response: dict[str, Any], **expected: Any) -> None:
        self.stubs["cloudformation"].add_response(method, response, expected)

    def state(self, status: str, *events: dict[str, Any]) -> None:
        """One poll of the stack, and the events since the last one."""
        self.cloudformation("describe_stacks", stack(status), StackName=ARN)
        self.cloudformation("describe_stack_events", {"StackEvents": [*events, *self.events]}, StackName=ARN)
        self.events = [*events, *self.events]

    def endpoint(self, config: str, status: str = "InService", **more: Any) -> None:
        answer = {
            "EndpointName": STACK,
            "EndpointArn": f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{STACK}",
            "EndpointConfigName": config,
            "EndpointStatus": status,
            "CreationTime": NOW,
            "LastModifiedTime": NOW,
            **more,
        }
        self.stubs["sagemaker"].add_response("describe_endpoint", answer, {"EndpointName": STACK})


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    session = Session()
    monkeypatch.setattr(registry, "approved", lambda _, *given: {("bikes", None): PACKAGE}[given])
    yield session
    for stub in session.stubs.values():
        stub.assert_no_pending_responses()


def begin(session: Session, change_set: dict[str, Any]) -> None:
    """The responses up to the state of the change set."""
    session.cloudformation("describe_stacks", stack(), StackName=STACK)
    session.cloudformation(
        "create_change_set",
        {"Id": CHANGE_SET, "StackId": ARN},
        StackName=STACK,
        ChangeSetName=ANY,
        ChangeSetType="UPDATE",
        Description=ANY,
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=ANY,
        RollbackConfiguration={
            "RollbackTriggers": [{"Arn": ALARM, "Type": "AWS::CloudWatch::Alarm"}],
            "MonitoringTimeInMinutes": 5,
        },
    )
    session.cloudformation("describe_change_set", change_set, ChangeSetName=CHANGE_SET)


def start(session: Session) -> None:
    """The responses from a change set that is complete to its execution."""
    change = {"Type": "Resource", "ResourceChange": {"Action": "Modify", "LogicalResourceId": "Endpoint"}}
    complete = {"Status": "CREATE_COMPLETE", "Changes": [change]}
    begin(session, {"Status": "CREATE_PENDING"})
    session.cloudformation("describe_change_set", complete, ChangeSetName=CHANGE_SET)
    session.cloudformation("describe_change_set", complete, ChangeSetName=CHANGE_SET)
    session.cloudformation("describe_stack_events", {"StackEvents": session.events}, StackName=ARN)
    session.cloudformation("execute_change_set", {}, ChangeSetName=CHANGE_SET)


def execute(session: Session, **options: Any) -> rollout.RolloutResult:
    return rollout.execute("bikes", STACK, session, **options)


def test_a_rollout_may_keep_the_thresholds_of_the_stack(session: Session) -> None:
    start(session)
    session.state("UPDATE_COMPLETE", event(STACK, "UPDATE_COMPLETE", kind=WHOLE, number=3))
    session.endpoint("new")
    ended(session, "new")
    seen: list[AwsRequest] = []
    result = execute(session, thresholds=False, on_request=seen.append)
    assert result.changed == {"ModelDataUrl": (OLD, NEW)}
    # AND the change set says of each that its value is the previous one
    sent = {item["ParameterKey"]: item for item in seen[0].parameters["Parameters"]}
    for name in ("Threshold", "FamiliarityThreshold"):
        assert sent[name] == {"ParameterKey": name, "UsePreviousValue": True}


def test_a_roll_out_that_goes_well(session: Session) -> None:
    start(session)
    session.state("UPDATE_IN_PROGRESS", event("Endpoint", "UPDATE_IN_PROGRESS", number=1))
    baking = {"VariantName": "AllTraffic", "VariantStatus": [{"Status": "Baking"}]}
    session.endpoint(
        "old",
        "Updating",
        PendingDeploymentSummary={"EndpointConfigName": "new", "ProductionVariants": [baking]},
    )
    session.state("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", event("Endpoint", "UPDATE_COMPLETE", number=2))
    session.endpoint("new")
    session.state("UPDATE_COMPLETE", event(STACK, "UPDATE_COMPLETE", kind=WHOLE, number=3))
    session.endpoint("new")
    ended(session, "new")
    steps: list[str] = []
    seen: list[AwsRequest] = []
    result = execute(
        session,
        on_step=steps.append,
        on_request=seen.append,
        confirm=lambda changed: "Threshold" in changed,
    )
    assert result.executed is True
    assert result.changed == {
        "ModelDataUrl": (OLD, NEW),
        "Threshold": ("0.93", "0.87"),
        "FamiliarityThreshold": ("0.05", "0.02"),
    }
    changes = {name: {"from": old, "to": new} for name, (old, new) in result.changed.items()}
    document = json.loads(json.dumps(result.document()))
    assert document == {"package": document["package"], "changed": changes, "executed": True}
    assert [request.operation for request in seen] == ["CreateChangeSet", "ExecuteChangeSet"]
    assert steps == [
        "UPDATE_IN_PROGRESS   Endpoint (AWS::SageMaker::Endpoint)",
        "endpoint Updating · Baking",
        "UPDATE_COMPLETE      Endpoint (AWS::SageMaker::Endpoint)",
        "endpoint InService",
        "UPDATE_COMPLETE      dropsort (AWS::CloudFormation::Stack)",
    ]


def ended(session: Session, config: str, status: str = "InService", **more: Any) -> None:
    """The responses of the check of the endpoint after the update."""
    session.cloudformation(
        "describe_stack_resource",
        {
            "StackResourceDetail": {
                "LogicalResourceId": "EndpointConfig",
                "PhysicalResourceId": "arn:aws:sagemaker:us-east-1:123456789012:endpoint-config/New",
                "ResourceType": "AWS::SageMaker::EndpointConfig",
                "LastUpdatedTimestamp": NOW,
                "ResourceStatus": "CREATE_COMPLETE",
            }
        },
        StackName=STACK,
        LogicalResourceId="EndpointConfig",
    )
    session.endpoint(config, status, **more)


def test_an_endpoint_that_went_back_by_itself_is_found_out(session: Session) -> None:
    start(session)
    session.state("UPDATE_COMPLETE")
    session.endpoint("old")
    ended(session, "old", FailureReason="alarm dropsort-endpoint-errors is in alarm")
    with pytest.raises(StackError, match="on the configuration old, not on the new New: alarm dropsort-end"):
        execute(session)


def test_an_undone_update_gives_the_first_reason(session: Session) -> None:
    session.events = [event("Endpoint", "UPDATE_FAILED", "an older failure", number=0)]
    start(session)
    session.state(
        "UPDATE_ROLLBACK_COMPLETE",
        event(STACK, "UPDATE_ROLLBACK_COMPLETE", kind=WHOLE, number=5),
        event("Model", "DELETE_COMPLETE", number=4),
        event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS", "The following resource(s) failed", WHOLE, number=3),
        event("Endpoint", "UPDATE_FAILED", "the canary's alarm went off", number=2),
        event(STACK, "UPDATE_IN_PROGRESS", "User Initiated", WHOLE, number=1),
    )
    session.endpoint("old")
    session.cloudformation(
        "describe_events", {"OperationEvents": []}, StackName=ARN, Filters={"FailedEvents": True}
    )
    with pytest.raises(StackError, match=r"Endpoint.*: the canary's alarm went off$"):
        execute(session)


def test_an_update_that_an_alarm_rolled_back_names_it(session: Session) -> None:
    start(session)
    session.state(
        "UPDATE_ROLLBACK_COMPLETE",
        event(STACK, "UPDATE_ROLLBACK_IN_PROGRESS", f"Rollback trigger {ALARM}", WHOLE, number=1),
    )
    session.endpoint("old")
    session.cloudformation(
        "describe_events", {"OperationEvents": []}, StackName=ARN, Filters={"FailedEvents": True}
    )
    with pytest.raises(StackError, match=f"UPDATE_ROLLBACK_COMPLETE: Rollback trigger {ALARM}"):
        execute(session)


def test_an_update_that_does_not_end_says_what_is_in_progress(session: Session) -> None:
    start(session)
    session.state("UPDATE_IN_PROGRESS")
    session.endpoint("old", "Updating")
    with pytest.raises(StackError, match=r"still UPDATE_IN_PROGRESS, endpoint Updating after 0 seconds"):
        execute(session, patience_seconds=0)


def test_a_rejected_change_set_is_deleted(session: Session) -> None:
    begin(session, {"Status": "FAILED", "StatusReason": "Parameter Threshold failed to satisfy constraint"})
    session.cloudformation(
        "describe_events", {"OperationEvents": []}, ChangeSetName=CHANGE_SET, Filters={"FailedEvents": True}
    )
    session.cloudformation("delete_change_set", {}, ChangeSetName=CHANGE_SET)
    with pytest.raises(StackError, match="Parameter Threshold failed to satisfy constraint"):
        execute(session)


def test_a_stack_that_does_not_exist_is_named(session: Session) -> None:
    session.stubs["cloudformation"].add_client_error(
        "describe_stacks", "ValidationError", f"Stack with id {STACK} does not exist"
    )
    with pytest.raises(TrainingError, match="there is no stack dropsort"):
        execute(session)


def test_declined_nothing_is_changed(session: Session) -> None:
    # GIVEN a stack without two of the parameters
    given = stack(EndpointInstanceCount="1")
    entries = given["Stacks"][0]["Parameters"]
    entries[:] = [
        entry for entry in entries if entry["ParameterKey"] not in ("Labels", "FamiliarityThreshold")
    ]
    session.cloudformation("describe_stacks", given, StackName=STACK)
    result = execute(session, confirm=lambda _: False, instances=2)
    assert result == rollout.RolloutResult(
        PACKAGE,
        {"ModelDataUrl": (OLD, NEW), "Threshold": ("0.93", "0.87"), "EndpointInstanceCount": ("1", "2")},
        executed=False,
    )


def test_a_stack_that_runs_the_version_already_is_left_alone(session: Session) -> None:
    session.cloudformation(
        "describe_stacks",
        stack(ModelDataUrl=NEW, Threshold="0.87", FamiliarityThreshold="0.02"),
        StackName=STACK,
    )
    result = execute(session)
    assert (result.changed, result.executed) == ({}, False)


def test_an_endpoint_of_the_stacks_own_may_have_a_name(session: Session) -> None:
    session.cloudformation("describe_stacks", stack(EndpointName="bikes"), StackName=STACK)
    assert execute(session, confirm=lambda _: False).executed is False


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: stack("UPDATE_IN_PROGRESS"), "wait for the end of that update"),
        (lambda: stack(CreateEndpoint="false", EndpointName="theirs"), "uses endpoint theirs"),
    ],
)
def test_stacks_that_cannot_be_updated_now(
    session: Session, answer: Callable[[], dict[str, Any]], words: str
) -> None:
    session.cloudformation("describe_stacks", answer(), StackName=STACK)
    with pytest.raises(TrainingError, match=words):
        execute(session)
