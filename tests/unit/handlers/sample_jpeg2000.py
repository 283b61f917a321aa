"""Code streams of JPEG 2000 written segment by segment."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any


def segment(marker: int, content: bytes) -> bytes:
    """A marker with its length and content."""
    return struct.pack(">HH", marker, 2 + len(content)) + content


def size(
    end: tuple[int, int] = (40, 30),
    begin: tuple[int, int] = (0, 0),
    tile: tuple[int, int] | None = None,
    first: tuple[int, int] = (0, 0),
    components: Iterable[tuple[int, int, int]] = ((7, 1, 1),),
    profile: int = 0,
    count: int | None = None,
) -> bytes:
    """SIZ; components are the bits less 1, and the pixels of one sample across and down."""
    samples = list(components)
    return segment(
        0xFF51,
        struct.pack(
            ">HIIIIIIIIH",
            profile,
            *end,
            *begin,
            *(tile or end),
            *first,
            len(samples) if count is None else count,
        )
        + b"".join(map(bytes, samples)),
    )


def coding(
    levels: int = 0,
    *,
    style: int = 0,
    order: int = 0,
    layers: int = 1,
    block: tuple[int, int] = (2, 2),
    block_style: int = 0,
    transform: int = 1,
    precincts: Sequence[int] = (),
) -> bytes:
    """COD; the sizes of code-blocks are powers of two, less 2."""
    content = struct.pack(">BBHBBBBBB", style, order, layers, 0, levels, *block, block_style, transform)
    return segment(0xFF52, content + bytes(precincts))


def quantisation(style: int = 0, guard: int = 2, exponents: Sequence[int] = (8,)) -> bytes:
    """QCD: exponents alone, or each with a mantissa."""
    steps = [
        struct.pack(">H", exponent << 11 | 5) if style else bytes([exponent << 3]) for exponent in exponents
    ]
    return segment(0xFF5C, bytes([guard << 5 | style]) + b"".join(steps))


def tile(
    number: int = 0, data: bytes = b"\x80", segments: bytes = b"", length: int | None = None, part: int = 0
) -> bytes:
    """A part of a tile: SOT, the segments of its header, SOD and packets."""
    if length is None:
        length = 12 + len(segments) + 2 + len(data)
    return segment(0xFF90, struct.pack(">HIBB", number, length, part, 1)) + segments + b"\xff\x93" + data


def stream(*parts: bytes, end: bytes = b"\xff\xd9") -> bytes:
    """A code stream: SOC, segments and tiles, and EOC."""
    return b"\xff\x4f" + b"".join(parts) + end


def packed(bits: str) -> bytes:
    """Bits as bytes: after one of eight ones follow seven, and a last such byte is followed by another."""
    found, room = b"", 8
    while bits:
        found += bytes([int(bits[:room].ljust(room, "0"), 2)])
        bits, room = bits[room:], 7 if found[-1] == 0xFF else 8
    return found + b"\0" if found.endswith(b"\xff") else found


def box(kind: bytes, content: bytes, length: Any = None, large: bool = False) -> bytes:
    """A box of a JP2 file, with another length in place of the right one."""
    if large:
        return struct.pack(">I4sQ", 1, kind, 16 + len(content) if length is None else length) + content
    return struct.pack(">I4s", 8 + len(content) if length is None else length, kind) + content


SIGNATURE = box(b"jP  ", b"\r\n\x87\n")
