"""AVIF and HEIF: whether the file reaches to its last box, and the size and depth that its properties give."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from handlers.imaging import limits
from handlers.rejections import Rejection

_OF_IMAGES = (b"ftyp", b"meta", b"mdat", b"moov")  # whatever else ends early, the image is there


@dataclass(slots=True)
class Boxes:
    """``name`` is that of the format. ``width`` and ``height`` are the largest that any item has; 0 if none says."""

    name: str
    width: int = 0
    height: int = 0
    items: int = 0
    count: int = 0  # of boxes, at every depth


def inspect(data: bytes, name: str) -> Boxes:
    """Read the boxes that describe the items.

    Raises
    ------
    Rejection
        ``truncated_image``, ``too_complex``.
    """
    found = Boxes(name)
    for kind, begin, end in walk(data, 0, len(data), found):
        if end > len(data) and kind in _OF_IMAGES:
            raise Rejection("truncated_image", f"{name}: {end} bytes are declared, {len(data)} are there.")
        if kind == b"mdat" and end - begin > 256 and not data[end - 64 : end].strip(b"\0"):
            raise Rejection("truncated_image", f"{name}: the end of its data is zero bytes.")
        if kind == b"meta":
            _meta(data, begin + 4, end, found)
    limits.check_count(name, "items", found.items, 4096)
    if not found.width:
        raise Rejection("truncated_image", f"{name}: it has no image with a size.")
    return found


def walk(data: bytes, begin: int, end: int, found: Boxes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin and end of the content of each box."""
    while begin + 8 <= min(end, len(data)):
        found.count += 1
        limits.check_count(found.name, "boxes", found.count, limits.MAX_SEGMENTS)
        size, kind = struct.unpack_from(">I4s", data, begin)
        head = 8
        if size == 1 and begin + 16 <= end:
            size, head = struct.unpack_from(">Q", data, begin + 8)[0], 16
        if size == 0:
            size = end - begin
        if size < head:
            return
        yield kind, begin + head, begin + size
        begin += size


def _meta(data: bytes, begin: int, end: int, found: Boxes) -> None:
    for kind, first, last in walk(data, begin, end, found):
        if kind == b"iinf" and last - first >= 6:
            found.items = int.from_bytes(data[first + 4 : first + (8 if data[first] else 6)])
        if kind == b"iprp":
            for inner, at, stop in walk(data, first, last, found):
                if inner == b"ipco":
                    for prop, value, _ in walk(data, at, stop, found):
                        if prop == b"ispe" and value + 12 <= len(data):
                            width, height = struct.unpack_from(">II", data, value + 4)
                            if width * height > found.width * found.height:
                                found.width, found.height = width, height
