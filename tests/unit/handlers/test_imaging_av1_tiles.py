"""AV1: each field of the header of a frame is read with its size; where the tiles of a frame are."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from handlers.imaging.av1_sequence import Bits, Sequence
from handlers.imaging.av1_tiles import Av1Tile, Layout, Unit, _FrameHeader, replaced, units
from handlers.rejections import NotUnderstood
from tests.unit.handlers.test_imaging_av1_sequence import Fields, packed

PLAIN = Sequence(
    reduced=False, id_bits=0, size_bits=(13, 13), size=(60, 50), large=False, screen=0, integer=2, order_bits=0, scaled=False,
    cdef=False, restoration=False, grain=False, planes=3, subsampled=True, separate=False, configuration=0b0000_1100,
)  # fmt: skip
ONE: Fields = ((1, 1),)
NONE: Fields = ((0, 1),)
# A shown key frame, whose values of probability are not updated, in the size of the sequence, and one tile; then quantisers.
PARTS: dict[str, Fields] = {
    "kind": ((1, 4),), "constant": ONE, "screen": (), "id": (), "own": NONE, "order": (), "size": (), "scaled": (), "render": NONE,
    "copies": (), "update": (), "tiles": ONE, "base": ((100, 8),), "deltas": (*NONE, *NONE, *NONE), "matrices": NONE,
    "segments": NONE, "varying": NONE, "filters": ((0, 6), (0, 6), (7, 3), (0, 1)), "cdef": (), "restoration": (),
    "transforms": ONE, "set": ONE, "grain": (),
}  # fmt: skip
LOSSLESS: dict[str, Fields] = {"base": ((0, 8),), "varying": (), "filters": (), "transforms": ()}
SEGMENT: Fields = tuple(field for size in (9, 7, 7, 7, 7, 3) for field in ((1, 1), (2**size - 1, size)))


def fields(parts: dict[str, Fields]) -> Fields:
    assert parts.keys() <= PARTS.keys()
    return [field for part in (PARTS | parts).values() for field in part]


def frame(parts: dict[str, Fields], **changed: Any) -> _FrameHeader:
    """A frame with other parts, of a sequence with other members; all of it is read."""
    data, size = packed(fields(parts))
    bits = Bits(data, 0, len(data))
    found = _FrameHeader(replace(PLAIN, **changed), bits)
    assert bits.at == size
    return found


@pytest.mark.parametrize(
    ("parts", "changed"),
    [
        ({}, {}),
        ({"kind": (), "own": ()}, {"reduced": True}),
        ({"constant": NONE, "update": ONE}, {}),
        ({"screen": NONE}, {"screen": 2}),
        ({"screen": (*ONE, *ONE), "copies": NONE}, {"screen": 2}),
        ({"screen": ONE, "copies": NONE}, {"screen": 2, "integer": 1}),
        ({"screen": ONE, "copies": NONE}, {"screen": 1}),
        ({"copies": ONE, "filters": ()}, {"screen": 1, "integer": 0}),
        ({"copies": ONE, "varying": ((1, 1), (3, 2)), "filters": ()}, {"screen": 1, "integer": 0}),
        ({"id": ((5, 9),)}, {"id_bits": 9}),
        ({"order": ((5, 7),)}, {"order_bits": 7}),
        ({"own": ONE, "size": ((59, 13), (49, 12))}, {"size": (1000, 1000), "size_bits": (13, 12)}),
        ({"scaled": NONE}, {"scaled": True}),
        ({"render": ((1, 1), (9, 32))}, {}),
        ({"deltas": NONE}, {"planes": 1}),
        ({"deltas": ((1, 1), (127, 7), (0, 1), (1, 1), (1, 7))}, {}),
        ({"deltas": [(0, 1)] * 4}, {"separate": True}),
        ({"deltas": [(0, 1), (1, 1), *[(0, 1)] * 4]}, {"separate": True}),
        ({"matrices": ((1, 1), (255, 8))}, {}),
        ({"deltas": [(0, 1)] * 4, "matrices": ((1, 1), (255, 12))}, {"separate": True}),
        ({"segments": [(1, 1), *[(0, 1)] * 64]}, {}),
        ({"segments": [(1, 1), *SEGMENT, (1, 1), (1, 1), *[(0, 1)] * 56]}, {}),
        ({"varying": ((1, 1), (3, 2), (0, 1))}, {}),
        ({"varying": ((1, 1), (3, 2), (1, 1), (7, 3))}, {}),
        # Lossless: of no quantiser, in no segment and no plane.
        (LOSSLESS, {}),
        ({**LOSSLESS, "cdef": ()}, {"cdef": True, "restoration": True}),
        ({**LOSSLESS, "segments": [(1, 1), (1, 1), (256, 9), *[(0, 1)] * 63]}, {}),
        ({"base": ((0, 8),), "varying": (), "segments": [(1, 1), (1, 1), (1, 9), *[(0, 1)] * 63]}, {}),
        ({"segments": [(1, 1), *[(1, 1), (256, 9), *[(0, 1)] * 7] * 7, (1, 1), (511, 9), *[(0, 1)] * 7]}, {}),
        ({"segments": [(1, 1), *[(1, 1), (256, 9), *[(0, 1)] * 7] * 8], "filters": (), "transforms": ()}, {}),
        ({"base": ((0, 8),), "varying": (), "deltas": ((1, 1), (1, 7), (0, 1), (0, 1))}, {}),
        # Filters.
        ({"filters": ((1, 6), (0, 6), (4095, 12), (7, 3), (0, 1))}, {}),
        ({"filters": ((0, 6), (1, 6), (4095, 12), (7, 3), (0, 1))}, {}),
        ({"filters": ((1, 6), (1, 6), (7, 3), (0, 1)), "deltas": NONE}, {"planes": 1}),
        ({"filters": ((0, 6), (0, 6), (7, 3), (1, 1), (0, 1))}, {}),
        ({"filters": [(0, 6), (0, 6), (7, 3), (1, 1), (1, 1), (1, 1), (9, 7), *[(0, 1)] * 9]}, {}),
        ({"cdef": ((3, 2), (0, 2), (9, 12))}, {"cdef": True}),
        ({"cdef": ((3, 2), (2, 2), *[(9, 12)] * 4)}, {"cdef": True}),
        ({"cdef": ((3, 2), (1, 2), *[(9, 6)] * 2), "deltas": NONE}, {"cdef": True, "planes": 1}),
        ({"restoration": ((0, 2), (0, 2), (0, 2))}, {"restoration": True}),
        ({"restoration": ((1, 2), (0, 2), (0, 2), (0, 1))}, {"restoration": True}),
        ({"restoration": ((1, 2), (0, 2), (0, 2), (1, 1), (1, 1))}, {"restoration": True}),
        ({"restoration": ((1, 2), (0, 2), (0, 2), (1, 1))}, {"restoration": True, "large": True}),
        ({"restoration": ((0, 2), (0, 2), (1, 2), (0, 1), (1, 1))}, {"restoration": True}),
        ({"restoration": ((0, 2), (1, 2), (0, 2), (0, 1))}, {"restoration": True, "subsampled": False}),
        ({"grain": NONE}, {"grain": True}),
    ],
)  # fmt: skip
def test_every_field(parts: dict[str, Fields], changed: dict[str, Any]) -> None:
    found = frame(parts, **changed)
    assert (found.columns, found.rows, found.size_bytes) == ([(0, 60)], [(0, 50)], 0)


@pytest.mark.parametrize(
    ("parts", "changed", "match"),
    [
        ({"kind": ((0, 4),)}, {}, "no key frame"),
        ({"kind": ((9, 4),)}, {}, "no key frame"),
        ({"scaled": ONE}, {"scaled": True}, "scaled"),
        ({"grain": ONE}, {"grain": True}, "film grain"),
        ({"tiles": [(0, 1)] * 400}, {"size": (4160, 64)}, "too many tiles"),
    ],
)
def test_frames_that_are_not_understood(
    parts: dict[str, Fields], changed: dict[str, Any], match: str
) -> None:
    with pytest.raises(NotUnderstood, match=match):
        frame(parts, **changed)


@pytest.mark.parametrize(
    ("tiles", "size", "large", "columns", "rows"),
    [
        # Uniform: as many doublings as there are ones.
        ([(1, 1), (0, 1), (0, 1)], (200, 130), False, [0, 200], [0, 130]),
        ([(1, 1), (1, 1), (0, 1), (0, 1), (0, 1), (2, 2)], (200, 130), False, [0, 128, 200], [0, 130]),
        ([(1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (0, 4), (2, 2)], (200, 130), False, [0, 64, 128, 192, 200], [0, 64, 128, 130]),
        ([(1, 1), (0, 1), (1, 1), (0, 1), (0, 1), (2, 2)], (200, 130), False, [0, 200], [0, 128, 130]),
        ([(1, 1), (1, 1), (1, 1), (0, 2), (2, 2)], (200, 130), True, [0, 128, 200], [0, 128, 130]),
        # Of more than 4,096 pixels, two at least; of as many, none.
        ([(1, 1), (0, 1), (0, 1), (2, 2)], (4160, 64), False, [0, 2112, 4160], [0, 64]),
        ([(1, 1), (0, 1)], (4096, 64), False, [0, 4096], [0, 64]),
        # Of more than 4,096 x 2,304 pixels, two at least.
        ([(1, 1), (0, 1), (0, 1), (0, 1), (2, 2)], (4096, 2368), False, [0, 4096], [0, 1216, 2368]),
        # One after another: sizes less one, of blocks, each below what is left.
        ([(0, 1), (0, 2), (3, 2), (3, 2), (0, 1), (2, 2)], (200, 130), False, [0, 64, 200], [0, 130]),
    ],
)  # fmt: skip
def test_where_tiles_begin(
    tiles: Fields, size: tuple[int, int], large: bool, columns: list[int], rows: list[int]
) -> None:
    found = frame({"tiles": tiles}, size=size, large=large)
    assert found.columns == list(pairwise(columns))
    assert found.rows == list(pairwise(rows))
    assert found.size_bytes == (3 if len(columns) + len(rows) > 4 else 0)


SIZE = (100, 130)


def test_where_the_data_of_tiles_is() -> None:
    two = frame({"tiles": [(1, 1), (1, 1), (0, 1), (0, 1), (1, 2)]}, size=SIZE)
    assert (two.columns, two.size_bytes) == ([(0, 64), (64, 100)], 2)
    # GIVEN a group of both, the first of three bytes
    data = b"h" + b"\0" + b"\2\0" + b"aaa" + b"bb" + b"more"
    first, second = Av1Tile(4, 7, 0, 0, 64, 130), Av1Tile(7, 9, 64, 0, 100, 130)
    assert list(two.group(data, 1, 9, 0)) == [first, second]
    # AND groups of one
    one = b"h" + b"\x80" + b"aaa"
    assert list(two.group(one, 1, 5, 0)) == [Av1Tile(2, 5, 0, 0, 64, 130)]
    assert list(two.group(b"h" + b"\xe0" + b"bb", 1, 4, 1)) == [Av1Tile(2, 4, 64, 0, 100, 130)]
    for wrong, count in ((one, 1), (b"h\xc0aaa", 1)):
        with pytest.raises(NotUnderstood, match="another order"):
            list(two.group(wrong, 1, 5, count))
    for end in (7, 6, 4):
        with pytest.raises(NotUnderstood, match="ends early"):
            list(two.group(data, 1, end, 0))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x32\x01a", [Unit(6, 0, 2, 3)]),
        (b"\x32\x01a\x12\x00", [Unit(6, 0, 2, 3), Unit(2, 3, 5, 5)]),
        (b"\x36\xff\x02ab", [Unit(6, 0, 3, 5)]),  # with a byte more of its header
        (b"\x33\x01a", [Unit(6, 0, 2, 3)]),  # with a reserved bit
        (b"\x30abc", [Unit(6, 0, 1, 4)]),  # without a size: to the end
        (b"\x31abc", [Unit(6, 0, 1, 4)]),
        (b"\x34\xffabc", [Unit(6, 0, 2, 5)]),
        (b"\x32\x81\x01" + bytes(129), [Unit(6, 0, 3, 132)]),
        (b"\x32\x80\x80\x01" + bytes(1 << 14), [Unit(6, 0, 4, 4 + (1 << 14))]),
        (b"\x32\x80", [Unit(6, 0, 2, 2)]),
        (b"\x7a\x00\xfa\x00", [Unit(15, 0, 2, 2), Unit(15, 2, 4, 4)]),
        (b"\x32\x02a", []),
        (b"\x32", []),
    ],
)
def test_units_are_found_by_their_sizes(data: bytes, found: list[Unit]) -> None:
    assert list(units(b"before" + data, 6, 6 + len(data))) == [
        Unit(one.kind, 6 + one.head, 6 + one.begin, 6 + one.end) for one in found
    ]


@pytest.mark.parametrize(
    ("size", "written"), [(126, b"\x7e"), (127, b"\x7f"), (128, b"\x80\1"), (129, b"\x81\1")]
)
def test_sizes_of_units(size: int, written: bytes) -> None:
    layout = Layout([Unit(4, 0, 2, 3)], {0: [Av1Tile(2, 3, 0, 0, 1, 1)]}, 1)
    assert replaced(b"\x22\1a", layout, {0: bytes(size)}) == b"\x22" + written + bytes(size)
    # AND where the unit had none
    layout = Layout([Unit(4, 0, 1, 2)], {0: [Av1Tile(1, 2, 0, 0, 1, 1)]}, 1)
    assert replaced(b"\x20a", layout, {0: bytes(size)}) == b"\x22" + written + bytes(size)


def test_tiles_of_several_groups_are_replaced_by_their_numbers() -> None:
    # GIVEN two groups: of two tiles, the size of the first in one byte, and of one tile, in a unit with a longer header
    data = b"\x12\x00" + b"\x22\x07h\2aaabb" + b"\x26\xff\x03hcc"
    found = list(units(data, 0, len(data)))
    tiles = [Av1Tile(begin, end, 0, 0, 1, 1) for begin, end in ((6, 9), (9, 11), (15, 17))]
    layout = Layout(found, {1: tiles[:2], 2: tiles[2:]}, 1)
    assert (layout.tiles(), layout.size) == (tiles, (0, 0))
    assert [data[tile.begin : tile.end] for tile in tiles] == [b"aaa", b"bb", b"cc"]
    assert replaced(data, layout, {}) == data
    assert replaced(data, layout, {0: b"x"}) == b"\x12\x00\x22\x05h\0xbb\x26\xff\x03hcc"
    assert replaced(data, layout, {2: b"yyy"}) == b"\x12\x00\x22\x07h\2aaabb\x26\xff\x04hyyy"
    # AND of what is too long for its size, the begin is left; sizes of more than seven bits take two bytes
    long = bytes(range(256)) * 2
    assert (
        replaced(data, layout, {0: long}) == b"\x12\x00\x22\x84\x02h\xff" + long[:256] + b"bb\x26\xff\x03hcc"
    )
