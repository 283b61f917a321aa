"""Comparisons of long listings: memory, items as they are listed, and a listing out of order (a bucket that is made up)."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dropsort.contract import reconciliation
from dropsort.contract.versions import UnorderedListing

BUCKET = "images"


class Pages:
    """A listing of S3 made up as it is read: `count` uploads, each with a result but every `gap`-th."""

    def __init__(self, count: int, gap: int, prefix: str) -> None:
        self._count, self._gap, self._prefix = count, gap, prefix

    def _items(self) -> Iterator[dict[str, Any]]:
        now = datetime(2026, 11, 21, tzinfo=UTC)
        for number in range(self._count):
            path = f"{number:09}.png"
            if self._prefix == "incoming/":
                key = f"incoming/{path}"
            elif self._prefix == "classified/" and number % self._gap:
                key = f"classified/{path}.json"
            else:
                continue
            yield {"Key": key, "VersionId": "v", "ETag": '"e"', "LastModified": now, "IsLatest": True}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        page: list[dict[str, Any]] = []
        for item in self._items():
            page.append(item)
            if len(page) == 50:
                yield {"Versions": page}
                page = []
        yield {"Versions": page}


class Endless:
    """An S3 client whose bucket is made up."""

    def __init__(self, count: int, gap: int) -> None:
        self.count, self.gap = count, gap

    def get_paginator(self, name: str) -> Any:
        assert name == "list_object_versions"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Pages:
        return Pages(self.count, self.gap, Prefix)


def test_memory_does_not_grow_with_the_bucket() -> None:
    def peak(count: int) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            found = sum(1 for item in reconciliation.check(Endless(count, 100), BUCKET) if item.why)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert found == count / 100
        return most

    # The keys of 4,000 uploads alone, were they kept, need 310 KB each time. Threads that other tests left behind allocate, too, but seldom
    # three times in a row.
    assert any(peak(5_000) - peak(1_000) < 40 * 4_000 for _ in range(3))


def test_ignored_uploads_are_returned_as_they_are_listed() -> None:
    # GIVEN very many uploads that are all ignored
    listed = 0

    def ignored(_path: str) -> bool:
        nonlocal listed
        listed += 1
        return True

    checked = reconciliation.check(Endless(10_000, 100), BUCKET, ignored=ignored)
    # WHEN the first is taken THEN few of the others have been collected
    assert next(checked).ignored
    assert listed <= 4 * reconciliation.WORKERS + 1
    checked.close()  # type: ignore[attr-defined]


def test_a_listing_out_of_order_is_no_basis() -> None:
    class Directory(Endless):
        def paginate(self, *, Bucket: str, Prefix: str) -> Any:
            return reversed(list(Pages(3000, 10, Prefix)))

    with pytest.raises(UnorderedListing, match="was listed after"):
        list(reconciliation.check(Directory(0, 0), BUCKET))
