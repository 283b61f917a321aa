"""Deletes a stack: lists first what is deleted and what remains, then deletes, the bucket last.

The bucket outlives its stack (DeletionPolicy Retain): images are only deleted on demand, every version of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from dropsort.contract import stack as stacks
from dropsort.contract import stack_update
from dropsort.contract.clients import Clients
from dropsort.contract.progress import OnStep, no_steps
from dropsort.deployment.errors import DestroyError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import DeleteObjectsOutputTypeDef, ObjectIdentifierTypeDef

# Counting stops here: a plan should not take minutes on a bucket of millions.
COUNT_LIMIT = 10_000


@dataclass(frozen=True)
class DeletionPlan:
    """The resources of a stack and the sizes of its buckets, before anything is deleted."""

    stack: stacks.Stack
    resources: dict[str, int]
    buckets: dict[str, int]

    def sentences(self, delete_images: bool) -> list[str]:
        """What deleting means, for the person who confirms it."""
        total = sum(count for kind, count in self.resources.items() if kind != "AWS::S3::Bucket")
        lines = [
            f"Deletes stack {self.stack.name}: {total} resources, log groups with their logs among them."
        ]
        for bucket, count in self.buckets.items():
            objects = (
                f"{count:,} object versions"
                if count < COUNT_LIMIT
                else f"more than {COUNT_LIMIT:,} object versions"
            )
            if delete_images:
                lines.append(f"Empties and deletes bucket {bucket}: {objects}, images and results, for good.")
            else:
                lines.append(f"Keeps bucket {bucket} with {objects} (--delete-images deletes it too).")
        return lines


def plan(client: Clients, stack: str) -> DeletionPlan:
    """List the resources of a stack.

    Raises
    ------
    DestroyError
        If there is no such stack.
    """
    cloudformation, s3 = client("cloudformation"), client("s3")
    found = stacks.find(cloudformation, stack)
    if found is None or found.status == "DELETE_COMPLETE":
        raise DestroyError(f"There is no stack {stack} in {s3.meta.region_name}: nothing to destroy.")
    resources: dict[str, int] = {}
    buckets: dict[str, int] = {}
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=found.arn):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceStatus"] == "DELETE_COMPLETE":
                continue
            kind, name = resource["ResourceType"], resource.get("PhysicalResourceId")
            resources[kind] = resources.get(kind, 0) + 1
            if kind == "AWS::S3::Bucket" and name and _exists(s3, name):
                buckets[name] = sum(1 for _ in islice(_versions(s3, name), COUNT_LIMIT))
    return DeletionPlan(found, resources, buckets)


def destroy(
    client: Clients,
    planned: DeletionPlan,
    *,
    delete_images: bool = False,
    on_step: OnStep = no_steps,
    patience_seconds: float = stack_update.PATIENCE_SECONDS,
) -> list[str]:
    """Delete the stack of a plan, and its buckets too if `delete_images`; return the buckets that are left.

    Raises
    ------
    DestroyError
        If CloudFormation could not delete every resource; the message names those that are left.
    KeyboardInterrupt
        On Ctrl-C, after `on_step` got what goes on in the cloud.
    """
    cloudformation, s3, stack = client("cloudformation"), client("s3"), planned.stack
    on_step(f"Deleting stack {stack.name}")
    since = stacks.last_event(cloudformation, stack.arn)
    cloudformation.delete_stack(StackName=stack.arn)
    try:
        gone, events = stack_update.follow(cloudformation, stack.arn, since, on_step, patience_seconds)
    except KeyboardInterrupt:
        on_step(f"Stopped watching. CloudFormation goes on deleting stack {stack.name}; its bucket stays.")
        raise
    if gone.status != "DELETE_COMPLETE":
        raise DestroyError(
            f"Stack {stack.name} could not be deleted and is now {gone.status}: {stacks.failures(events) or gone.reason}"
        )
    for arn in leftovers(client, stack.name):
        on_step(f"Left over: {arn}")
    left = [bucket for bucket in planned.buckets if _exists(s3, bucket)]
    if delete_images:
        for bucket in left:
            empty(s3, bucket, on_step)
            s3.delete_bucket(Bucket=bucket)
            on_step(f"Deleted bucket {bucket}")
        return []
    return left


def leftovers(client: Clients, stack: str) -> list[str]:
    """ARNs of what CloudFormation made for a stack and left: models and endpoint configurations that were replaced, its bucket.

    Found by the tag that CloudFormation puts on its resources; empty where these credentials or this service do not support tags.
    """
    tagged = client("resourcegroupstaggingapi").get_paginator("get_resources")
    filters = [{"Key": "aws:cloudformation:stack-name", "Values": [stack]}]
    try:
        pages = tagged.paginate(TagFilters=filters)
        return sorted(item["ResourceARN"] for page in pages for item in page["ResourceTagMappingList"])
    except (ClientError, BotoCoreError):
        return []


def empty(s3: S3Client, bucket: str, on_step: OnStep = no_steps) -> int:
    """Delete every version and delete marker of a bucket; return how many.

    Raises
    ------
    DestroyError
        If one could not be deleted, a locked object say.
    """
    versions = _versions(s3, bucket)
    deleted = 0
    with ThreadPoolExecutor(4, thread_name_prefix="empty") as pool:
        while rounds := [batch for _ in range(8) if (batch := list(islice(versions, 1000)))]:
            for batch, response in zip(
                rounds, pool.map(lambda batch: _delete(s3, bucket, batch), rounds), strict=True
            ):
                if errors := response.get("Errors"):
                    first = errors[0]
                    raise DestroyError(
                        f"{len(errors)} objects of {bucket} could not be deleted; "
                        f"{first['Key']}: {first.get('Message') or first['Code']}"
                    )
                deleted += len(batch)
            on_step(f"Emptying bucket {bucket}: {deleted:,} object versions deleted")
    return deleted


def _delete(s3: S3Client, bucket: str, versions: list[ObjectIdentifierTypeDef]) -> DeleteObjectsOutputTypeDef:
    return s3.delete_objects(Bucket=bucket, Delete={"Objects": versions, "Quiet": True})


def _versions(s3: S3Client, bucket: str) -> Iterator[ObjectIdentifierTypeDef]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for item in page.get("Versions", []) + page.get("DeleteMarkers", []):
            yield {"Key": item["Key"], "VersionId": item["VersionId"]}


def _exists(s3: S3Client, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True
