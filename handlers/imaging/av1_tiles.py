"""AV1: where the data of each tile of a still image lies (AV1 bitstream specification, 5.5, 5.9 and 5.11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from handlers.imaging.av1_sequence import Bits, Sequence, read
from handlers.rejections import NotUnderstood

_SEQUENCE, _FRAME_HEADER, _TILE_GROUP, _FRAME = 1, 3, 4, 6  # obu_type
_HEADERS, _TILES = (_FRAME_HEADER, _FRAME), (_TILE_GROUP, _FRAME)
_FEATURE_BITS = (9, 7, 7, 7, 7, 3, 0, 0)  # of segments, with the sign
_MOST_TILES = 64  # a row or column


@dataclass(slots=True)
class Unit:
    """An OBU: ``begin`` and ``end`` of its content; its header begins at ``head``."""

    kind: int
    head: int
    begin: int
    end: int


@dataclass(slots=True)
class Av1Tile:
    """``begin`` and ``end`` of its data, and the pixels that it has of the image, of 4:2:0 in full size."""

    begin: int
    end: int
    left: int
    top: int
    right: int
    bottom: int


@dataclass(slots=True)
class Layout:
    """``groups`` are units with the tiles in each; ``size_bytes`` how many bytes say the size of a tile, but for the last of a group.

    ``size`` is width and height of the frame in pixels; (0, 0) if it was not read. ``configuration`` is that of the sequence, or -1.
    """

    units: list[Unit]
    groups: dict[int, list[Av1Tile]]
    size_bytes: int
    size: tuple[int, int] = (0, 0)
    configuration: int = -1

    def tiles(self) -> list[Av1Tile]:
        """All of them, in their order."""
        return [tile for group in self.groups.values() for tile in group]


def layout(data: bytes, begin: int, end: int) -> Layout:
    """Read the OBUs of an image item.

    Raises
    ------
    NotUnderstood
        It is another than a shown key frame, uses what is not read here, or is damaged in a way that the decoder reports.
    """
    found = list(units(data, begin, end))
    headers = [unit for unit in found if unit.kind == _SEQUENCE]
    frames = [index for index, unit in enumerate(found) if unit.kind in _HEADERS]
    if len(headers) != 1 or len(frames) != 1:
        raise NotUnderstood("not one frame")
    sequence = read(Bits(data, headers[0].begin, headers[0].end))
    frame = found[frames[0]]
    bits = Bits(data, frame.begin, frame.end)
    header = _FrameHeader(sequence, bits)
    groups: dict[int, list[Av1Tile]] = {}
    count = 0
    for index, unit in enumerate(found):
        if unit.kind in _TILES:
            first = bits.aligned() if unit.kind == _FRAME else unit.begin
            groups[index] = list(header.group(data, first, unit.end, count))
            count += len(groups[index])
    if count != len(header.columns) * len(header.rows):
        raise NotUnderstood("tiles are missing")
    return Layout(found, groups, header.size_bytes, header.size, sequence.configuration)


def units(data: bytes, at: int, end: int) -> Iterator[Unit]:
    """Each OBU; none that the boxes cut off."""
    while at + 2 <= end:
        head, header = at, data[at]
        at += 2 if header & 4 else 1
        size = end - at
        if header & 2:
            size, shift = 0, 0
            while at < end:
                size |= (data[at] & 127) << shift
                shift += 7
                at += 1
                if not data[at - 1] & 128:
                    break
        if at + size > end:
            return
        yield Unit(header >> 3 & 15, head, at, at + size)
        at += size


class _FrameHeader:
    """The header of a key frame, read to its end; ``columns`` and ``rows`` are the first and last pixels of tiles."""

    def __init__(self, sequence: Sequence, bits: Bits) -> None:
        self._sequence, self._bits = sequence, bits
        self.size_bytes = 0
        if not sequence.reduced and bits.number(4) != 1:  # not shown again, a key frame, shown
            raise NotUnderstood("no key frame")
        constant = bits.flag()
        screen = bits.flag() if sequence.screen == 2 else sequence.screen == 1
        if screen and sequence.integer == 2:
            bits.number(1)
        bits.number(sequence.id_bits)
        own_size = not sequence.reduced and bits.flag()
        bits.number(sequence.order_bits)
        width, height = sequence.size
        if own_size:
            width, height = bits.number(sequence.size_bits[0]) + 1, bits.number(sequence.size_bits[1]) + 1
        scaled = sequence.scaled and bits.flag()
        if scaled:
            raise NotUnderstood("scaled")
        if bits.flag():
            bits.number(32)
        copies = screen and bits.flag()
        if not (sequence.reduced or constant):
            bits.number(1)
        self.size = width, height
        self.columns, self.rows = self._tiles(width, height)
        lossless, varying = self._quantisers()
        if varying and not copies and bits.flag():
            bits.number(3)
        if not (lossless or copies):
            self._filters()
        if not lossless:
            bits.number(1)
        bits.number(1)
        if sequence.grain and bits.flag():
            raise NotUnderstood("film grain")

    def _tiles(self, width: int, height: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        bits = self._bits
        # In blocks: 4,096 pixels of width, and 4,096 x 2,304 pixels, are the most of a tile.
        step, widest, largest = (128, 32, 576) if self._sequence.large else (64, 64, 2304)
        across, down = -(-width // step), -(-height // step)
        least = max(_log2(widest, across), _log2(largest, across * down))
        if bits.flag():
            columns = self._increments(_log2(widest, across), _log2(1, min(across, _MOST_TILES)))
            rows = self._increments(max(least - columns, 0), _log2(1, min(down, _MOST_TILES)))
            sizes = [(whole + (1 << log) - 1) >> log for whole, log in ((across, columns), (down, rows))]
            begins = [list(range(0, whole, size)) for whole, size in zip((across, down), sizes, strict=True)]
        else:
            begins = [self._begins(across, widest)]
            width_most = max(
                end - begin for begin, end in zip(begins[0], [*begins[0][1:], across], strict=True)
            )
            area = across * down >> least + 1 if least else across * down
            begins.append(self._begins(down, max(area // width_most, 1)))
            columns, rows = (_log2(1, len(part)) for part in begins)
        if columns or rows:
            bits.number(columns + rows)
            self.size_bytes = bits.number(2) + 1
        self._tile_bits = columns + rows
        first, second = (
            [
                (begin * step, min(end * step, whole))
                for begin, end in zip(part, [*part[1:], whole], strict=True)
            ]
            for part, whole in zip(begins, (width, height), strict=True)
        )
        return first, second

    def _increments(self, least: int, most: int) -> int:
        while least < most and self._bits.flag():
            least += 1
        return least

    def _begins(self, whole: int, most: int) -> list[int]:
        begins: list[int] = []
        at = 0
        while at < whole:
            if len(begins) == _MOST_TILES:
                raise NotUnderstood("too many tiles")
            begins.append(at)
            at += self._bits.below(min(whole - at, most)) + 1
        return begins

    def _quantisers(self) -> tuple[bool, bool]:
        """Whether the frame is lossless, and whether quantisers vary from block to block."""
        bits, sequence = self._bits, self._sequence
        base = bits.number(8)
        deltas = [self._delta()]
        if sequence.planes == 3:
            apart = sequence.separate and bits.flag()
            deltas += [self._delta() for _ in range(4 if apart else 2)]
        if bits.flag():
            bits.number(8 + 4 * sequence.separate)
        bases = [base] * 8
        if bits.flag():
            for segment in range(8):
                for feature, size in enumerate(_FEATURE_BITS):
                    if bits.flag():
                        value = bits.number(size)
                        if not feature:
                            bases[segment] = min(max(base + (value ^ 256) - 256, 0), 255)
        varying = base > 0 and bits.flag()
        if varying:
            bits.number(2)
        return not any(bases) and not any(deltas), varying

    def _delta(self) -> int:
        return self._bits.number(7) if self._bits.flag() else 0

    def _filters(self) -> None:
        bits, sequence = self._bits, self._sequence
        levels = bits.number(6), bits.number(6)
        if sequence.planes == 3 and any(levels):
            bits.number(12)
        bits.number(3)
        if bits.flag() and bits.flag():
            for _ in range(10):
                self._delta()
        if sequence.cdef:
            bits.number(2)
            for _ in range(1 << bits.number(2)):
                bits.number(6 if sequence.planes == 1 else 12)
        if sequence.restoration:
            kinds = [bits.number(2) for _ in range(sequence.planes)]
            if any(kinds):
                if bits.flag() and not sequence.large:
                    bits.number(1)
                if sequence.subsampled and any(kinds[1:]):
                    bits.number(1)

    def group(self, data: bytes, at: int, end: int, count: int) -> Iterator[Av1Tile]:
        """The tiles of a group, of which there were `count` before."""
        places = [(*column, *row) for row in self.rows for column in self.columns]
        last = len(places) - 1
        if last:
            bits = Bits(data, at, end)
            if bits.flag():
                first, last = bits.number(self._tile_bits), bits.number(self._tile_bits)
                if first != count or not first <= last < len(places):
                    raise NotUnderstood("tiles in another order")
            at = bits.aligned()
        for number in range(count, last + 1):
            stop = end
            if number < last:
                stop = at + self.size_bytes
                size = int.from_bytes(data[at:stop], "little") + 1
                at, stop = stop, stop + size
            if at >= stop or stop > end:
                raise NotUnderstood("a tile ends early")
            left, right, top, bottom = places[number]
            yield Av1Tile(at, stop, left, top, right, bottom)
            at = stop


def _log2(size: int, whole: int) -> int:
    """How often `size` must be doubled to reach `whole`."""
    found = 0
    while size << found < whole:
        found += 1
    return found


def replaced(data: bytes, layout: Layout, new: dict[int, bytes]) -> bytes:
    """The OBUs, with other data of some tiles, by their number; of what is too long for the field of its size, the begin."""
    parts, number = [], 0
    for index, unit in enumerate(layout.units):
        tiles = layout.groups.get(index)
        if not tiles:
            parts.append(data[unit.head : unit.end])
            continue
        size_bytes = layout.size_bytes if len(tiles) > 1 else 0
        content = [data[unit.begin : tiles[0].begin - size_bytes]]
        for tile in tiles:
            found = new.get(number, data[tile.begin : tile.end])
            if tile is not tiles[-1]:
                found = found[: 1 << 8 * size_bytes]
                content.append((len(found) - 1).to_bytes(size_bytes, "little"))
            content.append(found)
            number += 1
        whole = b"".join(content)
        head = bytearray(data[unit.head : unit.head + (2 if data[unit.head] & 4 else 1)])
        head[0] |= 2
        parts += [bytes(head), _leb128(len(whole)), whole]
    return b"".join(parts)


def _leb128(value: int) -> bytes:
    found = []
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
