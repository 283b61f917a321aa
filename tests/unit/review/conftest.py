"""A bucket in moto with uploads and the results that the workflow records of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dropsort.contract import keys
from dropsort.review import thumbnails
from dropsort.review.decisions import now
from handlers import recording, recording_requests, results
from handlers.recording import Entry
from tests.unit.contract.test_reviews import PREDICTION
from tests.unit.handlers.sample_images import drawn, encoded

BUCKET = "pictures"
Upload = Callable[..., str]


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process that decodes is enough for a few images."""
    monkeypatch.setattr(thumbnails, "WORKERS", 1)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client, and an empty bucket with versions."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


def record(s3: Any, document: dict[str, Any], sequencer: str = "1f", uploaded: str | None = None) -> bool:
    """Record a result as the last function of the workflow does."""
    source = document["source"]
    entry = Entry(
        sequencer=sequencer,
        version_id=source["version_id"],
        etag=source["etag"],
        uploaded=uploaded,
        recorded=document["times"]["recorded"],
        outcome=document["outcome"],
        key_digest=keys.digest(source["key"]),
    )
    steps = recording.record(entry, keys.result_keys(keys.path_of(source["key"])))
    return recording_requests.perform(s3, BUCKET, results.encode(document), steps)


@pytest.fixture
def upload(s3: Any) -> Upload:
    """Uploads an image and records its result; returns its inference id."""

    def made(path: str, content: bytes | None = None, sequencer: str = "1f", **members: Any) -> str:
        key = keys.INCOMING + path
        body = encoded(drawn(32, 32), "PNG") if content is None else content
        put = s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        source = {
            "bucket": BUCKET,
            "key": key,
            "version_id": put["VersionId"],
            "etag": put["ETag"].strip('"'),
        }
        source |= {"size": len(body), "sequencer": sequencer}
        document = PREDICTION | {"source": source} | members
        document["times"] = {"uploaded": PREDICTION["times"]["uploaded"], "recorded": now()}
        document["inference_id"] = keys.inference_id(BUCKET, key, put["VersionId"])
        head = s3.head_object(Bucket=BUCKET, Key=key)
        record(s3, document, sequencer, head["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ"))
        return str(document["inference_id"])

    return made


def stored(s3: Any, prefix: str = "") -> dict[str, Any]:
    """What lies in the bucket by key, without the uploads; JSON is read. What goes in the meantime is left out."""
    found: dict[str, Any] = {}
    for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", []):
        if not item["Key"].startswith(keys.INCOMING):
            with contextlib.suppress(s3.exceptions.NoSuchKey):
                found[item["Key"]] = json.loads(s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read())
    return found
