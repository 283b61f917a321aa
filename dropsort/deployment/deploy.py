"""Deploys the template: package, upload, change set, follow; the same on AWS and on the embedded AWS.

What exists already is not replaced: zips and templates that were uploaded before, parameters that are not given again, a stack that
needs no change. After a failure CloudFormation rolls back, and the error names the resources and reasons.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dropsort.contract import stack as stacks
from dropsort.contract import stack_update
from dropsort.contract.clients import Clients
from dropsort.contract.errors import StackError
from dropsort.contract.progress import OnStep, no_steps
from dropsort.contract.stack import Stack
from dropsort.deployment import artifacts
from dropsort.deployment.artifacts import TemplateSource
from dropsort.deployment.errors import DeployError
from dropsort.deployment.package import Packages
from dropsort.deployment.plan import check_names

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.literals import CapabilityType
    from mypy_boto3_cloudformation.type_defs import (
        CreateChangeSetOutputTypeDef,
        ParameterTypeDef,
        ResourceChangeTypeDef,
    )

CAPABILITIES: list[CapabilityType] = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]

# Statuses after a failed creation: such a stack cannot be updated, only deleted and created again.
_FAILED_CREATION = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")


@dataclass(frozen=True)
class _Uploaded:
    """What a change set refers to: the template, and every parameter value including the keys of the zips."""

    source: TemplateSource
    values: dict[str, str]


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
    patience_seconds: float = stack_update.PATIENCE_SECONDS,
) -> dict[str, str]:
    """Create or update a stack with the template, the parameters and the packages; return its outputs.

    Parameters
    ----------
    client
        Makes a client of a service, ``session.client`` say.
    stack
        Name of the stack; created if missing, replaced if an earlier creation failed.
    template
        The template's file; goes through S3 if it is too large for a request.
    parameters
        Template parameters by name; those left out keep their value in the stack, or take the template's default.
    packages
        The zips (:func:`dropsort.deployment.package.build`), uploaded if they are not in the bucket yet.
    on_step
        Called with one sentence per step and one line per event of the stack.
    artifact_bucket
        An existing bucket for the zips; None takes ``dropsort-artifacts-{account}-{region}``, created when missing.
    tags
        Tags of the stack, which CloudFormation passes on to its resources.
    patience_seconds
        How long to wait for CloudFormation.

    Raises
    ------
    DeployError
        A parameter is not one of the template's, or the stack cannot take a change.
    StackError
        CloudFormation rejected the change or rolled it back, the endpoint does not run the new model, or the time is up.
    KeyboardInterrupt
        On Ctrl-C, after `on_step` was called with what continues.
    """
    cloudformation = client("cloudformation")
    before = stacks.find(cloudformation, stack)
    uploaded = _upload(client, template, parameters, packages, on_step, artifact_bucket)
    declared = _declared(cloudformation, uploaded.source)
    check_names(parameters, declared)
    existing = _settled(cloudformation, stack, on_step, patience_seconds)
    former = existing or before
    updated = existing if existing is not None and existing.status != "REVIEW_IN_PROGRESS" else None
    creating = updated is None
    values = _parameter_list(uploaded.values, declared, former.parameters if former else {}, creating)
    # A bucket that an earlier stack left, if it is named, becomes this one's.
    imports = creating and bool(parameters.get("BucketName"))
    change_set = _create_change_set(
        cloudformation, stack, uploaded.source, values, tags or {}, creating, imports
    )
    changes = stack_update.await_change_set(cloudformation, change_set["Id"])
    if existing is not None and not changes:
        on_step(f"Stack {stack} is up to date")
        return existing.outputs
    on_step(f"{'Creating' if creating else 'Updating'} stack {stack}: {_summary(changes)}")
    if updated is not None:
        _show_changes(updated.parameters, uploaded.values, on_step)
    done = stack_update.execute(client, change_set["StackId"], change_set["Id"], on_step, patience_seconds)
    return done.outputs


def _upload(
    client: Clients,
    template: Path,
    parameters: Mapping[str, str],
    packages: Packages,
    on_step: OnStep,
    artifact_bucket: str | None,
) -> _Uploaded:
    s3 = client("s3")
    bucket = artifact_bucket or artifacts.ensure_bucket(client, on_step)
    keys = {
        parameter: artifacts.upload(s3, bucket, archive, f"packages/{archive.name}", on_step)
        for parameter, archive in packages.archives.items()
        if parameter not in parameters
    }
    source = artifacts.template_source(s3, bucket, template, on_step)
    return _Uploaded(source, {**parameters, "ArtifactBucket": bucket, **keys})


def _create_change_set(
    cloudformation: CloudFormationClient,
    stack: str,
    source: TemplateSource,
    parameters: Sequence[ParameterTypeDef],
    tags: Mapping[str, str],
    creating: bool,
    imports: bool,
) -> CreateChangeSetOutputTypeDef:
    return cloudformation.create_change_set(
        StackName=stack,
        ChangeSetName=f"dropsort-{uuid.uuid4().hex}",
        ChangeSetType="CREATE" if creating else "UPDATE",
        Parameters=parameters,
        Capabilities=CAPABILITIES,
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        ImportExistingResources=imports,
        **source,
    )


def _settled(
    cloudformation: CloudFormationClient, name: str, on_step: OnStep, patience_seconds: float
) -> Stack | None:
    """The stack once it can take a change set: not busy, not left over from a failed creation; None if there is none."""
    stack = stacks.find(cloudformation, name)
    if stack is not None and stack.busy:
        on_step(f"Stack {name} is {stack.status}: waiting for that first")
        since = stacks.last_event(cloudformation, stack.arn)
        stack, _ = stack_update.follow(cloudformation, stack.arn, since, on_step, patience_seconds)
    if stack is None or stack.status == "DELETE_COMPLETE":
        return None
    if stack.status in _FAILED_CREATION:
        on_step(f"Stack {name} is {stack.status} and cannot be updated: replacing it")
        since = stacks.last_event(cloudformation, stack.arn)
        cloudformation.delete_stack(StackName=stack.arn)
        gone, events = stack_update.follow(cloudformation, stack.arn, since, on_step, patience_seconds)
        if gone.status != "DELETE_COMPLETE":
            raise StackError(f"Stack {name} could not be replaced ({gone.status}): {stacks.failures(events)}")
        return None
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        raise DeployError(
            f"Stack {name} is UPDATE_ROLLBACK_FAILED ({stack.reason}): correct what prevented the rollback, run "
            f"`aws cloudformation continue-update-rollback --stack-name {name}`, then deploy again."
        )
    return stack


def _declared(cloudformation: CloudFormationClient, source: TemplateSource) -> set[str]:
    """Names of the template's parameters."""
    return {item["ParameterKey"] for item in cloudformation.get_template_summary(**source)["Parameters"]}


def _parameter_list(
    values: Mapping[str, str], declared: set[str], before: Mapping[str, str], creating: bool
) -> list[ParameterTypeDef]:
    """The given parameters and the former ones, by value for a stack that replaces one whose creation failed."""
    given: list[ParameterTypeDef] = [
        {"ParameterKey": key, "ParameterValue": str(value)} for key, value in values.items()
    ]
    unchanged = sorted((declared & before.keys()) - values.keys())
    for key in unchanged:
        if creating:
            given.append({"ParameterKey": key, "ParameterValue": before[key]})
        else:
            given.append({"ParameterKey": key, "UsePreviousValue": True})
    return given


def _show_changes(before: Mapping[str, str], values: Mapping[str, str], on_step: OnStep) -> None:
    """A line for each parameter that gets another value."""
    for name, value in values.items():
        if value != (was := before.get(name)):
            on_step(f"{name}: {was or '(none)'} → {value or '(none)'}")


def _summary(changes: Sequence[ResourceChangeTypeDef]) -> str:
    counts: dict[str, int] = {}
    for change in changes:
        action = change.get("Action", "change").lower()
        counts[action] = counts.get(action, 0) + 1
    return ", ".join(f"{count} to {action}" for action, count in sorted(counts.items()))
