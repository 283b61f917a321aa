"""Copies objects of a bucket to a folder, which is replaced in one step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dropsort.client.errors import ClientError
from dropsort.client.results import ahead, listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder that replaces `folder` if the block succeeds; otherwise `folder` is unchanged."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = folder.with_name(f"{folder.name}.new"), folder.with_name(f"{folder.name}.old")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    fresh.mkdir()
    try:
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def objects(s3: S3Client, bucket: str, prefix: str, folder: Path) -> int:
    """Copy every object below `prefix` to the same path below `folder`; return how many.

    Raises
    ------
    ClientError
        If a key would be written outside the folder.
    """

    def copy(key: str) -> str:
        target = folder / inside(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, key, str(target))
        return key

    names = (name for name in listed(s3, bucket, prefix) if not name.endswith("/"))
    return sum(1 for _ in ahead(copy, names))


def inside(key: str) -> PurePosixPath:
    """A key as a relative path."""
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts:
        raise ClientError(f"{key!r} would be written outside the folder: it is not copied.")
    return path


def write_lines(path: Path, documents: Iterable[dict[str, Any]]) -> None:
    """Write documents as JSON, one a line."""
    with path.open("w", encoding="utf-8") as target:
        for document in documents:
            target.write(json.dumps(document, ensure_ascii=False) + "\n")
