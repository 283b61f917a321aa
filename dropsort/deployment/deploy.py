"""Deploys the template through a change set: the same way to AWS and to the embedded one.

Whatever is there already stays: zips and templates that were uploaded before, parameters that are not given again,
a stack that needs no change. What failed is named with its reasons after CloudFormation has rolled it back.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dropsort.contract.progress import OnStep, no_steps
from dropsort.deployment import artifacts, stacks
from dropsort.deployment.artifacts import Clients
from dropsort.deployment.errors import DeployError
from dropsort.deployment.package import Packages

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]

# Left behind by a creation that failed: nothing can be updated there, only deleted and made again.
_STILLBORN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")


def deploy(
    client: Clients,
    stack: str,
    template: Path,
    parameters: Mapping[str, str],
    packages: Packages,
    on_step: OnStep = no_steps,
    *,
    artifact_bucket: str | None = None,
    tags: Mapping[str, str] | None = None,
    patience_seconds: float = stacks.PATIENCE_SECONDS,
) -> dict[str, str]:
    """Bring a stack to what the template, the parameters and the packages say; return its outputs.

    Parameters
    ----------
    client
        Makes a client of a service, ``session.client`` say.
    stack
        Name of the stack; created if missing, replaced if an earlier creation failed.
    template
        The template's file; goes through S3 if it is too large to be sent.
    parameters
        Template parameters by name; those left out keep their value in the stack, or take the template's default.
    packages
        The zips (:func:`dropsort.deployment.package.build`), uploaded if they are not there yet.
    on_step
        Called with one sentence per step and one line per event of the stack.
    artifact_bucket
        An existing bucket for the zips; None takes ``dropsort-artifacts-{account}-{region}``, made when missing.
    tags
        Tags of the stack, passed on to its resources.
    patience_seconds
        How long to wait for CloudFormation.

    Raises
    ------
    DeployError
        If a parameter is none of the template's, or the stack did not get there; the message names the first resources
        that failed, and why.
    KeyboardInterrupt
        On Ctrl-C, after `on_step` got what goes on in the cloud.
    """
    cloudformation, s3 = client("cloudformation"), client("s3")
    before = stacks.describe(cloudformation, stack)
    bucket = artifact_bucket or artifacts.ensure_bucket(client, on_step)
    values = dict(parameters) | {"ArtifactBucket": bucket}
    for parameter, archive in packages.archives.items():
        values[parameter] = artifacts.upload(s3, bucket, archive, f"packages/{archive.name}", on_step)
    source = artifacts.template_argument(s3, bucket, template, on_step)
    declared = _declared(cloudformation, source)
    if unknown := sorted(parameters.keys() - declared):
        raise DeployError(
            f"The template has no parameter {', '.join(unknown)}. It has {', '.join(sorted(declared))}."
        )

    existing = _settled(cloudformation, stack, on_step, patience_seconds)
    former = existing or before
    creating = existing is None or existing.status == "REVIEW_IN_PROGRESS"
    change_set = cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=f"dropsort-{uuid.uuid4().hex}",
        ChangeSetType="CREATE" if creating else "UPDATE",
        Parameters=_parameter_list(values, declared, former.parameters if former else {}, creating),
        Capabilities=CAPABILITIES,
        Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
        **source,
    )
    arn = change_set["StackId"]
    changes = _await_change_set(cloudformation, change_set["Id"], patience_seconds)
    if changes is None:
        cloudformation.delete_change_set(ChangeSetName=change_set["Id"])
        on_step(f"Stack {stack} is up to date")
        return stacks.describe(cloudformation, arn).outputs  # type: ignore[union-attr]  # it exists: nothing changed
    on_step(f"{'Creating' if creating else 'Updating'} stack {stack}: {_summary(changes)}")
    since = stacks.last_event(cloudformation, arn)
    cloudformation.execute_change_set(ChangeSetName=change_set["Id"])
    try:
        state, events = stacks.follow(cloudformation, arn, since, on_step, patience_seconds)
    except KeyboardInterrupt:
        on_step(
            f"Stopped watching. CloudFormation goes on {'creating' if creating else 'updating'} stack {stack}: run the "
            "same command again to see how it ends, or `dropsort destroy` to take it down."
        )
        raise
    if state.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        why = (
            stacks.validation_failures(cloudformation, StackName=arn)
            or stacks.failures(events)
            or state.reason
        )
        raise DeployError(
            f"Stack {stack} could not be {'created' if creating else 'updated'} and is now {state.status}: {why}"
        )
    return state.outputs


def _settled(cloudformation: Any, name: str, on_step: OnStep, patience_seconds: float) -> stacks.Stack | None:
    """The stack, once it can take a change set: not at work, not left over from a failed creation."""
    stack = stacks.describe(cloudformation, name)
    if stack is not None and stack.busy:
        on_step(f"Stack {name} is {stack.status}: waiting for that first")
        since = stacks.last_event(cloudformation, stack.arn)
        stack, _ = stacks.follow(cloudformation, stack.arn, since, on_step, patience_seconds)
    if stack is None or stack.status == "DELETE_COMPLETE":
        return None
    if stack.status in _STILLBORN:
        on_step(f"Stack {name} is {stack.status}, which no update can mend: replacing it")
        since = stacks.last_event(cloudformation, stack.arn)
        cloudformation.delete_stack(StackName=stack.arn)
        gone, events = stacks.follow(cloudformation, stack.arn, since, on_step, patience_seconds)
        if gone.status != "DELETE_COMPLETE":
            raise DeployError(
                f"Stack {name} could not be replaced ({gone.status}): {stacks.failures(events)}"
            )
        return None
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        raise DeployError(
            f"Stack {name} is UPDATE_ROLLBACK_FAILED ({stack.reason}): mend what kept it from rolling back, run "
            f"`aws cloudformation continue-update-rollback --stack-name {name}`, then deploy again."
        )
    return stack


def _declared(cloudformation: Any, source: Mapping[str, str]) -> set[str]:
    """Names of the template's parameters."""
    return {item["ParameterKey"] for item in cloudformation.get_template_summary(**source)["Parameters"]}


