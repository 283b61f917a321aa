"""HEIF and AVIF: the coded data of the items that the image is made of: the primary item, tiles of its grid, and its alpha channel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from handlers.imaging import av1_sequence, limits
from handlers.imaging.boxes import Boxes, walk
from handlers.rejections import NotUnderstood, Rejection

_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")


@dataclass(slots=True)
class _Item:
    """``extents`` are first byte and length in the file, ``properties`` kind, begin and end of boxes, ``parts`` other items.

    ``reference`` is the number of the file that has its data, of those that ``dref`` lists; 0 if it is this one. ``method`` is 0 for data
    in the file, 1 for data in the box ``idat``, and 2 for data within other items.
    """

    kind: bytes = b""
    reference: int = 0
    method: int = 0
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[tuple[bytes, int, int]] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    auxiliaries: list[int] = field(default_factory=list)


class _IntegerReader:
    """Numbers, one after another."""

    def __init__(self, data: bytes, begin: int, end: int) -> None:
        self._data, self._end, self.at = data, min(end, len(data)), begin

    def number(self, size: int) -> int:
        return int.from_bytes(self.some(size))

    def some(self, size: int) -> bytes:
        if self.at + size > self._end:
            raise Rejection("corrupt_image", "HEIF: a box or a unit of its data ends early.")
        self.at += size
        return self._data[self.at - size : self.at]


@dataclass(slots=True)
class CodedImage:
    """``units`` are its NAL units, those of its configuration first.

    ``width`` and ``height`` are how much of it is shown, in pixels, from its upper left corner: tiles at the edges of a grid are
    cut off. 0 if it is not known. ``colour`` is as `colour` returns it.
    """

    units: list[bytes]
    width: int
    height: int
    colour: tuple[int, bool] | None = None


_UNLIMITED = (1 << 31, 1 << 31)
_NOT_CLEAN = "HEIF: what it shows of its pixels is not within them."


def coded_images(data: bytes) -> Iterator[CodedImage]:
    """Each HEVC image that is part of what the file shows.

    Raises
    ------
    NotUnderstood
        The boxes have another form; the decoder may read them all the same.
    Rejection
        ``corrupt_image``: a clean aperture that is not within its image, boxes or units that end early, data that is nowhere or in
        another file. ``unsupported_format``: data within other items.
    """
    primary, items = _items(data)
    seen: set[int] = set()
    pending: list[tuple[int, tuple[int, int], tuple[int, bool] | None]] = [(primary, _UNLIMITED, None)]
    while pending:
        number, shown, outer = pending.pop()
        if number in seen:
            continue
        seen.add(number)
        item = items[number]
        shown, own = _cropped(data, item, shown), _colour(data, item) or outer
        parts = _parts_shown(data, item, items, shown)
        pending += ((part, visible, own) for part, visible in zip(item.parts, parts, strict=True))
        pending += ((other, shown, None) for other in item.auxiliaries if _is_alpha(data, items[other]))
        if item.kind in (b"hvc1", b"hev1"):
            yield CodedImage(list(_nal_units(data, item)), *shown, own)


def colour(data: bytes) -> tuple[int, bool] | None:
    """Matrix coefficients (ITU-T H.273) and whether the range is full, as the primary item says; None if it leaves that to its data.

    If its data says otherwise, this is what counts (ISO/IEC 23000-22, 7.3.6.4). Files of cameras exist where it does.

    Raises
    ------
    NotUnderstood
        The boxes have another form.
    """
    primary, items = _items(data)
    return _colour(data, items[primary])


def check_shown(data: bytes, width: int, height: int) -> None:
    """Check that the decoder shows the primary item: where that cannot be read, libheif shows another one.

    Raises
    ------
    Rejection
        ``corrupt_image``: the item has another size, in pixels, or is made of items that are not there.
    """
    try:
        primary, items = _items(data)
    except NotUnderstood:
        return
    item = items[primary]
    if any(not items[part].kind for part in item.parts):
        raise Rejection("corrupt_image", "HEIF: a part of its image is missing.")
    size = _size(data, item)
    for kind, begin, end in item.properties:
        if kind == b"clap":
            crop = _IntegerReader(data, begin, end)
            across, of_across, down, of_down = (crop.number(4) for _ in range(4))
            size = across // max(of_across, 1), down // max(of_down, 1)
        elif kind == b"irot" and data[begin] & 1:
            size = size[1], size[0]
    if all(size) and size != (width, height):
        raise Rejection("corrupt_image", "HEIF: its primary image cannot be read.")


def grid(data: bytes) -> tuple[list[int], int]:
    """Numbers of the items that the primary item shows, row by row, and how many are in a row: itself alone if it is not a grid.

    Raises
    ------
    NotUnderstood
        The boxes have another form.
    Rejection
        ``corrupt_image``: it ends early.
    """
    primary, items = _items(data)
    item = items[primary]
    if item.kind != b"grid":
        return [primary], 1
    content = _content(data, item)
    return item.parts, _IntegerReader(content, 3, len(content)).number(1) + 1


def _colour(data: bytes, item: _Item) -> tuple[int, bool] | None:
    for kind, begin, end in item.properties:
        if kind == b"colr" and data[begin : begin + 4] == b"nclx":
            entry = _IntegerReader(data, begin + 8, end)
            return entry.number(2), entry.number(1) > 127
    return None


def av1_extents(data: bytes) -> Iterator[tuple[int, int, tuple[int, int], int]]:
    """First byte, length, size and configuration of the AV1 data of each image that is part of what the file shows, and of alpha channels.

    The size is that of its item, in pixels, (0, 0) if it has none; the configuration the bits of ``av1C`` that say depth, number of planes
    and sampling, or -1. Images of several layers and those in several pieces are left out.

    Raises
    ------
    NotUnderstood
        The boxes have another form.
    Rejection
        ``corrupt_image``, ``unsupported_format``: as of `coded_images`.
    """
    primary, items = _items(data)
    seen: set[int] = set()
    pending = [primary]
    while pending:
        number = pending.pop()
        if number in seen:
            continue
        seen.add(number)
        item = items[number]
        pending += item.parts
        pending += [other for other in item.auxiliaries if _is_alpha(data, items[other])]
        layered = any(kind in (b"lsel", b"a1op") for kind, _, _ in item.properties)
        if item.kind == b"av01" and not layered:
            _check_here(data, item)
            if len(item.extents) == 1:
                found = _property(item, b"av1C")
                content = data[found[0] : found[1]] if found else b""
                yield *item.extents[0], _size(data, item), av1_sequence.declared(content)


def _size(data: bytes, item: _Item) -> tuple[int, int]:
    """Width and height in pixels that ``ispe`` gives; (0, 0) if there is none."""
    extent = _property(item, b"ispe")
    if extent is None:
        return 0, 0
    entry = _IntegerReader(data, extent[0] + 4, extent[1])
    return entry.number(4), entry.number(4)


def _cropped(data: bytes, item: _Item, shown: tuple[int, int]) -> tuple[int, int]:
    """`shown` of an item after its clean aperture, whose size and centre are fractions; (0, 0) if that is not at its upper left.

    It must consist of whole pixels of the item (ISO/IEC 23000-22): decoders round and cut others differently.
    """
    aperture, full = _property(item, b"clap"), _size(data, item)
    if aperture is None:
        return shown
    if not all(full):
        return 0, 0
    crop = _IntegerReader(data, *aperture)
    numbers = [crop.number(4) for _ in range(8)]
    result, begins = [], []
    for axis in (0, 1):
        whole, divisor, centre, parts = numbers[2 * axis], numbers[2 * axis + 1], *numbers[4 + 2 * axis :][:2]
        centre = (centre ^ 1 << 31) - (1 << 31)
        if not divisor or not parts:
            raise Rejection("corrupt_image", _NOT_CLEAN)
        size, fraction = divmod(whole, divisor)
        begin, rest = divmod(2 * centre + (full[axis] - size) * parts, 2 * parts)
        if fraction or rest or begin < 0 or not 0 < size <= full[axis] - begin:
            raise Rejection("corrupt_image", _NOT_CLEAN)
        begins.append(begin)
        result.append(min(shown[axis], size))
    return (0, 0) if any(begins) or not all(shown) else (result[0], result[1])


def _property(item: _Item, kind: bytes) -> tuple[int, int] | None:
    """Begin and end of a property."""
    return next(((begin, end) for name, begin, end in item.properties if name == kind), None)


def _parts_shown(
    data: bytes, item: _Item, items: defaultdict[int, _Item], shown: tuple[int, int]
) -> list[tuple[int, int]]:
    """How much of each part of a derived item is shown."""
    unknown = [(0, 0)] * len(item.parts)
    if item.kind in (b"iovl", b"iden"):
        return [shown] * len(item.parts)
    if item.kind != b"grid" or not all(shown) or not item.parts:
        return unknown
    content = _content(data, item)
    entry = _IntegerReader(content, 0, len(content))
    size = 4 if entry.number(2) & 1 else 2
    rows, columns = entry.number(1) + 1, entry.number(1) + 1
    width, height = entry.number(size), entry.number(size)
    across, down = _size(data, items[item.parts[0]])
    if not across or rows * columns != len(item.parts):
        return unknown
    return [(width - x * across, height - y * down) for y in range(rows) for x in range(columns)]


def _items(data: bytes) -> tuple[int, defaultdict[int, _Item]]:
    """The primary item's number, and all items by number; what is not there is an item without a type."""
    count = Boxes("HEIF")
    meta = next((box for box in walk(data, 0, len(data), count) if box[0] == b"meta"), None)
    if meta is None:
        raise NotUnderstood("no items")
    boxes = {kind: (begin, end) for kind, begin, end in walk(data, meta[1] + 4, meta[2], count)}
    if not {b"pitm", b"iinf", b"iloc", b"iprp"} <= boxes.keys():
        raise NotUnderstood("a box is missing")
    items: defaultdict[int, _Item] = defaultdict(_Item)
    begin, end = boxes[b"iinf"]
    for kind, at, stop in walk(data, begin + (8 if _version(data, begin) else 6), end, count):
        if kind == b"infe":
            entry = _IntegerReader(data, at, stop)
            version = entry.number(4) >> 24
            number = entry.number(4 if version > 2 else 2)
            if version > 1:  # older ones are not of images
                entry.number(2)
                items[number].kind = entry.some(4)
    _locate(_IntegerReader(data, *boxes[b"iloc"]), items, len(data), boxes.get(b"idat", (0, 0)))
    if b"dinf" in boxes:
        here = {0, *_references_here(data, *boxes[b"dinf"], count)}
        for item in items.values():
            item.reference = 0 if item.reference in here else item.reference
    _associate(data, boxes[b"iprp"], items, count)
    if b"iref" in boxes:
        begin, end = boxes[b"iref"]
        size = 4 if _version(data, begin) else 2
        for kind, at, stop in walk(data, begin + 4, end, count):
            entry = _IntegerReader(data, at, stop)
            number = entry.number(size)
            others = [entry.number(size) for _ in range(entry.number(2))]
            if kind == b"dimg":
                items[number].parts += others
            elif kind == b"auxl":
                for other in others:
                    items[other].auxiliaries.append(number)
    begin, end = boxes[b"pitm"]
    primary = _IntegerReader(data, begin + 4, end).number(4 if _version(data, begin) else 2)
    return primary, items


