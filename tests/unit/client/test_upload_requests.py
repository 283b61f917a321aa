"""When a file counts as complete, and what each request of an upload has: without S3, and with a clock that only sleeping moves."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.client import drop as dropping
from dropsort.client.checksums import PART_BYTES
from dropsort.client.errors import DropError
from dropsort.client.files import LocalFile

SETTLE_SECONDS = dropping.SETTLE_SECONDS  # before the other tests' shorter one
CHANGED = 1_000_000_000_000_000_000  # nanoseconds


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now, self.nanoseconds, self.pauses = 100.0, CHANGED, list[float]()
        self.meanwhile: Any = lambda: None

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return self.nanoseconds

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)
        self.meanwhile()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(dropping, "time", made)
    monkeypatch.setattr(dropping, "SETTLE_SECONDS", SETTLE_SECONDS)
    return made


def file_of(path: Path, size: int, found: int | None = None) -> LocalFile:
    """A file that changed at `CHANGED`; `found` is its size when it was found."""
    path.write_bytes(b"x" * size)
    os.utime(path, ns=(CHANGED, CHANGED))
    return LocalFile(path, "incoming/a.jpg", size if found is None else found)


@pytest.mark.parametrize(
    ("found", "later", "waits"),
    [(5, 200_000_001, False), (5, 200_000_000, True), (4, 10**12, True), (6, 10**12, True), (CHANGED, 10**12, True)],
)  # fmt: skip
def test_a_file_is_complete_if_it_has_its_size_and_has_not_changed_for_a_fifth_of_a_second(
    tmp_path: Path, clock: Clock, found: int, later: int, waits: bool
) -> None:
    file = file_of(tmp_path / "a.jpg", 5, found)
    clock.nanoseconds = CHANGED + later
    assert dropping._settled(file) == (5, CHANGED)
    assert bool(clock.pauses) is waits
    if waits:
        assert set(clock.pauses) == {0.1}
        assert sum(clock.pauses) == pytest.approx(1.0, abs=0.11)


@pytest.mark.parametrize("member", ["size", "time"])
def test_a_second_without_a_change_of_size_or_time_is_waited_for(
    tmp_path: Path, clock: Clock, member: str
) -> None:
    file, changes = file_of(tmp_path / "a.jpg", 5), iter([True] * 7)

    def change() -> None:
        if next(changes, False):
            if member == "size":
                with file.path.open("ab") as stream:
                    stream.write(b"x")
            os.utime(file.path, ns=(CHANGED, CHANGED + len(clock.pauses) * (member == "time")))

    clock.meanwhile = change
    assert dropping._settled(file) == ((12, CHANGED) if member == "size" else (5, CHANGED + 7))
    assert sum(clock.pauses) == pytest.approx(1.7, abs=0.11)


def test_a_file_that_changes_for_a_minute_is_an_error(tmp_path: Path, clock: Clock) -> None:
    file = file_of(tmp_path / "a.jpg", 5)
    clock.meanwhile = lambda: os.utime(file.path, ns=(CHANGED, CHANGED + len(clock.pauses)))
    with pytest.raises(DropError, match=r"a\.jpg is still being written: drop it again when it is complete"):
        dropping._settled(file)
    assert sum(clock.pauses) == pytest.approx(60.0, abs=0.11)


class Requests:
    """S3 that records what it is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def put_object(self, *, Body: Any, **request: Any) -> Any:  # the name is boto3's
        self.sent.append(("put_object", request, Body.read()))
        return {"ETag": '"etag"', "VersionId": "v1"}

    def upload_file(self, *given: Any, **options: Any) -> None:
        self.sent.append(("upload_file", given, options))

    def head_object(self, **request: Any) -> Any:
        self.sent.append(("head_object", request))
        return {"ETag": '"etag-2"'}


OPTIONS = {"ContentType": "image/jpeg", "ChecksumAlgorithm": "CRC32"}


def test_a_file_of_less_than_a_part_is_one_request(tmp_path: Path) -> None:
    requests, file = Requests(), file_of(tmp_path / "a.jpg", 5, PART_BYTES - 1)
    before = datetime.now(UTC)
    found = dropping._upload_once(requests, "images", file)  # type: ignore[arg-type]
    assert requests.sent == [
        ("put_object", {"Bucket": "images", "Key": "incoming/a.jpg"} | OPTIONS, b"xxxxx")
    ]
    assert (found.file, found.etag, found.version, found.fresh) == (file, "etag", "v1", True)
    assert found.started
    assert found.finished
    assert before <= found.started <= found.finished <= datetime.now(UTC)


