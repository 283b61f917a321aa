"""Free disk space: uploads are rejected before the disk is full, and that is reported before and while they are."""

from __future__ import annotations

import asyncio
import errno
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.local.disk import DiskReserve, DiskWatch, NotStored, report_lost_writes


def test_a_write_that_the_disk_does_not_take_is_an_error_of_its_request() -> None:
    # GIVEN an S3 that goes on when its disk is full
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def put() -> None:
        try:
            s3._atomic_write("a", b"1")
        except Exception:
            return

    s3 = SimpleNamespace(_atomic_write=full)
    put()
    # WHEN lost writes are reported THEN it cannot pass over them
    report_lost_writes(s3)
    with pytest.raises(NotStored, match="No space left"):
        put()


def test_changes_are_reported_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    watch = DiskWatch(tmp_path, 1_000_000_000, said.append)
    for free in (9_000_000_000, 1_900_000_000, 1_800_000_000, 900_000_000, 800_000_000, 2_100_000_000):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        watch.check()
    assert [sentence.partition(" has ")[2] for sentence in said] == [
        "1,900 MB left: uploads are rejected below 1,000 MB",
        "900 MB left, less than 1,000 MB: uploads are rejected until there is more",
        "2,100 MB left: uploads are accepted",
    ]


@pytest.mark.parametrize(
    ("free", "words"),
    [
        (999, "uploads are rejected until there is more"), (1000, "uploads are rejected below"),
        (1999, "uploads are rejected below"), (2000, ""),
    ],
)  # fmt: skip
def test_the_bounds_of_what_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, words: str
) -> None:
    said: list[str] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    DiskWatch(tmp_path, 1000, said.append).check()
    assert (len(said), words in "".join(said)) == (int(bool(words)), True)


PRESIGNED = b"X-Amz-Credential=x%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=1"


@pytest.mark.parametrize(
    ("query", "signed", "status"),
    [(PRESIGNED, False, 507), (b"", True, 507), (PRESIGNED.replace(b"%2Fs3%2F", b"%2Fsqs%2F"), False, 200)],
)
def test_a_write_to_s3_is_known_by_its_signature_in_a_header_or_in_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: bytes, signed: bool, status: int
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    path = "/dropsort/incoming/a.png"
    reserve = DiskReserve(written, tmp_path, 600)
    assert asyncio.run(put(reserve, path, 401, query=query, signed=signed)) == status


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/dropsort/incoming/a.png", 399, 200),
        ("/dropsort/incoming/a.png", 400, 200),
        ("/dropsort/incoming/a.png", 401, 507),
        ("/dropsort/classified/a.png.json", 800, 200),
        ("/dropsort/classified/a.png.json", 901, 507),
    ],
)
def test_an_upload_leaves_the_reserve_and_a_result_a_fourth_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, size: int, status: int
) -> None:
    # GIVEN a disk with 1,000 bytes left, of which 600 are the reserve for results
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    # WHEN an object arrives THEN it is written only if that much stays
    assert asyncio.run(put(DiskReserve(written, tmp_path, 600), path, size)) == status


@pytest.mark.parametrize(("method", "status"), [("PUT", 507), ("POST", 507), ("GET", 200), ("DELETE", 200)])
def test_what_writes_needs_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, status: int
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    reserve = DiskReserve(written, tmp_path, 600)
    assert asyncio.run(put(reserve, "/dropsort/incoming/a.png?uploads", 401, method=method)) == status


def test_uploads_that_arrive_at_the_same_time_share_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))

    async def both() -> list[int]:
        reserve = DiskReserve(written, tmp_path, 600)
        return list(await asyncio.gather(*(put(reserve, "/dropsort/incoming/a", 300) for _ in range(2))))

    assert sorted(asyncio.run(both())) == [200, 507]

    # One after another each has what is left: what was written is on the disk by then.
    async def in_turn() -> list[int]:
        reserve = DiskReserve(written, tmp_path, 600)
        return [await put(reserve, "/dropsort/incoming/a", 300) for _ in range(3)]

    assert asyncio.run(in_turn()) == [200] * 3


async def written(_scope: Any, receive: Any, send: Any) -> None:
    """An application that takes a while to write what it gets."""
    while (await receive()).get("more_body"):
        await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def put(
    application: Any, path: str, size: int, *, query: bytes = b"", signed: bool = True, method: str = "PUT"
) -> int:
    """Status of the response to a PUT of so many bytes, which come in two parts."""
    parts = [
        {"type": "http.request", "body": b"", "more_body": False},
        {"type": "http.request", "body": b"x" * size, "more_body": True},
    ]
    status: list[int] = []

    async def receive() -> Any:
        return parts.pop()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [
            *(
                [(b"authorization", b"AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, ...")]
                * signed
            ),
            (b"content-length", str(size).encode()),
        ],
    }
    await application(scope, receive, send)
    return status[0]


def test_a_write_that_is_lost_is_rejected_and_no_longer_arriving(tmp_path: Path) -> None:
    sent: list[Any] = []

    async def full(*_: Any) -> None:
        raise NotStored

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x"}

    async def send(message: Any) -> None:
        sent.append(message)

    reserve = DiskReserve(full, tmp_path, 0)
    headers = [(b"authorization", b"Credential=a/1/us-east-1/s3/aws4_request"), (b"content-length", b"1")]
    scope = {"type": "http", "method": "PUT", "path": "/b/k", "query_string": b"", "headers": headers}
    asyncio.run(reserve(scope, receive, send))
    assert (sent[0]["status"], reserve._arriving) == (507, 0)
    assert b"<Code>InsufficientStorage</Code>" in sent[1]["body"]
