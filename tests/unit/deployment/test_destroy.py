"""What deleting a stack means, and what it leaves behind; CloudFormation's requests are expected one after another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dropsort.contract import stack_update
from dropsort.contract.errors import StackError
from dropsort.contract.stack import Stack
from dropsort.deployment import destroy
from dropsort.deployment.errors import DestroyError
from tests.unit.deployment.conftest import ARN, Aws


class Tags:
    """CloudFormation's tags of a stack, in two pages; or no such API."""

    def __init__(self, forbids: bool = False) -> None:
        self.forbids = forbids

    def __call__(self, service: str) -> Any:
        assert service == "resourcegroupstaggingapi"
        return self

    def get_paginator(self, operation: str) -> Any:
        assert operation == "get_resources"
        return self

    def paginate(self, TagFilters: list[dict[str, Any]]) -> Any:
        assert TagFilters == [{"Key": "aws:cloudformation:stack-name", "Values": ["dropsort"]}]
        if self.forbids:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetResources")
        return [
            {"ResourceTagMappingList": [{"ResourceARN": "arn:aws:sagemaker:eu-west-1:1:model/m"}]},
            {"ResourceTagMappingList": [{"ResourceARN": "arn:aws:s3:::pictures"}]},
        ]


def test_leftovers_are_named_where_tags_may_be_read() -> None:
    assert destroy.leftovers(Tags(), "dropsort") == [  # type: ignore[arg-type]  # one client of all
        "arn:aws:s3:::pictures",
        "arn:aws:sagemaker:eu-west-1:1:model/m",
    ]
    assert destroy.leftovers(Tags(forbids=True), "dropsort") == []  # type: ignore[arg-type]


def listed(*resources: tuple[str, str, str]) -> dict[str, Any]:
    """A page of a stack's resources: type, name and status of each."""
    time = datetime(2026, 11, 26, tzinfo=UTC)
    return {
        "StackResourceSummaries": [
            {"LogicalResourceId": "L", "ResourceType": kind, "ResourceStatus": status, "LastUpdatedTimestamp": time}
            | ({"PhysicalResourceId": name} if name else {})
            for kind, name, status in resources
        ]
    }  # fmt: skip


def bucket(aws: Aws, versions: int = 0) -> None:
    """A bucket with so many versions of an image, and a delete marker."""
    aws.s3.create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    aws.s3.put_bucket_versioning(Bucket="images", VersioningConfiguration={"Status": "Enabled"})
    for _ in range(versions):
        aws.s3.put_object(Bucket="images", Key="incoming/a", Body=b"x")
    aws.s3.delete_object(Bucket="images", Key="incoming/a")


