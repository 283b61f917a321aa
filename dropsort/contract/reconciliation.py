"""Which uploads are unfinished: the versions below ``incoming/`` compared with the results below the three output prefixes.

One pass over four listings, or five with the reviews, side by side, in memory that does not grow with the bucket. Uploads and results
are compared by identity (version id, else ETag), never by how long one came after the other: an execution of an older upload may write
at any time. An upload with one version whose result has one version costs no request of its own: nobody edited the result, and it can
be of nothing else.
Every other result is read.

Of the reviews only two kinds are read: those of images of low confidence, to know whether a decision is in force, and those that were
written in a period, to count decisions.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from dropsort.contract import ignored_paths, keys, reasons, result, reviews, s3_documents
from dropsort.contract.versions import Version, VersionListing, newest, newest_of, read_ahead

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_RESULT = "no result"
SEVERAL_RESULTS = "several results"
RETRYABLE = "retryable failure"

WORKERS = 16  # results that are read at the same time
DEFAULT_IGNORED = ignored_paths.parse(ignored_paths.DEFAULT)  # what a service ignores by default


@dataclass(frozen=True, slots=True)
class CheckedUpload:
    """An upload and why it is unfinished: `NO_RESULT`, `SEVERAL_RESULTS`, `RETRYABLE`, or None for a finished one.

    A comparison that is interrupted after it continues from ``marker``; empty where it cannot be interrupted.
    ``ignored`` says that the service gives it no result, so that it is finished without one. ``next_try`` is when a retryable failure
    is tried again without a person. ``unreviewed`` is when a result of low confidence was written that nobody has decided about,
    ``review`` one that was written in the period that was compared and has a decision in force.
    """

    upload: Version
    why: str | None
    marker: str = ""
    ignored: bool = False
    next_try: datetime | None = None
    unreviewed: datetime | None = None
    review: reviews.Review | None = None


Period = tuple[datetime, datetime]  # from the first until before the second


def check(
    client: S3Client,
    bucket: str,
    *,
    prefix: str = "",
    failures: bool = True,
    after: str = "",
    ignored: Callable[[str], bool] = DEFAULT_IGNORED,
    reviewed: Period | None = None,
) -> Iterator[CheckedUpload]:
    """Every upload below ``incoming/`` + `prefix`, in about the order of the keys, and whether it is finished.

    A damaged result counts as none, for its key alone. Folder markers are ignored uploads; ``incoming/`` itself is left out.

    Parameters
    ----------
    client
        boto3 S3 client.
    failures
        Read the results below ``failed/`` too: without, a retryable failure counts as finished.
    after
        Continue after this key, the marker of a `CheckedUpload`.
    ignored
        Whether the service ignores an upload, by its path below ``incoming/``: that of its parameter IgnoredPatterns.
    reviewed
        Compare with the reviews too, and return those that were written in this period; None: without them.

    Raises
    ------
    UnorderedListing
        S3 did not list by key.
    botocore.exceptions.ClientError
        S3 failed.
    """
    with ThreadPoolExecutor(WORKERS + 2 + len(keys.OUTCOMES), thread_name_prefix="reconcile") as pool:
        verdicts = _verdicts(client, bucket, prefix, failures, after, ignored, reviewed, pool)
        with closing(_in_order(verdicts)) as found:
            for marker, checked in found:
                yield checked if checked.marker == marker else replace(checked, marker=marker)


def _verdicts(
    client: S3Client,
    bucket: str,
    prefix: str,
    failures: bool,
    after: str,
    ignored: Callable[[str], bool],
    reviewed: Period | None,
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[str, CheckedUpload | Future[CheckedUpload]]]:
    """Each upload's marker and verdict; a verdict that needs a request is made in the pool."""
    path = keys.path_of(after) if after else ""
    listings = {
        outcome: VersionListing(client, bucket, f"{outcome}/{prefix}", pool, path and f"{outcome}/{path}")
        for outcome in (*keys.OUTCOMES, *((_REVIEWS,) if reviewed else ()))
    }
    for upload, path, marker in _in_order_of_results(
        newest(client, bucket, keys.INCOMING + prefix, pool, after)
    ):
        if ignored_paths.is_folder_marker(path, upload.size) or ignored(path):
            yield marker, CheckedUpload(upload, None, marker, ignored=True)
            continue
        locations = keys.result_keys(path)
        if reviewed:
            locations[_REVIEWS] = reviews.key(path)
        if not keys.is_whole(path):  # its result's key is a digest, out of order
            yield marker, pool.submit(_look_up, client, bucket, upload, locations, failures, reviewed)
            continue
        found = {
            name: written
            for name, location in locations.items()
            if (written := listings[name].at(location)) is not None
        }
        review = _to_read(found.pop(_REVIEWS, None), found, reviewed)
        why = _by_listing(upload, found, failures)
        if why is _READ or review:
            yield marker, pool.submit(_judge, client, bucket, upload, found, why, review, reviewed)
        else:
            yield marker, CheckedUpload(upload, why, unreviewed=_unreviewed(why, found, reviewed))


