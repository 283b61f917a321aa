"""Uploads files to ``incoming/``: in parallel, each once, large ones in parts.

A file that is there already, byte for byte, is not uploaded again unless requested: an interrupted drop continues where it stopped.
"""

from __future__ import annotations

import mimetypes
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from boto3.s3.transfer import TransferConfig

from dropsort.client.checksums import PART_BYTES, is_same
from dropsort.client.errors import DropError
from dropsort.client.files import LocalFile
from dropsort.client.results import ahead

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ObjectTypeDef, PutObjectOutputTypeDef

WORKERS = 16

SETTLE_SECONDS = 1.0  # without a change, after which a file counts as complete
PATIENCE_SECONDS = 60.0  # for a file that goes on changing
_FRESH_NANOSECONDS = 200_000_000  # a file changed less than this ago may still be written

_TRANSFER = TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=4)


@dataclass(frozen=True)
class Uploaded:
    """An upload that is in the bucket.

    ``started`` is this machine's time before any byte was sent, ``finished`` that of S3's response; both are None for
    what was there before.
    """

    file: LocalFile
    etag: str
    version: str | None = None
    started: datetime | None = None
    finished: datetime | None = None

    @property
    def fresh(self) -> bool:
        """Whether it was uploaded now, rather than found there."""
        return self.finished is not None


def drop(
    s3: S3Client,
    bucket: str,
    files: Iterable[LocalFile],
    *,
    again: bool = False,
    workers: int = WORKERS,
    admit: Callable[[], None] = lambda: None,
    done: Callable[[Uploaded], None] = lambda _: None,
) -> list[Uploaded]:
    """Upload `files`, those that are there already excepted, and return what is in the bucket now.

    Parameters
    ----------
    s3
        A client; shared by the workers.
    again
        Upload also what is there already: each upload is classified again.
    workers
        Files at a time.
    admit
        Called by a worker before each upload; may block to limit uploads in progress.
    done
        Called for each file, in the order in which they finish.

    Raises
    ------
    botocore.exceptions.ClientError, OSError, DropError
        Of the first file that failed (DropError: it is still being written); uploads under way are finished, no other is begun.
    """
    files = list(files)
    present = {} if again else _present(s3, bucket, files)
    finished: list[Uploaded] = []
    todo: list[LocalFile] = []

    def is_there(file: LocalFile) -> bool:
        if file.key not in present:
            return False
        size, etag = present[file.key]
        return size == file.size and is_same(s3, bucket, file.key, etag, file.path, size)

    for file, there in zip(files, ahead(is_there, files, workers), strict=True):
        if there:
            finished.append(Uploaded(file, present[file.key][1]))
            done(finished[-1])
        else:
            todo.append(file)

    def upload(file: LocalFile) -> Uploaded:
        admit()
        return _upload(s3, bucket, file)

    with ThreadPoolExecutor(workers, thread_name_prefix="drop") as pool:
        queue = iter(todo)
        running: set[Future[Uploaded]] = {pool.submit(upload, file) for file in islice(queue, 2 * workers)}
        try:
            while running:
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    finished.append(future.result())
                    done(finished[-1])
                running |= {pool.submit(upload, file) for file in islice(queue, len(ready))}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return finished


def _upload(s3: S3Client, bucket: str, file: LocalFile) -> Uploaded:
    """Upload a file that nobody is writing; again, if it was written meanwhile."""
    before = _settled(file)
    while True:
        found = _upload_once(s3, bucket, replace(file, size=before[0]))
        after = _state(file.path)
        if after == before:
            return found
        before = _settled(file)


def _state(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _settled(file: LocalFile) -> tuple[int, int]:
    """The state of a file, once it has been the same for `SETTLE_SECONDS`; one that has not changed since the walk is settled.

    Raises
    ------
    DropError
        It is still being written after `PATIENCE_SECONDS`.
    """
    state = _state(file.path)
    if state[0] == file.size and time.time_ns() - state[1] > _FRESH_NANOSECONDS:
        return state
    end = time.monotonic() + PATIENCE_SECONDS
    same_since = time.monotonic()
    while time.monotonic() - same_since < SETTLE_SECONDS:
        time.sleep(SETTLE_SECONDS / 10)
        now = _state(file.path)
        if now != state:
            state, same_since = now, time.monotonic()
        if time.monotonic() > end:
            raise DropError(f"{file.path} is still being written: drop it again when it is complete.")
    return state


def _upload_once(s3: S3Client, bucket: str, file: LocalFile) -> Uploaded:
    started = datetime.now(UTC)
    kind = mimetypes.guess_type(file.path.name)[0] or "application/octet-stream"
    response: PutObjectOutputTypeDef | HeadObjectOutputTypeDef
    if file.size < PART_BYTES:
        with file.path.open("rb") as body:
            response = s3.put_object(
                Bucket=bucket, Key=file.key, Body=body, ContentType=kind, ChecksumAlgorithm="CRC32"
            )
        finished = datetime.now(UTC)
    else:
        extra = {"ContentType": kind, "ChecksumAlgorithm": "CRC32"}  # which the next drop compares
        s3.upload_file(str(file.path), bucket, file.key, ExtraArgs=extra, Config=_TRANSFER)
        finished = datetime.now(UTC)
        response = s3.head_object(Bucket=bucket, Key=file.key)
    return Uploaded(file, response["ETag"].strip('"'), response.get("VersionId"), started, finished)


def _present(s3: S3Client, bucket: str, files: list[LocalFile]) -> dict[str, tuple[int, str]]:
    """Size and ETag of the keys of `files` that exist, from a listing of no more than their range."""
    wanted = {file.key for file in files}
    return {
        item["Key"]: (item["Size"], item["ETag"].strip('"'))
        for item in listing(s3, bucket, wanted)
        if item["Key"] in wanted
    }


def listing(s3: S3Client, bucket: str, wanted: Iterable[str]) -> Iterator[ObjectTypeDef]:
    """Objects from the smallest of the `wanted` keys, in S3's order, to the largest."""
    ordered = sorted(wanted, key=str.encode)
    if not ordered:
        return
    last = ordered[-1].encode()
    # StartAfter is exclusive: a proper prefix of the first key comes before it.
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, StartAfter=ordered[0][:-1]):
        for item in page.get("Contents", []):
            if item["Key"].encode() > last:
                return
            yield item