def test_a_plan_counts_what_is_there(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a stack with resources that are there and one that is gone, and buckets that were deleted or never made
    bucket(aws, 2)
    there, gone = "CREATE_COMPLETE", "DELETE_COMPLETE"
    first = listed(("AWS::SQS::Queue", "q", there), ("AWS::SQS::Queue", "r", there), ("AWS::SQS::Queue", "s", gone),
                   ("AWS::SNS::Topic", "t", there), ("AWS::SNS::Topic", "u", there))  # fmt: skip
    second = listed(("AWS::S3::Bucket", "images", there), ("AWS::S3::Bucket", "missing", there),
                    ("AWS::S3::Bucket", "", "CREATE_FAILED"))  # fmt: skip
    aws.stack("bikes", "CREATE_COMPLETE")
    aws.expect("list_stack_resources", first | {"NextToken": "2"}, StackName=ARN)
    aws.expect("list_stack_resources", second, StackName=ARN, NextToken="2")
    plan = destroy.plan(aws, "bikes")
    assert plan.resources == {"AWS::SQS::Queue": 2, "AWS::SNS::Topic": 2, "AWS::S3::Bucket": 3}
    assert plan.buckets == {"images": 3}
    # THEN it says what that means
    assert plan.sentences(delete_images=False) == [
        "Deletes stack bikes: 4 resources, log groups with their logs among them.",
        "Keeps bucket images with 3 object versions (--delete-images deletes it too).",
    ]
    assert plan.sentences(delete_images=True)[1:] == [
        "Empties and deletes bucket images: 3 object versions, images and results, for good."
    ]
    # AND counting ends at a limit
    assert destroy.COUNT_LIMIT == 10_000
    for count, words in ((9_999, "bucket b: 9,999 object"), (10_000, "bucket b: more than 10,000 object")):
        (_, line) = destroy.DeletionPlan(plan.stack, {}, {"b": count}).sentences(delete_images=True)
        assert words in line
    monkeypatch.setattr(destroy, "COUNT_LIMIT", 2)
    aws.stack("bikes", "CREATE_COMPLETE")
    aws.expect("list_stack_resources", second, StackName=ARN)
    assert destroy.plan(aws, "bikes").buckets == {"images": 2}


@pytest.mark.parametrize("status", ["", "DELETE_COMPLETE"])
def test_a_stack_that_is_not_there_is_not_destroyed(aws: Aws, status: str) -> None:
    aws.stack("bikes", status)
    with pytest.raises(DestroyError, match="no stack bikes in eu-west-1: nothing to destroy"):
        destroy.plan(aws, "bikes")


@pytest.fixture
def planned() -> destroy.DeletionPlan:
    return destroy.DeletionPlan(
        Stack(ARN, "bikes", "CREATE_COMPLETE", "", {}, {}), {}, {"images": 2, "missing": 0}
    )


def deleted(aws: Aws, status: str = "DELETE_COMPLETE", failed: bool = False) -> None:
    """The stack is deleted, and ends in this status."""
    old = ("1", "OLD_FAILED", "that was before")
    aws.events(old)
    aws.expect("delete_stack", {}, StackName=ARN)
    aws.stack(ARN, status, StackStatusReason="why")
    aws.events(*[("2", "DELETE_FAILED", "in use")] * failed, old)


@pytest.mark.parametrize("images", [False, True])
def test_the_bucket_goes_last_and_only_on_demand(
    aws: Aws, planned: destroy.DeletionPlan, images: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket(aws, 1)
    monkeypatch.setattr(destroy, "leftovers", lambda *given: ["arn:model"] * (given == (aws, "bikes")))
    deleted(aws)
    steps: list[str] = []
    left = destroy.destroy(aws, planned, on_step=steps.append, **({"delete_images": True} if images else {}))
    begin = ["Deleting stack bikes", "Left over: arn:model"]
    assert steps[:2] == begin
    there = [one["Name"] for one in aws.s3.list_buckets()["Buckets"]]
    assert (left, there) == (([], []) if images else (["images"], ["images"]))
    assert steps[2:] == [
        "Emptying bucket images: 2 object versions deleted", "Deleted bucket images"
    ] * images  # fmt: skip


@pytest.mark.parametrize(
    ("failed", "words"), [(True, r"Queue \(AWS::SQS::Queue\): in use$"), (False, "why$")]
)
def test_a_stack_that_stays_is_an_error_and_the_bucket_stays(
    aws: Aws, planned: destroy.DeletionPlan, failed: bool, words: str
) -> None:
    bucket(aws)
    deleted(aws, "DELETE_FAILED", failed)
    with pytest.raises(DestroyError, match=f"bikes could not be deleted and is now DELETE_FAILED: {words}"):
        destroy.destroy(aws, planned, delete_images=True)
    assert aws.s3.list_buckets()["Buckets"]


def test_patience_and_ctrl_c_end_the_wait(
    aws: Aws, planned: destroy.DeletionPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleted(aws, "DELETE_IN_PROGRESS")
    with pytest.raises(StackError, match="after 0 seconds"):
        destroy.destroy(aws, planned, patience_seconds=0)
    deleted(aws, "DELETE_IN_PROGRESS")

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stack_update.time, "sleep", interrupt)
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        destroy.destroy(aws, planned, on_step=steps.append)
    assert steps[-1] == ("Stopped watching. CloudFormation goes on deleting stack bikes; its bucket stays.")


class Versions:
    """S3 with so many versions, which it deletes by the thousand, but for those that are locked."""

    def __init__(self, count: int, locked: dict[str, dict[str, str]]) -> None:
        self.count, self.locked, self.requests = count, locked, list[int]()

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_object_versions"
        return self

    def paginate(self, Bucket: str) -> Any:
        assert Bucket == "images"
        for first in range(0, self.count, 1000):
            numbers = range(first, min(first + 1000, self.count))
            yield {"Versions": [{"Key": str(number), "VersionId": "v"} for number in numbers]}

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        assert (Bucket, Delete["Quiet"]) == ("images", True)
        self.requests.append(len(Delete["Objects"]))
        errors = [self.locked[one["Key"]] for one in Delete["Objects"] if one["Key"] in self.locked]
        return {"Errors": errors} if errors else {}


def test_emptying_takes_a_thousand_at_once_and_names_what_is_locked() -> None:
    s3, steps = Versions(9001, {}), list[str]()
    assert destroy.empty(s3, "images", steps.append) == 9001  # type: ignore[arg-type]
    assert sorted(s3.requests) == [1, *[1000] * 9]
    assert steps == [
        f"Emptying bucket images: {count} object versions deleted" for count in ("8,000", "9,001")
    ]
    locked = {"1": {"Key": "1", "Message": "locked", "Code": "C"}, "2": {"Key": "2", "Code": "D"}}
    with pytest.raises(DestroyError, match=r"^2 objects of images could not be deleted; 1: locked$"):
        destroy.empty(Versions(3, locked), "images")  # type: ignore[arg-type]
    with pytest.raises(DestroyError, match=r"^1 objects of images could not be deleted; 2: D$"):
        destroy.empty(Versions(3, {"2": locked["2"]}), "images")  # type: ignore[arg-type]


def test_a_bucket_that_may_not_be_read_is_an_error(aws: Aws, planned: destroy.DeletionPlan) -> None:
    deleted(aws)

    def forbidden(**_: Any) -> None:
        response: Any = {"Error": {"Code": "403"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(response, "HeadBucket")

    aws.s3.meta.events.register("provide-client-params.s3.HeadBucket", forbidden)
    with pytest.raises(ClientError, match="403"):
        destroy.destroy(aws, planned)
