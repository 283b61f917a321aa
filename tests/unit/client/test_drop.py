"""Uploading: all of it, once, also after an interruption."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.config import Config

from dropsort.client import drop as drop_module
from dropsort.client import files
from dropsort.client.checksums import PART_BYTES
from dropsort.client.drop import drop
from dropsort.client.errors import DropError
from tests.unit.client.conftest import BUCKET


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(40):
        path = tmp_path / f"cam{number % 3}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * (number + 1))
    (tmp_path / "empty").write_bytes(b"")
    return tmp_path


def in_bucket(s3: Any) -> dict[str, bytes]:
    found = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return {item["Key"]: s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read() for item in found}


def test_everything_arrives_byte_for_byte(s3: Any, folder: Path) -> None:
    found, *_ = files.walk([folder])
    done: list[str] = []
    uploads = drop(s3, BUCKET, found, done=lambda item: done.append(item.file.key))
    assert in_bucket(s3) == {file.key: file.path.read_bytes() for file in found}
    assert sorted(done) == sorted(item.file.key for item in uploads) == [file.key for file in found]
    assert all(item.fresh and item.version for item in uploads)
    for key, kind in (("incoming/cam0/0.jpg", "image/jpeg"), ("incoming/empty", "application/octet-stream")):
        assert s3.head_object(Bucket=BUCKET, Key=key)["ContentType"] == kind


def test_an_upload_has_the_checksum_that_the_next_drop_compares(s3: Any, folder: Path) -> None:
    # GIVEN a client that adds checksums only where the service requires them
    client = boto3.client("s3", config=Config(request_checksum_calculation="when_required"))
    sent: list[str | None] = []
    client.meta.events.register(
        "before-call.s3.PutObject",
        lambda params, **_: sent.append(params["headers"].get("x-amz-sdk-checksum-algorithm")),
    )
    drop(client, BUCKET, files.walk([folder / "cam0"]).files[:1])
    assert sent == ["CRC32"]


def test_a_second_drop_uploads_only_what_is_new_or_changed(s3: Any, folder: Path) -> None:
    found, *_ = files.walk([folder])
    drop(s3, BUCKET, found)
    (folder / "cam0" / "0.jpg").write_bytes(b"!")  # as long as before
    (folder / "new.jpg").write_bytes(b"new")
    s3.put_object(Bucket=BUCKET, Key="incoming/zzz", Body=b"of somebody else")
    again, *_ = files.walk([folder])

    uploads = drop(s3, BUCKET, again)
    assert sorted(item.file.key for item in uploads if item.fresh) == [
        "incoming/cam0/0.jpg",
        "incoming/new.jpg",
    ]
    assert all(item.fresh for item in drop(s3, BUCKET, again, again=True))


def test_large_files_go_in_parts_and_are_recognised_again(s3: Any, tmp_path: Path) -> None:
    for name, size in (("exact", PART_BYTES), ("more", 2 * PART_BYTES + 7)):
        (tmp_path / name).write_bytes(b"\x01" * size)
    found, *_ = files.walk([tmp_path])
    first = drop(s3, BUCKET, found)
    assert {item.file.key: item.etag.partition("-")[2] for item in first} == {
        "incoming/exact": "1",
        "incoming/more": "3",
    }
    assert not any(item.fresh for item in drop(s3, BUCKET, found))


def test_interrupted_drop_stops_and_is_completed_by_the_next(s3: Any, folder: Path) -> None:
    found, *_ = files.walk([folder])
    count = 0

    def done(_: Any) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drop(s3, BUCKET, found, workers=2, done=done)
    assert 5 <= len(in_bucket(s3)) < len(found)
    drop(s3, BUCKET, found)
    assert len(in_bucket(s3)) == len(found)


def test_what_to_do_after_an_interruption_depends_on_what_is_uploaded() -> None:
    from dropsort.cli.drop import interrupted

    assert interrupted(2, 3).endswith("to upload the rest.")
    assert interrupted(3, 3).endswith("to wait for their results.")


def test_a_file_that_vanishes_is_an_error_that_names_it(s3: Any, folder: Path) -> None:
    found, *_ = files.walk([folder])
    (folder / "cam1" / "1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.jpg"):
        drop(s3, BUCKET, found)


def test_no_upload_begins_after_one_has_failed(s3: Any, folder: Path, shut_down: threading.Event) -> None:
    # GIVEN two uploads at a time, of files that are gone, and two in the queue
    found = files.walk([folder / "cam1"]).files
    for file in found:
        file.path.unlink()
    begun: list[int] = []

    def admit() -> None:
        begun.append(0)
        assert len(begun) == 1 or shut_down.wait(30)

    with pytest.raises(FileNotFoundError):
        drop(s3, BUCKET, found, workers=2, admit=admit)
    # THEN the worker that has failed may have begun with the third, and nobody begins with the fourth
    assert len(begun) in (2, 3)


@pytest.mark.parametrize(
    ("block", "operation"),
    [(1000, "PutObject"), (PART_BYTES, "CompleteMultipartUpload")],
    ids=["in one piece", "in parts"],
)
def test_a_file_that_is_being_written_is_uploaded_whole(
    s3: Any, tmp_path: Path, block: int, operation: str
) -> None:
    # GIVEN a file that grows during each of its first two uploads
    path = tmp_path / "growing.jpg"
    path.write_bytes(b"x" * block)
    found, *_ = files.walk([tmp_path])
    uploads = iter(range(2))

    def write(**_: Any) -> None:
        if next(uploads, None) is not None:
            with path.open("ab") as file:
                file.write(b"y" * block)

    s3.meta.events.register(f"before-call.s3.{operation}", write)
    # WHEN it is dropped
    (upload,) = drop(s3, BUCKET, found)
    # THEN the bucket has all of it
    assert in_bucket(s3)["incoming/growing.jpg"] == path.read_bytes()
    assert upload.file.size == path.stat().st_size == 3 * block


@pytest.mark.parametrize("grown", [True, False], ids=["grown since it was found", "changed a moment ago"])
def test_a_file_that_may_still_be_written_is_waited_for(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grown: bool
) -> None:
    # GIVEN a file of which parts are not there yet; the time of its last change may be that of the file it is a copy of
    path, parts = tmp_path / "copied.jpg", [b"third"] * 15

    def write(part: bytes) -> None:
        with path.open("ab") as file:
            file.write(part)
        if grown:
            os.utime(path, (1e9, 1e9))

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if parts:
            write(parts.pop())

    write(b"first")
    found, *_ = files.walk([tmp_path])
    if grown:
        write(b"second")
    monkeypatch.setattr(drop_module, "_FRESH_NANOSECONDS", 10**12)  # however busy the machine is
    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic, time_ns=time.time_ns)
    monkeypatch.setattr(drop_module, "time", clock)
    # WHEN it is dropped THEN the bucket has all of it
    drop(s3, BUCKET, found)
    assert in_bucket(s3) == {"incoming/copied.jpg": path.read_bytes()}
    assert path.read_bytes().endswith(b"third" * 15)


def test_no_more_of_the_bucket_is_listed_than_the_range_of_the_files(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    wanted = ["incoming/m1", "incoming/m2"]
    for key in (*(f"incoming/{letter}{number}" for letter in "az" for number in range(6)), *wanted):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    pages: list[Any] = []
    s3.meta.events.register("after-call.s3.ListObjectsV2", lambda **call: pages.append(call))
    assert [item["Key"] for item in drop_module.listing(s3, BUCKET, wanted[::-1])] == wanted
    assert len(pages) <= 2


def test_a_file_that_never_stops_changing_is_named(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_module, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(drop_module, "SETTLE_SECONDS", 1.0)
    monkeypatch.setattr(drop_module, "_FRESH_NANOSECONDS", 10**12)  # however busy the machine is
    path = tmp_path / "log"
    path.write_bytes(b"x")
    found, *_ = files.walk([tmp_path])
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.05):
            with path.open("ab") as file:
                file.write(b"y")

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(DropError, match="log is still being written"):
        drop(s3, BUCKET, found)
    stop.set()
    writer.join()
    assert not in_bucket(s3)