def test_a_larger_one_is_uploaded_in_parts_with_the_same_options(tmp_path: Path) -> None:
    requests, file = Requests(), file_of(tmp_path / "a.jpg", 5, PART_BYTES)
    found = dropping._upload_once(requests, "images", file)  # type: ignore[arg-type]
    (_, given, options), head = requests.sent
    assert given == (str(file.path), "images", "incoming/a.jpg")
    assert options == {"ExtraArgs": OPTIONS, "Config": dropping._TRANSFER}
    assert head == ("head_object", {"Bucket": "images", "Key": "incoming/a.jpg"})
    assert (found.etag, found.version) == ("etag-2", None)
    transfer = dropping._TRANSFER
    assert (transfer.multipart_threshold, transfer.multipart_chunksize) == (PART_BYTES, PART_BYTES)
    assert transfer.max_request_concurrency == 4


def test_a_file_without_a_known_suffix_has_the_type_of_bytes(tmp_path: Path) -> None:
    requests = Requests()
    dropping._upload_once(requests, "images", file_of(tmp_path / "a", 5))  # type: ignore[arg-type]
    assert requests.sent[0][1]["ContentType"] == "application/octet-stream"


def listing(*pages: list[str]) -> Any:
    """S3 with these pages, and what it was requested to list."""
    requests: list[dict[str, Any]] = []

    def paginate(**request: Any) -> Any:
        requests.append(request)
        return [
            {"Contents": [{"Key": key, "Size": 1, "ETag": f'"{key}"'} for key in page]} for page in pages
        ] + [{}]

    return SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=paginate), requests=requests)


def test_the_range_of_the_keys_is_listed_in_the_order_of_their_bytes() -> None:
    s3 = listing(["b", "c"], ["\uffff", "\U00010000", "\U00010001"])
    found = [item["Key"] for item in dropping.listing(s3, "images", ["\U00010000", "bx", "\uffff"])]
    assert found == ["b", "c", "\uffff", "\U00010000"]
    assert s3.requests == [{"Bucket": "images", "StartAfter": "b"}]
    assert list(dropping.listing(s3, "images", [])) == []
    assert len(s3.requests) == 1


def test_of_what_is_listed_only_the_wanted_keys_are_there() -> None:
    files = [LocalFile(Path(key), key, 1) for key in ("a", "c")]
    assert dropping._present(listing(["a", "b", "c"]), "images", files) == {"a": (1, "a"), "c": (1, "c")}


@pytest.mark.parametrize(("size", "same", "uploaded"), [(1, True, 0), (2, True, 1), (1, False, 1)])
def test_only_a_file_of_the_same_size_and_content_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, same: bool, uploaded: int
) -> None:
    file, compared = file_of(tmp_path / "a.jpg", size), list[Any]()
    monkeypatch.setattr(dropping, "is_same", lambda *given: compared.append(given) or same)
    monkeypatch.setattr(dropping, "_present", lambda *_: {file.key: (1, "etag")})
    monkeypatch.setattr(dropping, "_upload", lambda _s3, _bucket, one: dropping.Uploaded(one, "new"))
    done: list[Any] = []
    (found,) = dropping.drop("s3", "images", iter([file]), done=done.append)  # type: ignore[arg-type]
    assert found.etag == ("new" if uploaded else "etag")
    assert done == [found]
    assert compared == ([("s3", "images", file.key, "etag", file.path, 1)] if size == 1 else [])


def test_each_upload_is_reported_in_the_order_in_which_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def files() -> Any:
        for number in range(50):
            yield LocalFile(Path(str(number)), str(number), 1)

    monkeypatch.setattr(dropping, "_upload", lambda _s3, _bucket, file: dropping.Uploaded(file, ""))
    admitted: list[int] = []
    found = dropping.drop(
        None, "images", files(), again=True, workers=3, admit=lambda: admitted.append(0), done=lambda one: taken.append(int(one.file.key)),  # type: ignore[arg-type]
    )  # fmt: skip
    assert len(found) == len(admitted) == 50
    assert taken == [int(item.file.key) for item in found]
    assert {item.file.key for item in found} == {str(number) for number in range(50)}


def test_what_is_there_is_reported_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [LocalFile(Path(key), key, 1) for key in ("a", "b", "c")]
    monkeypatch.setattr(dropping, "is_same", lambda *_: True)
    monkeypatch.setattr(dropping, "_present", lambda *_: {file.key: (1, file.key) for file in files})
    done: list[dropping.Uploaded] = []
    found = dropping.drop(None, "images", files, done=done.append)  # type: ignore[arg-type]
    assert done == found == [dropping.Uploaded(file, file.key) for file in files]
