"""Which uploads have no result yet: the listing of ``incoming/`` held against those of the output prefixes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dropsort.contract.keys import INCOMING, OUTCOMES, path_of, result_path

GRACE = timedelta(minutes=5)  # an upload may take this long before it counts as waiting


@dataclass(frozen=True)
class Pending:
    """Uploads without a result."""

    waiting: int  # uploads older than the grace time without a result
    oldest: str  # key of the oldest, "" if none waits
    age: float  # seconds since it was uploaded, 0 if none waits
    uploads: int  # listed
    complete: bool  # False: the listing was cut short, and the figures are lower bounds


def pending(
    client: Any,
    bucket: str,
    now: datetime,
    *,
    grace: timedelta = GRACE,
    most: int = 500_000,
    seconds: float = 60.0,
) -> Pending:
    """List, and compare; a result that is older than its upload is none.

    Parameters
    ----------
    client
        boto3 S3 client.
    now
        The moment to count ages from (aware).
    most, seconds
        Bounds of the listings together: objects and wall time. Past them the figures are lower bounds.
    """
    budget = _Budget(most, time.monotonic() + seconds)
    # Uploads first: a result that appears meanwhile is seen, and an upload that appears meanwhile is not missed.
    uploads, paths = {}, {}
    for key, at in _listing(client, bucket, INCOMING, budget):
        if now - at > grace and not key.endswith("/"):
            uploads[key], paths[result_path(path_of(key))] = at, key
    listed = len(uploads)
    complete = not budget.spent
    for outcome in OUTCOMES:
        prefix = f"{outcome}/"
        for key, at in _listing(client, bucket, prefix, budget):
            upload = paths.get(key.removeprefix(prefix), "")
            # S3 keeps whole seconds: a result within the second of its upload is its result.
            if upload in uploads and at >= uploads[upload]:
                del uploads[upload]
    if budget.spent:
        # Some results were not listed: whoever seems to wait may have one.
        return Pending(0, "", 0.0, listed, False)
    if not uploads:
        return Pending(0, "", 0.0, listed, complete)
    oldest = min(uploads, key=lambda key: (uploads[key], key))
    return Pending(len(uploads), oldest, (now - uploads[oldest]).total_seconds(), listed, complete)


@dataclass
class _Budget:
    objects: int
    deadline: float
    spent: bool = False


def _listing(client: Any, bucket: str, prefix: str, budget: _Budget) -> Iterator[tuple[str, datetime]]:
    if budget.spent:
        return
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            yield item["Key"], item["LastModified"]
        budget.objects -= page.get("KeyCount", 0)
        if page.get("IsTruncated") and (budget.objects <= 0 or time.monotonic() > budget.deadline):
            budget.spent = True
            return
