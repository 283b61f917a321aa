"""Faults of events: lost, many times, in a wrong order, with wrong times, sent manually."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from benchmarks.faults.batch import ImageBatch
from benchmarks.faults.kinds import kind
from benchmarks.faults.target import FaultTarget


@kind("events-lost", "every other upload's event never arrives")
def _lost(target: FaultTarget, batch: ImageBatch) -> None:
    with target.rule_disabled():
        batch.put_all(target.site, range(0, batch.count, 2))
    batch.put_all(target.site, range(1, batch.count, 2))


@kind("events-tenfold", "every event arrives ten times")
def _tenfold(target: FaultTarget, batch: ImageBatch) -> None:
    with target.captured(batch) as events:
        batch.put_all(target.site)
        found = events(batch.count)
    _deliver(target, [event for _ in range(10) for event in found])


@kind("events-reordered", "two uploads of each key, and the newer one's event arrives first")
def _reordered(target: FaultTarget, batch: ImageBatch) -> None:
    with target.captured(batch) as events:
        batch.put_all(target.site)
        older = events(batch.count)
        batch.put_all(target.site)
        newer = events(batch.count)
    _deliver(target, newer)
    _deliver(target, older)


@kind("clock-a-day-off", "the times of the events are a day late, or a day early")
def _clock(target: FaultTarget, batch: ImageBatch) -> None:
    with target.captured(batch) as events:
        batch.put_all(target.site)
        older = events(batch.count)
        batch.put_all(target.site, range(0, batch.count, 2))
        newer = events((batch.count + 1) // 2)
    _deliver(target, [_shifted(event, days=-1) for event in newer])
    _deliver(target, [_shifted(event, days=1) for event in older])


def _shifted(event: dict[str, Any], days: int) -> dict[str, Any]:
    moment = datetime.fromisoformat(event["time"]) + timedelta(days=days)
    return event | {"time": moment.isoformat().replace("+00:00", "Z")}


@kind("one-key-20-times", "20 uploads of one key at the same time")
def _one_key(target: FaultTarget, batch: ImageBatch) -> None:
    # Which of several at the same time is the newest, only S3 decides: one after another, their executions at the same time.
    for first in range(0, batch.count, 20):
        for turn in range(min(20, batch.count - first)):
            batch.put(target.site, first // 20, batch.content(first + turn))


@kind("malformed-events", "executions that people start with malformed events of the same uploads")
def _malformed(target: FaultTarget, batch: ImageBatch) -> None:
    batch.put_all(target.site)
    for index in range(batch.count):
        for document in _malformed_documents(target, batch, index):
            try:
                target.start(document)
            except ClientError as error:  # what is not JSON, Step Functions does not take
                if error.response["Error"]["Code"] != "InvalidExecutionInput":
                    raise


def _malformed_documents(target: FaultTarget, batch: ImageBatch, index: int) -> list[Any]:
    """Two malformed inputs about an image; the same for the same number."""
    bucket, key = target.site.bucket, batch.key(index)
    upload = batch.uploads[key]
    good = {"key": key, "size": 5, "etag": upload.etag, "sequencer": "00617f08299329d189"}

    def event(time: Any = "2026-01-01T00:00:00Z", **changed: Any) -> dict[str, Any]:
        return {
            "detail-type": "Object Created",
            "time": time,
            "detail": {"bucket": {"name": bucket}, "object": good | changed},
        }

    documents = [
        event(time=5),
        event(time="yesterday"),
        event(time="9999-99-99T99:99:99Z"),
        event(sequencer="ffffffffffffffffffffffff"),
        event(sequencer="not hexadecimal"),
        event(size="many"),
        json.dumps(event()).replace('"size": 5', '"size": 1e999'),
        event(etag="a\nb: c"),
        event(etag="ä"),
        event(etag=7),
        {"detail": {"bucket": {"name": bucket}, "object": {"key": key, "version-id": "no-such-version"}}},
        {"detail": {"bucket": bucket, "object": key}},
        {"detail": []},
        {"s3_bucket": bucket, "s3_key": "classified/" + key},
        {"s3_bucket": bucket, "s3_key": key + "\0"},
        {"s3_bucket": bucket, "s3_key": ""},
        {"s3_bucket": "no-such-bucket", "s3_key": key},
        {"s3_bucket": bucket, "s3_key": "incoming/" + "x" * 2000},
        [],
        "null",
        "{",
        '"' + "x" * 1000 + '"',
    ]
    return [documents[(2 * index + turn) % len(documents)] for turn in range(2)]


def _deliver(target: FaultTarget, events: list[dict[str, Any]]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(target.start, events))
