"""A backfill copies what is below a prefix, once, and continues where it was interrupted (moto's S3)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.client import backfill
from dropsort.client.errors import ClientError
from tests.unit.client.conftest import BUCKET


@pytest.fixture
def archive(s3: Any) -> backfill.CopySource:
    """Another bucket with forty images, a folder marker, and something next to them."""
    s3.create_bucket(Bucket="archive")
    for number in range(40):
        s3.put_object(Bucket="archive", Key=f"2024/é {number:02}+.jpg", Body=b"%d" % number)
    for key in ("2024/", "2025/a.jpg"):
        s3.put_object(Bucket="archive", Key=key, Body=b"")
    return backfill.source("s3://archive/2024/", None, BUCKET)


def uploaded(s3: Any) -> list[str]:
    found = s3.list_object_versions(Bucket=BUCKET, Prefix="incoming/").get("Versions", [])
    return [item["Key"] for item in found]


def test_everything_below_the_prefix_is_copied(s3: Any, archive: backfill.CopySource) -> None:
    assert backfill.plan(s3, archive) == backfill.CopyPlan(40, 70)
    assert backfill.copy(s3, BUCKET, archive, per_second=1e6) == 40
    assert uploaded(s3) == [f"incoming/2024/é {number:02}+.jpg" for number in range(40)]
    assert s3.get_object(Bucket=BUCKET, Key="incoming/2024/é 07+.jpg")["Body"].read() == b"7"
    # AND a second time nothing is left
    after = backfill.resumed_after(s3, BUCKET, archive)
    assert backfill.plan(s3, archive, after) == backfill.CopyPlan(0, 0)


def test_it_continues_where_it_was_interrupted(s3: Any, archive: backfill.CopySource) -> None:
    def interrupt(count: int) -> None:
        if count == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backfill.copy(s3, BUCKET, archive, per_second=1e6, done=interrupt)
    after = backfill.resumed_after(s3, BUCKET, archive)
    assert after == "2024/é 14+.jpg"
    assert backfill.copy(s3, BUCKET, archive, per_second=1e6, after=after) == 25
    assert set(uploaded(s3)) == {f"incoming/2024/é {number:02}+.jpg" for number in range(40)}


def test_an_object_that_fails_is_where_it_continues(s3: Any, archive: backfill.CopySource) -> None:
    class Denying:
        """S3 that denies one object, and has lost another since it was listed."""

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def copy_object(self, **request: Any) -> Any:
            if request["CopySource"]["Key"] == "2024/é 20+.jpg":
                request["CopySource"]["Bucket"] = "no-such-bucket"
            if request["CopySource"]["Key"] == "2024/é 10+.jpg":
                request["CopySource"]["Key"] = "2024/gone"
            return s3.copy_object(**request)

    with pytest.raises(s3.exceptions.ClientError, match="NoSuchBucket"):
        backfill.copy(Denying(), BUCKET, archive, per_second=1e6)
    assert backfill.resumed_after(s3, BUCKET, archive) == "2024/é 19+.jpg"
    assert "incoming/2024/é 10+.jpg" not in uploaded(s3)


def test_two_backfills_do_not_share_their_progress(s3: Any, archive: backfill.CopySource) -> None:
    backfill.copy(s3, BUCKET, archive, per_second=1e6)
    other = backfill.source("s3://archive/2024/", "elsewhere", BUCKET)
    assert backfill.resumed_after(s3, BUCKET, other) == ""
    assert other.target("2024/a/b.jpg") == "incoming/elsewhere/a/b.jpg"
    s3.put_object(Bucket=BUCKET, Key=archive.place, Body=b"[")
    assert backfill.resumed_after(s3, BUCKET, archive) == ""


@pytest.mark.parametrize(
    "url",
    [
        "archive/2024",
        "s3:///2024",
        "https://archive/2024",
        f"s3://{BUCKET}/incoming/cam1/",
        f"s3://{BUCKET}/",
        f"s3://{BUCKET}/inc",
    ],
)
def test_what_cannot_be_a_source(url: str) -> None:
    with pytest.raises(ClientError, match=r"is not s3://|is uploaded already"):
        backfill.source(url, None, BUCKET)


@pytest.mark.parametrize(
    ("url", "target"),
    [(f"s3://{BUCKET}/old/a/", "incoming/old/a/b.jpg"), ("s3://archive", "incoming/old/a/b.jpg")],
    ids=["another prefix of the service's own bucket", "a whole bucket"],
)
def test_what_can_be_a_source(url: str, target: str) -> None:
    assert backfill.source(url, None, BUCKET).target("old/a/b.jpg") == target


def test_copies_are_of_the_storage_class_that_was_given(s3: Any, archive: backfill.CopySource) -> None:
    backfill.copy(s3, BUCKET, archive, per_second=1e6, storage_class="STANDARD_IA", after="2024/é 37+.jpg")
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix="incoming/")["Contents"]
    assert [item["StorageClass"] for item in found] == ["STANDARD_IA"] * 2


def test_copies_begin_at_the_rate_that_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a clock that only sleeping moves, and copies that end at once
    now, begun = 100.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    class Listing:
        """S3 that lists ten objects and takes the copies and the progress."""

        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: Any) -> Iterator[Any]:
            for number in range(10):
                begun.append(now)
                yield {"Contents": [{"Key": str(number), "Size": 1}]}

        def copy_object(self, **_: Any) -> None:
            """Copy."""

        put_object = copy_object

    monkeypatch.setattr(backfill, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now))
    backfill.copy(Listing(), BUCKET, backfill.CopySource("a", "", ""), per_second=4)
    # THEN the next is listed when the one before may begin
    assert begun == [100.0, *(100 + number / 4 for number in range(9))]


def test_few_copies_are_begun_before_others_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a thousand objects, and copies that take a while
    monkeypatch.setattr(backfill, "WORKERS", 2)
    listed, most = 0, 0

    def objects(*_: Any) -> Iterator[tuple[str, int]]:
        nonlocal listed
        for number in range(1000):
            listed = number
            yield f"{number:04}", 1

    class Slow:
        """S3 that takes a moment for its first copy."""

        copied = 0

        def copy_object(self, **_: Any) -> None:
            nonlocal most
            if not self.copied:
                time.sleep(0.1)
                most = listed
            self.copied += 1

        def put_object(self, **_: Any) -> None:
            """Take the progress."""

    monkeypatch.setattr(backfill, "objects", objects)
    assert backfill.copy(Slow(), BUCKET, backfill.CopySource("a", "", ""), per_second=1e6) == 1000
    # THEN no more of them are held than twice as many as are copied at once
    assert most <= 4


def test_no_copy_begins_after_the_source_could_not_be_listed(
    monkeypatch: pytest.MonkeyPatch, shut_down: threading.Event
) -> None:
    copied: list[str] = []

    class Failing:
        """S3 whose copies take until no other can begin, and whose listing fails after three objects."""

        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: Any) -> Iterator[Any]:
            yield {"Contents": [{"Key": key, "Size": 1} for key in "abc"]}
            raise ConnectionError

        def copy_object(self, CopySource: dict[str, str], **_: Any) -> None:
            copied.append(CopySource["Key"])
            assert shut_down.wait(30)

    monkeypatch.setattr(backfill, "WORKERS", 2)
    with pytest.raises(ConnectionError):
        backfill.copy(Failing(), BUCKET, backfill.CopySource("c", "", ""), per_second=1e6)
    assert "c" not in copied


@pytest.mark.parametrize(("size", "copied"), [(backfill.MOST_BYTES, True), (backfill.MOST_BYTES + 1, False)])
def test_what_is_too_large_for_one_copy_is_left_out(size: int, copied: bool) -> None:
    class Listing:
        """S3 with one object."""

        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **_: Any) -> Any:
            return [{"Contents": [{"Key": "a", "Size": size}]}, {}]

    assert (list(backfill.objects(Listing(), backfill.CopySource("b", "", ""))) == [("a", size)]) is copied
