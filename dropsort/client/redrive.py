"""Starts the workflow again for unfinished uploads; `dropsort.contract.reconciliation` says which these are.

Running twice is harmless: the same upload gives the same result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dropsort.contract import reconciliation
from dropsort.contract.reconciliation import NO_RESULT, RETRYABLE, SEVERAL_RESULTS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

__all__ = ["NO_RESULT", "RETRYABLE", "SEVERAL_RESULTS", "Unsorted", "find", "start"]


@dataclass(frozen=True)
class Unsorted:
    """An upload to start again, and why."""

    key: str
    uploaded: datetime
    why: str


def find(
    s3: S3Client,
    bucket: str,
    *,
    prefix: str = "",
    min_age_seconds: float = 0.0,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Unsorted]:
    """Uploads that have no result, one of an older upload, several, or one whose failure may pass; oldest first.

    Memory grows with what is returned, not with the bucket.

    Parameters
    ----------
    prefix
        Only uploads whose path below ``incoming/`` starts so.
    min_age_seconds
        Leave out younger uploads: they may be on their way.
    progress
        Called after every 1,000 uploads with the number checked so far.
    """
    now = datetime.now(UTC)
    unsorted: list[Unsorted] = []
    count = 0
    for checked in reconciliation.check(s3, bucket, prefix=prefix):
        count += 1
        if count % 1000 == 0:
            progress(count)
        upload = checked.upload
        age = max(0.0, (now - upload.written).total_seconds())  # S3's clock may be ahead of this one
        if checked.why and age >= min_age_seconds:
            unsorted.append(Unsorted(upload.key, upload.written, checked.why))
    progress(count)
    return sorted(unsorted, key=lambda item: (item.uploaded, item.key))


def start(
    stepfunctions: SFNClient,
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


def _batches(items: Iterable[Unsorted], size: int) -> Iterable[list[Unsorted]]:
    batch: list[Unsorted] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
