"""Reading an upload from S3: exactly the version of the event, and what cannot be read."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from dropsort.contract import keys
from dropsort.contract.reasons import REASONS
from handlers import aws
from handlers.reading import Overwritten, read
from handlers.recording import Entry, record
from handlers.recording_requests import perform
from handlers.rejections import Rejection
from handlers.uploads import Upload
from tests.unit.handlers.conftest import BUCKET

KEY = "incoming/cam1/a.jpg"


def test_exactly_the_version_of_the_event_is_read(s3: Any) -> None:
    first = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"first")["VersionId"]
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"second")
    upload, content = read(aws.s3(), Upload(BUCKET, KEY, version_id=first, sequencer="1"), 100)
    assert content == b"first"
    assert (upload.version_id, upload.size, upload.sequencer) == (first, 5, "1")
    assert upload.etag == "8b04d5e3775d298e78455efc5ca404d5"
    assert upload.uploaded
    assert upload.uploaded.endswith("Z")


def test_by_hand_the_newest_version_is_read_and_named(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"first")
    second = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"second")["VersionId"]
    upload, content = read(aws.s3(), Upload(BUCKET, KEY), 100)
    assert (content, upload.version_id, upload.sequencer) == (b"second", second, None)


def test_without_versions_the_etag_must_match(plain_s3: Any) -> None:
    etag = plain_s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"first")["ETag"].strip('"')
    upload, content = read(aws.s3(), Upload(BUCKET, KEY, etag=etag), 100)
    assert (content, upload.version_id) == (b"first", None)
    plain_s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"second")
    with pytest.raises(Overwritten):
        read(aws.s3(), Upload(BUCKET, KEY, etag=etag), 100)


def code(upload: Upload, max_bytes: int = 100) -> str:
    _, content = read(aws.s3(), upload, max_bytes)
    assert isinstance(content, Rejection)
    return content.code


def test_what_is_not_there(s3: Any) -> None:
    assert code(Upload(BUCKET, KEY)) == "object_not_found"
    assert code(Upload(BUCKET, KEY, etag="0" * 32)) == "object_not_found"


def test_a_deleted_object_and_a_deleted_version(s3: Any) -> None:
    version = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=BUCKET, Key=KEY)["VersionId"]
    # The version of the event is still there behind the delete marker; by hand there is nothing to read.
    assert read(aws.s3(), Upload(BUCKET, KEY, version_id=version), 100)[1] == b"x"
    assert code(Upload(BUCKET, KEY)) == "object_not_found"
    assert code(Upload(BUCKET, KEY, version_id=marker)) == "object_not_found"
    s3.delete_object(Bucket=BUCKET, Key=KEY, VersionId=version)
    assert code(Upload(BUCKET, KEY, version_id=version)) == "object_not_found"


def test_an_archived_object(s3: Any) -> None:
    version = s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"x", StorageClass="GLACIER")["VersionId"]
    assert code(Upload(BUCKET, KEY, version_id=version)) == "object_archived"


UNREADABLE = [
    (
        "InvalidRequest",
        "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to "
        "retrieve the object.",
    ),
    (
        "AccessDenied",
        "User: arn:aws:sts::111122223333:assumed-role/serialize/f is not authorized to perform: kms:Decrypt on resource: "
        "arn:aws:kms:us-east-1:444455556666:key/1 because no resource-based policy allows the kms:Decrypt action",
    ),
    (
        "AccessDenied",
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are "
        "not allowed to access.",
    ),
    ("KMS.DisabledException", "arn:aws:kms:us-east-1:444455556666:key/1 is disabled."),
    ("KMS.NotFoundException", "Key does not exist"),
    ("KMS.KMSInvalidStateException", "arn:aws:kms:us-east-1:444455556666:key/1 is pending deletion."),
]


@pytest.mark.parametrize(("error", "message"), UNREADABLE)
def test_encryption_of_the_uploader_that_cannot_be_read_is_final(s3: Any, error: str, message: str) -> None:
    with Stubber(aws.s3()) as stub:
        stub.add_client_error("get_object", error, message, 403)
        assert code(Upload(BUCKET, KEY)) == "unreadable_encryption"
    assert not REASONS["unreadable_encryption"].retryable


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("AccessDenied", "Access Denied"),
        ("AccessDenied", "User: a is not authorized to perform: s3:GetObject on resource: b"),
        ("InvalidRequest", "Missing required header for this request"),
        ("ThrottlingException", "KMS is busy"),
    ],
)
def test_other_errors_are_not_taken_for_it(s3: Any, error: str, message: str) -> None:
    with Stubber(aws.s3()) as stub:
        stub.add_client_error("get_object", error, message, 403)
        with pytest.raises(ClientError):
            read(aws.s3(), Upload(BUCKET, KEY), 100)


def test_what_is_too_large_is_rejected_unread(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"x" * 101)
    upload, content = read(aws.s3(), Upload(BUCKET, KEY), 100)
    assert isinstance(content, Rejection)
    assert (content.code, upload.size) == ("object_too_large", 101)
    assert "101 bytes; 100 are read" in str(content)
    assert read(aws.s3(), Upload(BUCKET, KEY), 101)[1] == b"x" * 101


def test_nothing_in_it(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=KEY)
    assert code(Upload(BUCKET, KEY)) == "empty_object"


RAW = ["a+b.jpg", "a b.jpg", "a%2Bb.jpg", "100%25.jpg", "写真/🚲.png", ".a", "a?b=c&d#e", "x" * 1015]


@pytest.mark.parametrize("path", RAW)
def test_raw_keys_are_read_and_recorded_as_they_are(s3: Any, path: str) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"incoming/{path}", Body=b"it")
    upload, content = read(aws.s3(), Upload(BUCKET, f"incoming/{path}"), 100)
    assert content == b"it"
    entry = Entry("1", None, upload.etag, upload.uploaded, "2026", "failed")
    assert perform(aws.s3(), BUCKET, b"{}", record(entry, keys.result_keys(path)))
    assert s3.get_object(Bucket=BUCKET, Key=keys.result_keys(path)["failed"])["Body"].read() == b"{}"


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_other_failures_of_s3_are_errors_to_retry(status: int) -> None:
    client = aws.s3()
    with Stubber(client) as stub:
        stub.add_client_error("get_object", "SlowDown" if status == 503 else "Other", http_status_code=status)
        with pytest.raises(ClientError):
            read(client, Upload(BUCKET, KEY), 100)


@pytest.mark.parametrize(
    ("named", "version", "known"),
    [(None, "null", None), (None, None, None), (None, "v", "v"), ("w", "v", "w")],
)
def test_an_object_from_before_versions_has_none(
    named: str | None, version: str | None, known: str | None
) -> None:
    client = aws.s3()
    response = {
        "Body": StreamingBody(io.BytesIO(b"x"), 1), "ContentLength": 1,
        "ETag": '"e"', "LastModified": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    } | ({"VersionId": version} if version else {})  # fmt: skip
    with Stubber(client) as stub:
        stub.add_response("get_object", response)
        found, content = read(client, Upload(BUCKET, KEY, version_id=named), 1)
    assert (found.version_id, found.etag, found.size, content) == (known, "e", 1, b"x")
    assert found.uploaded == "2026-01-02T03:04:05Z"


def test_an_error_without_a_message_is_one_to_retry() -> None:
    for code_ in ("AccessDenied", "InvalidRequest"):
        with pytest.raises(ClientError):
            read(Failing(ClientError({"Error": {"Code": code_}}, "GetObject")), Upload(BUCKET, KEY), 1)  # type: ignore[arg-type]


class Failing:
    """An S3 with one error."""

    def __init__(self, error: ClientError) -> None:
        self._error = error

    def get_object(self, **_: Any) -> Any:
        raise self._error
