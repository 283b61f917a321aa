"""Faults of S3 and of what people do in the bucket: errors of S3, results edited, copied or deleted, uploads replaced or deleted."""

from __future__ import annotations

import time

from benchmarks.faults import proxy
from benchmarks.faults.batch import Batch
from benchmarks.faults.kinds import kind
from benchmarks.faults.stand import Stand
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


def _slow_down(stand: Stand, batch: Batch, *methods: str) -> None:
    stand.upload_during(batch, proxy.of("s3", proxy.always(proxy.s3_error(503, "SlowDown")), *methods))


@kind("s3-503-get", "S3 responds 503 to every GET of the functions")
def _get(stand: Stand, batch: Batch) -> None:
    _slow_down(stand, batch, "GET")


@kind("s3-503-head", "S3 responds 503 to every HEAD of the functions")
def _head(stand: Stand, batch: Batch) -> None:
    _slow_down(stand, batch, "HEAD")


@kind("s3-503-put", "S3 responds 503 to every PUT of the functions")
def _put(stand: Stand, batch: Batch) -> None:
    _slow_down(stand, batch, "PUT")


@kind("s3-503-delete", "S3 responds 503 to every DELETE of the functions, while images change their outcome")
def _delete(stand: Stand, batch: Batch) -> None:
    # The first uploads fail, the second ones do not: each has to take the other's result away.
    for index in range(batch.count):
        batch.put(stand.site, index, b"no image" + batch.content(index))
    batch.final.add("not_an_image")
    batch.drain(stand.site, _PATIENCE_SECONDS)
    batch.final.clear()
    _slow_down(stand, batch, "DELETE")


@kind("s3-half-a-body", "an object breaks off in the middle when it is read")
def _half(stand: Stand, batch: Batch) -> None:
    part = proxy.Response(
        200,
        b"\x89PNG\r\n\x1a\n",
        {"ETag": '"x"', "Last-Modified": "Thu, 26 Nov 2026 00:00:00 GMT"},
        length=5000,
    )
    stand.upload_during(batch, proxy.of("s3", proxy.always(part), "GET"))


@kind("results-edited", "a user replaces every result by something odd")
def _edited(stand: Stand, batch: Batch) -> None:
    batch.put_all(stand.site)
    batch.drain(stand.site, _PATIENCE_SECONDS)
    for index in range(batch.count):
        batch.overwrite_result(stand.site, batch.key(index), ODD[index % len(ODD)])


@kind("results-deleted", "a user deletes every result")
def _deleted(stand: Stand, batch: Batch) -> None:
    batch.put_all(stand.site)
    batch.drain(stand.site, _PATIENCE_SECONDS)
    for locations in batch.results(stand.site).values():
        for location in locations:
            stand.site.s3.delete_object(Bucket=stand.site.bucket, Key=location)


@kind("results-copied", "a user copies results over those of other images, and to other outcomes")
def _copied(stand: Stand, batch: Batch) -> None:
    batch.put_all(stand.site)
    batch.drain(stand.site, _PATIENCE_SECONDS)
    found = batch.results(stand.site)
    for index in range(batch.count - 1):
        ((source,), (other,)) = found[batch.key(index)], found[batch.key(index + 1)]
        outcome, _, path = source.partition("/")
        elsewhere = next(name for name in keys.OUTCOMES if name != outcome)
        target = other if index % 2 else f"{elsewhere}/{path}"
        stand.site.s3.copy_object(
            Bucket=stand.site.bucket, Key=target, CopySource={"Bucket": stand.site.bucket, "Key": source}
        )


@kind("overwritten", "every upload is replaced while it is classified")
def _overwritten(stand: Stand, batch: Batch) -> None:
    for first in range(0, batch.count, 10):
        indices = range(first, min(first + 10, batch.count))
        batch.put_all(stand.site, indices)
        time.sleep(0.1)
        batch.put_all(stand.site, indices)


@kind("deleted", "every other upload is deleted while it is classified")
def _gone(stand: Stand, batch: Batch) -> None:
    for first in range(0, batch.count, 10):
        indices = range(first, min(first + 10, batch.count))
        batch.put_all(stand.site, indices)
        for index in indices[::2]:
            batch.delete(stand.site, index)
