"""Changes a CloudFormation stack through a change set and waits for it: for `dropsort deploy`, `rollout` and `destroy` alike.

Every wait has a deadline. CloudFormation continues after it; the error says what is in progress and what to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dropsort.contract.errors import StackError
from dropsort.contract.progress import OnStep
from dropsort.contract.stack import (
    Stack,
    StackEvent,
    events_after,
    failures,
    find,
    last_event,
    validation_failures,
)

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ResourceChangeTypeDef

    from dropsort.contract.clients import Clients

# Longer than the template lets an update of the endpoint take (5,400 s), with the resources before it.
PATIENCE_SECONDS = 7200.0
CHANGE_SET_PATIENCE_SECONDS = 600.0
_ENDPOINT_CONFIG = "EndpointConfig"  # logical name in the template
_COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def await_change_set(
    cloudformation: CloudFormationClient,
    change_set: str,
    patience_seconds: float = CHANGE_SET_PATIENCE_SECONDS,
) -> list[ResourceChangeTypeDef]:
    """The changes of a change set (its ARN) once CloudFormation has computed them; empty if there are none.

    Raises
    ------
    StackError
        CloudFormation rejected the change, or has not finished after `patience_seconds`. Either way, and if there are no
        changes, the change set is deleted.
    """
    deadline = time.monotonic() + patience_seconds
    for pause in poll_pauses():
        found = cloudformation.describe_change_set(ChangeSetName=change_set)
        if found["Status"] == "CREATE_COMPLETE":
            pages = cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=change_set)
            return [change["ResourceChange"] for page in pages for change in page["Changes"]]
        if found["Status"] == "FAILED":
            reason = found.get("StatusReason", "")
            if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                cloudformation.delete_change_set(ChangeSetName=change_set)
                return []
            checks = validation_failures(cloudformation, change_set=change_set)
            cloudformation.delete_change_set(ChangeSetName=change_set)
            raise StackError(f"CloudFormation rejected the change: {checks or reason or 'no reason given'}")
        if time.monotonic() > deadline:
            cloudformation.delete_change_set(ChangeSetName=change_set)
            raise StackError(
                f"The change set is still {found['Status']} after {_minutes(patience_seconds)}: nothing was changed. "
                "Run the command again; if it happens again, see https://health.aws.amazon.com."
            )
        time.sleep(pause)
    raise AssertionError("poll_pauses() does not end")


def execute(
    client: Clients,
    stack_arn: str,
    change_set: str,
    on_step: OnStep,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Stack:
    """Execute a change set, report every event and each stage of the endpoint's deployment, and return the stack.

    Raises
    ------
    StackError
        The stack was rolled back (with the first reasons), is still busy after `patience_seconds`, or its endpoint does not
        run the new configuration.
    KeyboardInterrupt
        On Ctrl-C, after `on_step` was called with what continues.
    """
    cloudformation = client("cloudformation")
    since = last_event(cloudformation, stack_arn)
    cloudformation.execute_change_set(ChangeSetName=change_set)
    try:
        stack, events = follow(
            cloudformation,
            stack_arn,
            since,
            on_step,
            patience_seconds,
            lambda stack: endpoint_stage(client, stack),
        )
    except KeyboardInterrupt:
        on_step("Stopped watching. CloudFormation continues: run the same command again to see how it ends.")
        raise
    if stack.status not in _COMPLETE:
        reasons = (
            validation_failures(cloudformation, stack=stack_arn)
            or failures(events)
            or stack.reason
            or "no reason given"
        )
        verb = "created" if stack.status.startswith(("CREATE", "ROLLBACK")) else "updated"
        raise StackError(f"Stack {stack.name} could not be {verb} and is now {stack.status}: {reasons}")
    check_endpoint(client, stack)
    return stack


def follow(
    cloudformation: CloudFormationClient,
    stack_arn: str,
    since: str | None,
    on_step: OnStep,
    patience_seconds: float = PATIENCE_SECONDS,
    stage: Callable[[Stack], str] = lambda stack: "",
) -> tuple[Stack, list[StackEvent]]:
    """Report every event after `since` until no operation is in progress; return the stack and those events, oldest first.

    Parameters
    ----------
    stage
        What else is in progress, in words; reported whenever it changes, and named when the time is up.

    Raises
    ------
    StackError
        The stack is still busy after `patience_seconds`, or was deleted by somebody else.
    """
    seen: list[StackEvent] = []
    last_stage = ""
    deadline = time.monotonic() + patience_seconds
    for pause in poll_pauses():
        stack = find(cloudformation, stack_arn)  # before the events, so that none of them is missed
        fresh = events_after(cloudformation, stack_arn, seen[-1].id if seen else since)
        for event in fresh:
            on_step(str(event))
        seen += fresh
        if stack is None:
            raise StackError(f"Stack {stack_arn} does not exist any more: somebody else deleted it.")
        current = stage(stack)
        if current and current != last_stage:
            on_step(current)
            last_stage = current
        if not stack.busy:
            return stack, seen
        if time.monotonic() > deadline:
            doing = f", {current}" if current else ""
            raise StackError(
                f"Stack {stack.name} is still {stack.status}{doing} after {_minutes(patience_seconds)}. CloudFormation "
                f"continues: watch it with `aws cloudformation describe-stack-events --stack-name {stack.name}`, and run the "
                "command again when it has ended."
            )
        time.sleep(pause)
    raise AssertionError("poll_pauses() does not end")


def endpoint_stage(client: Clients, stack: Stack) -> str:
    """The status of the stack's own endpoint and the stages of its deployment; empty if there is none yet."""
    name = stack.outputs.get("EndpointName")
    if not name or not stack.creates_endpoint:
        return ""
    sagemaker = client("sagemaker")
    try:
        endpoint = sagemaker.describe_endpoint(EndpointName=name)
    except (
        sagemaker.exceptions.ClientError
    ):  # not created yet, or not permitted: the stack's events have to do
        return ""
    variants = endpoint.get("PendingDeploymentSummary", {}).get("ProductionVariants", ())
    stages = {stage["Status"] for variant in variants for stage in variant.get("VariantStatus", ())}
    return " · ".join([f"endpoint {endpoint['EndpointStatus']}", *sorted(stages)])


