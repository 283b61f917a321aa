"""Changes of a stack: what is reported, how each ends, and that every wait has a deadline."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from dropsort.contract import stack_update
from dropsort.contract.errors import StackError
from dropsort.contract.stack import Stack

ARN = "arn:aws:cloudformation:eu-west-1:1:stack/bikes/1"
TIME = datetime(2026, 11, 26, tzinfo=UTC)
OUTPUTS = {"EndpointName": "bikes"}
OWN = {"CreateEndpoint": "true"}
CONFIG = {"StackName": "bikes", "LogicalResourceId": "EndpointConfig"}


class Aws:
    """CloudFormation and SageMaker, which expect their requests one after another."""

    def __init__(self) -> None:
        session = boto3.Session("key", "secret", region_name="eu-west-1")
        self.clients: dict[str, Any] = {
            name: session.client(name) for name in ("cloudformation", "sagemaker")
        }  # type: ignore[call-overload]
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        self.steps: list[str] = []

    def __call__(self, service: str) -> Any:
        return self.clients[service]

    def expect(self, operation: str, response: dict[str, Any], **parameters: Any) -> None:
        service = "sagemaker" if operation == "describe_endpoint" else "cloudformation"
        self.stubs[service].add_response(operation, response, parameters)

    def stack(self, status: str, **members: Any) -> None:
        found = {"StackId": ARN, "StackName": "bikes", "CreationTime": TIME, "StackStatus": status, **members}
        self.expect("describe_stacks", {"Stacks": [found]}, StackName=ARN)

    def events(self, *numbers: int, **members: Any) -> None:
        """Events with these numbers, the newest first."""
        found = [
            {"StackId": ARN, "EventId": f"e{number}", "StackName": "bikes", "Timestamp": TIME,
             "LogicalResourceId": f"R{number}", "ResourceType": "T", "ResourceStatus": "UPDATE_COMPLETE", **members}
            for number in numbers
        ]  # fmt: skip
        self.expect("describe_stack_events", {"StackEvents": found}, StackName=ARN)

    def endpoint(self, status: str, config: str = "bikes-2", **members: Any) -> None:
        found = {"EndpointName": "bikes", "EndpointArn": "arn:aws:sagemaker:eu-west-1:1:endpoint/bikes",
                 "EndpointStatus": status, "EndpointConfigName": config, "CreationTime": TIME,
                 "LastModifiedTime": TIME, **members}  # fmt: skip
        self.expect("describe_endpoint", found, EndpointName="bikes")

    def config(self, name: str = "") -> None:
        detail = {"LogicalResourceId": "EndpointConfig", "ResourceType": "T", "LastUpdatedTimestamp": TIME,
                  "ResourceStatus": "UPDATE_COMPLETE", **({"PhysicalResourceId": name} if name else {})}  # fmt: skip
        self.expect("describe_stack_resource", {"StackResourceDetail": detail}, **CONFIG)


class Clock:
    """A time that passes only while somebody sleeps, for `least` seconds at least."""

    def __init__(self) -> None:
        self.now, self.least = 1000.0, 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += max(seconds, self.least)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(stack_update, "time", made)
    return made


@pytest.fixture
def aws() -> Iterator[Aws]:
    made = Aws()
    with made.stubs["cloudformation"], made.stubs["sagemaker"]:
        yield made
    for stub in made.stubs.values():
        stub.assert_no_pending_responses()


def stack(outputs: dict[str, str] | None = None, parameters: dict[str, str] | None = None) -> Stack:
    return Stack(
        ARN,
        "bikes",
        "UPDATE_COMPLETE",
        "",
        OUTPUTS if outputs is None else outputs,
        OWN if parameters is None else parameters,
    )


def await_change_set(aws: Aws, **options: Any) -> Any:
    return stack_update.await_change_set(aws("cloudformation"), "arn:set", **options)


def change_set(aws: Aws, status: str, **members: Any) -> None:
    aws.expect("describe_change_set", {"Status": status, **members}, ChangeSetName="arn:set")


def test_a_change_set_that_is_never_computed_ends_at_the_deadline(aws: Aws) -> None:
    for _ in range(2):
        change_set(aws, "CREATE_PENDING")
    aws.expect("delete_change_set", {}, ChangeSetName="arn:set")
    # The first poll is within the time, the second is not
    with pytest.raises(StackError, match=r"still CREATE_PENDING after 0\.02 seconds: nothing was changed"):
        await_change_set(aws, patience_seconds=0.02)


def test_the_changes_of_all_pages_once_they_are_computed(aws: Aws) -> None:
    changes = [{"Type": "Resource", "ResourceChange": {"LogicalResourceId": name}} for name in "ab"]
    change_set(aws, "CREATE_IN_PROGRESS")
    change_set(aws, "CREATE_COMPLETE")
    change_set(aws, "CREATE_COMPLETE", Changes=changes[:1], NextToken="more")
    aws.expect("describe_change_set", {"Changes": changes[1:]}, ChangeSetName="arn:set", NextToken="more")
    assert [one["LogicalResourceId"] for one in await_change_set(aws)] == ["a", "b"]


@pytest.mark.parametrize(
    "reason",
    ["The submitted information didn't contain changes. Submit others.", "No updates are to be performed."],
)
def test_a_change_set_without_changes_is_deleted(reason: str, aws: Aws) -> None:
    change_set(aws, "FAILED", StatusReason=reason)
    aws.expect("delete_change_set", {}, ChangeSetName="arn:set")
    assert await_change_set(aws) == []


@pytest.mark.parametrize(
    ("check", "reason", "message"),
    [
        ("taken", "see the events", r"A \(T\): taken"),
        (None, "Parameter X is missing", "Parameter X is missing"),
        (None, None, "no reason given"),
    ],
)
def test_a_rejected_change_set_is_deleted_and_its_reason_named(
    check: str | None, reason: str | None, message: str, aws: Aws
) -> None:
    change_set(aws, "FAILED", **({"StatusReason": reason} if reason else {}))
    failed = {"EventId": "1", "StackId": ARN, "Timestamp": TIME, "LogicalResourceId": "A", "ResourceType": "T",
              "ValidationStatus": "FAILED", "ValidationStatusReason": check}  # fmt: skip
    aws.expect(
        "describe_events",
        {"OperationEvents": [failed] if check else []},
        Filters={"FailedEvents": True},
        ChangeSetName="arn:set",
    )
    aws.expect("delete_change_set", {}, ChangeSetName="arn:set")
    with pytest.raises(StackError, match=f"^CloudFormation rejected the change: {message}$"):
        await_change_set(aws)


def begin(aws: Aws) -> None:
    """The requests with which an update begins."""
    aws.events(0)
    aws.expect("execute_change_set", {}, ChangeSetName="arn:set")


def execute(aws: Aws) -> Stack:
    return stack_update.execute(aws, ARN, "arn:set", aws.steps.append)


@pytest.mark.parametrize("complete", ["CREATE_COMPLETE", "UPDATE_COMPLETE"])
def test_an_update_reports_each_event_and_stage_once(complete: str, aws: Aws) -> None:
    own: dict[str, Any] = {
        "Outputs": [{"OutputKey": "EndpointName", "OutputValue": "bikes"}],
        "Parameters": [{"ParameterKey": "CreateEndpoint", "ParameterValue": "true"}],
    }
    begin(aws)
    for numbers in ((2, 1, 0), (3, 2, 1, 0)):
        aws.stack("UPDATE_IN_PROGRESS", **own)
        aws.events(*numbers)
        aws.endpoint("Updating")
    aws.stack(complete, **own)
    aws.events(3, 2, 1, 0)
    aws.endpoint("InService")
    # AND at the end the endpoint runs the configuration of the stack, whatever case SageMaker returns
    aws.config("arn:aws:sagemaker:eu-west-1:1:endpoint-config/Bikes-2")
    aws.endpoint("InService")
    assert execute(aws).status == complete
    lines = [f"UPDATE_COMPLETE      R{number} (T)" for number in (1, 2, 3)]
    assert aws.steps == [*lines[:2], "endpoint Updating", lines[2], "endpoint InService"]


@pytest.mark.parametrize(
    ("status", "verb"),
    [
        ("CREATE_FAILED", "created"),
        ("ROLLBACK_COMPLETE", "created"),
        ("UPDATE_ROLLBACK_COMPLETE", "updated"),
    ],
)
def test_an_update_that_fails_names_its_reason(status: str, verb: str, aws: Aws) -> None:
    # GIVEN nothing, the status' reason, a failed event, and a failed check: the last one that there is counts
    failed = {"EventId": "1", "StackId": ARN, "Timestamp": TIME, "LogicalResourceId": "A", "ResourceType": "T",
              "ValidationStatus": "FAILED", "ValidationStatusReason": "checked"}  # fmt: skip
    for count, reason in enumerate(
        ["no reason given", "rolled back", r"R1 \(T\): full", r"A \(T\): checked"]
    ):
        begin(aws)
        aws.stack(status, **({"StackStatusReason": "rolled back"} if count > 0 else {}))
        if count > 1:
            aws.events(1, 0, ResourceStatus="UPDATE_FAILED", ResourceStatusReason="full")
        else:
            aws.events(0)
        aws.expect(
            "describe_events",
            {"OperationEvents": [failed] if count > 2 else []},
            Filters={"FailedEvents": True},
            StackName=ARN,
        )
        with pytest.raises(
            StackError, match=f"^Stack bikes could not be {verb} and is now {status}: {reason}$"
        ):
            execute(aws)


def test_ctrl_c_says_what_continues(aws: Aws) -> None:
    begin(aws)
    aws.stack("UPDATE_IN_PROGRESS")
    aws.events(1, 0)

    def interrupt(line: str) -> None:
        aws.steps.append(line)
        if len(aws.steps) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stack_update.execute(aws, ARN, "arn:set", interrupt)
    assert aws.steps[1].startswith("Stopped watching. CloudFormation continues")


@pytest.mark.parametrize("stage", ["endpoint Updating", ""])
def test_a_wait_that_is_too_long_says_what_is_in_progress(stage: str, aws: Aws, clock: Clock) -> None:
    clock.least = 0.25  # the second poll is at the deadline
    for _ in range(3):
        aws.stack("UPDATE_IN_PROGRESS")
        aws.events()
    doing = f", {stage}" if stage else ""
    with pytest.raises(
        StackError, match=rf"^Stack bikes is still UPDATE_IN_PROGRESS{doing} after 0\.25 seconds\. "
    ):
        stack_update.follow(aws("cloudformation"), ARN, None, aws.steps.append, 0.25, lambda stack: stage)
    assert aws.steps == ([stage] if stage else [])


def test_a_stack_that_is_deleted_meanwhile_is_an_error_after_its_events(aws: Aws) -> None:
    aws.stubs["cloudformation"].add_client_error("describe_stacks", "ValidationError", "x does not exist")
    aws.events(1)
    with pytest.raises(StackError, match="does not exist any more: somebody else deleted it"):
        stack_update.follow(aws("cloudformation"), ARN, None, aws.steps.append)
    assert aws.steps == ["UPDATE_COMPLETE      R1 (T)"]


def test_the_stages_of_a_deployment(aws: Aws) -> None:
    variants = [{"VariantName": str(number), "VariantStatus": [{"Status": status} for status in stages]}
                for number, stages in enumerate([["Creating", "Baking"], ["Baking"]])]  # fmt: skip
    variants.append({"VariantName": "without a stage"})
    summary = {"EndpointConfigName": "bikes-2", "ProductionVariants": variants}
    aws.endpoint("Updating", PendingDeploymentSummary=summary)
    assert stack_update.endpoint_stage(aws, stack()) == "endpoint Updating · Baking · Creating"
    # AND nothing of a stack without one, without its own one, or before it is created
    aws.stubs["sagemaker"].add_client_error("describe_endpoint", "ValidationException")
    assert stack_update.endpoint_stage(aws, stack()) == ""
    assert stack_update.endpoint_stage(aws, stack(outputs={})) == ""
    assert stack_update.endpoint_stage(aws, stack(parameters={})) == ""


@pytest.mark.parametrize(
    ("status", "config", "reason", "message"),
    [
        (
            "InService",
            "bikes-1",
            None,
            "on the configuration bikes-1, not on the new bikes-2: SageMaker gave no",
        ),
        (
            "Failed",
            "bikes-2",
            "no capacity",
            "is Failed on the configuration bikes-2, .*: no capacity. Stack bikes",
        ),
    ],
)
def test_an_endpoint_that_was_rolled_back_is_an_error(
    status: str, config: str, reason: str | None, message: str, aws: Aws
) -> None:
    aws.config("bikes-2")
    aws.endpoint(status, config, **({"FailureReason": reason} if reason else {}))
    with pytest.raises(StackError, match=message):
        stack_update.check_endpoint(aws, stack())
    # AND so is one whose configuration was not created
    aws.config()
    aws.endpoint("InService")
    with pytest.raises(StackError, match="not on the new :"):
        stack_update.check_endpoint(aws, stack())
    # AND of another's endpoint nothing is requested
    stack_update.check_endpoint(aws, stack(parameters={"CreateEndpoint": "false"}))


def test_pauses_grow_to_three_seconds() -> None:
    pauses = list(islice(stack_update.poll_pauses(), 18))
    assert pauses[:2] == [0.05, pytest.approx(0.065)]
    assert pauses[15] == pytest.approx(0.05 * 1.3**15)
    assert pauses[16:] == [3.0, 3.0]


def test_each_poll_waits_for_its_pause(aws: Aws, clock: Clock) -> None:
    for _ in range(2):
        change_set(aws, "CREATE_PENDING")
    change_set(aws, "FAILED", StatusReason="No updates are to be performed.")
    aws.expect("delete_change_set", {}, ChangeSetName="arn:set")
    await_change_set(aws)
    for status in ("UPDATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"):
        aws.stack(status)
        aws.events()
    stack_update.follow(aws("cloudformation"), ARN, None, aws.steps.append)
    assert clock.slept == 2 * [0.05, pytest.approx(0.065)]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, r"0\.5 seconds"), (119, "119 seconds"), (120, "2 minutes"), (7200, "120 minutes")],
)
def test_times_are_in_the_unit_that_fits(seconds: float, text: str, aws: Aws, clock: Clock) -> None:
    # GIVEN polls at the beginning, at the deadline and after it: only the last one is too late
    clock.least = seconds
    for _ in range(3):
        change_set(aws, "CREATE_PENDING")
    aws.expect("delete_change_set", {}, ChangeSetName="arn:set")
    with pytest.raises(StackError, match=f"after {text}:"):
        await_change_set(aws, patience_seconds=seconds)


def test_an_update_of_the_endpoint_may_take_longer_than_its_deadline_in_the_template() -> None:
    assert stack_update.PATIENCE_SECONDS == 7200
    assert stack_update.CHANGE_SET_PATIENCE_SECONDS == 600
