"""TIFF files written tag by tag, in both byte orders and with offsets of 32 and 64 bits."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

BYTE, ASCII, SHORT, LONG, UNDEFINED, IFD, LONG8, IFD8 = 1, 2, 3, 4, 7, 13, 16, 18
INTEGERS = {BYTE: "B", SHORT: "H", LONG: "I", IFD: "I", LONG8: "Q", IFD8: "Q"}
# Bytes of one value of each type: TIFF 6.0, section 2; BigTIFF has the last three.
SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}


class Tag(NamedTuple):
    """A tag of integers, or of bytes of any type; ``count`` and ``where`` in place of the right ones."""

    number: int
    kind: int
    values: Sequence[int] | bytes
    count: int | None = None
    where: int | None = None


def directory(tags: Iterable[Tag], at: int, order: str = "<", big: bool = False, following: int = 0) -> bytes:
    """A directory for this offset; values that do not fit into their entry follow it."""
    head, offset, inline = (order + "Q", order + "Q", 8) if big else (order + "H", order + "I", 4)
    tags = list(tags)
    entries, arrays = b"", b""
    behind = at + struct.calcsize(head) + len(tags) * (12 + 2 * (inline - 4)) + inline
    for number, kind, values, count, where in tags:
        content = (
            values
            if isinstance(values, bytes)
            else struct.pack(f"{order}{len(values)}{INTEGERS[kind]}", *values)
        )
        if count is None:
            count = len(content) // SIZES.get(kind, 1)
        entries += struct.pack(order + "HH", number, kind) + struct.pack(offset, count)
        if where is not None:
            entries += struct.pack(offset, where)
        elif len(content) <= inline:
            entries += content.ljust(inline, b"\0")
        else:
            entries += struct.pack(offset, behind + len(arrays))
            arrays += content
    return struct.pack(head, len(tags)) + entries + struct.pack(offset, following) + arrays


def header(first: int, order: str = "<", big: bool = False) -> bytes:
    """The beginning of a file, 8 or 16 bytes."""
    mark = b"II" if order == "<" else b"MM"
    if big:
        return mark + struct.pack(order + "HHHQ", 43, 8, 0, first)
    return mark + struct.pack(order + "HI", 42, first)


def tiff(tags: Iterable[Tag], content: bytes = b"", order: str = "<", big: bool = False) -> bytes:
    """A file of one directory; `content` begins after the header."""
    first = (16 if big else 8) + len(content)
    return header(first, order, big) + content + directory(tags, first, order, big)


def grey(width: int = 4, height: int = 4, *others: Tag) -> list[Tag]:
    """The tags of a grey image of 8 bits without compression, in one strip at byte 8; others replace them."""
    tags = {
        256: Tag(256, LONG, (width,)),
        257: Tag(257, LONG, (height,)),
        258: Tag(258, SHORT, (8,)),
        259: Tag(259, SHORT, (1,)),
        262: Tag(262, SHORT, (1,)),
        273: Tag(273, LONG, (16,)),
        279: Tag(279, LONG, (width * height,)),
    }
    tags.update({tag.number: tag for tag in others})
    return [tags[number] for number in sorted(tags)]
