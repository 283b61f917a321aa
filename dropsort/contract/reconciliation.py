"""Which uploads are unfinished: the versions below ``incoming/`` compared with the results below the three output prefixes.

One pass over four listings, side by side, in memory that does not grow with the bucket. Uploads and results are compared by identity
(version id, else ETag), never by how long one came after the other: an execution of an older upload may write at any time. An upload
with one version whose result has one version costs no request of its own: nobody edited the result, and it can be of nothing else.
Every other result is read.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dropsort.contract import keys, reasons, result

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_RESULT = "no result"
SEVERAL_RESULTS = "several results"
RETRYABLE = "retryable failure"

WORKERS = 16  # results that are read at the same time
_GONE = ("NoSuchKey", "NoSuchVersion", "404")


class UnorderedListing(Exception):
    """A listing was not in the order of its keys, as that of a directory bucket is; nothing can be compared then."""


@dataclass(frozen=True, slots=True)
class Version:
    """The newest version of a key.

    ``single`` says that the bucket holds no other version of the key, nor a mark of a deletion.
    """

    key: str
    version_id: str
    etag: str
    written: datetime
    single: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """An upload and why it is unfinished: `NO_RESULT`, `SEVERAL_RESULTS`, `RETRYABLE`, or None for a finished one."""

    upload: Version
    why: str | None


def check(client: S3Client, bucket: str, *, prefix: str = "", failures: bool = True) -> Iterator[Checked]:
    """Every upload below ``incoming/`` + `prefix`, in about the order of the keys, and whether it is finished.

    A damaged result counts as none, for its key alone. Folder markers (keys that end in ``/``) are uploads as any other;
    ``incoming/`` itself is left out.

    Parameters
    ----------
    client
        boto3 S3 client.
    failures
        Read the results below ``failed/`` too: without, a retryable failure counts as finished.

    Raises
    ------
    UnorderedListing
        S3 did not list by key.
    botocore.exceptions.ClientError
        S3 failed.
    """
    waiting: deque[Checked | Future[Checked]] = deque()
    with ThreadPoolExecutor(WORKERS + 1 + len(keys.OUTCOMES), thread_name_prefix="reconcile") as pool:
        try:
            results = {
                outcome: _Results(client, bucket, f"{outcome}/{prefix}", pool) for outcome in keys.OUTCOMES
            }
            for upload, locations in _in_order_of_results(
                _newest(client, bucket, keys.INCOMING + prefix, pool)
            ):
                if locations is None:  # its result's key is a digest, out of order
                    waiting.append(pool.submit(_look_up, client, bucket, upload, failures))
                    continue
                found = {
                    outcome: written
                    for outcome, location in locations.items()
                    if (written := results[outcome].at(location)) is not None
                }
                why = _by_listing(upload, found, failures)
                if why is _READ:
                    (outcome,) = found
                    waiting.append(pool.submit(_judge, client, bucket, upload, locations[outcome]))
                else:
                    waiting.append(Checked(upload, why))
                while len(waiting) > 4 * WORKERS:
                    yield _value(waiting.popleft())
            while waiting:
                yield _value(waiting.popleft())
        finally:
            for item in waiting:
                if isinstance(item, Future):
                    item.cancel()


_READ = "read"


def _by_listing(upload: Version, found: dict[str, Version], failures: bool) -> str | None:
    """The verdict without reading a result; `_READ` if the decision needs its content."""
    if len(found) > 1:
        return SEVERAL_RESULTS
    if not found:
        return NO_RESULT
    ((outcome, written),) = found.items()
    if written.written < upload.written:  # both by S3's clock: nothing is written before its upload is there
        return NO_RESULT
    read = not (upload.single and written.single) or (failures and outcome == keys.FAILED)
    return _READ if read else None


def _judge(client: S3Client, bucket: str, upload: Version, location: str) -> Checked:
    """The verdict on an upload's only result, by its content."""
    try:
        response = client.get_object(Bucket=bucket, Key=location)
    except Exception as error:
        if _code(error) in _GONE:  # replaced since it was listed: its upload is being worked on
            return Checked(upload, None)
        raise
    with response["Body"] as stream:
        body = stream.read(result.MAX_BYTES + 1)
    try:
        document = result.parse(body, upload.key)
    except ValueError:
        return Checked(upload, NO_RESULT)
    if not location.startswith(f"{document['outcome']}/") or not _is_of(upload, document["source"]):
        return Checked(upload, NO_RESULT)
    reason, times = document.get("reason") or {}, document["times"]
    due = reason.get("retryable") and reasons.is_due(
        reason["code"], times.get("uploaded"), times["recorded"], datetime.now(UTC)
    )
    return Checked(upload, RETRYABLE if due else None)


