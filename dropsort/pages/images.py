"""The pictures of the least certain inferences, read back out of the capture files and made small.

A capture is somebody else's bytes: a picture is decoded under limits, re-encoded, and what cannot be shown is said
in a few words. Nothing of the original bytes reaches the page.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitoring.aggregates.cells import Aggregate, Series, Uncertain

LONGEST = 12 * 1024 * 1024  # bytes of a line: a payload of 6 MB in base64, and some more
PIXELS = 50_000_000
SIDE = 160  # longest side on the page, pixels

Lines = Callable[[str, int], bytes]  # file (relative to the source) and offset to a line's bytes


@dataclass(frozen=True)
class Picture:
    """One inference with its picture."""

    label: str
    confidence: float
    margin: float
    hour: str
    variant: str
    event_id: str
    data: str  # data URI; "" if there is none
    note: str  # why there is none, or the picture's size


def least_certain(aggregate: Aggregate, most: int = 96) -> list[tuple[Series, Uncertain]]:
    """The predictions of lowest margin of all hours, lowest first."""
    every = ((u, series) for series, found in aggregate.uncertain.items() for u in found)
    return [(series, u) for u, series in sorted(every)[:most]]


def pictures(found: Iterable[tuple[Series, Uncertain]], lines: Lines) -> Iterator[Picture]:
    """Read each one's record again and make its picture small.

    Parameters
    ----------
    lines
        Gives a record's line; an OSError of it becomes the picture's note.
    """
    for series, one in found:
        try:
            data, note = thumbnail(image_of(lines(one.file, one.offset)))
        except (OSError, _NoPicture) as error:
            data, note = "", str(error) if isinstance(error, _NoPicture) else "the capture file is gone"
        yield Picture(
            one.label,
            one.confidence / 1e9,
            one.margin / 1e9,
            series.hour,
            f"{series.endpoint}/{series.variant}",
            one.event_id,
            data,
            note,
        )


def showable(found: Iterable[Picture], most: int = 24) -> list[Picture]:
    """The first pictures that can be shown, each once; where none can, the first few that say why."""
    blank: list[Picture] = []
    shown: dict[str, Picture] = {}
    for one in found:
        if one.data:
            shown.setdefault(one.data, one)
        else:
            blank.append(one)
        if len(shown) == most:
            break
    return list(shown.values()) or blank[:6]


def folder_lines(folder: Path) -> Lines:
    """Lines of capture files below a folder (or of the one file)."""
    root = Path(folder)

    def read(file: str, offset: int) -> bytes:
        path = root if root.is_file() else root / file
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.readline(LONGEST)

    return read


def bucket_lines(client: Any, bucket: str, prefix: str = "") -> Lines:
    """Lines of capture objects below a prefix, with a boto3 S3 client."""
    from botocore.exceptions import BotoCoreError, ClientError

    start = prefix.rstrip("/") + "/" if prefix.strip("/") else ""

    def read(file: str, offset: int) -> bytes:
        try:
            answer = client.get_object(
                Bucket=bucket, Key=start + file, Range=f"bytes={offset}-{offset + LONGEST - 1}"
            )
            with answer["Body"] as body:
                return bytes(body.read().split(b"\n", 1)[0])
        except (ClientError, BotoCoreError) as error:
            raise OSError(f"s3://{bucket}/{start}{file}: {error}") from error

    return read


class _NoPicture(Exception):
    """Why there is no picture, in a few words."""


def image_of(line: bytes) -> bytes:
    """The bytes of the input of a capture record."""
    try:
        given = json.loads(line.decode("utf-8-sig"))["captureData"]["endpointInput"]
        data = given["data"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _NoPicture("the record carries no input") from None
    if not isinstance(data, str) or given.get("encoding") != "BASE64":
        raise _NoPicture("the input is no picture")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise _NoPicture("the input is not valid base64") from None


def thumbnail(image: bytes) -> tuple[str, str]:
    """A small copy as a data URI, and the original's size in words."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(
                io.BytesIO(image), formats=("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
            ) as opened:
                size = opened.size
                if size[0] * size[1] > PIXELS:
                    raise _NoPicture(f"{size[0]} × {size[1]} pixels: too large to show")
                opened.draft("RGB", (2 * SIDE, 2 * SIDE))
                small = ImageOps.exif_transpose(opened).convert("RGB")
                small.thumbnail((SIDE, SIDE))
    except _NoPicture:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on hostile bytes
        raise _NoPicture(f"not a picture that can be shown ({type(error).__name__})") from None
    out = io.BytesIO()
    # A tiny picture keeps its pixels; a larger one as JPEG of some kilobytes.
    if max(small.size) <= 64:
        small.save(out, "PNG", optimize=True)
        kind = "png"
    else:
        small.save(out, "JPEG", quality=78)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}", f"{size[0]} × {size[1]}"