def _parameter_list(
    values: Mapping[str, str], declared: set[str], before: Mapping[str, str], creating: bool
) -> list[dict[str, Any]]:
    """The parameters that are given, and the former ones: a stack that replaces one whose creation failed has them no more."""
    given = [{"ParameterKey": key, "ParameterValue": str(value)} for key, value in values.items()]
    kept = sorted((declared & before.keys()) - values.keys())
    return given + [
        {"ParameterKey": key, **({"ParameterValue": before[key]} if creating else {"UsePreviousValue": True})}
        for key in kept
    ]


def _await_change_set(cloudformation: Any, arn: str, patience_seconds: float) -> list[dict[str, Any]] | None:
    """Changes of a change set once CloudFormation has worked them out; None if there are none."""
    deadline = time.monotonic() + patience_seconds
    for pause in stacks.poll_pauses():
        found = cloudformation.describe_change_set(ChangeSetName=arn)
        if found["Status"] == "CREATE_COMPLETE":
            pages = cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=arn)
            return [change["ResourceChange"] for page in pages for change in page["Changes"]]
        if found["Status"] == "FAILED":
            reason = found.get("StatusReason", "")
            if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                return None
            checks = stacks.validation_failures(cloudformation, ChangeSetName=arn)
            raise DeployError(f"CloudFormation refused the change: {checks or reason}")
        if time.monotonic() > deadline:
            raise DeployError(
                "CloudFormation has not worked out the change set in time: run the command again."
            )
        time.sleep(pause)
    raise AssertionError("poll_pauses() does not end")


def _summary(changes: list[dict[str, Any]]) -> str:
    counts: dict[str, int] = {}
    for change in changes:
        counts[change["Action"]] = counts.get(change["Action"], 0) + 1
    return ", ".join(f"{count} to {action.lower()}" for action, count in sorted(counts.items()))
