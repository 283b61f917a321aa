"""Reads CloudFormation stacks: what they are set to, what happened to them, why they failed.

`dropsort.contract.stack_update` changes a stack and waits for it. The clients are parameters, so nothing of AWS is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

ALARMS_OUTPUT = "EndpointAlarmArns"


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation describes it; `reason` is that of its status and may be empty."""

    arn: str
    name: str
    status: str
    reason: str
    outputs: dict[str, str]
    parameters: dict[str, str]

    @property
    def busy(self) -> bool:
        """Whether an operation is in progress, which has to end before another can begin."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    @property
    def creates_endpoint(self) -> bool:
        """Whether the stack's endpoint is a resource of the stack, not one that it only uses."""
        return self.parameters.get("CreateEndpoint") == "true"

    @property
    def alarms(self) -> list[str]:
        """ARNs of the alarms that roll the endpoint back."""
        return [arn for arn in self.outputs.get(ALARMS_OUTPUT, "").split(",") if arn]


@dataclass(frozen=True)
class StackEvent:
    """One line of a stack's history."""

    id: str
    resource: str
    kind: str
    status: str
    reason: str

    def __str__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.status:<20} {self.resource} ({self.kind}){reason}"


def find(cloudformation: CloudFormationClient, name: str) -> Stack | None:
    """The stack of that name (or ARN), or None if there is none."""
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except cloudformation.exceptions.ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return None
        raise
    return Stack(
        arn=found.get("StackId", name),
        name=found["StackName"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        outputs={item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])},
        parameters={
            item["ParameterKey"]: item.get("ParameterValue", "") for item in found.get("Parameters", [])
        },
    )


def last_event(cloudformation: CloudFormationClient, stack: str) -> str | None:
    """Id of the newest event of a stack."""
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    return events[0]["EventId"] if events else None


def events_after(cloudformation: CloudFormationClient, stack: str, marker: str | None) -> list[StackEvent]:
    """The events after the one with the id `marker`, oldest first; all of them if it is None."""
    fresh: list[StackEvent] = []
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack):
        for item in page["StackEvents"]:
            if item["EventId"] == marker:
                return fresh[::-1]
            fresh.append(
                StackEvent(
                    id=item["EventId"],
                    resource=item.get("LogicalResourceId", ""),
                    kind=item.get("ResourceType", ""),
                    status=item.get("ResourceStatus", ""),
                    reason=item.get("ResourceStatusReason", ""),
                )
            )
    return fresh[::-1]


def failures(events: list[StackEvent]) -> str:
    """The first three resources that failed, with reasons; those that were only cancelled are left out.

    If none failed, the reason of the rollback: an alarm starts one without a failed resource. Empty if there is neither.
    """
    failed = [event for event in events if event.status.endswith("_FAILED")]
    causes = [event for event in failed if "cancelled" not in event.reason.lower()] or failed
    own = [event for event in causes if event.kind != "AWS::CloudFormation::Stack"] or causes
    if own:
        return "; ".join(f"{event.resource} ({event.kind}): {event.reason}" for event in own[:3])
    rollbacks = (event.reason for event in events if event.status.endswith("ROLLBACK_IN_PROGRESS"))
    return next(rollbacks, "")


def validation_failures(
    cloudformation: CloudFormationClient, *, stack: str = "", change_set: str = ""
) -> str:
    """The failed checks that CloudFormation makes before it changes a resource, of a stack or a change set; empty if none."""
    target = {"ChangeSetName": change_set} if change_set else {"StackName": stack}
    try:
        events = cloudformation.describe_events(Filters={"FailedEvents": True}, **target)["OperationEvents"]
    except cloudformation.exceptions.ClientError:  # optional: these credentials may lack the permission
        return ""
    found = [event for event in events if event.get("ValidationStatus") == "FAILED"]
    latest = [event for event in found if event.get("OperationId") == found[0].get("OperationId")]
    return "; ".join(
        f"{event.get('LogicalResourceId', '')} ({event.get('ResourceType', '')}): "
        f"{event.get('ValidationStatusReason', '')}"
        for event in latest[:3]
    )
