"""The newest version of every key of a listing, by key, and its pages read ahead."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class UnorderedListing(Exception):
    """A listing was not in the order of its keys, as that of a directory bucket is; nothing can be compared then."""


@dataclass(frozen=True, slots=True)
class Version:
    """The newest version of a key.

    ``single`` says that the bucket holds no other version of the key, nor a mark of a deletion. ``size`` is in bytes.
    """

    key: str
    version_id: str
    etag: str
    written: datetime
    single: bool
    size: int | None = None


def newest(
    client: S3Client, bucket: str, prefix: str, pool: ThreadPoolExecutor, after: str = ""
) -> Iterator[Version]:
    """The newest version of every key below a prefix that was not deleted, by key; one page is read ahead."""
    start: Any = {"KeyMarker": after} if after else {}
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix, **start)
    return newest_of(read_ahead(pages, pool))


def newest_of(pages: Iterable[Any]) -> Iterator[Version]:
    """The same of the pages of a listing.

    Raises
    ------
    UnorderedListing
        S3 did not list by key.
    """
    key, latest, count = "", None, 0
    for page in pages:
        versions = [(item["Key"], item) for item in page.get("Versions", ())]
        marks = [(item["Key"], None) for item in page.get("DeleteMarkers", ())]
        for name, item in heapq.merge(versions, marks, key=lambda pair: pair[0]):
            if name != key:
                if latest is not None:
                    yield _version(latest, count)
                if name < key:
                    raise UnorderedListing(f"{name!r} was listed after {key!r}")
                key, latest, count = name, None, 0
            count += 1
            if item is not None and item["IsLatest"]:
                latest = item
    if latest is not None:
        yield _version(latest, count)


def _version(item: dict[str, Any], count: int) -> Version:
    version = item.get("VersionId") or "null"
    # What has no version id of its own may have been replaced without a trace.
    single = count == 1 and version != "null"
    etag = item["ETag"].strip('"')
    return Version(item["Key"], version, etag, item["LastModified"], single, item.get("Size"))


class VersionListing:
    """One listing, read for keys in ascending order."""

    def __init__(
        self, client: S3Client, bucket: str, prefix: str, pool: ThreadPoolExecutor, after: str = ""
    ) -> None:
        self._versions = newest(client, bucket, prefix, pool, after)
        self._next = next(self._versions, None)

    def at(self, location: str) -> Version | None:
        """The object at this key; None if there is none."""
        while self._next is not None and self._next.key < location:
            self._next = next(self._versions, None)
        return self._next if self._next is not None and self._next.key == location else None


def read_ahead(pages: Iterable[Any], pool: ThreadPoolExecutor) -> Iterator[Any]:
    """The pages of a listing, the next one requested while this one is worked on."""
    rest = iter(pages)
    coming = pool.submit(next, rest, None)
    while (page := coming.result()) is not None:
        coming = pool.submit(next, rest, None)
        yield page