def check_endpoint(client: Clients, stack: Stack) -> None:
    """Check that the stack's own endpoint runs the endpoint configuration of the stack.

    When an alarm goes off during the deployment, SageMaker rolls back by itself: the endpoint is InService again, on the former
    configuration, whatever the stack's status is.

    Raises
    ------
    StackError
        The endpoint is not InService, or on another configuration.
    """
    if not stack.creates_endpoint:
        return
    name = stack.outputs.get("EndpointName", "")
    detail = client("cloudformation").describe_stack_resource(
        StackName=stack.name, LogicalResourceId=_ENDPOINT_CONFIG
    )["StackResourceDetail"]
    wanted = detail.get("PhysicalResourceId", "").rsplit("/", 1)[-1]
    endpoint = client("sagemaker").describe_endpoint(EndpointName=name)
    running = endpoint.get("EndpointConfigName", "none")
    if endpoint["EndpointStatus"] == "InService" and running.lower() == wanted.lower():
        return
    raise StackError(
        f"Endpoint {name} is {endpoint['EndpointStatus']} on the configuration {running}, not on the new {wanted}: "
        f"{endpoint.get('FailureReason') or 'SageMaker gave no reason; an alarm rolls the deployment back'}. Stack "
        f"{stack.name} has the new settings: deploy or roll out the former model again, so that they agree, or correct the "
        "model and deploy it."
    )


def poll_pauses() -> Iterator[float]:
    """Seconds between two polls: short at first for the embedded AWS, then within the rate limits of AWS."""
    pause = 0.05
    while True:
        yield pause
        pause = min(pause * 1.3, 3.0)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:g} seconds"
