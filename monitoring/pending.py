"""Which uploads have no result yet, for the hourly function; `dropsort.contract.reconciliation` compares."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dropsort.contract.reconciliation import LITTER, NO_RESULT, check

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

GRACE = timedelta(minutes=5)  # an upload may take this long before it counts as waiting


@dataclass(frozen=True)
class Pending:
    """Uploads without a result."""

    waiting: int  # uploads older than the grace time without a result
    oldest: str  # key of the oldest, "" if none waits
    age: float  # seconds since it was uploaded, 0 if none waits
    uploads: int  # compared
    complete: bool  # False: the comparison was cut short, and the figures are lower bounds


def pending(
    client: S3Client,
    bucket: str,
    now: datetime,
    *,
    grace: timedelta = GRACE,
    seconds: float = 60.0,
    ignored: Callable[[str], bool] = LITTER,
) -> Pending:
    """Compare uploads with results; a result of an older upload of the key is none.

    Parameters
    ----------
    client
        boto3 S3 client.
    now
        The time to count ages from (aware).
    seconds
        Wall time there is. Past it the figures are lower bounds, of the uploads that were compared.
    ignored
        Whether the service ignores an upload, by its path below ``incoming/``.
    """
    deadline = time.monotonic() + seconds
    waiting, compared, complete = 0, 0, True
    oldest, since = "", now
    for checked in check(client, bucket, failures=False, ignored=ignored):
        upload = checked.upload
        compared += 1
        if checked.why == NO_RESULT and now - upload.written > grace and not upload.key.endswith("/"):
            waiting += 1
            if not oldest or (upload.written, upload.key) < (since, oldest):
                oldest, since = upload.key, upload.written
        if compared % 100 == 0 and time.monotonic() > deadline:
            complete = False
            break
    return Pending(waiting, oldest, (now - since).total_seconds() if oldest else 0.0, compared, complete)
