"""The artifact bucket: made once, private, encrypted, TLS only; what is uploaded has its digest in its key."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from dropsort.deployment import artifacts
from dropsort.deployment.errors import DeployError
from tests.unit.deployment.conftest import Aws

NAME = "dropsort-artifacts-123456789012-eu-west-1"


def closed(s3: Any) -> tuple[Any, Any, Any]:
    """What keeps others out of the bucket."""
    access = s3.get_public_access_block(Bucket=NAME)["PublicAccessBlockConfiguration"]
    (rule,) = s3.get_bucket_encryption(Bucket=NAME)["ServerSideEncryptionConfiguration"]["Rules"]
    return access, rule["ApplyServerSideEncryptionByDefault"], json.loads(
        s3.get_bucket_policy(Bucket=NAME)["Policy"]
    )  # fmt: skip


def test_the_bucket_is_made_once_and_closed(aws: Aws) -> None:
    # GIVEN no bucket
    steps: list[str] = []
    assert artifacts.ensure_bucket(aws, steps.append) == NAME
    # THEN it is there, in the region, and closed
    assert steps == [f"Creating the artifact bucket {NAME}"]
    assert aws.s3.get_bucket_location(Bucket=NAME)["LocationConstraint"] == "eu-west-1"
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    deny = {
        "Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{NAME}", f"arn:aws:s3:::{NAME}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    assert closed(aws.s3) == (dict.fromkeys(blocks, True), {"SSEAlgorithm": "AES256"}, policy)
    # AND a policy that its owner gives it stays; without one it is closed again
    own = {**policy, "Statement": [deny, {**deny, "Sid": "Own"}]}
    aws.s3.put_bucket_policy(Bucket=NAME, Policy=json.dumps(own))
    artifacts.ensure_bucket(aws, steps.append)
    assert closed(aws.s3)[2] == own
    aws.s3.delete_bucket_policy(Bucket=NAME)
    artifacts.ensure_bucket(aws, steps.append)
    assert closed(aws.s3)[2] == policy
    assert len(steps) == 1


def test_in_us_east_1_a_bucket_has_no_location(aws: Aws) -> None:
    aws.session = boto3.Session("key", "secret", region_name="us-east-1")
    aws.s3 = aws.session.client("s3")
    name = artifacts.ensure_bucket(aws, lambda _: None)
    assert name == "dropsort-artifacts-123456789012-us-east-1"
    assert aws.s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None


def test_a_bucket_of_another_account_is_an_error_and_is_not_used(aws: Aws) -> None:
    owners: list[str] = []

    def answer(status: int) -> Any:
        def head(params: dict[str, Any], **_: Any) -> None:
            owners.append(params["ExpectedBucketOwner"])
            response: Any = {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(response, "HeadBucket")

        return head

    for status, kind, words in ((403, DeployError, f"{NAME}: it belongs to another account"), (500, ClientError, "500")):  # fmt: skip
        head = answer(status)
        aws.s3.meta.events.register("provide-client-params.s3.HeadBucket", head)
        with pytest.raises(kind, match=words):
            artifacts.ensure_bucket(aws, pytest.fail)
        aws.s3.meta.events.unregister("provide-client-params.s3.HeadBucket", head)
    assert owners == ["123456789012"] * 2
    assert aws.s3.list_buckets()["Buckets"] == []


def test_a_policy_that_may_not_be_read_is_an_error_and_is_not_replaced(aws: Aws) -> None:
    artifacts.ensure_bucket(aws, lambda _: None)

    def denied(**_: Any) -> None:
        response: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(response, "GetBucketPolicy")

    aws.s3.meta.events.register("provide-client-params.s3.GetBucketPolicy", denied)
    with pytest.raises(ClientError, match="AccessDenied"):
        artifacts.ensure_bucket(aws, pytest.fail)


def test_what_is_there_is_not_uploaded_again(aws: Aws, tmp_path: Path) -> None:
    aws.s3.create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    model, steps = tmp_path / "model.tar.gz", list[str]()
    model.write_bytes(b"m" * 1_260_000)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    for _ in range(2):
        key = artifacts.upload_digested(aws.s3, NAME, model, "models", steps.append)
        assert key == f"models/{digest[:16]}/model.tar.gz"
    assert steps == ["Uploading model.tar.gz (1.3 MB)"]
    assert aws.s3.get_object(Bucket=NAME, Key=key)["Body"].read() == model.read_bytes()
    aws.s3.meta.events.register("provide-client-params.s3.HeadObject", forbidden)
    with pytest.raises(ClientError, match="403"):
        artifacts.upload(aws.s3, NAME, model, "other", pytest.fail)


def forbidden(**_: Any) -> None:
    response: Any = {"Error": {"Code": "403"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    raise ClientError(response, "HeadObject")


def test_a_template_larger_than_a_request_goes_through_the_bucket(aws: Aws, tmp_path: Path) -> None:
    aws.s3.create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    template = tmp_path / "t.yaml"
    assert artifacts.INLINE_TEMPLATE_BYTES == 51_200
    template.write_text("x" * 51_200)
    assert artifacts.template_source(aws.s3, NAME, template, pytest.fail) == {"TemplateBody": "x" * 51_200}
    template.write_text("x" * 51_201)
    (source,) = artifacts.template_source(aws.s3, NAME, template, lambda _: None).items()
    digest = hashlib.sha256(template.read_bytes()).hexdigest()[:16]
    assert source == (
        "TemplateURL", f"https://s3.eu-west-1.amazonaws.com/{NAME}/templates/{digest}/t.yaml"
    )  # fmt: skip
