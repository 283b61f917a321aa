"""JPEG 2000: the headers of all packets of a tile, read as ISO/IEC 15444-1, B.10, has them, and held against the rest of the file.

A decoder does not notice most damaged headers: it takes other bytes for code-blocks, and each decoder others. Read in order, the packets
must use up the data of the tile exactly, and no code-block can have more bit planes than its sub-band.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from handlers.imaging.codestream import CodeStream, Coding, Quantisation
from handlers.rejections import NotUnderstood, Rejection

# Of all tiles. Where a packet has nothing of a code-block, that may take no bit of it, but it takes 10 µs.
_MOST_PACKETS = 100_000
_MOST_CONTRIBUTIONS = 500_000
_SMALL_CONTRIBUTIONS, _CONTRIBUTIONS_PER_BYTE = 20_000, 2
_MOST_HEADERS = 1_000_000  # bytes
_MOST_BITS = 32  # of a length
_BYPASS, _TERMINATED = 1, 4  # styles of code-blocks
# What packets are sorted by in each order: 0 component, 1 resolution, 3 and 4 place down and across. Where they are equal, they stay sorted
# by component, resolution and precinct.
_SORTED = {0: (1,), 1: (1,), 2: (1, 3, 4), 3: (3, 4), 4: (0, 3, 4)}


def check(data: bytes, stream: CodeStream) -> None:
    """Read the packets of every tile.

    Raises
    ------
    Rejection
        ``corrupt_image``, ``truncated_image``.
    NotUnderstood
        There are too many of them.
    """
    most = min(_MOST_CONTRIBUTIONS, _SMALL_CONTRIBUTIONS + _CONTRIBUTIONS_PER_BYTE * len(data))
    contributions = packets = headers = 0
    for number, tile in stream.tiles.items():
        components = [_component(stream, number, component) for component in range(len(stream.components))]
        contributions += tile.common.layers * sum(
            wide * high
            for resolutions in components
            for resolution in resolutions
            for band in resolution.bands
            for wide, high in [band.blocks()]
        )
        packets += tile.common.layers * sum(
            len(one.places) for resolutions in components for one in resolutions
        )
        if contributions > most or packets > _MOST_PACKETS:
            raise NotUnderstood
        reader = _HeaderBits(b"".join(data[begin:end] for begin, end in tile.parts), headers)
        for component, resolution, precinct, layer in _order(tile.common, components):
            _packet(
                reader, tile.codings[component], components[component][resolution].precincts(precinct), layer
            )
        if reader.at != len(reader.data):
            raise Rejection("corrupt_image", "JPEG2000: the packets of a tile end before its data does.")
        headers = reader.headers


@dataclass(slots=True)
class _CodeBlock:
    """A code-block: whether it was in a packet, the bits of its lengths, and its passes, of which `segment` are in the last segment."""

    included: bool = False
    bits: int = 3
    passes: int = 0
    segment: int = 0
    limit: int = field(init=False)  # passes of a segment, and of all
    most: int = field(init=False)


class _TagTree:
    """Numbers of a grid, each known as far as it was needed (B.10.2)."""

    __slots__ = ("_levels",)

    def __init__(self, wide: int, high: int) -> None:
        self._levels: list[list[list[list[int]]]] = []  # by row: the least value, and whether it is that
        while True:
            self._levels.append([[[0, False] for _ in range(wide)] for _ in range(high)])
            if wide * high <= 1:
                break
            wide, high = (wide + 1) // 2, (high + 1) // 2

    def read(self, reader: _HeaderBits, across: int, down: int, below: int) -> int:
        """The value, or `below` if it is not less than that."""
        least = 0
        for level in range(len(self._levels) - 1, -1, -1):
            node = self._levels[level][down >> level][across >> level]
            least = max(least, node[0])
            while least < below and not node[1]:
                if reader.bit():
                    node[1] = True
                else:
                    least += 1
            node[0] = least
        return least


@dataclass(slots=True)
class _Precinct:
    """The code-blocks of one precinct in one sub-band, with their trees; `planes` is how many bit planes they can have."""

    wide: int
    high: int
    planes: int
    blocks: list[_CodeBlock]
    inclusion: _TagTree
    empty_planes: _TagTree


@dataclass(slots=True)
class _Band:
    """A sub-band: its begin and end across and down, and the sizes of its precincts and code-blocks as powers of two."""

    left: int
    top: int
    right: int
    bottom: int
    precinct: tuple[int, int]
    block: tuple[int, int]
    planes: int

    def blocks(self) -> tuple[int, int]:
        """How many there are, at most, across and down."""
        across, down = self.block
        return (
            (-(-self.right >> across) - (self.left >> across)) if self.right > self.left else 0,
            (-(-self.bottom >> down) - (self.top >> down)) if self.bottom > self.top else 0,
        )

    def within(self, across: int, down: int) -> _Precinct:
        """The code-blocks of one precinct, counted from the origin of all."""
        wide, high = (
            (-(-end >> block)) - (begin >> block) if end > begin else 0
            for begin, end, block in (
                (
                    max(self.left, across << self.precinct[0]),
                    min(self.right, across + 1 << self.precinct[0]),
                    self.block[0],
                ),
                (
                    max(self.top, down << self.precinct[1]),
                    min(self.bottom, down + 1 << self.precinct[1]),
                    self.block[1],
                ),
            )
        )
        return _Precinct(
            wide,
            high,
            self.planes,
            [_CodeBlock() for _ in range(wide * high)],
            _TagTree(wide, high),
            _TagTree(wide, high),
        )


@dataclass(slots=True)
class _Resolution:
    """One resolution of a component: its sub-bands, and its precincts with their places in the image."""

    bands: list[_Band]
    places: list[tuple[int, int]]  # down and across, in pixels
    numbers: list[tuple[int, int]]  # across and down, from the origin
    made: dict[int, list[_Precinct]] = field(default_factory=dict)

    def precincts(self, number: int) -> list[_Precinct]:
        """One of its precincts in each sub-band, made when it is read first."""
        if number not in self.made:
            self.made[number] = [band.within(*self.numbers[number]) for band in self.bands]
        return self.made[number]


def _component(stream: CodeStream, tile: int, component: int) -> list[_Resolution]:
    """The resolutions of a component of a tile (B.5 to B.7)."""
    coding, quantisation = stream.tiles[tile].codings[component], stream.tiles[tile].quantisations[component]
    step = stream.components[component]
    region = stream.region(tile)
    edges = [(-(-begin // by), -(-end // by)) for (begin, end), by in zip(region, step, strict=True)]
    found = []
    precincts = 0
    for resolution in range(coding.levels + 1):
        halvings = coding.levels - resolution
        (left, right), (top, bottom) = [
            (_halved(begin, halvings), _halved(end, halvings)) for begin, end in edges
        ]
        size = coding.precincts[resolution]
        places: list[tuple[int, int]] = []
        numbers: list[tuple[int, int]] = []
        if right > left and bottom > top:
            columns = range(left >> size[0], -(-right >> size[0]))
            rows = range(top >> size[1], -(-bottom >> size[1]))
            precincts += len(columns) * len(rows)
            if precincts > _MOST_PACKETS:
                raise NotUnderstood
            for down in rows:
                for across in columns:
                    numbers.append((across, down))
                    x = max(region[0][0], (across << size[0] + halvings) * step[0])
                    y = max(region[1][0], (down << size[1] + halvings) * step[1])
                    places.append((y, x))
        found.append(_Resolution(list(_bands(coding, quantisation, edges, resolution)), places, numbers))
    return found


def _bands(
    coding: Coding, quantisation: Quantisation, edges: list[tuple[int, int]], resolution: int
) -> Iterator[_Band]:
    halvings = coding.levels - resolution + (resolution > 0)
    size = coding.precincts[resolution]
    if resolution:
        size = size[0] - 1, size[1] - 1
    block = min(coding.block[0], size[0]), min(coding.block[1], size[1])
    for number, (high_x, high_y) in enumerate(((1, 0), (0, 1), (1, 1)) if resolution else ((0, 0),)):
        ends = [
            tuple(-(-(edge - ((high << halvings) >> 1)) >> halvings) for edge in pair)
            for pair, high in zip(edges, (high_x, high_y), strict=True)
        ]
        planes = quantisation.planes(
            3 * resolution - 2 + number if resolution else 0, coding.levels - halvings
        )
        yield _Band(ends[0][0], ends[1][0], ends[0][1], ends[1][1], size, block, planes)


def _halved(edge: int, times: int) -> int:
    return -(-edge >> times)


def _order(coding: Coding, tile: list[list[_Resolution]]) -> Iterator[tuple[int, int, int, int]]:
    """Component, resolution, precinct and layer of each packet, in the order of the file (B.12)."""
    layers = range(coding.layers)
    every = [
        (component, resolution, number, *place)
        for component, resolutions in enumerate(tile)
        for resolution, one in enumerate(resolutions)
        for number, place in enumerate(one.places)
    ]
    if coding.order not in _SORTED:
        raise NotUnderstood
    every.sort(key=itemgetter(*_SORTED[coding.order]))
    if coding.order == 0:
        return ((*item[:3], layer) for layer in layers for item in every)
    if coding.order == 1:
        return (
            (*item[:3], layer)
            for _, group in groupby(every, itemgetter(1))
            for items in [list(group)]
            for layer in layers
            for item in items
        )
    return ((*item[:3], layer) for item in every for layer in layers)


class _HeaderBits:
    """The bits of the headers: after a byte of ones, one of seven bits follows (B.10.1)."""

    __slots__ = ("_byte", "_left", "at", "data", "headers")

    def __init__(self, data: bytes, headers: int) -> None:
        self.data, self.at, self._byte, self._left, self.headers = data, 0, 0, 0, headers

    def begin(self) -> None:
        """Begin a header."""
        self._byte = self._left = 0

    def bit(self) -> int:
        """The next bit."""
        if not self._left:
            self._left = 7 if self._byte == 0xFF else 8
            if self.at >= len(self.data):
                raise Rejection("truncated_image", "JPEG2000: a part of the data of a tile is missing.")
            self._byte = self.data[self.at]
            self.at += 1
            self.headers += 1
            if self.headers > _MOST_HEADERS:
                raise NotUnderstood
            if self._left == 7 and self._byte > 0x7F:
                raise _damaged()
        self._left -= 1
        return self._byte >> self._left & 1

    def bits(self, count: int) -> int:
        """The next bits as a number."""
        found = 0
        for _ in range(count):
            found = found << 1 | self.bit()
        return found

    def end(self) -> None:
        """End a header, whose last byte is never one of ones."""
        if self._byte == 0xFF:
            self._left = 0
            self.bit()

    def skip(self, marker: bytes, length: int) -> None:
        """Pass over a marker, if it is next."""
        if self.data.startswith(marker, self.at):
            self.at += length


def _packet(reader: _HeaderBits, coding: Coding, precincts: list[_Precinct], layer: int) -> None:
    if coding.begins:
        reader.skip(b"\xff\x91", 6)
    reader.begin()
    pieces: list[tuple[int, bool]] = []
    if reader.bit():
        for precinct in precincts:
            for number, block in enumerate(precinct.blocks):
                pieces += _contribution(reader, coding, precinct, number, block, layer)
    reader.end()
    if coding.ends:
        reader.skip(b"\xff\x92", 2)
    for length, begins in pieces:
        # No coder begins so: the first two bytes would be a number that is too large, or a marker (C.3.5).
        first = reader.data[reader.at : reader.at + 2]
        if begins and length > 1 and int.from_bytes(first, "big") > 0xFF7F:
            raise _damaged()
        reader.at += length
    if reader.at > len(reader.data):
        raise Rejection("truncated_image", "JPEG2000: a part of the data of a tile is missing.")


def _contribution(
    reader: _HeaderBits, coding: Coding, precinct: _Precinct, number: int, block: _CodeBlock, layer: int
) -> list[tuple[int, bool]]:
    """Bytes of a code-block in a packet, by segment, and whether the segment begins with them."""
    if block.included:
        if not reader.bit():
            return []
    else:
        down, across = divmod(number, precinct.wide)
        first = precinct.inclusion.read(reader, across, down, layer + 1)
        if first > layer:
            return []
        if first < layer:  # the packet of that layer was empty
            raise _damaged()
        block.included = True
        planes = precinct.planes - precinct.empty_planes.read(reader, across, down, precinct.planes)
        block.most = 3 * planes - 2
        block.limit = 1 if coding.style & _TERMINATED else 10 if coding.style & _BYPASS else block.most
    passes = _passes(reader)
    block.passes += passes
    if block.passes > block.most:
        raise _damaged()
    while reader.bit():
        block.bits += 1
        if block.bits > _MOST_BITS:
            raise _damaged()
    pieces = []
    while passes:
        if block.segment == block.limit:
            block.segment = 0
            if coding.style & _BYPASS and not coding.style & _TERMINATED:
                block.limit = 2 if block.limit in (1, 10) else 1
        taken = min(passes, block.limit - block.segment)
        bits = block.bits + taken.bit_length() - 1
        if bits > _MOST_BITS:
            raise _damaged()
        pieces.append((reader.bits(bits), not block.segment))
        block.segment += taken
        passes -= taken
    return pieces


def _passes(reader: _HeaderBits) -> int:
    """How many coding passes a packet has of a block (B.10.6)."""
    if not reader.bit():
        return 1
    if not reader.bit():
        return 2
    for bits, base in ((2, 3), (5, 6)):
        value = reader.bits(bits)
        if value < (1 << bits) - 1:
            return base + value
    return 37 + reader.bits(7)


def _damaged() -> Rejection:
    return Rejection("corrupt_image", "JPEG2000: the data of a tile is damaged.")
