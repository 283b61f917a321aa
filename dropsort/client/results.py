"""Reads results: one by one or all of them, many at a time, filtered."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from dropsort.client.errors import ClientError
from dropsort.contract import keys, s3_documents
from dropsort.contract import result as documents

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WORKERS = 16

_Item = TypeVar("_Item")
_Value = TypeVar("_Value")


class UnreadableResult(ClientError):
    """An object under an output prefix that is not a result of this service."""


@dataclass(frozen=True)
class Result:
    """A result and its key."""

    location: str
    document: dict[str, Any]

    @property
    def outcome(self) -> str:
        """One of the three outcomes."""
        outcome: str = self.document["outcome"]
        return outcome

    @property
    def key(self) -> str:
        """Key of the upload that this is the result of."""
        key: str = self.document["source"]["key"]
        return key

    @property
    def label(self) -> str | None:
        """The most probable label, also below the threshold."""
        return self.document.get("label")

    @property
    def confidence(self) -> float | None:
        """The calibrated probability of the label."""
        return self.document.get("confidence")

    @property
    def reason(self) -> dict[str, Any]:
        """Code, message and retryable of what is not classified; else empty."""
        return self.document.get("reason") or {}

    @property
    def retryable(self) -> bool:
        """Whether it is a failure that the service tries again by itself."""
        return bool(self.reason.get("retryable"))

    @property
    def reviewer(self) -> str | None:
        """Who made the decision that is in force; None if no person did."""
        by: str | None = (self.document.get("review") or {}).get("by")
        return by

    @property
    def predicted(self) -> str | None:
        """The label that the model predicted, also if a person has decided since; None without a prediction."""
        if self.reviewer is None:
            return self.label
        shares = self.document.get("probabilities")
        return max(shares, key=shares.__getitem__) if shares else None

    @property
    def predicted_outcome(self) -> str:
        """The outcome that the service gave it, before the decision that is in force."""
        was = (self.document.get("review") or {}).get("was") or {}
        return str(was.get("outcome", self.outcome))

    @property
    def recorded(self) -> datetime:
        """When the result was written, by the clock of the function."""
        return datetime.fromisoformat(self.document["times"]["recorded"])


def iterate(
    s3: S3Client,
    bucket: str,
    *,
    outcomes: Iterable[str] = keys.OUTCOMES,
    label: str | None = None,
    prefix: str = "",
    unreadable: Callable[[str], None] = lambda _: None,
    workers: int = WORKERS,
    wait: Callable[[], object] = lambda: None,
) -> Iterator[Result]:
    """Results in the order of their keys, outcome by outcome, read ahead in parallel.

    Parameters
    ----------
    outcomes, label
        Only these.
    prefix
        Only results of uploads whose path below ``incoming/`` starts so.
    unreadable
        Called with a sentence for every object there that is not a result.
    wait
        Called before each one is read, in the thread that reads it.
    """
    locations = (location for outcome in outcomes for location in listed(s3, bucket, f"{outcome}/{prefix}"))

    def read(location: str) -> Result | str | None:
        wait()
        try:
            return get(s3, bucket, location)
        except UnreadableResult as error:
            return str(error)

    for found in ahead(read, locations, workers):
        if isinstance(found, str):
            unreadable(found)
        elif found is not None and (label is None or found.label == label):
            yield found


def get(s3: S3Client, bucket: str, location: str) -> Result | None:
    """The result at a key; None if there is none any more, for example as one under another prefix replaced it.

    Raises
    ------
    UnreadableResult
        If the object is not a result.
    """
    body, etag = s3_documents.read(s3, bucket, location)
    if etag is None:
        return None
    try:
        return Result(location, documents.parse(body))
    except ValueError as error:
        raise UnreadableResult(
            f"s3://{bucket}/{location} is not a result of Dropsort ({error}): somebody else put it there."
        ) from error


def listed(s3: S3Client, bucket: str, prefix: str) -> Iterator[str]:
    """Keys that begin so, in their order."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", ()):
            yield item["Key"]


def find(s3: S3Client, bucket: str, path: str, first: str = keys.CLASSIFIED) -> Result | None:
    """The result of an upload by its path below ``incoming/``, wherever it is; None if it has none that can be read.

    Parameters
    ----------
    first
        Outcome under which it probably is.
    """
    locations = keys.result_keys(path)
    for outcome in dict.fromkeys((first, *locations)):
        with contextlib.suppress(UnreadableResult):
            if found := get(s3, bucket, locations[outcome]):
                return found
    return None


def ahead(
    work: Callable[[_Item], _Value], items: Iterable[_Item], workers: int = WORKERS
) -> Iterator[_Value]:
    """``map(work, items)`` in threads, in order, with a bounded number of items under way."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="read")
    waiting: deque[Future[_Value]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
