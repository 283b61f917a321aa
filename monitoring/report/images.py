"""The inputs of the least certain inferences, read back out of the capture files."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from monitoring.aggregates.cells import Aggregate, Series, Uncertain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LONGEST = 12 * 1024 * 1024  # bytes of a line: a payload of 6 MB in base64, and some more

Lines = Callable[[str, int], bytes]  # file (relative to the source) and offset to a line's bytes


class NoImage(Exception):
    """Why a capture record has no image, in a few words."""


def least_certain(aggregate: Aggregate, most: int = 96) -> list[tuple[Series, Uncertain]]:
    """The predictions of lowest margin of all hours, lowest first."""
    every = ((u, series) for series, found in aggregate.uncertain.items() for u in found)
    return [(series, u) for u, series in sorted(every)[:most]]


def folder_lines(folder: Path) -> Lines:
    """Lines of capture files below a folder (or of the one file)."""
    root = Path(folder)

    def read(file: str, offset: int) -> bytes:
        path = root if root.is_file() else root / file
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.readline(LONGEST)

    return read


def bucket_lines(client: S3Client, bucket: str, prefix: str = "") -> Lines:
    """Lines of capture objects below a prefix."""
    from botocore.exceptions import BotoCoreError, ClientError

    folder = prefix.rstrip("/")
    start = f"{folder}/" if folder else ""

    def read(file: str, offset: int) -> bytes:
        try:
            response = client.get_object(
                Bucket=bucket, Key=start + file, Range=f"bytes={offset}-{offset + LONGEST - 1}"
            )
            with response["Body"] as body:
                return bytes(body.read().split(b"\n", 1)[0])
        except (ClientError, BotoCoreError) as error:
            raise OSError(f"s3://{bucket}/{start}{file}: {error}") from error

    return read


def image_of(line: bytes) -> bytes:
    """The bytes of the input of a capture record.

    Raises
    ------
    NoImage
        The record has none.
    """
    try:
        given = json.loads(line.decode("utf-8-sig"))["captureData"]["endpointInput"]
        data = given["data"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NoImage("the record carries no input") from None
    if not isinstance(data, str) or given.get("encoding") != "BASE64":
        raise NoImage("the input is not an image")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        raise NoImage("the input is not valid base64") from None
