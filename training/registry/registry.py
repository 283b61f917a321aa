"""The model registry: versions are registered once, wait for a person's approval, and the newest approved one is rolled out.

What the requests look like is in `training.registry.model_packages`; here they are sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from training.aws.requests import AwsRequest, OnRequest, run, send
from training.errors import TrainingError
from training.registry.model_packages import (
    APPROVED,
    PENDING,
    REJECTED,
    ModelPackage,
    list_request,
    plan_decision,
    plan_register,
    read,
)


def register(
    group: str,
    session: Any = None,
    *,
    dry_run: bool = False,
    on_request: OnRequest | None = None,
    **model: Any,
) -> ModelPackage | None:
    """Register a model as a version that waits for approval; keyword arguments as for `plan_register`.

    Returns
    -------
    ModelPackage
        The new version, or the newest one if it already is this artifact; None after a dry run.
    """
    requests = plan_register(group, **model)
    if dry_run:
        run(requests, None, dry_run=True, on_request=on_request)
        return None
    create_group, upload, quality, version = requests
    found = next(packages(session, group), None)
    wanted = version.parameters["InferenceSpecification"]["Containers"][0]
    if (
        found
        and found.status != REJECTED
        and (found.model_data, found.image) == (wanted["ModelDataUrl"], wanted["Image"])
    ):
        return found
    if not found and not _has_group(session, group):
        run([create_group], session, dry_run=False, on_request=on_request)
    if not _has_object(session, upload.parameters["Bucket"], upload.parameters["Key"]):
        if on_request:
            on_request(upload)
        _upload(upload, model["artifact"], session)
    answers = run([quality, version], session, dry_run=False, on_request=on_request)
    return describe(session, answers[-1]["ModelPackageArn"])


def approve(
    group: str,
    session: Any = None,
    *,
    version: int | None = None,
    reject: bool = False,
    note: str = "",
    dry_run: bool = False,
    on_request: OnRequest | None = None,
    region: str = "us-east-1",
    account: str = "123456789012",
) -> ModelPackage | None:
    """Approve (or reject) a version of the group, the newest one by default.

    A dry run asks nobody: `region` and `account` then stand in the version's name, and it returns None.
    """
    status = REJECTED if reject else APPROVED
    if dry_run:
        arn = f"arn:aws:sagemaker:{region}:{account}:model-package/{group}/{version or 1}"
        run([plan_decision(arn, status, note)], None, dry_run=True, on_request=on_request)
        return None
    found = _version(session, group, version)
    run([plan_decision(found.arn, status, note)], session, dry_run=False, on_request=on_request)
    return describe(session, found.arn)


def latest_approved(session: Any, group: str) -> ModelPackage:
    """The newest approved version; raises TrainingError if there is none."""
    for package in packages(session, group, APPROVED):
        return package
    pending = [str(package.version) for package in packages(session, group, PENDING)]
    waiting = (
        f"version {', '.join(pending)} waits for `dropsort approve`" if pending else "register a model first"
    )
    raise TrainingError(f"group {group} has no approved version: {waiting}")


def approved(session: Any, group: str, version: int | None = None) -> ModelPackage:
    """A version that may be rolled out: the one asked for, or the newest; raises TrainingError if it is not approved."""
    if version is None:
        return latest_approved(session, group)
    found = _version(session, group, version)
    if found.status != APPROVED:
        raise TrainingError(
            f"version {version} of group {group} is {found.status}, not approved: `dropsort approve`"
        )
    return found


def packages(session: Any, group: str, status: str | None = None) -> Iterator[ModelPackage]:
    """Versions of a group, newest first, only those of a status if one is given; none if there is no such group."""
    parameters = list_request(group, status).parameters
    token: dict[str, str] = {}
    while True:
        try:
            page = session.client("sagemaker").list_model_packages(**parameters, **token)
        except ClientError as error:
            if _is_missing(error):
                return
            raise TrainingError(f"the registry did not list group {group}: {error}") from error
        except BotoCoreError as error:
            raise TrainingError(f"the registry did not list group {group}: {error}") from error
        for summary in page["ModelPackageSummaryList"]:
            yield describe(session, summary["ModelPackageArn"])
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def describe(session: Any, arn: str) -> ModelPackage:
    """One version by its ARN."""
    return read(send(AwsRequest("sagemaker", "DescribeModelPackage", {"ModelPackageName": arn}), session))


def _version(session: Any, group: str, version: int | None) -> ModelPackage:
    for package in packages(session, group):
        if version in (None, package.version):
            return package
    which = f"version {version}" if version else "version at all"
    raise TrainingError(f"group {group} has no {which}: `dropsort register` makes one")


def _upload(request: AwsRequest, artifact: Path | str, session: Any) -> None:
    if isinstance(artifact, str):
        send(request, session)
        return
    with artifact.open("rb") as file:
        send(AwsRequest(request.service, request.operation, {**request.parameters, "Body": file}), session)


def _has_group(session: Any, group: str) -> bool:
    try:
        session.client("sagemaker").describe_model_package_group(ModelPackageGroupName=group)
    except ClientError as error:
        if _is_missing(error):
            return False
        raise TrainingError(f"the registry did not answer for group {group}: {error}") from error
    return True


def _has_object(session: Any, bucket: str, key: str) -> bool:
    try:
        session.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
            return False
        raise TrainingError(f"s3://{bucket}/{key} cannot be looked up: {error}") from error
    return True


def _is_missing(error: ClientError) -> bool:
    # SageMaker answers ValidationException for what does not exist.
    return re.search(r"does not exist|not found|could not find", str(error), re.IGNORECASE) is not None
