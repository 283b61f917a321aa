"""AV1: how large the tiles of a frame may be, and which units hold them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from handlers.imaging.av1_tiles import Av1Tile, Layout, _log2, layout
from handlers.rejections import NotUnderstood
from tests.unit.handlers.test_imaging_av1_sequence import Fields, header, packed
from tests.unit.handlers.test_imaging_av1_tiles import fields, frame

ONE, NONE = (1, 1), (0, 1)


def below(value: int, most: int) -> Fields:
    """A number less than `most`, as ns(n) of the specification: of two sizes in bits."""
    size = most.bit_length()
    short = (1 << size) - most
    if value < short:
        return [(value, size - 1)]
    return [(value + short >> 1, size - 1), (value + short & 1, 1)]


def evenly(columns: str, rows: str, bits: int = 0) -> list[tuple[int, int]]:
    """Tiles of one size: doublings of their numbers, and how many bits the number of a tile has."""
    return [ONE, *((int(bit), 1) for bit in columns + rows), *([(1, bits), (2, 2)] if bits else [])]


def begins(whole: int, step: int) -> list[int]:
    return [*range(0, whole, step), whole]


# The size, whether blocks are large, the tiles as they are written, and where columns and rows begin
EVEN: list[tuple[tuple[int, int], bool, list[tuple[int, int]], list[int], list[int]]] = [
    # 4,096 pixels of width, and 4,096 x 2,304 of a tile, are the most
    ((4096, 2304), False, evenly("0", "0"), [0, 4096], [0, 2304]),
    ((4096, 2305), False, evenly("0", "0", 1), [0, 4096], [0, 1216, 2305]),
    ((4097, 64), False, evenly("0", "", 1), [0, 2112, 4097], [0, 64]),
    ((4096, 2304), True, evenly("0", "0"), [0, 4096], [0, 2304]),
    ((4096, 2305), True, evenly("0", "0", 1), [0, 4096], [0, 1280, 2305]),
    ((4097, 128), True, evenly("0", "", 1), [0, 2176, 4097], [0, 128]),
    ((8192, 2304), False, evenly("0", "0", 1), [0, 4096, 8192], [0, 2304]),
    ((8193, 64), False, evenly("0", "", 2), begins(8193, 33 * 64), [0, 64]),
    # One block more than is possible
    ((320, 461 * 64), False, evenly("0", "0", 1), [0, 320], [0, 231 * 64, 461 * 64]),
    ((128, 577 * 128), True, evenly("", "0", 1), [0, 128], [0, 289 * 128, 577 * 128]),
    ((64 * 64, 64), False, evenly("0", ""), [0, 4096], [0, 64]),
    ((32 * 128, 128), True, evenly("0", ""), [0, 4096], [0, 128]),
    ((33 * 128, 128), True, evenly("0", "", 1), [0, 17 * 128, 33 * 128], [0, 128]),
    # Columns leave less to rows
    ((4096, 4608), False, evenly("0", "0", 1), [0, 4096], [0, 2304, 4608]),
    ((4096, 4672), False, evenly("0", "0", 2), [0, 4096], begins(4672, 19 * 64)),
    ((4096, 4672), False, evenly("10", "0", 2), [0, 2048, 4096], [0, 37 * 64, 4672]),
    ((4096, 4672), False, evenly("110", "0", 2), begins(4096, 1024), [0, 4672]),
    ((4096, 4672), False, evenly("1110", "0", 3), begins(4096, 512), [0, 4672]),
    # As many as there are blocks, and 64 at most
    ((64, 64), False, evenly("", ""), [0, 64], [0, 64]),
    ((65, 64), False, evenly("1", "", 1), [0, 64, 65], [0, 64]),
    ((64, 4480), False, evenly("", "111111", 6), [0, 64], begins(4480, 128)),
    ((4480, 64), False, evenly("11111", "", 6), begins(4480, 128), [0, 64]),
    ((64, 4096), False, evenly("", "111111", 6), [0, 64], begins(4096, 64)),
    ((64, 2048), False, evenly("", "11111", 5), [0, 64], begins(2048, 64)),
    # Of three doublings, five of a size and a smaller one
    ((64, 704), False, evenly("", "1110", 3), [0, 64], begins(704, 128)),
    ((128, 704), True, evenly("", "110", 2), [0, 128], begins(704, 256)),
]


@pytest.mark.parametrize(("size", "large", "tiles", "columns", "rows"), EVEN)
def test_tiles_of_one_size(
    size: tuple[int, int], large: bool, tiles: list[tuple[int, int]], columns: list[int], rows: list[int]
) -> None:
    found = frame({"tiles": tiles}, size=size, large=large)
    assert found.columns == list(pairwise(columns))
    assert found.rows == list(pairwise(rows))
    assert found.size_bytes == (3 if len(columns) + len(rows) > 4 else 0)
    assert found._tile_bits == (tiles[-2][1] if found.size_bytes else 0)


def one_after_another(columns: list[tuple[int, int]], rows: list[tuple[int, int]], bits: int) -> Fields:
    """Tiles of several sizes in blocks, each with the most that is possible."""
    sizes = [field for size, most in columns + rows for field in below(size - 1, most)]
    return [NONE, *sizes, *([(1, bits), (2, 2)] if bits else [])]


SEVERAL: list[tuple[tuple[int, int], bool, list[tuple[int, int]], list[tuple[int, int]], int]] = [
    ((640, 320), False, [(10, 10)], [(5, 5)], 0),
    ((640, 320), True, [(5, 5)], [(3, 3)], 0),
    ((640, 320), False, [(3, 10), (7, 7)], [(1, 5), (4, 4)], 2),
    ((640, 320), False, [(3, 10), (1, 7), (6, 6)], [(5, 5)], 2),
    ((640, 320), False, [(3, 10), (1, 7), (2, 6), (4, 4)], [(2, 5), (2, 3), (1, 1)], 4),
    # A column has 64 blocks at most, or 32 large ones
    ((4160, 64), False, [(64, 64), (1, 1)], [(1, 1)], 1),
    ((4160, 64), False, [(20, 64), (45, 45)], [(1, 1)], 1),
    ((4224, 128), True, [(32, 32), (1, 1)], [(1, 1)], 1),
    # Of 64 x 64 blocks, in two tiles at least, a quarter of all is the most of a tile
    ((4096, 4096), False, [(64, 64)], [(16, 16)] * 4, 2),
    ((4096, 4096), False, [(64, 64)], [(5, 16), (16, 16), (16, 16), (16, 16), (11, 11)], 3),
    ((4096, 4096), False, [(10, 64), (30, 54), (24, 24)], [(34, 34), (30, 30)], 3),
    ((4096, 4096), False, [(30, 64), (10, 34), (24, 24)], [(30, 34), (34, 34)], 3),
    ((4096, 4096), False, [(24, 64), (10, 40), (30, 30)], [(33, 34), (31, 31)], 3),
    # Of 64 x 36 blocks, in one, all
    ((4096, 2304), False, [(64, 64)], [(36, 36)], 0),
    ((4096, 2304), False, [(32, 64), (32, 32)], [(20, 36), (16, 16)], 2),
    # Of 128 x 73, in five, and so eight, a sixteenth; but a row of blocks at least
    ((8192, 4672), False, [(64, 64), (64, 64)], [(9, 9)] * 8 + [(1, 1)], 5),
    ((40960, 64), False, [(64, 64)] * 10, [(1, 1)], 4),
    ((40960, 128), False, [(64, 64)] * 10, [(1, 1)] * 2, 5),
]


@pytest.mark.parametrize(("size", "large", "columns", "rows", "bits"), SEVERAL)
def test_tiles_of_several_sizes(
    size: tuple[int, int], large: bool, columns: list[tuple[int, int]], rows: list[tuple[int, int]], bits: int
) -> None:
    found = frame({"tiles": one_after_another(columns, rows, bits)}, size=size, large=large)
    for places, written, whole in ((found.columns, columns, size[0]), (found.rows, rows, size[1])):
        sums = [
            sum(one for one, _ in written[:number]) * (128 if large else 64) for number in range(len(written))
        ]
        assert places == list(pairwise([*sums, whole]))
    assert (found.size_bytes, found._tile_bits) == (3 if bits else 0, bits)


def test_doublings() -> None:
    assert [_log2(1, whole) for whole in (0, 1, 2, 3, 4, 5, 8, 9)] == [0, 0, 1, 2, 2, 3, 3, 4]
    assert [_log2(3, whole) for whole in (3, 4, 6, 7, 12)] == [0, 1, 1, 2, 2]


def unit(kind: int, content: bytes) -> bytes:
    return bytes((kind << 3 | 2, len(content))) + content


SEQUENCE = unit(1, packed(header(tools=[(15, 4), NONE, NONE, NONE]))[0])
# Of 300 x 200 pixels, three columns and two rows
TILES = evenly("110", "10", 3)


def header_bytes(tiles: Fields = TILES) -> bytes:
    """The header of a frame, filled up with zeros."""
    written = fields({"tiles": tiles, "deltas": [NONE] * 4, "grain": [NONE]})
    return packed([*written, (0, -packed(written)[1] % 8)])[0]


def ended(tiles: Fields = TILES) -> bytes:
    """The header of a frame in a unit of its own, which ends with a 1."""
    written = fields({"tiles": tiles, "deltas": [NONE] * 4, "grain": [NONE]})
    return packed([*written, ONE, (0, -(packed(written)[1] + 1) % 8)])[0]


ALONE = evenly("0", "0")


def grouped(*contents: bytes) -> Layout:
    """The layout of six tiles in such groups."""
    data = SEQUENCE + unit(3, ended()) + b"".join(unit(4, content) for content in contents)
    return layout(data, 0, len(data))


def test_a_unit_of_header_and_tiles() -> None:
    data = b"before" + SEQUENCE + unit(6, header_bytes(ALONE) + b"tile") + unit(5, b"data")
    found = layout(data, 6, len(data))
    begin = data.index(b"tile")
    assert found.groups == {1: [Av1Tile(begin, begin + 4, 0, 0, 300, 200)]}
    assert (found.size, found.configuration, found.size_bytes) == ((300, 200), 0b1100, 0)
    assert [one.kind for one in found.units] == [1, 6, 5]


def test_units_of_tiles() -> None:
    # GIVEN six tiles in three groups, with numbers of three bits and sizes of three bytes
    first = packed([ONE, (0, 3), (2, 3), (0, 1)])[0] + b"\0\0\0a" + b"\2\0\0bcd" + b"ef"
    second = packed([ONE, (3, 3), (3, 3), (0, 1)])[0] + b"ghi"
    third = packed([ONE, (4, 3), (5, 3), (0, 1)])[0] + b"\1\0\0jk" + b"l"
    data = SEQUENCE + unit(3, ended()) + unit(4, first) + unit(4, second) + unit(5, b"") + unit(4, third)
    found = layout(data, 0, len(data))
    x, y = [(0, 128), (128, 256), (256, 300)], [(0, 128), (128, 200)]
    assert [data[tile.begin : tile.end] for tile in found.tiles()] == [
        b"a",
        b"bcd",
        b"ef",
        b"ghi",
        b"jk",
        b"l",
    ]
    assert [(tile.left, tile.right, tile.top, tile.bottom) for tile in found.tiles()] == [
        (*one, *two) for two in y for one in x
    ]
    assert {number: len(group) for number, group in found.groups.items()} == {2: 3, 3: 1, 5: 2}
    assert found.size_bytes == 3
    # AND in another order, twice, or fewer
    contents = [first, second, third]
    for others in ([1, 0, 2], [0, 2, 1], [0, 1, 1], [1, 2]):
        with pytest.raises(NotUnderstood, match="another order"):
            grouped(*(contents[one] for one in others))
    for others in ([0, 1], [0], []):
        with pytest.raises(NotUnderstood, match="tiles are missing"):
            grouped(*(contents[one] for one in others))


@pytest.mark.parametrize(
    ("first", "last", "whole"), [(0, 5, True), (0, 6, False), (0, 7, False), (1, 5, False), (1, 0, False)]
)
def test_numbers_of_tiles(first: int, last: int, whole: bool) -> None:
    content = packed([ONE, (first, 3), (last, 3), (0, 1)])[0] + b"\0\0\0a" * 15 + b"b"
    if whole:
        assert len(grouped(content).tiles()) == 6
    else:
        with pytest.raises(NotUnderstood, match="another order"):
            grouped(content)


@pytest.mark.parametrize("size", range(1, 23))
def test_tiles_that_end_early(size: int) -> None:
    # GIVEN five tiles of one byte after sizes of three, and the last
    content = (b"\0" + b"\0\0\0a" * 5 + b"b")[:size]
    if size == 22:
        assert len(grouped(content).tiles()) == 6
    else:
        with pytest.raises(NotUnderstood, match="a tile ends early"):
            grouped(content)


@pytest.mark.parametrize(
    "data",
    [
        unit(6, header_bytes(ALONE) + b"tile"),
        SEQUENCE * 2 + unit(6, header_bytes(ALONE) + b"tile"),
        SEQUENCE + unit(6, header_bytes(ALONE) + b"tile") * 2,
        SEQUENCE + unit(3, ended(ALONE)) + unit(6, header_bytes(ALONE) + b"tile"),
        SEQUENCE + unit(4, b"tile"),
        SEQUENCE,
        b"",
    ],
)
def test_data_of_several_frames_or_none(data: bytes) -> None:
    with pytest.raises(NotUnderstood, match="not one frame"):
        layout(data, 0, len(data))
