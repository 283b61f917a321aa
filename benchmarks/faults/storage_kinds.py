"""Faults of S3 and of what people do in the bucket: errors of S3, results edited, copied or deleted, uploads replaced or deleted."""

from __future__ import annotations

import time

from benchmarks.faults import proxy
from benchmarks.faults.batch import ImageBatch
from benchmarks.faults.kinds import kind
from benchmarks.faults.target import FaultTarget
from dropsort.contract import keys

_PATIENCE_SECONDS = 120.0

ODD = (
    b"",
    b"{}",
    b"null",
    b"[1, 2]",
    b"not JSON",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"outcome": "classified"}',
    b'{"outcome": 5, "reason": "because", "source": []}',
    b'{"outcome": "failed", "reason": "a text", "source": {"key": 1}, "times": 7}',
    b'{"outcome": "failed", "reason": {"code": ["x"], "retryable": "maybe"}, "source": null, "times": {}}',
    b'{"schema": {"a": ' + b'{"b": ' * 500 + b"1" + b"}" * 501 + b"}",
    b"x" * 3_000_000,
)


def _slow_down(target: FaultTarget, batch: ImageBatch, *methods: str) -> None:
    target.upload_during(batch, proxy.of("s3", proxy.always(proxy.s3_error(503, "SlowDown")), *methods))


@kind("s3-503-get", "S3 responds 503 to every GET of the functions")
def _get(target: FaultTarget, batch: ImageBatch) -> None:
    _slow_down(target, batch, "GET")


@kind("s3-503-head", "S3 responds 503 to every HEAD of the functions")
def _head(target: FaultTarget, batch: ImageBatch) -> None:
    _slow_down(target, batch, "HEAD")


@kind("s3-503-put", "S3 responds 503 to every PUT of the functions")
def _put(target: FaultTarget, batch: ImageBatch) -> None:
    _slow_down(target, batch, "PUT")


@kind("s3-503-delete", "S3 responds 503 to every DELETE of the functions, while images change their outcome")
def _delete(target: FaultTarget, batch: ImageBatch) -> None:
    # The first uploads fail, the second ones do not: each has to take the other's result away.
    for index in range(batch.count):
        batch.put(target.site, index, b"no image" + batch.content(index))
    batch.final.add("not_an_image")
    batch.drain(target.site, _PATIENCE_SECONDS)
    batch.final.clear()
    _slow_down(target, batch, "DELETE")


@kind("s3-half-a-body", "an object breaks off in the middle when it is read")
def _half(target: FaultTarget, batch: ImageBatch) -> None:
    part = proxy.InjectedResponse(
        200,
        b"\x89PNG\r\n\x1a\n",
        {"ETag": '"x"', "Last-Modified": "Thu, 26 Nov 2026 00:00:00 GMT"},
        length=5000,
    )
    target.upload_during(batch, proxy.of("s3", proxy.always(part), "GET"))


@kind("results-edited", "a user replaces every result by something odd")
def _edited(target: FaultTarget, batch: ImageBatch) -> None:
    batch.put_all(target.site)
    batch.drain(target.site, _PATIENCE_SECONDS)
    for index in range(batch.count):
        batch.overwrite_result(target.site, batch.key(index), ODD[index % len(ODD)])


@kind("results-deleted", "a user deletes every result")
def _deleted(target: FaultTarget, batch: ImageBatch) -> None:
    batch.put_all(target.site)
    batch.drain(target.site, _PATIENCE_SECONDS)
    for locations in batch.results(target.site).values():
        for location in locations:
            target.site.s3.delete_object(Bucket=target.site.bucket, Key=location)


@kind("results-copied", "a user copies results over those of other images, and to other outcomes")
def _copied(target: FaultTarget, batch: ImageBatch) -> None:
    batch.put_all(target.site)
    batch.drain(target.site, _PATIENCE_SECONDS)
    found = batch.results(target.site)
    for index in range(batch.count - 1):
        ((source,), (other,)) = found[batch.key(index)], found[batch.key(index + 1)]
        outcome, _, path = source.partition("/")
        elsewhere = next(name for name in keys.OUTCOMES if name != outcome)
        copy_key = other if index % 2 else f"{elsewhere}/{path}"
        target.site.s3.copy_object(
            Bucket=target.site.bucket, Key=copy_key, CopySource={"Bucket": target.site.bucket, "Key": source}
        )


@kind("overwritten", "every upload is replaced while it is classified")
def _overwritten(target: FaultTarget, batch: ImageBatch) -> None:
    for first in range(0, batch.count, 10):
        indices = range(first, min(first + 10, batch.count))
        batch.put_all(target.site, indices)
        time.sleep(0.1)
        batch.put_all(target.site, indices)


@kind("deleted", "every other upload is deleted while it is classified")
def _gone(target: FaultTarget, batch: ImageBatch) -> None:
    for first in range(0, batch.count, 10):
        indices = range(first, min(first + 10, batch.count))
        batch.put_all(target.site, indices)
        for index in indices[::2]:
            batch.delete(target.site, index)