_Value = TypeVar("_Value")


def _in_order(
    items: Iterable[tuple[str, _Value | Future[_Value]]],
) -> Generator[tuple[str, _Value], None, None]:
    """The names and values of items, in their order, while a bounded number of futures is under way."""
    waiting: deque[tuple[str, _Value | Future[_Value]]] = deque()
    try:
        for item in items:
            waiting.append(item)
            while len(waiting) > 4 * WORKERS:
                yield _done(*waiting.popleft())
        while waiting:
            yield _done(*waiting.popleft())
    finally:
        for _, value in waiting:
            if isinstance(value, Future):
                value.cancel()


def _done(name: str, value: _Value | Future[_Value]) -> tuple[str, _Value]:
    return name, value.result() if isinstance(value, Future) else value


_READ = "read"
_REVIEWS = reviews.PREFIX.removesuffix("/")


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


def _to_read(review: Version | None, found: dict[str, Version], reviewed: Period | None) -> Version | None:
    """The review, if it has to be read."""
    return review if review and (keys.LOW_CONFIDENCE in found or _within(reviewed, review)) else None


def _within(period: Period | None, review: Version) -> bool:
    return period is not None and period[0] <= review.written < period[1]


def _unreviewed(why: str | None, found: dict[str, Version], reviewed: Period | None) -> datetime | None:
    """When the only result was written, if that is one of low confidence; None if it is not, or reviews are not compared."""
    low = found.get(keys.LOW_CONFIDENCE)
    return low.written if low and reviewed and why is None else None


@dataclass(frozen=True, slots=True)
class FailedResult:
    """A result below ``failed/``: its key, when it was written, and of one that may pass its upload and when to try that again."""

    location: str
    written: datetime
    upload: str | None = None
    next_try: datetime | None = None


def failures(
    client: S3Client, bucket: str, since: datetime, until: datetime, after: str = ""
) -> Iterator[FailedResult]:
    """The results below ``failed/``, by their keys; what was not written from `since` to `until` is not read.

    A damaged result, which `check` finds, and one whose failure does not pass have no ``upload``. Of those that are not read only the
    last one of each page of the listing comes, without an ``upload`` too, so that the caller can stop among millions of them.

    Parameters
    ----------
    since, until
        Aware.
    after
        Continue after this key of a result.
    """
    start: Any = {"StartAfter": after} if after else {}
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{keys.FAILED}/", **start)
    with ThreadPoolExecutor(WORKERS + 1, thread_name_prefix="failures") as pool:
        reads: Iterator[tuple[str, FailedResult | Future[FailedResult]]] = (
            (
                item["Key"],
                pool.submit(_failure, client, bucket, item["Key"], item["LastModified"])
                if since <= item["LastModified"] <= until
                else FailedResult(item["Key"], item["LastModified"]),
            )
            for page in read_ahead(pages, pool)
            for item in page.get("Contents", ())
            if since <= item["LastModified"] <= until or item is page["Contents"][-1]
        )
        with closing(_in_order(reads)) as found:
            for _, failure in found:
                yield failure


def _failure(client: S3Client, bucket: str, location: str, written: datetime) -> FailedResult:
    try:
        document = _read(client, bucket, location)
    except ValueError:
        document = None
    at = _next_try(document) if document else None
    return FailedResult(location, written, document["source"]["key"] if document and at else None, at)


def _next_try(document: dict[str, Any]) -> datetime | None:
    """When the failure that a result reports is tried again; None if it does not pass, or is none."""
    reason, times = document.get("reason") or {}, document["times"]
    if not reason.get("retryable"):
        return None
    try:
        return reasons.next_try(reason["code"], times.get("uploaded"), times["recorded"])
    except OverflowError:  # recorded on the last day of the calendar: edited
        return datetime.fromisoformat(times["recorded"])


