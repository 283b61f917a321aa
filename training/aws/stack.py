"""A CloudFormation stack while it is updated: what it is set to, what it is doing, why it went back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from training.aws.requests import AwsRequest, send
from training.errors import TrainingError

ALARMS_OUTPUT = "EndpointAlarmArns"


@dataclass(frozen=True)
class Stack:
    """What a roll-out reads of a stack."""

    name: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    status: str

    @property
    def alarms(self) -> list[str]:
        """ARNs of the alarms that roll the endpoint back."""
        return [arn for arn in self.outputs.get(ALARMS_OUTPUT, "").split(",") if arn]


def describe_stack(session: Any, name: str) -> Stack:
    """Parameters, outputs and status of a stack."""
    found = send(AwsRequest("cloudformation", "DescribeStacks", {"StackName": name}), session)["Stacks"][0]
    return Stack(
        name=name,
        parameters={p["ParameterKey"]: p.get("ParameterValue", "") for p in found.get("Parameters", ())},
        outputs={o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", ())},
        status=found["StackStatus"],
    )


def await_change_set(session: Any, created: Mapping[str, Any], interval: float) -> None:
    """Wait until a change set can be executed; one that is refused is deleted, and the reason raised."""
    names = {key: created[key] for key in ("StackName", "ChangeSetName")}
    while True:
        found = send(AwsRequest("cloudformation", "DescribeChangeSet", names), session)
        if found["Status"] == "CREATE_COMPLETE":
            return
        if found["Status"] == "FAILED":
            send(AwsRequest("cloudformation", "DeleteChangeSet", names), session)
            raise TrainingError(
                f"CloudFormation refused the change: {found.get('StatusReason', 'no reason given')}"
            )
        time.sleep(min(interval, 2.0))


def await_update(session: Any, stack: str, progress: Callable[[str], None] | None, interval: float) -> None:
    """Wait for the end of an update, telling each new phase; raises TrainingError if it was undone."""
    told = ""
    while True:
        time.sleep(interval)
        found = describe_stack(session, stack)
        phase = _phase(session, found)
        if progress and phase != told:
            progress(phase)
            told = phase
        if found.status == "UPDATE_COMPLETE":
            return
        if not found.status.endswith("_IN_PROGRESS"):
            raise TrainingError(
                f"the roll-out was undone, stack {stack} is {found.status}: {_reason(session, stack)}. "
                f"The endpoint runs the model that it ran before"
            )


def _phase(session: Any, stack: Stack) -> str:
    """What is going on, in a few words: the stack's status and the endpoint's stage of deployment."""
    name = stack.outputs.get("EndpointName")
    if not name:
        return stack.status
    try:
        endpoint = session.client("sagemaker").describe_endpoint(EndpointName=name)
    except Exception:  # only for display; the stack decides
        return stack.status
    variants = endpoint.get("PendingDeploymentSummary", {}).get("ProductionVariants", ())
    stages = {stage["Status"] for variant in variants for stage in variant.get("VariantStatus", ())}
    return " · ".join([stack.status, f"endpoint {endpoint['EndpointStatus']}", *sorted(stages)])


def _reason(session: Any, stack: str) -> str:
    """The first failure since the update began; CloudFormation lists the newest event first."""
    events = send(AwsRequest("cloudformation", "DescribeStackEvents", {"StackName": stack}), session)[
        "StackEvents"
    ]
    reason = "no reason given"
    for event in events:
        status, why = event.get("ResourceStatus", ""), event.get("ResourceStatusReason", "")
        if event.get("ResourceType") == "AWS::CloudFormation::Stack" and status == "UPDATE_IN_PROGRESS":
            break
        if why and (status.endswith("_FAILED") or status == "UPDATE_ROLLBACK_IN_PROGRESS"):
            reason = f"{event['LogicalResourceId']}: {why}"
    return reason
