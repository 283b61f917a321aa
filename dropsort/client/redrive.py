"""Starts the workflow again for uploads without a result, or with one that failed for a reason that may have passed.

A result that is older than its upload counts as none. Running twice is harmless: the same upload gives the same result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dropsort.client import results
from dropsort.client.results import UnreadableResult
from dropsort.contract import keys

NO_RESULT = "no result"
RETRYABLE = "retryable failure"

# S3 tells times of objects to the second: what is closer is looked at.
_SECONDS_OF_DOUBT = 2.0


@dataclass(frozen=True)
class Unsorted:
    """An upload to start again, and why."""

    key: str
    uploaded: datetime
    why: str


def find(
    s3: Any,
    bucket: str,
    *,
    prefix: str = "",
    min_age_seconds: float = 0.0,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Unsorted]:
    """Uploads that have no result, an outdated one, or one whose failure may pass; oldest first.

    Parameters
    ----------
    prefix
        Only uploads whose path below ``incoming/`` starts so.
    min_age_seconds
        Leave out younger uploads: they may be on their way.
    progress
        Called now and then with the number of uploads looked at.
    """
    written = _written(s3, bucket, prefix)
    now = datetime.now(UTC)
    unsorted: list[Unsorted] = []
    doubtful: list[tuple[dict[str, Any], str]] = []
    count = 0
    for item in _objects(s3, bucket, keys.INCOMING + prefix):
        count += 1
        if count % 1000 == 0:
            progress(count)
        key, uploaded = item["Key"], item["LastModified"]
        age = max(0.0, (now - uploaded).total_seconds())  # S3's clock may be ahead of this one
        if key == keys.INCOMING or age < min_age_seconds:
            continue
        locations = keys.result_keys(keys.path_of(key)).values()
        found = [location for location in locations if location in written]
        newest = max((written[location] for location in found), default=None)
        if newest is None or (uploaded - newest).total_seconds() >= _SECONDS_OF_DOUBT:
            unsorted.append(Unsorted(key, uploaded, NO_RESULT))
        else:
            close = (newest - uploaded).total_seconds() < _SECONDS_OF_DOUBT
            doubtful += [(item, location) for location in found if close or location.startswith(keys.FAILED)]

    def judge(pair: tuple[dict[str, Any], str]) -> Unsorted | None:
        item, location = pair
        why = _verdict(s3, bucket, item, location)
        return Unsorted(item["Key"], item["LastModified"], why) if why else None

    unsorted += [item for item in results.ahead(judge, doubtful) if item]
    progress(count)
    unique = {item.key: item for item in unsorted}
    return sorted(unique.values(), key=lambda item: (item.uploaded, item.key))


def start(
    stepfunctions: Any,
    state_machine: str,
    bucket: str,
    uploads: Iterable[Unsorted],
    *,
    per_second: float = 20.0,
    done: Callable[[Unsorted], None] = lambda _: None,
) -> int:
    """Start one execution per upload, at most `per_second`; return how many were started.

    Raises
    ------
    botocore.exceptions.ClientError
        Of the first start that failed; those before it go on.
    """
    started = 0
    begin = time.monotonic()
    with ThreadPoolExecutor(8, thread_name_prefix="redrive") as pool:
        for batch in _batches(uploads, 8):

            def run(upload: Unsorted) -> Unsorted:
                document = {"s3_bucket": bucket, "s3_key": upload.key}
                stepfunctions.start_execution(stateMachineArn=state_machine, input=json.dumps(document))
                return upload

            for upload in pool.map(run, batch):
                started += 1
                done(upload)
            time.sleep(max(0.0, begin + started / per_second - time.monotonic()))
    return started


def _verdict(s3: Any, bucket: str, item: dict[str, Any], location: str) -> str | None:
    """Why the upload has to be started again although there is a result, or None."""
    try:
        result = results.get(s3, bucket, location)
    except UnreadableResult:
        return NO_RESULT
    if result is None:  # replaced while we looked: its upload is being sorted
        return None
    etag = result.document["source"].get("etag")
    if etag and etag != item["ETag"].strip('"'):
        return NO_RESULT
    return RETRYABLE if result.reason.get("retryable") else None


def _written(s3: Any, bucket: str, prefix: str) -> dict[str, datetime]:
    with ThreadPoolExecutor(len(keys.OUTCOMES)) as pool:
        pages = pool.map(
            lambda outcome: {
                item["Key"]: item["LastModified"] for item in _objects(s3, bucket, f"{outcome}/{prefix}")
            },
            keys.OUTCOMES,
        )
        return {key: written for page in pages for key, written in page.items()}


def _objects(s3: Any, bucket: str, prefix: str) -> Iterable[dict[str, Any]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def _batches(items: Iterable[Unsorted], size: int) -> Iterable[list[Unsorted]]:
    batch: list[Unsorted] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