def _read(client: S3Client, bucket: str, location: str, key: str | None = None) -> dict[str, Any] | None:
    """The result at a key; None if it has gone since it was listed.

    Raises
    ------
    ValueError
        It is not a result, or none of the upload `key`.
    """
    body, etag = s3_documents.read(client, bucket, location, result.MAX_BYTES + 1)
    if etag is None:
        return None
    document = result.parse(body, key)
    keys.path_of(document["source"]["key"])
    return document


def _judge(
    client: S3Client,
    bucket: str,
    upload: Version,
    found: dict[str, Version],
    why: str | None,
    review: Version | None,
    reviewed: Period | None,
) -> CheckedUpload:
    """The verdict on an upload whose only result or whose review has to be read."""
    if why is _READ:
        (written,) = found.values()
        checked = _by_content(client, bucket, upload, written.key)
    else:
        checked = CheckedUpload(upload, why)
    checked = replace(checked, unreviewed=_unreviewed(checked.why, found, reviewed))
    if review is None:
        return checked
    try:
        body, _ = s3_documents.read(client, bucket, review.key, reviews.MAX_BYTES + 1)
        document = reviews.parse(body, upload.key)
    except ValueError:  # gone in the meantime, or somebody else put it there
        return checked
    if reviews.in_force(document) is None:
        return checked
    if _is_of(upload, {"version_id": document.source.version_id, "etag": document.source.etag}):
        checked = replace(checked, unreviewed=None)
    return replace(checked, review=document) if _within(reviewed, review) else checked


def _by_content(client: S3Client, bucket: str, upload: Version, location: str) -> CheckedUpload:
    """The verdict on an upload's only result, by its content."""
    try:
        document = _read(client, bucket, location, upload.key)
    except ValueError:
        return CheckedUpload(upload, NO_RESULT)
    if document is None:  # replaced since it was listed: its upload is being worked on
        return CheckedUpload(upload, None)
    if not location.startswith(f"{document['outcome']}/") or not _is_of(upload, document["source"]):
        return CheckedUpload(upload, NO_RESULT)
    next_try = _next_try(document)
    return CheckedUpload(upload, RETRYABLE if next_try else None, next_try=next_try)


def _is_of(upload: Version, source: dict[str, Any]) -> bool:
    """Whether a result's source is this upload: the same version, or where versions are not known the same content."""
    version, etag = source.get("version_id"), source.get("etag")
    if version and upload.version_id != "null":
        return bool(version == upload.version_id)
    return not etag or etag == upload.etag


def _look_up(
    client: S3Client,
    bucket: str,
    upload: Version,
    locations: dict[str, str],
    failures: bool,
    reviewed: Period | None,
) -> CheckedUpload:
    """The verdict on an upload whose result's key does not sort with it: its possible keys one by one."""
    found = {}
    for name, location in locations.items():
        page = client.list_object_versions(Bucket=bucket, Prefix=location)
        first = next(newest_of([page]), None)
        if first is not None and first.key == location:
            found[name] = first
    review = _to_read(found.pop(_REVIEWS, None), found, reviewed)
    why = _by_listing(upload, found, failures)
    return _judge(client, bucket, upload, found, why, review, reviewed)


def _in_order_of_results(found: Iterable[Version]) -> Iterator[tuple[Version, str, str]]:
    """Uploads in the order of their results' keys, with their paths and a marker.

    ``a`` sorts before ``a-b``, but ``a.json`` after ``a-b.json``. An upload waits until one comes whose result sorts after its own:
    no later one's can sort before it then. Those that wait are each a prefix of the next, so at most 1,024 do.
    """
    waiting: list[tuple[str, str, Version]] = []  # by key of the result, then path
    last = ""

    def first() -> tuple[Version, str, str]:
        _, path, upload = heapq.heappop(waiting)
        return upload, path, "" if waiting else last

    for upload in found:
        path = keys.path_of(upload.key)
        if not path:  # the folder marker of incoming/ itself
            continue
        place = path + keys.SUFFIX
        while waiting and waiting[0][0] < place:
            yield first()
        heapq.heappush(waiting, (place, path, upload))
        last = upload.key
    while waiting:
        yield first()
