"""A bucket in moto, and results as the service writes them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dropsort.client import backfill
from dropsort.client import drop as drop_module

BUCKET = "images"


@pytest.fixture(autouse=True)
def settled_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was just written counts as complete after a tenth of a second."""
    monkeypatch.setattr(drop_module, "SETTLE_SECONDS", 0.1)


@pytest.fixture
def shut_down(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once pools of the client have cancelled what they had to: what waits for it runs until then."""
    event = threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            event.set()
            super().shutdown(wait)

    for module in (drop_module, backfill):
        monkeypatch.setattr(module, "ThreadPoolExecutor", Pool)
    return event


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


@pytest.fixture
def s3(aws: None) -> Any:
    """A client, and an empty versioned bucket."""
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture
def write_result(s3: Any) -> Callable[..., str]:
    """Writes the result of an upload as the service does; returns where."""

    def write(key: str, outcome: str = "classified", **members: Any) -> str:
        head = s3.head_object(Bucket=BUCKET, Key=key)
        document = {
            "outcome": outcome,
            "source": {
                "bucket": BUCKET,
                "key": key,
                "etag": head["ETag"].strip('"'),
                "version_id": head["VersionId"],
            },
            "label": None if outcome == "failed" else "bicycle",
            "confidence": None if outcome == "failed" else 0.97,
            "probabilities": None if outcome == "failed" else {"bicycle": 0.97, "motorcycle": 0.03},
            "reason": None,
            "times": {
                "uploaded": head["LastModified"].isoformat(),
                "recorded": datetime.now(UTC).isoformat(timespec="milliseconds"),
            },
        } | members
        location = f"{outcome}/{key.removeprefix('incoming/')}.json"
        s3.put_object(Bucket=BUCKET, Key=location, Body=json.dumps(document).encode())
        return location

    return write


@pytest.fixture
def service(s3: Any, write_result: Callable[..., str]) -> Iterator[set[str]]:
    """A thread that gives every upload its result, but those in the set."""
    ignored: set[str] = set()
    known: dict[str, str] = {}
    end = threading.Event()

    def serve() -> None:
        while not end.wait(0.02):
            for item in s3.list_object_versions(Bucket=BUCKET, Prefix="incoming/").get("Versions", []):
                key, version = item["Key"], item["VersionId"]
                if item["IsLatest"] and key not in ignored and known.get(key) != version:
                    known[key] = version
                    write_result(key)

    thread = threading.Thread(target=serve)
    thread.start()
    yield ignored
    end.set()
    thread.join()
