"""The model registry: versions are registered once, wait for a person's approval, and the newest approved one is rolled out.

`training.registry.model_packages` builds the requests; this module sends them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from dropsort.contract import s3_documents
from training.aws.requests import AwsRequest, OnRequest, no_request, send, send_all
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

if TYPE_CHECKING:
    import boto3


def register(
    group: str,
    session: boto3.Session,
    on_request: OnRequest = no_request,
    *,
    bucket: str,
    artifact: Path | str,
    image: str,
    labels: Sequence[str],
    metrics: Mapping[str, Any],
    description: str = "",
) -> ModelPackage:
    """Register a model as a version that waits for approval; arguments as for `plan_register`.

    Returns
    -------
    ModelPackage
        The new version, or the newest one if it already is this artifact and was not rejected.
    """
    requests = plan_register(
        group,
        bucket=bucket,
        artifact=artifact,
        image=image,
        labels=labels,
        metrics=metrics,
        description=description,
    )
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
        send_all([create_group], session, on_request)
    if not _has_object(session, upload.parameters["Bucket"], upload.parameters["Key"]):
        on_request(upload)
        _upload(upload, artifact, session)
    responses = send_all([quality, version], session, on_request)
    return describe(session, responses[-1]["ModelPackageArn"])


def approve(
    group: str,
    session: boto3.Session,
    on_request: OnRequest = no_request,
    *,
    version: int | None = None,
    reject: bool = False,
    note: str = "",
) -> ModelPackage:
    """Approve (or reject) a version of the group, the newest one by default."""
    found = _version(session, group, version)
    status = REJECTED if reject else APPROVED
    send_all([plan_decision(found.arn, status, note)], session, on_request)
    return describe(session, found.arn)


def latest_approved(session: boto3.Session, group: str) -> ModelPackage:
    """The newest approved version.

    Raises
    ------
    TrainingError
        There is none; the message says what to do.
    """
    for package in packages(session, group, APPROVED):
        return package
    pending = [str(package.version) for package in packages(session, group, PENDING)]
    waiting = (
        f"version {', '.join(pending)} waits for `dropsort approve`" if pending else "register a model first"
    )
    raise TrainingError(f"group {group} has no approved version: {waiting}")


def approved(session: boto3.Session, group: str, version: int | None = None) -> ModelPackage:
    """A version that may be rolled out: the given one, or the newest.

    Raises
    ------
    TrainingError
        It is not approved, or there is no approved one.
    """
    if version is None:
        return latest_approved(session, group)
    found = _version(session, group, version)
    if found.status != APPROVED:
        raise TrainingError(
            f"version {version} of group {group} is {found.status}, not approved: `dropsort approve`"
        )
    return found


def packages(session: boto3.Session, group: str, status: str | None = None) -> Iterator[ModelPackage]:
    """Versions of a group, newest first, only those of a status if one is given; none if there is no such group."""
    parameters = list_request(group, status).parameters
    token: dict[str, str] = {}
    while True:
        try:
            page = session.client("sagemaker").list_model_packages(**parameters, **token)
        except ClientError as error:
            if _is_missing(error):
                return
            if error.response["Error"].get("Code") == "UnknownOperationException":
                raise TrainingError(
                    "There is no model registry here: a service on this machine takes another model with `dropsort up --model DIR`"
                ) from error
            raise TrainingError(f"the registry did not list group {group}: {error}") from error
        except BotoCoreError as error:
            raise TrainingError(f"the registry did not list group {group}: {error}") from error
        for summary in page["ModelPackageSummaryList"]:
            yield describe(session, summary["ModelPackageArn"])
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def describe(session: boto3.Session, arn: str) -> ModelPackage:
    """One version by its ARN."""
    return read(send(AwsRequest("sagemaker", "DescribeModelPackage", {"ModelPackageName": arn}), session))


def _version(session: boto3.Session, group: str, version: int | None) -> ModelPackage:
    for package in packages(session, group):
        if version in (None, package.version):
            return package
    which = f"version {version}" if version else "version at all"
    raise TrainingError(f"group {group} has no {which}: `dropsort register` makes one")


def _upload(request: AwsRequest, artifact: Path | str, session: boto3.Session) -> None:
    if isinstance(artifact, str):
        send(request, session)
        return
    with artifact.open("rb") as file:
        send(AwsRequest(request.service, request.operation, {**request.parameters, "Body": file}), session)


def _has_group(session: boto3.Session, group: str) -> bool:
    try:
        session.client("sagemaker").describe_model_package_group(ModelPackageGroupName=group)
    except ClientError as error:
        if _is_missing(error):
            return False
        raise TrainingError(f"the registry did not return group {group}: {error}") from error
    return True


def _has_object(session: boto3.Session, bucket: str, key: str) -> bool:
    try:
        session.client("s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if s3_documents.code(error) in s3_documents.MISSING:
            return False
        raise TrainingError(f"s3://{bucket}/{key} cannot be looked up: {error}") from error
    return True


def _is_missing(error: ClientError) -> bool:
    # SageMaker responses ValidationException for what does not exist.
    return re.search(r"does not exist|not found|could not find", str(error), re.IGNORECASE) is not None
