"""Copies what is below a prefix into ``incoming/``, on the server's side and at a limited rate, so that it is classified as any upload.

An upload is an object below ``incoming/`` of the service's bucket, and that stays so: its key says where its result is, its versions and
its events order its results, and no function of the service may read any other bucket. What it costs is the copies' storage.

The last key that was copied, with all before it, is kept in the service's bucket, so that a backfill continues where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError as AwsError

from dropsort.client.errors import ClientError
from dropsort.contract import backlog, keys, s3_documents

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WORKERS = 32
SAVE_EVERY = 1000  # objects
MOST_BYTES = 5_000_000_000  # of one copy


@dataclass(frozen=True)
class CopySource:
    """Where objects come from and where below ``incoming/`` they go."""

    bucket: str
    prefix: str
    to: str

    def target(self, key: str) -> str:
        """The key of the copy of an object."""
        return f"{keys.INCOMING}{self.to}{key.removeprefix(self.prefix).removeprefix('/')}"

    @property
    def place(self) -> str:
        """Key of what is kept of the progress; the same for the same backfill."""
        identity = "\0".join((self.bucket, self.prefix, self.to))
        return f"{backlog.PREFIX}backfill-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"


@dataclass(frozen=True)
class CopyPlan:
    """What is left to copy."""

    objects: int
    bytes: int


def source(url: str, to: str | None, bucket: str) -> CopySource:
    """Read ``s3://bucket/prefix``.

    Parameters
    ----------
    to
        Folder below ``incoming/``; None for the source's path.
    bucket
        The service's.

    Raises
    ------
    ClientError
        It is no such URL, is what is uploaded already, or would copy copies.
    """
    parts = urlsplit(url)
    prefix = parts.path.removeprefix("/")
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise ClientError(f"{url!r} is not s3://bucket/prefix.")
    if parts.netloc == bucket and keys.INCOMING.startswith(prefix[: len(keys.INCOMING)]):
        raise ClientError(
            f"s3://{bucket}/{keys.INCOMING} is uploaded already: `dropsort redrive` classifies what has no result."
        )
    folder = (prefix if to is None else to).strip("/")
    return CopySource(parts.netloc, prefix, f"{folder}/" if folder else "")


def resumed_after(s3: S3Client, bucket: str, origin: CopySource) -> str:
    """The key after which to continue; empty from the beginning."""
    body, _ = s3_documents.read(s3, bucket, origin.place)
    try:
        return str(json.loads(body)["after"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


def objects(s3: S3Client, origin: CopySource, after: str = "") -> Iterator[tuple[str, int]]:
    """Keys and sizes of what is to be copied, in the order of keys; folder markers and what is too large are left out."""
    start: Any = {"StartAfter": after} if after else {}
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=origin.bucket, Prefix=origin.prefix, **start)
    for page in pages:
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/") and item["Size"] <= MOST_BYTES:
                yield item["Key"], item["Size"]


def plan(s3: S3Client, origin: CopySource, after: str = "") -> CopyPlan:
    """Count what is left to copy."""
    count = size = 0
    for _, bytes_ in objects(s3, origin, after):
        count, size = count + 1, size + bytes_
    return CopyPlan(count, size)


def copy(
    s3: S3Client,
    bucket: str,
    origin: CopySource,
    *,
    per_second: float,
    storage_class: str | None = None,
    after: str = "",
    done: Callable[[int], None] = lambda _: None,
) -> int:
    """Copy what is left; return how many objects that were. Interrupted at any time, it has saved how far it came.

    An object that has gone since it was listed is left out.

    Raises
    ------
    botocore.exceptions.ClientError
        S3 failed with one object; those before it are copied.
    """
    more: Any = {"StorageClass": storage_class} if storage_class else {}

    def one(key: str) -> str:
        try:
            s3.copy_object(
                Bucket=bucket,
                Key=origin.target(key),
                CopySource={"Bucket": origin.bucket, "Key": key},
                **more,
            )
        except AwsError as error:
            if s3_documents.code(error) not in s3_documents.MISSING:
                raise
        return key

    copied, last, begun = 0, after, time.monotonic()
    waiting: deque[Future[str]] = deque()
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="backfill")
    try:
        for key, _ in objects(s3, origin, after):
            time.sleep(max(0.0, begun + (copied + len(waiting)) / per_second - time.monotonic()))
            waiting.append(pool.submit(one, key))
            while waiting and (len(waiting) >= 2 * WORKERS or waiting[0].done()):
                last = waiting.popleft().result()
                copied += 1
                done(copied)
                if copied % SAVE_EVERY == 0:
                    _save(s3, bucket, origin, last)
        while waiting:
            last = waiting.popleft().result()
            copied += 1
            done(copied)
    finally:
        pool.shutdown(cancel_futures=True)
        if last != after:
            _save(s3, bucket, origin, last)
    return copied


def _save(s3: S3Client, bucket: str, origin: CopySource, last: str) -> None:
    document = {"source": f"s3://{origin.bucket}/{origin.prefix}", "to": origin.to, "after": last}
    s3.put_object(Bucket=bucket, Key=origin.place, Body=json.dumps(document).encode())
