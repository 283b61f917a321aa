"""HEIF of every form, its boxes made field by field."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BEGIN = 24  # of the payload of `file`


def box(kind: bytes, *content: bytes) -> bytes:
    """A box with a size of four bytes."""
    whole = b"".join(content)
    return struct.pack(">I4s", 8 + len(whole), kind) + whole


def full(kind: bytes, version: int, *content: bytes, flags: int = 0xA5B6C6) -> bytes:
    """A box with version and flags, which mean nothing in most."""
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def numbers(size: int, *values: int) -> bytes:
    """Numbers of so many bytes."""
    return b"".join(value.to_bytes(size, "big") for value in values)


def pitm(number: int, version: int = 0) -> bytes:
    """The number of the primary item."""
    return full(b"pitm", version, numbers(4 if version else 2, number))


def infe(number: int, kind: bytes, version: int = 2) -> bytes:
    """The type of an item; of versions 0 and 1, an entry has none."""
    name = b"a name\0"
    return full(
        b"infe",
        version,
        numbers(4 if version > 2 else 2, number),
        b"\7\7",
        kind if version > 1 else b"",
        name,
    )


def iinf(entries: Sequence[bytes], version: int = 0) -> bytes:
    """The types of items."""
    return full(b"iinf", version, numbers(4 if version else 2, len(entries)), *entries)


@dataclass
class Place:
    """Where the data of an item is; extents have index, offset and length."""

    number: int
    extents: Sequence[tuple[int, int, int]]
    base: int = 0
    method: int = 0
    reference: int = 0


def iloc(places: Sequence[Place], version: int = 1, sizes: tuple[int, int, int, int] = (4, 4, 0, 0)) -> bytes:
    """Where the data of items is; sizes are those of offset, length, base and index in bytes."""
    offset, length, base, index = sizes
    wide = 2 if version < 2 else 4
    parts = []
    for place in places:
        method = numbers(2, 0xABC0 | place.method) if version else b""
        parts += [numbers(wide, place.number), method, numbers(2, place.reference), numbers(base, place.base)]
        parts.append(numbers(2, len(place.extents)))
        for number, begin, size in place.extents:
            parts += [
                numbers(index, number % 256**index) if version else b"",
                numbers(offset, begin),
                numbers(length, size),
            ]
    widths = bytes((offset << 4 | length, base << 4 | index))
    return full(b"iloc", version, widths, numbers(wide, len(places)), *parts)


def iprp(
    properties: Sequence[bytes], of_items: dict[int, Sequence[int]], version: int = 0, flags: int = 0
) -> bytes:
    """Properties, and the numbers of those of each item, from 1; a negative number is that of an essential property."""
    size = 2 if flags & 1 else 1
    links = b"".join(
        numbers(4 if version else 2, item)
        + numbers(1, len(used))
        + numbers(size, *(abs(one) | (one < 0) << 8 * size - 1 for one in used))
        for item, used in of_items.items()
    )
    associated = full(b"ipma", version, numbers(4, len(of_items)), links, flags=flags)
    return box(b"iprp", box(b"ipco", *properties), associated)


def iref(references: Iterable[tuple[bytes, int, Sequence[int]]], version: int = 0) -> bytes:
    """References of a kind from an item to others."""
    size = 4 if version else 2
    return full(
        b"iref",
        version,
        *(
            box(kind, numbers(size, item), numbers(2, len(others)), numbers(size, *others))
            for kind, item, others in references
        ),
    )


def dinf(*here: bool) -> bytes:
    """References to files, of which some are this one."""
    urls = [full(b"url ", 0, b"" if one else b"other\0", flags=int(one)) for one in here]
    return box(b"dinf", full(b"dref", 0, numbers(4, len(urls)), *urls))


def ispe(width: int, height: int) -> bytes:
    """The size of an item."""
    return full(b"ispe", 0, numbers(4, width, height))


def colr(matrix: int, full_range: int, kind: bytes = b"nclx") -> bytes:
    """The colours of an item; the range is the first bit of a byte."""
    return box(b"colr", kind, numbers(2, 9, 16, matrix), numbers(1, full_range))


def clap(*values: int) -> bytes:
    """What is shown of an item: fractions of width, height, and the distances of the centre."""
    return box(b"clap", struct.pack(">8I", *(value & 0xFFFFFFFF for value in values)))


def hvcc(*arrays: Sequence[bytes], size: int = 4) -> bytes:
    """The configuration of HEVC: arrays of units, and of how many bytes the size of a unit in the data is."""
    parts = [
        b"\xa0" + numbers(2, len(array)) + b"".join(numbers(2, len(unit)) + unit for unit in array)
        for array in arrays
    ]
    return box(b"hvcC", b"\xee" * 21, bytes((0xFC | size - 1, len(arrays))), *parts)


def auxc(kind: bytes) -> bytes:
    """Of what kind an auxiliary image is."""
    return full(b"auxC", 0, kind + b"\0")


ALPHA = auxc(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")


@dataclass
class Item:
    """``parts`` are the items that it is made of, ``of`` those that it is an auxiliary image of."""

    kind: bytes
    content: bytes = b""
    properties: Sequence[bytes] = ()
    parts: Sequence[int] = ()
    of: Sequence[int] = ()


def file(items: dict[int, Item], primary: int = 1, payload: bytes = b"", **changed: bytes) -> bytes:
    """A file with the data of items in the box ``idat``, and a payload at `BEGIN`; other boxes in the place of some, or more."""
    places, content, properties = [], b"", []
    of_items: dict[int, Sequence[int]] = {}
    for number, item in items.items():
        places.append(Place(number, [(0, len(content), len(item.content))], method=1))
        content += item.content
        of_items[number] = range(len(properties) + 1, len(properties) + 1 + len(item.properties))
        properties += item.properties
    references = [(b"dimg", number, item.parts) for number, item in items.items() if item.parts]
    references += [(b"auxl", number, item.of) for number, item in items.items() if item.of]
    boxes = {
        "hdlr": full(b"hdlr", 0, b"\0\0\0\0pict", bytes(13)),
        "pitm": pitm(primary),
        "iinf": iinf([infe(number, item.kind) for number, item in items.items()]),
        "iloc": iloc(places),
        "iprp": iprp(properties, of_items),
        "iref": iref(references),
        "idat": box(b"idat", content),
    } | changed
    return box(b"ftyp", b"heic\0\0\0\0") + box(b"mdat", payload) + full(b"meta", 0, *boxes.values())
