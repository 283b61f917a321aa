"""JPEG 2000: what the markers of a code stream say about its packets (ISO/IEC 15444-1, A.5 and A.6)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from handlers.imaging.jpeg2000 import WITHOUT_LENGTH, Jpeg2000
from handlers.rejections import NotUnderstood

_CODING, _COMPONENT_CODING = 0xFF52, 0xFF53
_QUANTISATION, _COMPONENT_QUANTISATION, _REGION = 0xFF5C, 0xFF5D, 0xFF5E
_TILE, _DATA = 0xFF90, 0xFF93
# Capabilities of later parts, other orders of packets, headers of packets elsewhere.
_OTHERS = frozenset((0xFF50, 0xFF5F, 0xFF60, 0xFF61))
_HIGH_THROUGHPUT = 64  # a style of code-blocks


@dataclass(slots=True)
class Coding:
    """How a component is coded: sizes are powers of two; ``precincts`` are those of each resolution, the lowest first."""

    begins: bool  # packets may begin with a marker, and end their header with one
    ends: bool
    order: int
    layers: int
    levels: int
    block: tuple[int, int]
    style: int
    precincts: list[tuple[int, int]]


@dataclass(slots=True)
class Quantisation:
    """The exponents of the sub-bands, and the bits that guard against overflow."""

    derived: bool
    guard: int
    exponents: list[int]
    shift: int = 0  # of a region of interest

    def planes(self, band: int, below: int) -> int:
        """Bit planes of a sub-band, by its number; `below` is how many levels it lies below the highest (E.1)."""
        if self.derived:
            exponent = self.exponents[0] - below
        elif band < len(self.exponents):
            exponent = self.exponents[band]
        else:
            raise NotUnderstood
        return self.guard + exponent - 1 + self.shift


@dataclass(slots=True)
class Jpeg2000Tile:
    """How the components of a tile are coded; ``common`` holds for all of them, ``parts`` are begin and end of its packets."""

    common: Coding
    codings: list[Coding]
    quantisations: list[Quantisation]
    parts: list[tuple[int, int]]


@dataclass(slots=True)
class CodeStream:
    """All that the positions and the sizes of packets depend on.

    ``axes`` are begin and end of the image, and begin and size of the first tile, across and down; ``components`` the pixels that share one
    sample, across and down.
    """

    axes: tuple[tuple[int, int, int, int], ...]
    components: list[tuple[int, int]]
    tiles: dict[int, Jpeg2000Tile]

    def region(self, tile: int) -> list[tuple[int, int]]:
        """Begin and end of a tile, across and down."""
        _, end, first, size = self.axes[0]
        down, across = divmod(tile, -(-(end - first) // size))
        return [
            (max(begin, first + number * size), min(end, first + (number + 1) * size))
            for number, (begin, end, first, size) in zip((across, down), self.axes, strict=True)
        ]


@dataclass(slots=True)
class _Header:
    """The segments of a header: of all components, and of some by number."""

    coding: bytes = b""
    quantisation: bytes = b""
    codings: dict[int, bytes] = field(default_factory=dict)
    quantisations: dict[int, bytes] = field(default_factory=dict)
    shifts: dict[int, int] = field(default_factory=dict)

    def copy(self) -> _Header:
        """For the header of a tile, which changes it."""
        return _Header(
            self.coding, self.quantisation, dict(self.codings), dict(self.quantisations), dict(self.shifts)
        )

    def take(self, marker: int, content: bytes) -> None:
        """Take over a segment; one of all components counts more than an earlier one of a single component (A.6)."""
        if marker == _CODING:
            self.coding = content
            self.codings.clear()
        elif marker == _COMPONENT_CODING:
            self.codings[content[0]] = content[1:]
        elif marker == _QUANTISATION:
            self.quantisation = content
            self.quantisations.clear()
        elif marker == _COMPONENT_QUANTISATION:
            self.quantisations[content[0]] = content[1:]
        elif marker == _REGION:
            self.shifts[content[0]] = content[2]
        elif marker in _OTHERS:
            raise NotUnderstood

    def tile(self, components: int) -> Jpeg2000Tile:
        """A tile with this header."""
        style, order, content = self.coding[0], self.coding[1:], self.coding[5:]
        common = _coding(style, order, content)
        return Jpeg2000Tile(
            common,
            [
                _coding(style & 6 | found[0] & 1, order, found[1:])
                if (found := self.codings.get(number))
                else common
                for number in range(components)
            ],
            [
                _quantisation(self.quantisations.get(number, self.quantisation), self.shifts.get(number, 0))
                for number in range(components)
            ],
            [],
        )


def read(data: bytes, found: Jpeg2000) -> CodeStream:
    """Read the markers that say how the packets are coded.

    Parameters
    ----------
    found
        What the main header says otherwise.

    Raises
    ------
    NotUnderstood
        It has something that is not read here.
    """
    try:
        return _read(data, found)
    except (struct.error, IndexError) as error:
        raise NotUnderstood from error


def _read(data: bytes, found: Jpeg2000) -> CodeStream:
    header = _Header()
    for marker, content, _ in _segments(data, found.begin + 2):
        header.take(marker, content)
    tiles = {}
    for number, parts in found.parts.items():
        own, ends = header.copy(), []
        for first, last in parts:
            at = first + 12
            for marker, content, at in _segments(data, first + 12):  # noqa: B007
                own.take(marker, content)
            ends.append((at + 2, last))
        tiles[number] = own.tile(len(found.samples))
        tiles[number].parts = ends
    return CodeStream(found.axes, found.samples, tiles)


def _segments(data: bytes, at: int) -> Iterator[tuple[int, bytes, int]]:
    """Marker and content of each segment before the first tile or the packets, and where the segment ends."""
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker in (_TILE, _DATA):
            return
        after = at + 2 if marker in WITHOUT_LENGTH else at + 2 + length
        yield marker, data[at + 4 : after], after
        at = after


def _coding(style: int, order: bytes, content: bytes) -> Coding:
    levels = content[0]
    if content[3] & _HIGH_THROUGHPUT or levels > 32:
        raise NotUnderstood
    precincts = [(15, 15)] * (levels + 1)
    if style & 1:
        precincts = [(content[5 + number] & 15, content[5 + number] >> 4) for number in range(levels + 1)]
    if any(0 in size for size in precincts[1:]):
        raise NotUnderstood
    return Coding(
        bool(style & 2),
        bool(style & 4),
        order[0],
        int.from_bytes(order[1:3], "big"),
        levels,
        ((content[1] & 15) + 2, (content[2] & 15) + 2),
        content[3],
        precincts,
    )


def _quantisation(content: bytes, shift: int) -> Quantisation:
    style = content[0] & 31
    exponents = [byte >> 3 for byte in content[1 :: 2 if style else 1]]
    return Quantisation(style == 1, content[0] >> 5, exponents, shift)
