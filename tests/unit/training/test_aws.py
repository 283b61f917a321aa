"""Requests are held against the service's own model: names, types, and what botocore itself leaves to the service."""

from __future__ import annotations

import json
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from training.aws import requests
from training.aws.requests import AwsRequest, check, send, send_all, split_s3
from training.errors import TrainingError

ARN = "arn:aws:sagemaker:us-east-1:123456789012:model-package/bikes/1"


def test_a_bound_itself_is_allowed_and_what_is_not_is_never_sent() -> None:
    check(AwsRequest("sagemaker", "ListModelPackages", {"MaxResults": 100}))
    check(AwsRequest("sagemaker", "CreateModel", {"ModelName": "a", "Containers": [{}] * 15}))
    wrong = AwsRequest("sagemaker", "ListModelPackages", {"MaxResults": 101})
    with pytest.raises(TrainingError, match="at most 100 is allowed"):
        send(wrong, None)  # type: ignore[arg-type]


def test_a_right_request_passes_and_prints_as_json() -> None:
    request = AwsRequest("sagemaker", "DescribeModelPackage", {"ModelPackageName": "bikes"}, "a note")
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
        (AwsRequest("sagemaker", "DescribeModelPackage", {}), "ModelPackageName"),  # required
        (
            AwsRequest("sagemaker", "DescribeModelPackage", {"ModelPackageName": 3}),
            "ModelPackageName",
        ),  # type
        (
            AwsRequest("sagemaker", "DescribeModelPackage", {"Name": "a", "ModelPackageName": "a"}),
            "Name",
        ),  # unknown
        (
            AwsRequest("sagemaker", "DescribeModelPackage", {"ModelPackageName": "a_b"}),
            "does not match",
        ),  # pattern
        (
            AwsRequest(
                "sagemaker", "UpdateModelPackage", {"ModelPackageArn": ARN, "ModelApprovalStatus": "Yes"}
            ),
            "PendingManualApproval",
        ),  # enum
        (AwsRequest("sagemaker", "ListModelPackages", {"MaxResults": 1000}), "at most 100"),  # upper bound
        (
            AwsRequest("sagemaker", "CreateModel", {"ModelName": "a", "Containers": [{}] * 16}),
            "at most 15",
        ),  # length
        (
            AwsRequest("sagemaker", "CreateTrainingJob", {"HyperParameters": {"k": "v" * 3000}}),
            "Missing required",
        ),
        (AwsRequest("sagemaker", "CreateClassifierJob", {}), "no operation CreateClassifierJob"),
        (AwsRequest("sagemakers", "CreateModel", {}), "no service 'sagemakers'"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(request_: AwsRequest, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        check(request_)


def test_what_botocore_leaves_to_the_service_is_checked_in_every_part_of_a_request() -> None:
    image = {"Image": "a b", "Environment": {"9": "v" * 1024, "A": "v" * 1025}}
    containers, pattern = [{}, image], r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"
    tags = [
        {"Key": "é9 _", "Value": "é9\u00a0_\n@"},
        {"Key": "x" * 128, "Value": "!"},
        {"Key": "x" * 129, "Value": ""},
    ]
    given = {"ModelName": "a", "Containers": containers, "EnableNetworkIsolation": True, "Tags": tags}
    with pytest.raises(TrainingError) as error:
        check(AwsRequest("sagemaker", "CreateModel", given))
    prefix = "sagemaker CreateModel is not valid: "
    assert str(error.value).removeprefix(prefix).split("; ") == [
        "Containers[1].Image is 'a b', which does not match [\\S]+",
        "Containers[1].Environment key '9' is '9', which does not match [a-zA-Z_][a-zA-Z0-9_]*",
        "Containers[1].Environment.A is 1025, at most 1024 is allowed",
        f"Tags[1].Value is '!', which does not match {pattern}",
        "Tags[2].Key is 129, at most 128 is allowed",
    ]
    with pytest.raises(
        TrainingError, match=r"Containers\[0\]\.Mode is 'One', allowed are SingleModel, MultiModel$"
    ):
        check(AwsRequest("sagemaker", "CreateModel", {"ModelName": "a", "Containers": [{"Mode": "One"}]}))


def test_an_operation_without_parameters_and_a_pattern_of_java_alone_are_left_to_the_service() -> None:
    check(AwsRequest("sts", "GetCallerIdentity", {}))
    for pattern, value, matches in [
        ("(?<x", "x", True), (r"\p{L}", "é", True), (r"\p{L}", "-", False), (r"\p{N}", "9", True), (r"\p{N}", "a", False),
        (r"\p{Z}", " ", True), (r"\p{Z}", "a", False), ("a.b", "a\nb", True), ("a|b", "ab", False), ("a", "ba", False),
    ]:  # fmt: skip
        shape = SimpleNamespace(type_name="string", metadata={"pattern": pattern})
        assert (list(requests._violations(value, shape)) == []) is matches, (pattern, value)
    assert AwsRequest("s3", "ListBuckets").document() == {
        "service": "s3",
        "operation": "ListBuckets",
        "parameters": {},
    }


def test_what_is_invalid_is_neither_reported_nor_sent() -> None:
    seen: list[AwsRequest] = []
    with pytest.raises(TrainingError):
        send_all([AwsRequest("s3", "CreateBucket")], boto3.Session("key", "secret"), seen.append)
    assert seen == []


@mock_aws
def test_requests_are_reported_and_sent_in_their_order() -> None:
    session = boto3.Session("key", "secret", region_name="us-east-1")
    seen: list[AwsRequest] = []
    both = [AwsRequest("s3", "CreateBucket", {"Bucket": "a-bucket"}), AwsRequest("s3", "ListBuckets")]
    responses = send_all(both, session, seen.append)
    assert seen == both
    assert [bucket["Name"] for bucket in responses[1]["Buckets"]] == ["a-bucket"]


@mock_aws
def test_a_rejection_of_aws_is_one_clear_error() -> None:
    session = boto3.Session("key", "secret", region_name="us-east-1")
    send(AwsRequest("s3", "CreateBucket", {"Bucket": "a-bucket"}), session)
    with pytest.raises(TrainingError, match=r"s3 HeadObject failed: .*404"):
        send(AwsRequest("s3", "HeadObject", {"Bucket": "a-bucket", "Key": "none"}), session)


def test_s3_addresses() -> None:
    assert split_s3("s3://bucket/a/b c") == ("bucket", "a/b c")
    assert split_s3("s3://bucket") == ("bucket", "")
    with pytest.raises(TrainingError, match="s3://BUCKET/KEY"):
        split_s3("/a/folder")