def _version(data: bytes, begin: int) -> int:
    return _IntegerReader(data, begin, len(data)).number(1)


def _locate(entry: _IntegerReader, items: defaultdict[int, _Item], size: int, idat: tuple[int, int]) -> None:
    """Read ``iloc`` of a file of `size` bytes; a length of 0 means all to the end."""
    version = entry.number(4) >> 24
    widths = entry.number(2)
    offset_size, length_size, base_size, index_size = (widths >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 2 if version < 2 else 4
    for _ in range(entry.number(wide)):
        item = items[entry.number(wide)]
        item.method = entry.number(2) & 15 if version else 0
        item.reference = entry.number(2)
        first, end = idat if item.method else (0, size)
        base = first + entry.number(base_size)
        for _ in range(entry.number(2)):
            if version:
                entry.number(index_size)
            begin = base + entry.number(offset_size)
            item.extents.append((begin, entry.number(length_size) or max(end - begin, 0)))


def _references_here(data: bytes, begin: int, end: int, count: Boxes) -> Iterator[int]:
    """Numbers of those entries of ``dref`` that mean this file itself."""
    for kind, at, stop in walk(data, begin, end, count):
        if kind == b"dref":
            for number, (_, entry, _) in enumerate(walk(data, at + 8, stop, count), 1):
                if _IntegerReader(data, entry, stop).number(4) & 1:
                    yield number


def _associate(data: bytes, iprp: tuple[int, int], items: defaultdict[int, _Item], count: Boxes) -> None:
    inner = list(walk(data, *iprp, count))
    properties = [box for kind, at, stop in inner if kind == b"ipco" for box in walk(data, at, stop, count)]
    for kind, at, stop in inner:
        if kind != b"ipma":
            continue
        entry = _IntegerReader(data, at, stop)
        flags = entry.number(4)
        wide, size = flags >> 24 > 0, 2 if flags & 1 else 1
        for _ in range(entry.number(4)):
            item = items[entry.number(4 if wide else 2)]
            for _ in range(entry.number(1)):
                # Without the bit that says essential.
                index = entry.number(size) & (0x7FFF if size == 2 else 0x7F)
                if 0 < index <= len(properties):
                    item.properties.append(properties[index - 1])


def _is_alpha(data: bytes, item: _Item) -> bool:
    return any(
        kind == b"auxC" and data[begin + 4 : end].startswith(_ALPHA) for kind, begin, end in item.properties
    )


def _check_here(data: bytes, item: _Item) -> None:
    """libheif and libavif read the bytes of this file, whichever file they should be in, and leave out tiles without data."""
    if item.method > 1:
        raise Rejection("unsupported_format", "It is HEIF with data within other items.")
    if item.reference:
        raise Rejection("corrupt_image", "HEIF: its data is in another file.")
    lengths = [length for _, length in item.extents]
    if not lengths or not all(lengths) or sum(lengths) > len(data):
        raise Rejection("corrupt_image", "HEIF: its data is nowhere, or one part of it several times.")
    if any(begin + length > len(data) for begin, length in item.extents):
        raise Rejection("truncated_image", "HEIF: it ends within the data of its image.")


def _content(data: bytes, item: _Item) -> bytes:
    _check_here(data, item)
    return b"".join(data[begin : begin + length] for begin, length in item.extents)


def _nal_units(data: bytes, item: _Item) -> Iterator[bytes]:
    found = _property(item, b"hvcC")
    if found is None:
        raise Rejection("corrupt_image", "HEIF: its data has no configuration.")
    entry = _IntegerReader(data, found[0] + 21, found[1])
    size = (entry.number(1) & 3) + 1
    for _ in range(entry.number(1)):
        entry.number(1)
        for _ in range(entry.number(2)):
            yield entry.some(entry.number(2))
    content = _content(data, item)
    entry = _IntegerReader(content, 0, len(content))
    count = 0
    while entry.at < len(content):
        count += 1
        limits.check_count("HEIF", "NAL units", count, limits.MAX_SEGMENTS)
        yield entry.some(entry.number(size))
