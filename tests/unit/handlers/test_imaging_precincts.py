"""JPEG 2000: sub-bands, precincts, code-blocks and the order of packets, held against the standard step by step, sample by sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pytest

from handlers.imaging import packet_headers
from handlers.imaging.codestream import CodeStream, Coding, Jpeg2000Tile, Quantisation
from handlers.rejections import NotUnderstood, Rejection
from tests.unit.handlers.sample_jpeg2000 import coding, quantisation, segment, size, stream, tile
from tests.unit.handlers.test_imaging_packet_headers import check

LAYERS = 2


def coded(
    levels: int, precincts: Sequence[tuple[int, int]], block: tuple[int, int], order: int = 0
) -> Coding:
    return Coding(False, False, order, LAYERS, levels, block, 0, list(precincts))


def streamed(
    across: tuple[int, int, int, int],
    down: tuple[int, int, int, int],
    components: dict[tuple[int, int], Coding],
) -> CodeStream:
    """A stream of these components by their steps; each exponent is another."""
    steps = Quantisation(False, 2, list(range(10, 40)))
    one = Jpeg2000Tile(
        next(iter(components.values())), list(components.values()), [steps] * len(components), []
    )
    tiles = -(-(across[1] - across[2]) // across[3]) * -(-(down[1] - down[2]) // down[3])
    return CodeStream((across, down), list(components), dict.fromkeys(range(tiles), one))


STREAMS = {
    "plain": streamed((0, 33, 0, 33), (0, 21, 0, 21), {(1, 1): coded(2, [(15, 15)] * 3, (3, 2))}),
    "one resolution": streamed((0, 33, 0, 33), (0, 21, 0, 21), {(1, 1): coded(0, [(3, 2)], (2, 4))}),
    "precincts": streamed((0, 33, 0, 33), (0, 21, 0, 21), {(1, 1): coded(2, [(1, 2), (2, 3), (3, 2)], (2, 2))}),
    "offset": streamed((7, 40, 3, 60), (5, 26, 5, 60), {(1, 1): coded(3, [(0, 1), (1, 2), (3, 2), (4, 3)], (2, 1))}),
    "tiles": streamed((7, 40, 3, 11), (5, 26, 5, 9), {(1, 1): coded(2, [(1, 1), (2, 2), (2, 3)], (1, 2))}),
    "subsampled": streamed(
        (3, 40, 1, 14), (6, 33, 0, 12),
        {(1, 1): coded(2, [(1, 2), (2, 2), (3, 2)], (2, 2)), (2, 1): coded(1, [(2, 1), (2, 3)], (1, 1)),
         (2, 3): coded(3, [(0, 1), (1, 1), (1, 2), (2, 2)], (2, 1))},
    ),
    "flat": streamed((0, 19, 0, 8), (5, 6, 0, 8), {(1, 1): coded(3, [(1, 1)] * 4, (2, 2)), (1, 4): coded(2, [(1, 2)] * 3, (1, 1))}),
    "narrow": streamed((5, 6, 0, 8), (0, 19, 0, 8), {(1, 1): coded(3, [(1, 1)] * 4, (2, 2)), (4, 1): coded(2, [(2, 1)] * 3, (1, 1))}),
}  # fmt: skip


class Resolution:
    """Samples of a resolution and of its sub-bands, found by taking every other sample as often as there are levels."""

    def __init__(self, columns: list[int], rows: list[int], number: int, levels: int) -> None:
        for _ in range(levels - number):
            columns, rows = _halves(columns)[0], _halves(rows)[0]
        self.columns, self.rows = columns, rows
        if number:
            (low_x, high_x), (low_y, high_y) = _halves(columns), _halves(rows)
            self.bands = [(high_x, low_y), (low_x, high_y), (high_x, high_y)]
        else:
            self.bands = [(columns, rows)]


def _halves(samples: list[int]) -> tuple[list[int], list[int]]:
    return [one // 2 for one in samples if one % 2 == 0], [one // 2 for one in samples if one % 2]


def resolutions(found: CodeStream, number: int, component: int) -> list[Resolution]:
    """Of a component of a tile."""
    step, levels = found.components[component], found.tiles[number].codings[component].levels
    columns, rows = (
        [place // by for place in range(*edges) if place % by == 0]
        for edges, by in zip(found.region(number), step, strict=True)
    )
    return [Resolution(columns, rows, one, levels) for one in range(levels + 1)]


@pytest.mark.parametrize("name", STREAMS)
def test_sub_bands_precincts_and_code_blocks(name: str) -> None:
    found = STREAMS[name]
    for number in found.tiles:
        for component, code in enumerate(found.tiles[number].codings):
            read = packet_headers._component(found, number, component)
            expected = resolutions(found, number, component)
            assert len(read) == len(expected) == code.levels + 1
            for index, (one, samples) in enumerate(zip(read, expected, strict=True)):
                wide, high = code.precincts[index]
                columns, rows = (
                    {place >> by for place in places}
                    for places, by in ((samples.columns, wide), (samples.rows, high))
                )
                assert one.numbers == [(across, down) for down in sorted(rows) for across in sorted(columns)]
                pixels = [
                    [max(edge, number * 2 ** (by + code.levels - index) * step) for number in sorted(numbers)]
                    for (edge, _), numbers, by, step in zip(
                        found.region(number),
                        (columns, rows),
                        (wide, high),
                        found.components[component],
                        strict=True,
                    )
                ]
                assert one.places == [(y, x) for y in pixels[1] for x in pixels[0]]
                halved = min(index, 1)
                for band, (band_columns, band_rows) in zip(one.bands, samples.bands, strict=True):
                    across, down = (
                        min(block, by - halved) for block, by in zip(code.block, (wide, high), strict=True)
                    )
                    for at, (x, y) in enumerate(one.numbers):
                        inside = [place for place in band_columns if place >> wide - halved == x]
                        below = [place for place in band_rows if place >> high - halved == y]
                        blocks = (
                            len({place >> across for place in inside}),
                            len({place >> down for place in below}),
                        )
                        precinct = one.precincts(at)[one.bands.index(band)]
                        assert (precinct.wide, precinct.high) == blocks
                        assert len(precinct.blocks) == blocks[0] * blocks[1]
                        assert one.precincts(at)[one.bands.index(band)] is precinct
                    assert band.blocks() == (
                        len({place >> across for place in band_columns}),
                        len({place >> down for place in band_rows}),
                    )
                # Exponents in the order of the sub-bands, from the lowest, with 2 bits that guard
                first = 3 * index - 2 if index else 0
                assert [band.planes for band in one.bands] == [
                    2 + 10 + first + add - 1 for add in range(len(one.bands))
                ]


def standard_order(found: CodeStream, number: int, order: int) -> Iterator[tuple[int, int, int, int]]:
    """Component, resolution, precinct and layer of each packet, by the loops of B.12.1."""
    codings = found.tiles[number].codings
    (left, right), (top, bottom) = found.region(number)
    each = [resolutions(found, number, component) for component in range(len(codings))]
    most, layers, components = max(code.levels for code in codings), range(LAYERS), range(len(codings))

    def count(component: int, resolution: int) -> tuple[int, int]:
        one, precinct = each[component][resolution], codings[component].precincts[resolution]
        wide, high = (
            len({place >> precinct[0] for place in one.columns}),
            len({place >> precinct[1] for place in one.rows}),
        )
        return (wide, high) if wide and high else (0, 0)

    def at(component: int, resolution: int, x: int, y: int) -> Iterator[int]:
        """The precinct whose corner is at this place."""
        if resolution > codings[component].levels or not count(component, resolution)[0]:
            return
        less = codings[component].levels - resolution
        found_at = []
        for place, begin, step, power in zip(
            (x, y),
            (left, top),
            found.components[component],
            codings[component].precincts[resolution],
            strict=True,
        ):
            first = math.ceil(math.ceil(begin / step) / 2**less)  # of this resolution
            if place % (step * 2 ** (power + less)) and not (
                place == begin and first * 2**less % 2 ** (power + less)
            ):
                return
            found_at.append(-(-place // (step * 2**less)) // 2**power - first // 2**power)
        yield found_at[0] + found_at[1] * count(component, resolution)[0]

    def every(component: int, resolution: int) -> range:
        if resolution > codings[component].levels:
            return range(0)
        wide, high = count(component, resolution)
        return range(wide * high)

    def places() -> Iterator[tuple[int, int]]:
        return ((x, y) for y in range(top, bottom) for x in range(left, right))

    if order == 0:
        return (
            (c, r, k, layer)
            for layer in layers
            for r in range(most + 1)
            for c in components
            for k in every(c, r)
        )
    if order == 1:
        return (
            (c, r, k, layer)
            for r in range(most + 1)
            for layer in layers
            for c in components
            for k in every(c, r)
        )
    if order == 2:
        return (
            (c, r, k, layer)
            for r in range(most + 1)
            for x, y in places()
            for c in components
            for k in at(c, r, x, y)
            for layer in layers
        )
    if order == 3:
        return (
            (c, r, k, layer)
            for x, y in places()
            for c in components
            for r in range(most + 1)
            for k in at(c, r, x, y)
            for layer in layers
        )
    return (
        (c, r, k, layer)
        for c in components
        for x, y in places()
        for r in range(most + 1)
        for k in at(c, r, x, y)
        for layer in layers
    )


@pytest.mark.parametrize("order", range(5))
@pytest.mark.parametrize("name", STREAMS)
def test_the_order_of_packets(name: str, order: int) -> None:
    found = STREAMS[name]
    for number, one in found.tiles.items():
        common = coded(one.common.levels, one.common.precincts, one.common.block, order)
        read = [packet_headers._component(found, number, component) for component in range(len(one.codings))]
        expected = list(standard_order(found, number, order))
        assert list(packet_headers._order(common, read)) == expected
        assert len(set(expected)) == len(expected) > 0


def test_an_order_that_does_not_exist() -> None:
    with pytest.raises(NotUnderstood):
        packet_headers._order(coded(0, [(15, 15)], (4, 4), 5), [])


@pytest.mark.parametrize("name", STREAMS)
def test_precincts_of_a_component_are_counted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = STREAMS[name]
    count = sum(len(one.numbers) for one in packet_headers._component(found, 0, 0))
    monkeypatch.setattr(packet_headers, "_MOST_PACKETS", count)
    packet_headers._component(found, 0, 0)
    monkeypatch.setattr(packet_headers, "_MOST_PACKETS", count - 1)
    with pytest.raises(NotUnderstood):
        packet_headers._component(found, 0, 0)


def limited(data: bytes) -> bool:
    """Whether there is too much to read; otherwise it is read, and ends early."""
    try:
        check(data)
    except NotUnderstood:
        return True
    except Rejection as found:
        return found.code != "truncated_image"
    return True


COMMENTS = segment(0xFF64, bytes(60_000))


@pytest.mark.parametrize(
    ("layers", "components", "area", "comments", "expected"),
    [
        (50_000, 2, (4, 4), 2, False), (50_001, 2, (4, 4), 2, True), (1000, 1, (80, 100), 4, False), (1001, 1, (80, 100), 4, True),
        (1000, 1, (80, 100), 3, True), (500, 1, (80, 100), 2, False),
    ],
)  # fmt: skip
def test_packets_and_code_blocks_that_are_read(
    layers: int, components: int, area: tuple[int, int], comments: int, expected: bool
) -> None:
    # GIVEN code-blocks of 4 x 4 samples in each of these layers and components, and a file of so many times 60 kB
    header = size(area, components=[(7, 1, 1)] * components)
    data = stream(
        header, coding(layers=layers, block=(0, 0)), quantisation(), *[COMMENTS] * comments, tile(0, b"\0")
    )
    assert limited(data) == expected


def test_code_blocks_in_a_small_file() -> None:
    parts = [size((4, 4)), quantisation(), tile(0, b"\0")]
    length = len(stream(*parts, coding()))
    for more, expected in ((0, False), (1, True)):
        assert limited(stream(parts[0], coding(layers=20_000 + 2 * length + more), *parts[1:])) == expected


def test_packets_of_all_tiles_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = [tile(number, b"\0\0\0") for number in range(4)]
    data = stream(size((8, 8), tile=(4, 4)), coding(layers=3), quantisation(), *tiles)
    monkeypatch.setattr(packet_headers, "_MOST_PACKETS", 12)
    check(data)
    monkeypatch.setattr(packet_headers, "_MOST_PACKETS", 11)
    with pytest.raises(NotUnderstood):
        check(data)


@pytest.mark.parametrize("most", [11, 12])
def test_bytes_of_headers_of_all_tiles_are_counted(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert packet_headers._MOST_HEADERS == 1_000_000
    tiles = [tile(number, b"\0\0\0") for number in range(4)]
    data = stream(size((8, 8), tile=(4, 4)), coding(layers=3), quantisation(), *tiles)
    monkeypatch.setattr(packet_headers, "_MOST_HEADERS", most)
    if most == 12:
        check(data)
    else:
        with pytest.raises(NotUnderstood):
            check(data)
