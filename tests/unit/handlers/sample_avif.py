"""AVIF of several coded images, which Pillow does not write: grids, and images of which a part is shown."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from handlers.imaging import heif

Size = tuple[int, int]


def _box(kind: bytes, *content: bytes) -> bytes:
    whole = b"".join(content)
    return struct.pack(">I4s", 8 + len(whole), kind) + whole


def _property(data: bytes, kind: bytes) -> bytes:
    """A box of a file, whole."""
    at = data.index(kind) - 4
    return data[at : at + int.from_bytes(data[at : at + 4], "big")]


def grid(tiles: Sequence[bytes], columns: int, size: Size, tile: Size) -> bytes:
    """A grid of files of one image each, all of size `tile`, of which `size` is shown."""
    payload = struct.pack(">BBBBHH", 0, 0, len(tiles) // columns - 1, columns - 1, *size)
    return _file(tiles, payload, [_ispe(tile), _ispe(size)])


def cropped(data: bytes, size: Size, shown: Size) -> bytes:
    """A file of one image, of which the upper left is shown."""
    centres = [part for whole, part in zip(size, shown, strict=True) for part in (part - whole, 2)]
    clap = _box(b"clap", struct.pack(">IIIIiIiI", shown[0], 1, shown[1], 1, *centres))
    return _file([data], b"", [_ispe(size), clap])


def _ispe(size: Size) -> bytes:
    return _box(b"ispe", struct.pack(">III", 0, *size))


def _file(parts: Sequence[bytes], payload: bytes, own: list[bytes]) -> bytes:
    """Items 1, 2, ... are the coded images; if there is a payload, the last and primary item is a grid of them.

    The first property of `own` is that of the coded images, the last that of the primary item.
    """
    coded = []
    for part in parts:
        begin, length, *_ = next(heif.av1_extents(part))
        coded.append(part[begin : begin + length])
    count = len(coded)
    properties = [*own, _property(parts[0], b"av1C"), _property(parts[0], b"pixi")]
    shared = [3, 4, 1]
    of_items = [(number, shared if payload else [*shared, 2]) for number in range(1, count + 1)]
    kinds = [(number, b"av01") for number in range(1, count + 1)]
    if payload:
        kinds.append((count + 1, b"grid"))
        of_items.append((count + 1, [2, 4]))
    entries = [_box(b"infe", struct.pack(">IHH4sB", 2 << 24, number, 0, kind, 0)) for number, kind in kinds]
    essential = (3,) if payload else (2, 3)
    links = b"".join(
        struct.pack(">HB", number, len(used))
        + bytes(index | (0x80 if index in essential else 0) for index in used)
        for number, used in of_items
    )

    def meta(first: int) -> bytes:
        extents, at = b"", first
        for number, content in enumerate(coded, 1):
            extents += struct.pack(">HHHHII", number, 0, 0, 1, at, len(content))
            at += len(content)
        if payload:
            extents += struct.pack(">HHHHII", count + 1, 1, 0, 1, 0, len(payload))
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", struct.pack(">II4s12sB", 0, 0, b"pict", b"", 0)),
            _box(b"pitm", struct.pack(">IH", 0, len(kinds))),
            _box(b"iloc", struct.pack(">IHH", 1 << 24, 0x4400, len(kinds)), extents),
            _box(b"iinf", struct.pack(">IH", 0, len(entries)), *entries),
            _box(
                b"iref",
                bytes(4),
                _box(b"dimg", struct.pack(f">HH{count}H", count + 1, count, *range(1, count + 1))),
            )
            if payload
            else b"",
            _box(
                b"iprp",
                _box(b"ipco", *properties),
                _box(b"ipma", struct.pack(">II", 0, len(of_items)), links),
            ),
            _box(b"idat", payload) if payload else b"",
        )

    begin = _box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    return begin + meta(len(begin) + len(meta(0)) + 8) + _box(b"mdat", *coded)
