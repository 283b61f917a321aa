"""Polls for the results of uploads: lists the three output prefixes and reads each new result once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dropsort.client import results
from dropsort.client.drop import Uploaded, listing
from dropsort.client.results import Result, UnreadableResult
from dropsort.contract import keys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Maximum difference between the clocks of this machine and of the functions.
CLOCKS_SECONDS = 2.0


@dataclass(frozen=True)
class FinishedUpload:
    """An upload with its result."""

    upload: Uploaded
    result: Result

    @property
    def latency_seconds(self) -> float | None:
        """From the end of the upload, by this machine's clock, to the writing of the result, by the function's.

        None for an upload that was there before. Clocks that differ shift it by as much.
        """
        if self.upload.finished is None:
            return None
        return (self.result.recorded - self.upload.finished).total_seconds()


class Waiter:
    """Polls for the results of uploads; `dropsort.client.drop_and_wait.drop_and_wait` does so until all are there.

    Parameters
    ----------
    uploads
        What to wait for; more can be given later with :meth:`expect`.
    ignored
        Whether the service gives an upload no result, by its path below ``incoming/``: none is waited for.
    retrying
        Called for each failure that the service tries again by itself; its final result is waited for. None takes such a
        failure for the result.
    """

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        uploads: Iterable[Uploaded] = (),
        ignored: Callable[[str], bool] = lambda _: False,
        retrying: Callable[[FinishedUpload], None] | None = None,
    ) -> None:
        self._s3, self._bucket, self._ignored = s3, bucket, ignored
        self._retrying = retrying
        self._retryable: dict[str, FinishedUpload] = {}  # by key, of those pending that failed so far
        self._pending: dict[str, Uploaded] = {}
        self._seen: dict[str, str] = {}  # result key -> ETag that was read and is not the one waited for
        self.expect(uploads)

    def expect(self, uploads: Iterable[Uploaded]) -> list[Uploaded]:
        """Wait for these too, the later one of a key; return those that are not waited for, as they get no result."""
        without_result = []
        for upload in uploads:
            if self._ignored(keys.path_of(upload.file.key)):
                without_result.append(upload)
            else:
                self._pending[upload.file.key] = upload
                self._retryable.pop(upload.file.key, None)
        return without_result

    @property
    def missing(self) -> list[str]:
        """Keys of uploads without a result so far."""
        return sorted(self._pending)

    @property
    def retryable(self) -> int:
        """How many of them failed so far and are tried again."""
        return len(self._retryable)

    def end_retries(self) -> list[FinishedUpload]:
        """The failures that are still to be tried again, as results; they are not waited for any longer."""
        found = list(self._retryable.values())
        for key in self._retryable:
            del self._pending[key]
        self._retryable.clear()
        return found

    def poll(self) -> list[FinishedUpload]:
        """Results that arrived since the last poll."""
        where = {
            location: key
            for key in self._pending
            for location in keys.result_keys(keys.path_of(key)).values()
        }
        fresh: list[str] = []
        for outcome in keys.OUTCOMES:
            wanted = (location for location in where if location.startswith(f"{outcome}/"))
            for item in listing(self._s3, self._bucket, wanted):
                if item["Key"] in where and self._seen.get(item["Key"]) != item["ETag"]:
                    self._seen[item["Key"]] = item["ETag"]
                    fresh.append(item["Key"])
        found: list[FinishedUpload] = []
        for result in results.ahead(self._read, fresh):
            upload = self._pending.get(where[result.location]) if result else None
            if not (result and upload and is_result_of(result, upload)):
                continue
            finished = FinishedUpload(upload, result)
            if self._retrying is not None and result.retryable:
                self._retryable[upload.file.key] = finished
                self._retrying(finished)
                continue
            self._retryable.pop(upload.file.key, None)
            del self._pending[upload.file.key]
            found.append(finished)
        return found

    def _read(self, location: str) -> Result | None:
        try:
            return results.get(self._s3, self._bucket, location)
        except UnreadableResult:  # somebody else's object: the result will replace it
            return None


def is_result_of(result: Result, upload: Uploaded) -> bool:
    """Whether this is the result of that upload, or of one that replaced it since."""
    source = result.document["source"]
    if upload.version and source.get("version_id"):
        same = source["version_id"] == upload.version
    else:  # the same content may have been uploaded, and classified, before
        same = source.get("etag") == upload.etag and (
            upload.started is None or (upload.started - result.recorded).total_seconds() < CLOCKS_SECONDS
        )
    if same:
        return True
    uploaded = result.document["times"].get("uploaded")
    return bool(uploaded and upload.finished and datetime.fromisoformat(uploaded) > upload.finished)
