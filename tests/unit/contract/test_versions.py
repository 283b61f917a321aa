"""The newest version of each key, from pages as S3 lists them, and how far ahead they are read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from dropsort.contract import versions
from dropsort.contract.versions import UnorderedListing, Version

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def item(key: str, version: str | None, latest: bool = True, **members: Any) -> dict[str, Any]:
    named = {} if version is None else {"VersionId": version}
    return {"Key": key, "ETag": f'"{key}"', "LastModified": NOW, "IsLatest": latest, **named, **members}


class Bucket:
    """A client that lists these pages, and remembers what was requested."""

    def __init__(self, *pages: dict[str, Any]) -> None:
        self.pages, self.options, self.listed = pages, dict[str, Any](), 0

    def get_paginator(self, name: str) -> Any:
        assert name == "list_object_versions"
        return self

    def paginate(self, **options: Any) -> Iterator[dict[str, Any]]:
        self.options = options
        for page in self.pages:
            self.listed += 1
            yield page


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def test_the_newest_version_of_each_key_that_was_not_deleted() -> None:
    pages: list[dict[str, Any]] = [
        {
            "Versions": [
                item("a", "1", Size=5),
                item("b", "2"),
                item("b", "1", latest=False),
                item("c", "1", latest=False),
                item("d", "2"),
            ],
            "DeleteMarkers": [item("c", "2")],
        },
        # AND a key whose versions are on two pages, and versions without an id
        {"Versions": [item("d", "1", latest=False), item("f", "null"), item("g", None)]},
        # AND one that was deleted and uploaded again
        {"Versions": [item("h", "2")], "DeleteMarkers": [item("h", "1", latest=False)]},
        {},
        {"Versions": [item("i", "1")]},
    ]
    assert list(versions.newest_of(pages)) == [
        Version("a", "1", "a", NOW, True, 5),
        Version("b", "2", "b", NOW, False),
        Version("d", "2", "d", NOW, False),
        Version("f", "null", "f", NOW, False),
        Version("g", "null", "g", NOW, False),
        Version("h", "2", "h", NOW, False),
        Version("i", "1", "i", NOW, True),
    ]
    assert list(versions.newest_of([])) == []
    assert list(versions.newest_of([{"DeleteMarkers": [item("z", "1")]}])) == []


def test_a_listing_that_goes_back_is_no_basis() -> None:
    found = versions.newest_of([{"Versions": [item("b", "1")]}, {"Versions": [item("a", "1")]}])
    assert next(found).key == "b"
    with pytest.raises(UnorderedListing, match=r"^'a' was listed after 'b'$"):
        next(found)


def test_a_listing_is_read_for_ascending_keys(pool: ThreadPoolExecutor) -> None:
    bucket: Any = Bucket({"Versions": [item(key, "1") for key in "bdf"]})
    listing = versions.VersionListing(bucket, "images", "incoming/", pool)
    assert bucket.options == {"Bucket": "images", "Prefix": "incoming/"}
    found = [listing.at(key) for key in "abbcefg"]
    assert [one and one.key for one in found] == [None, "b", "b", None, None, "f", None]
    versions.VersionListing(bucket, "images", "incoming/", pool, "incoming/m")
    assert bucket.options == {"Bucket": "images", "Prefix": "incoming/", "KeyMarker": "incoming/m"}
    empty: Any = Bucket()
    assert versions.VersionListing(empty, "images", "incoming/", pool).at("a") is None


def test_one_page_is_read_ahead(pool: ThreadPoolExecutor) -> None:
    bucket: Any = Bucket(*({"Versions": [item(key, "1")]} for key in "abcd"))
    pages = versions.read_ahead(bucket.paginate(), pool)
    assert next(pages)["Versions"][0]["Key"] == "a"
    pool.submit(int).result()  # the only worker has requested what it is to request
    assert bucket.listed == 2
    assert [page["Versions"][0]["Key"] for page in pages] == ["b", "c", "d"]
