"""S3: conditional writes, versions, listings, checksums, and the events of uploads."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.conformance.account import Account, code_of

pytestmark = pytest.mark.stack

Sent = dict[str, str]


@pytest.fixture(scope="module")
def bucket(account: Account) -> str:
    return account.bucket("versions")


def put(account: Account, bucket: str, key: str, body: bytes = b"1", **more: Any) -> str:
    """Put an object; its ETag."""
    return str(account.client("s3").put_object(Bucket=bucket, Key=key, Body=body, **more)["ETag"])


# ---- States of a key, each built from nothing; they return the ETag of what is there, and one of an older version.


def absent(account: Account, bucket: str, key: str) -> tuple[str, str]:
    return "", '"' + "0" * 32 + '"'


def one(account: Account, bucket: str, key: str) -> tuple[str, str]:
    return put(account, bucket, key), '"' + "0" * 32 + '"'


def two(account: Account, bucket: str, key: str) -> tuple[str, str]:
    older = put(account, bucket, key, b"older")
    return put(account, bucket, key), older


def deleted(account: Account, bucket: str, key: str) -> tuple[str, str]:
    older = put(account, bucket, key, b"older")
    account.client("s3").delete_object(Bucket=bucket, Key=key)
    return "", older


def again(account: Account, bucket: str, key: str) -> tuple[str, str]:
    _, older = deleted(account, bucket, key)
    return put(account, bucket, key), older


def undeleted(account: Account, bucket: str, key: str) -> tuple[str, str]:
    older = put(account, bucket, key, b"older")
    etag = put(account, bucket, key)
    marker = account.client("s3").delete_object(Bucket=bucket, Key=key)
    account.client("s3").delete_object(Bucket=bucket, Key=key, VersionId=marker["VersionId"])
    return etag, older


STATES = (absent, one, two, deleted, again, undeleted)
PRESENT = (one, two, again, undeleted)


@pytest.mark.parametrize("state", STATES)
def test_a_put_that_wants_nothing_there(account: Account, bucket: str, state: Callable[..., Any]) -> None:
    key = f"none-match/{state.__name__}"
    state(account, bucket, key)
    code = code_of(account.client("s3").put_object, Bucket=bucket, Key=key, Body=b"2", IfNoneMatch="*")
    assert code == ("PreconditionFailed" if state in PRESENT else "")


@pytest.mark.parametrize("state", STATES)
def test_a_put_that_wants_an_etag_there(account: Account, bucket: str, state: Callable[..., Any]) -> None:
    key, s3 = f"match/{state.__name__}", account.client("s3")
    etag, older = state(account, bucket, key)
    # WHEN the condition names an older version, or none that ever was
    code = code_of(s3.put_object, Bucket=bucket, Key=key, Body=b"2", IfMatch=older)
    # THEN nothing is written
    assert code == ("PreconditionFailed" if state in PRESENT else "NoSuchKey")
    if etag:
        assert s3.head_object(Bucket=bucket, Key=key)["ETag"] == etag
        # AND with that of the current one it is
        assert code_of(s3.put_object, Bucket=bucket, Key=key, Body=b"2", IfMatch=etag) == ""


@pytest.mark.parametrize("state", STATES)
def test_a_deletion_that_wants_an_etag_there(
    account: Account, bucket: str, state: Callable[..., Any]
) -> None:
    key, s3 = f"delete/{state.__name__}", account.client("s3")
    etag, older = state(account, bucket, key)
    # WHEN the condition names an older version THEN what is there stays
    code = code_of(s3.delete_object, Bucket=bucket, Key=key, IfMatch=older)
    if state in PRESENT:
        assert code == "PreconditionFailed"
        assert s3.head_object(Bucket=bucket, Key=key)["ETag"] == etag
        # AND with that of the current one it goes
        assert code_of(s3.delete_object, Bucket=bucket, Key=key, IfMatch=etag) == ""
    else:  # any of these means to the service that nothing is there
        assert code in ("", "NoSuchKey", "PreconditionFailed")
    assert code_of(s3.head_object, Bucket=bucket, Key=key) == "404"


def test_conditional_writes_hold_without_versions(account: Account) -> None:
    bucket, s3 = account.bucket("plain", versions=False), account.client("s3")
    etag = put(account, bucket, "a", IfNoneMatch="*")
    other = put(account, bucket, "a", b"2", IfMatch=etag)
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"3", IfNoneMatch="*") == "PreconditionFailed"
    assert code_of(s3.put_object, Bucket=bucket, Key="a", Body=b"3", IfMatch=etag) == "PreconditionFailed"
    assert code_of(s3.delete_object, Bucket=bucket, Key="a", IfMatch=etag) == "PreconditionFailed"
    assert code_of(s3.delete_object, Bucket=bucket, Key="a", IfMatch=other) == ""


def test_a_read_of_one_version_or_etag(account: Account, bucket: str) -> None:
    s3 = account.client("s3")
    first = s3.put_object(Bucket=bucket, Key="read", Body=b"1")
    s3.put_object(Bucket=bucket, Key="read", Body=b"2")
    marker = s3.delete_object(Bucket=bucket, Key="read")["VersionId"]
    found = s3.get_object(Bucket=bucket, Key="read", VersionId=first["VersionId"])
    assert (found["Body"].read(), found["ETag"], found["VersionId"]) == (
        b"1",
        first["ETag"],
        first["VersionId"],
    )
    assert code_of(s3.get_object, Bucket=bucket, Key="read") == "NoSuchKey"
    assert code_of(s3.get_object, Bucket=bucket, Key="read", VersionId=marker) == "MethodNotAllowed"
    put(account, bucket, "read", b"3")
    assert code_of(s3.get_object, Bucket=bucket, Key="read", IfMatch=first["ETag"]) == "PreconditionFailed"


ORDER = ["A", "Z", "a", "a b", "a+b", "a-b", "a.json", "a/b", "a0", "aé", "é", "写", "\ufffd", "😀"]


def test_listings_are_in_the_order_of_utf_8(account: Account, bucket: str) -> None:
    # GIVEN keys whose order in UTF-8 is that of no alphabet, nor of UTF-16; two versions of each, and a delete marker of some
    s3 = account.client("s3")
    for key in reversed(ORDER):
        put(account, bucket, f"order/{key}", b"1")
        put(account, bucket, f"order/{key}", b"2")
    for key in ORDER[::3]:
        s3.delete_object(Bucket=bucket, Key=f"order/{key}")
    wanted = [f"order/{key}" for key in sorted(ORDER, key=str.encode)]
    # WHEN they are listed page by page
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=bucket, Prefix="order/", PaginationConfig={"PageSize": 3}
    )
    versions: list[Any] = []
    for page in pages:
        merged = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        versions += sorted(merged, key=lambda item: item["Key"].encode())
    # THEN they come by key, and no page holds a key that sorts before one of an earlier page
    keys = [item["Key"] for item in versions]
    assert keys == sorted(keys, key=str.encode)
    assert sorted(set(keys), key=str.encode) == wanted
    assert sum(item["IsLatest"] for item in versions) == len(ORDER)
    # AND so do objects
    listed = s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix="order/", PaginationConfig={"PageSize": 3}
    )
    found = [item["Key"] for page in listed for item in page.get("Contents", ())]
    assert found == [key for key in wanted if key.removeprefix("order/") not in ORDER[::3]]


def test_metadata_and_etag_come_with_a_head(account: Account, bucket: str) -> None:
    s3 = account.client("s3")
    etag = put(account, bucket, "head", b"content", Metadata={"sequencer": "0A", "version-id": "x"})
    found = s3.head_object(Bucket=bucket, Key="head")
    assert etag == f'"{hashlib.md5(b"content").hexdigest()}"'
    assert (found["ETag"], found["Metadata"]) == (etag, {"sequencer": "0A", "version-id": "x"})
    assert found["LastModified"].microsecond == 0


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("SHA256", lambda body: hashlib.sha256(body).digest()),
        ("CRC32", lambda body: zlib.crc32(body).to_bytes(4, "big")),
    ],
)
def test_a_checksum_is_verified_and_returned(
    account: Account, bucket: str, algorithm: str, digest: Callable[[bytes], bytes]
) -> None:
    s3, name = account.client("s3"), f"Checksum{algorithm}"
    right, wrong = (base64.b64encode(digest(body)).decode() for body in (b"content", b"other"))
    s3.put_object(Bucket=bucket, Key=algorithm, Body=b"content", **{name: right})
    assert s3.head_object(Bucket=bucket, Key=algorithm, ChecksumMode="ENABLED")[name] == right
    code = code_of(s3.put_object, Bucket=bucket, Key=algorithm, Body=b"content", **{name: wrong})
    assert code in ("BadDigest", "InvalidRequest")


@pytest.fixture(scope="module")
def events(account: Account) -> Callable[[str, int], list[dict[str, Any]]]:
    """Uploads into a bucket of their own, and the events that come of them."""
    s3, rules, queue = account.client("s3"), account.client("events"), account.client("sqs")
    bucket, name = account.bucket("events"), f"{account.prefix}-events"
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    url = queue.create_queue(QueueName=name)["QueueUrl"]
    account.cleanup(f"queue {name}", queue.delete_queue, QueueUrl=url)
    arn = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
            }
        ],
    }
    queue.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": "incoming/"}]}},
    }
    rules.put_rule(Name=name, EventPattern=json.dumps(pattern))
    account.cleanup(f"rule {name}", rules.delete_rule, Name=name)
    rules.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    account.cleanup(f"target of {name}", rules.remove_targets, Rule=name, Ids=["queue"])

    def receive() -> list[dict[str, Any]]:
        messages = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        return [json.loads(message["Body"]) for message in messages.get("Messages", ())]

    # Notifications of a new bucket take minutes on AWS: a probe is uploaded until one arrives.
    def probed() -> bool:
        put(account, bucket, "incoming/probe")
        return bool(receive())

    account.wait(probed)

    def upload(key: str, count: int) -> list[dict[str, Any]]:
        sent: list[Sent] = []
        for number in range(count):
            made = s3.put_object(Bucket=bucket, Key=key, Body=f"{key} {number}".encode())
            sent.append({"etag": made["ETag"].strip('"'), "version-id": made["VersionId"]})
        s3.put_object(Bucket=bucket, Key="elsewhere/a", Body=b"1")  # matches no rule
        found: dict[str, dict[str, Any]] = {}

        def all_there() -> bool:
            for event in receive():
                if event["detail"]["object"]["key"] != "incoming/probe":
                    found[event["detail"]["object"]["etag"]] = event
            return len(found) >= count

        account.wait(all_there)
        return [found[item["etag"]] | {"sent": item, "bucket": bucket} for item in sent]

    return upload


def test_an_event_has_the_fields_that_are_read(
    account: Account, events: Callable[[str, int], list[dict[str, Any]]]
) -> None:
    # GIVEN a key that an encoding would change
    key = "incoming/a b+c%2B/é.png"
    (event,) = events(key, 1)
    # THEN it comes as it is
    detail = event["detail"]
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    assert (detail["bucket"]["name"], detail["object"]["key"]) == (event["bucket"], key)
    assert detail["object"]["size"] == len(f"{key} 0".encode())
    assert (detail["object"]["etag"], detail["reason"]) == (event["sent"]["etag"], "PutObject")
    assert datetime.fromisoformat(event["time"]).tzinfo is not None
    with account.differs("version-id is missing in events"):
        assert detail["object"].get("version-id") == event["sent"]["version-id"]


def test_sequencers_grow_with_each_upload_of_a_key(
    account: Account, events: Callable[[str, int], list[dict[str, Any]]]
) -> None:
    found = [event["detail"]["object"]["sequencer"] for event in events("incoming/often", 12)]
    width = max(map(len, found))
    assert all(int(sequencer, 16) >= 0 for sequencer in found)
    padded = [sequencer.lower().zfill(width) for sequencer in found]
    assert padded == sorted(set(padded))