def _is_of(upload: Version, source: dict[str, Any]) -> bool:
    """Whether a result's source is this upload: the same version, or where versions are not known the same content."""
    version, etag = source.get("version_id"), source.get("etag")
    if version and upload.version_id != "null":
        return bool(version == upload.version_id)
    return not etag or etag == upload.etag


def _look_up(client: S3Client, bucket: str, upload: Version, failures: bool) -> Checked:
    """The verdict on an upload whose result's key does not sort with it: its three possible keys one by one."""
    locations = keys.result_keys(keys.path_of(upload.key))
    found = {}
    for outcome, location in locations.items():
        page = client.list_object_versions(Bucket=bucket, Prefix=location)
        first = next(_newest_of([page]), None)
        if first is not None and first.key == location:
            found[outcome] = first
    why = _by_listing(upload, found, failures)
    return (
        _judge(client, bucket, upload, locations[next(iter(found))]) if why is _READ else Checked(upload, why)
    )


def _code(error: Exception) -> str:
    """The code of botocore's ClientError, which this package does not import; "" of anything else."""
    response = getattr(error, "response", None)
    return str(response["Error"]["Code"]) if isinstance(response, dict) and "Error" in response else ""


def _value(item: Checked | Future[Checked]) -> Checked:
    return item if isinstance(item, Checked) else item.result()


def _newest(client: S3Client, bucket: str, prefix: str, pool: ThreadPoolExecutor) -> Iterator[Version]:
    """The newest version of every key below a prefix that was not deleted, by key; one page is read ahead."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
    return _newest_of(_read_ahead(pages, pool))


def _newest_of(pages: Iterable[Any]) -> Iterator[Version]:
    key, newest, count = "", None, 0
    for page in pages:
        versions = [(item["Key"], item) for item in page.get("Versions", ())]
        marks = [(item["Key"], None) for item in page.get("DeleteMarkers", ())]
        for name, item in heapq.merge(versions, marks, key=lambda pair: pair[0]):
            if name != key:
                if newest is not None:
                    yield _version(newest, count)
                if name < key:
                    raise UnorderedListing(f"{name!r} was listed after {key!r}")
                key, newest, count = name, None, 0
            count += 1
            if item is not None and item["IsLatest"]:
                newest = item
    if newest is not None:
        yield _version(newest, count)


def _version(item: dict[str, Any], count: int) -> Version:
    version = item.get("VersionId") or "null"
    # What has no version id of its own may have been replaced without a trace.
    single = count == 1 and version != "null"
    return Version(item["Key"], version, item["ETag"].strip('"'), item["LastModified"], single)


def _in_order_of_results(found: Iterable[Version]) -> Iterator[tuple[Version, dict[str, str] | None]]:
    """Uploads in the order of their results' keys, with those keys; None for those whose keys do not sort with them.

    ``a`` sorts before ``a-b``, but ``a.json`` after ``a-b.json``. An upload waits until one comes whose result sorts after its own:
    no later one's can sort before it then. Those that wait are each a prefix of the next, so at most 1,024 do.
    """
    waiting: list[tuple[str, str, Version]] = []
    for upload in found:
        path = keys.path_of(upload.key)
        if not path:  # the folder marker of incoming/ itself
            continue
        place = keys.result_path(path)
        if not keys.is_whole(path):
            yield upload, None
            continue
        while waiting and waiting[0][0] < place:
            yield _located(heapq.heappop(waiting))
        heapq.heappush(waiting, (place, upload.key, upload))
    while waiting:
        yield _located(heapq.heappop(waiting))


def _located(item: tuple[str, str, Version]) -> tuple[Version, dict[str, str]]:
    return item[2], keys.result_keys(keys.path_of(item[2].key))


class _Results:
    """The listing of one outcome, read for keys in ascending order."""

    def __init__(self, client: S3Client, bucket: str, prefix: str, pool: ThreadPoolExecutor) -> None:
        self._versions = _newest(client, bucket, prefix, pool)
        self._next = next(self._versions, None)

    def at(self, location: str) -> Version | None:
        """The object at this key; None if there is none."""
        while self._next is not None and self._next.key < location:
            self._next = next(self._versions, None)
        return self._next if self._next is not None and self._next.key == location else None


def _read_ahead(pages: Iterable[Any], pool: ThreadPoolExecutor) -> Iterator[Any]:
    """The pages of a listing, the next one requested while this one is worked on."""
    rest = iter(pages)
    coming = pool.submit(next, rest, None)
    while (page := coming.result()) is not None:
        coming = pool.submit(next, rest, None)
        yield page
