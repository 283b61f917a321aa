"""What a CloudFormation stack is doing: its state, its events as they come, why it failed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from dropsort.contract.progress import OnStep
from dropsort.deployment.errors import DeployError

# Longer than an endpoint with canary traffic takes; CloudFormation goes on whatever we do.
PATIENCE_SECONDS = 3600.0


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation describes it."""

    arn: str
    name: str
    status: str
    reason: str
    outputs: dict[str, str]
    parameters: dict[str, str]

    @property
    def busy(self) -> bool:
        """Whether something is going on that we would have to wait for."""
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"


@dataclass(frozen=True)
class Event:
    """One line of a stack's history."""

    id: str
    resource: str
    kind: str
    status: str
    reason: str

    def __str__(self) -> str:
        return f"{self.status:<20} {self.resource} ({self.kind})" + (
            f": {self.reason}" if self.reason else ""
        )


def describe(cloudformation: Any, name: str) -> Stack | None:
    """The stack of that name (or ARN), or None if there is none."""
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            return None
        raise
    return Stack(
        arn=found["StackId"],
        name=found["StackName"],
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        outputs={item["OutputKey"]: item["OutputValue"] for item in found.get("Outputs", [])},
        parameters={item["ParameterKey"]: item["ParameterValue"] for item in found.get("Parameters", [])},
    )


def last_event(cloudformation: Any, stack: str) -> str | None:
    """Id of the newest event, from which :func:`follow` goes on."""
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    return events[0]["EventId"] if events else None


def follow(
    cloudformation: Any,
    arn: str,
    since: str | None,
    on_step: OnStep,
    patience_seconds: float = PATIENCE_SECONDS,
) -> tuple[Stack, list[Event]]:
    """Report every event after `since` until the stack rests; return its state and those events, oldest first.

    Raises
    ------
    DeployError
        If the stack still works after `patience_seconds`, or is gone.
    """
    seen: list[Event] = []
    pauses = poll_pauses()
    deadline = time.monotonic() + patience_seconds
    while True:
        stack = describe(cloudformation, arn)  # before the events, so that none of them is missed
        fresh = _events_after(cloudformation, arn, seen[-1].id if seen else since)
        for event in fresh:
            on_step(str(event))
        seen += fresh
        if stack is None:
            raise DeployError(f"Stack {arn} is gone: somebody else deleted it.")
        if not stack.busy:
            return stack, seen
        if time.monotonic() > deadline:
            raise DeployError(
                f"Stack {stack.name} is still {stack.status} after {patience_seconds / 60:.0f} minutes. CloudFormation "
                "goes on: look at its events, and run the command again once it rests."
            )
        time.sleep(next(pauses))


def failures(events: list[Event]) -> str:
    """The first resources that failed, with reasons; those that were only called off are left out."""
    failed = [event for event in events if event.status.endswith("_FAILED")]
    causes = [event for event in failed if "cancelled" not in event.reason.lower()] or failed
    own = [event for event in causes if event.kind != "AWS::CloudFormation::Stack"] or causes
    return "; ".join(f"{event.resource} ({event.kind}): {event.reason}" for event in own[:3])


def validation_failures(cloudformation: Any, **target: str) -> str:
    """What CloudFormation's checks before the first resource found (``StackName=`` or ``ChangeSetName=``), or ""."""
    try:
        events = cloudformation.describe_events(Filters={"FailedEvents": True}, **target)["OperationEvents"]
    except ClientError:  # not allowed to these credentials, perhaps: the stack's own events have to do
        return ""
    found = [event for event in events if event.get("ValidationStatus") == "FAILED"]
    latest = [event for event in found if event.get("OperationId") == found[0].get("OperationId")]
    return "; ".join(
        f"{event.get('LogicalResourceId', '')} ({event.get('ResourceType', '')}): "
        f"{event.get('ValidationStatusReason', '')}"
        for event in latest[:3]
    )


def poll_pauses() -> Iterator[float]:
    """Seconds between two looks: short ones first for the embedded AWS, then kind to the real API's rate limit."""
    pause = 0.05
    while True:
        yield pause
        pause = min(pause * 1.3, 3.0)


def _events_after(cloudformation: Any, stack: str, marker: str | None) -> list[Event]:
    fresh: list[Event] = []
    for page in cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack):
        for item in page["StackEvents"]:
            if item["EventId"] == marker:
                return fresh[::-1]
            fresh.append(
                Event(
                    id=item["EventId"],
                    resource=item["LogicalResourceId"],
                    kind=item["ResourceType"],
                    status=item["ResourceStatus"],
                    reason=item.get("ResourceStatusReason", ""),
                )
            )
    return fresh[::-1]
