"""Documents that several writers replace: only under their condition, and every other error of S3 is raised (moto's S3)."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from dropsort.contract import s3_documents
from tests.unit.contract.conftest import BUCKET


def test_a_document_is_replaced_if_nobody_else_has(s3: Any) -> None:
    assert s3_documents.read(s3, BUCKET, "a.json") == (b"", None)
    # GIVEN none THEN the first one is written, and a second one is not
    assert s3_documents.replace(s3, BUCKET, "a.json", {"n": 1}, None, {"by": "ada"}) is True
    assert s3_documents.replace(s3, BUCKET, "a.json", {"n": 2}, None) is False
    body, etag = s3_documents.read(s3, BUCKET, "a.json")
    assert json.loads(body) == {"n": 1}
    found = s3.head_object(Bucket=BUCKET, Key="a.json")
    assert (found["ContentType"], found["Metadata"]) == ("application/json", {"by": "ada"})
    assert s3_documents.read(s3, BUCKET, "a.json", 3) == (body[:3], etag)
    # AND with its ETag it is replaced, but only once
    assert s3_documents.replace(s3, BUCKET, "a.json", {"n": 3}, etag) is True
    assert s3_documents.replace(s3, BUCKET, "a.json", {"n": 4}, etag) is False
    assert json.loads(s3_documents.read(s3, BUCKET, "a.json")[0]) == {"n": 3}
    assert s3.head_object(Bucket=BUCKET, Key="a.json")["Metadata"] == {}


def test_a_bucket_that_does_not_exist_is_an_error(s3: Any) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3_documents.read(s3, "elsewhere", "a.json")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3_documents.replace(s3, "elsewhere", "a.json", {}, "etag")


@pytest.mark.parametrize(
    ("code", "first", "changed"),
    [
        ("PreconditionFailed", True, True),
        ("ConditionalRequestConflict", True, True),
        ("412", True, True),
        ("409", True, True),
        ("NoSuchKey", False, True),  # of a document that should be there: somebody deleted it
        ("404", False, True),
        ("NotFound", False, True),
        ("SlowDown", False, False),
    ],
)
def test_codes_of_s3_that_say_that_somebody_was_faster(code: str, first: bool, changed: bool) -> None:
    client = boto3.Session("key", "secret", region_name="us-east-1").client("s3")
    for etag, lost in ((None, first), ('"e"', changed)):
        with Stubber(client) as stub:
            stub.add_client_error("put_object", code)
            if lost:
                assert s3_documents.replace(client, BUCKET, "a.json", {}, etag) is False
            else:
                with pytest.raises(ClientError, match=code):
                    s3_documents.replace(client, BUCKET, "a.json", {}, etag)


def test_codes_are_read_by_form() -> None:
    assert s3_documents.code(ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")) == "SlowDown"
    for other in ({}, "text", None):
        error = Exception()
        error.response = other  # type: ignore[attr-defined]
        assert s3_documents.code(error) == ""
    assert s3_documents.code(ValueError("x")) == ""
    assert set(s3_documents.GONE) == {
        "NoSuchKey",
        "404",
        "NotFound",
        "NoSuchVersion",
        "MethodNotAllowed",
        "405",
    }
