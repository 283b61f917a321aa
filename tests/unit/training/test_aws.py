"""Requests are held against the service's own model: names, types, and what botocore itself leaves to the service."""

from __future__ import annotations

import json

import boto3
import pytest
from moto import mock_aws

from training.aws.requests import Request, check, run, send, split_s3
from training.errors import TrainingError

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/bikes/1"


def test_a_right_request_passes_and_prints_as_json() -> None:
    request = Request("sagemaker", "DescribeModelPackage", {"ModelPackageName": "bikes"}, "a note")
    check(request)
    assert json.loads(json.dumps(request.document())) == {
        "service": "sagemaker",
        "operation": "DescribeModelPackage",
        "note": "a note",
        "parameters": {"ModelPackageName": "bikes"},
    }


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request("sagemaker", "DescribeModelPackage", {}), "ModelPackageName"),  # required
        (Request("sagemaker", "DescribeModelPackage", {"ModelPackageName": 3}), "ModelPackageName"),  # type
        (
            Request("sagemaker", "DescribeModelPackage", {"Name": "a", "ModelPackageName": "a"}),
            "Name",
        ),  # unknown
        (
            Request("sagemaker", "DescribeModelPackage", {"ModelPackageName": "a_b"}),
            "does not match",
        ),  # pattern
        (
            Request(
                "sagemaker", "UpdateModelPackage", {"ModelPackageArn": ARN, "ModelApprovalStatus": "Yes"}
            ),
            "PendingManualApproval",
        ),  # enum
        (Request("sagemaker", "ListModelPackages", {"MaxResults": 1000}), "at most 100"),  # upper bound
        (
            Request("sagemaker", "CreateModel", {"ModelName": "a", "Containers": [{}] * 16}),
            "at most 15",
        ),  # length
        (
            Request("sagemaker", "CreateTrainingJob", {"HyperParameters": {"k": "v" * 3000}}),
            "Missing required",
        ),
        (Request("sagemaker", "CreateTrainedJob", {}), "no operation CreateTrainedJob"),
        (Request("sagemakers", "CreateModel", {}), "no service 'sagemakers'"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(request_: Request, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        check(request_)


def test_a_dry_run_reports_everything_and_sends_nothing() -> None:
    # GIVEN a session that would fail at once
    seen: list[Request] = []
    requests = [Request("s3", "ListBuckets"), Request("s3", "CreateBucket", {"Bucket": "a-bucket"})]
    # WHEN run dry THEN both are reported, in order, and the session is never asked
    assert run(requests, None, dry_run=True, report=seen.append) == []
    assert seen == requests


def test_what_is_invalid_is_neither_reported_nor_sent() -> None:
    seen: list[Request] = []
    with pytest.raises(TrainingError):
        run([Request("s3", "CreateBucket")], None, dry_run=False, report=seen.append)
    assert seen == []


@mock_aws
def test_a_refusal_of_aws_is_one_clear_error() -> None:
    session = boto3.Session("key", "secret", region_name="us-east-1")
    send(Request("s3", "CreateBucket", {"Bucket": "a-bucket"}), session)
    with pytest.raises(TrainingError, match=r"s3 HeadObject failed: .*404"):
        send(Request("s3", "HeadObject", {"Bucket": "a-bucket", "Key": "none"}), session)


def test_s3_addresses() -> None:
    assert split_s3("s3://bucket/a/b c") == ("bucket", "a/b c")
    assert split_s3("s3://bucket") == ("bucket", "")
    with pytest.raises(TrainingError, match="s3://BUCKET/KEY"):
        split_s3("/a/folder")
