"""JPEG 2000: how the markers of the main header and of tiles say that packets are coded."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from handlers.imaging import codestream
from handlers.imaging.codestream import CodeStream, Coding, Jpeg2000Tile, Quantisation
from handlers.imaging.jpeg2000 import Jpeg2000
from handlers.rejections import NotUnderstood
from tests.unit.handlers.sample_jpeg2000 import coding, quantisation, segment, size, stream, tile

AXES = ((0, 40, 0, 40), (0, 30, 0, 30))
PLAIN = Coding(False, False, 0, 1, 0, (4, 4), 0, [(15, 15)])
STEPS = Quantisation(False, 2, [8])


def read(
    *parts: bytes, tiles: dict[int, list[bytes]] | None = None, components: int = 1, begin: int = 0
) -> CodeStream:
    """A code stream of these segments and these parts of tiles."""
    data = bytes(begin) + stream(*parts, end=b"")
    places: dict[int, list[tuple[int, int]]] = {}
    for number, written in (tiles or {0: [tile()]}).items():
        for part in written:
            places.setdefault(number, []).append((len(data), len(data) + len(part)))
            data += part
    return codestream.read(
        data + b"\xff\xd9", Jpeg2000(axes=AXES, samples=[(1, 1)] * components, parts=places, begin=begin)
    )


def only(found: CodeStream) -> Jpeg2000Tile:
    """The only tile."""
    assert list(found.tiles) == [0]
    return found.tiles[0]


@pytest.mark.parametrize("begin", [0, 85])
def test_a_plain_stream(begin: int) -> None:
    found = read(size(), coding(), quantisation(), begin=begin)
    at = begin + len(stream(size(), coding(), quantisation(), end=b""))
    assert found == CodeStream(
        AXES, [(1, 1)], {0: Jpeg2000Tile(PLAIN, [PLAIN], [STEPS], [(at + 14, at + 15)])}
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"style": 2}, Coding(True, False, 0, 1, 0, (4, 4), 0, [(15, 15)])),
        ({"style": 4}, Coding(False, True, 0, 1, 0, (4, 4), 0, [(15, 15)])),
        ({"order": 3}, Coding(False, False, 3, 1, 0, (4, 4), 0, [(15, 15)])),
        ({"layers": 0x0203}, Coding(False, False, 0, 0x0203, 0, (4, 4), 0, [(15, 15)])),
        ({"levels": 5}, Coding(False, False, 0, 1, 5, (4, 4), 0, [(15, 15)] * 6)),
        ({"levels": 32}, Coding(False, False, 0, 1, 32, (4, 4), 0, [(15, 15)] * 33)),
        ({"block": (4, 3)}, Coding(False, False, 0, 1, 0, (6, 5), 0, [(15, 15)])),
        ({"block": (0x14, 0x23)}, Coding(False, False, 0, 1, 0, (6, 5), 0, [(15, 15)])),
        ({"block_style": 63}, Coding(False, False, 0, 1, 0, (4, 4), 63, [(15, 15)])),
        ({"precincts": b"\x77"}, Coding(False, False, 0, 1, 0, (4, 4), 0, [(15, 15)])),
        ({"style": 1, "levels": 2, "precincts": b"\x76\x85\x94"}, Coding(False, False, 0, 1, 2, (4, 4), 0, [(6, 7), (5, 8), (4, 9)])),
        ({"style": 7, "precincts": b"\0"}, Coding(True, True, 0, 1, 0, (4, 4), 0, [(0, 0)])),
    ],
)  # fmt: skip
def test_coding(options: dict[str, Any], expected: Coding) -> None:
    found = only(read(size(), coding(**options), quantisation()))
    assert found.common == expected
    assert found.codings == [expected]
    # AND the same in the header of the tile, which counts more
    part = tile(0, b"d", coding(**options))
    assert only(read(size(), coding(1, layers=9), quantisation(), tiles={0: [part]})).common == expected


@pytest.mark.parametrize(
    "options",
    [
        {"levels": 33}, {"block_style": 64}, {"block_style": 127}, {"style": 1, "levels": 1, "precincts": b"\x11\x10"},
        {"style": 1, "levels": 1, "precincts": b"\x11\x01"}, {"style": 1, "levels": 2, "precincts": b"\x11\x11"},
    ],
)  # fmt: skip
def test_coding_that_is_not_understood(options: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood):
        read(size(), coding(**options), quantisation())


def test_coding_of_components() -> None:
    # GIVEN three components, the second with precincts and the third without, in addition to what holds for all
    main = coding(1, style=3, order=2, layers=7, precincts=b"\x88\x99")
    second, third = segment(0xFF53, b"\1\1\2\3\4\5\1\x65\x76\x87"), segment(0xFF53, b"\2\0\0\1\1\6\0")
    found = only(read(size(), main, second, third, quantisation(exponents=[8] * 7), components=3))
    assert found.common == Coding(True, False, 2, 7, 1, (4, 4), 0, [(8, 8), (9, 9)])
    assert found.codings == [
        found.common,
        Coding(True, False, 2, 7, 2, (5, 6), 5, [(5, 6), (6, 7), (7, 8)]),
        Coding(True, False, 2, 7, 0, (3, 3), 6, [(15, 15)]),
    ]
    # AND what holds for all of a tile counts more than that of a component in the main header
    own = tile(0, b"d", coding())
    found = only(
        read(size(), main, second, third, quantisation(exponents=[8] * 7), components=3, tiles={0: [own]})
    )
    assert found.codings == [PLAIN] * 3
    # AND that of a component more than both, before or after it in another part of the tile
    parts = [tile(0, b"d", coding()), tile(0, b"d", third, part=1)]
    found = only(read(size(), main, second, quantisation(exponents=[8] * 7), components=3, tiles={0: parts}))
    assert found.codings == [PLAIN, PLAIN, Coding(False, False, 0, 1, 0, (3, 3), 6, [(15, 15)])]


def test_quantisation_of_components() -> None:
    main, second = quantisation(exponents=(8, 9)), segment(0xFF5D, b"\1" + quantisation(2, 5, (10, 11))[4:])
    shift = segment(0xFF5E, b"\2\0\7")
    found = only(read(size(), coding(), second, main, shift, components=3))
    assert found.quantisations == [
        Quantisation(False, 2, [8, 9]),
        Quantisation(False, 2, [8, 9]),
        Quantisation(False, 2, [8, 9], 7),
    ]
    found = only(read(size(), coding(), main, second, shift, components=3))
    assert found.quantisations[1] == Quantisation(False, 5, [10, 11])
    # AND those of tiles are for these tiles alone
    parts = {
        0: [tile(0)],
        1: [tile(1, segments=quantisation(1, 3, (20,)) + segment(0xFF5E, b"\0\0\4"))],
        2: [tile(2, segments=second)],
        3: [tile(3)],
    }
    tiles = read(size(), coding(), main, shift, components=3, tiles=parts).tiles
    plain = [
        Quantisation(False, 2, [8, 9]),
        Quantisation(False, 2, [8, 9]),
        Quantisation(False, 2, [8, 9], 7),
    ]
    assert tiles[0].quantisations == tiles[3].quantisations == plain
    assert tiles[1].quantisations == [
        Quantisation(True, 3, [20], 4),
        Quantisation(True, 3, [20]),
        Quantisation(True, 3, [20], 7),
    ]
    assert tiles[2].quantisations == [plain[0], Quantisation(False, 5, [10, 11]), plain[2]]


def test_coding_of_tiles_is_theirs_alone() -> None:
    own = segment(0xFF53, b"\0\0\0\1\1\0\1")
    tiles = read(
        size(),
        coding(),
        quantisation(),
        tiles={0: [tile(0, segments=own)], 1: [tile(1)], 2: [tile(2, segments=coding(layers=4))]},
    ).tiles
    assert tiles[0].codings == [Coding(False, False, 0, 1, 0, (3, 3), 0, [(15, 15)])]
    assert (tiles[0].common, tiles[1].codings) == (PLAIN, [PLAIN])
    assert tiles[2].common.layers == 4


@pytest.mark.parametrize(
    ("style", "guard", "exponents"), [(0, 0, (1, 2, 3)), (0, 7, (31,)), (1, 3, (17,)), (2, 4, (31, 0, 9)), (0, 1, ())]
)  # fmt: skip
def test_exponents(style: int, guard: int, exponents: tuple[int, ...]) -> None:
    found = only(read(size(), coding(), quantisation(style, guard, exponents)))
    assert found.quantisations == [Quantisation(style == 1, guard, list(exponents))]


@pytest.mark.parametrize(
    ("steps", "band", "below", "planes"),
    [
        (Quantisation(False, 2, [8, 9, 10]), 0, 3, 9), (Quantisation(False, 2, [8, 9, 10]), 2, 0, 11),
        (Quantisation(False, 0, [8, 9, 10], 6), 1, 0, 14),
        (Quantisation(True, 2, [8]), 0, 0, 9), (Quantisation(True, 2, [8]), 9, 3, 6), (Quantisation(True, 3, [8], 5), 1, 1, 14),
        (Quantisation(False, 2, [8, 9, 10]), 3, 0, None), (Quantisation(False, 2, [8, 9, 10]), 4, 0, None),
    ],
)  # fmt: skip
def test_bit_planes_of_a_sub_band(steps: Quantisation, band: int, below: int, planes: int | None) -> None:
    if planes is None:
        with pytest.raises(NotUnderstood):
            steps.planes(band, below)
    else:
        assert steps.planes(band, below) == planes


def test_parts_of_a_tile() -> None:
    # GIVEN two tiles, the parts of which alternate
    first, second = (
        tile(0, b"a"),
        tile(0, b"bcd", segment(0xFF64, b"\0\1note") + b"\xff\x35" + segment(0xFF58, b"\0\5"), part=1),
    )
    head = stream(size(), coding(), quantisation(), end=b"")
    found = read(size(), coding(), quantisation(), tiles={0: [first, second], 5: [tile(5, b"")]})
    begin = len(head) + len(first)
    end = begin + len(second)
    assert found.tiles[0].parts == [(begin - 1, begin), (end - 3, end)]
    assert found.tiles[5].parts == [(end + 14, end + 14)]


@pytest.mark.parametrize(
    ("marker", "passed"), [(0xFF2F, False), (0xFF30, True), (0xFF3F, True), (0xFF40, False)]
)
def test_markers_without_a_length(marker: int, passed: bool) -> None:
    lone = struct.pack(">H", marker)
    if passed:
        assert only(read(size(), lone, coding(), quantisation())).common == PLAIN
    else:
        with pytest.raises(NotUnderstood):
            read(size(), lone, coding(), quantisation())


@pytest.mark.parametrize(
    "marker",
    [0xFF4F, 0xFF50, 0xFF51, 0xFF54, 0xFF55, 0xFF57, 0xFF58, 0xFF5F, 0xFF60, 0xFF61, 0xFF62, 0xFF63, 0xFF64],
)
def test_markers_that_are_not_understood(marker: int) -> None:
    for in_tile in (False, True):
        part = tile(0, b"d", segment(marker, bytes(20)) if in_tile else b"")
        parts = [size(), coding(), quantisation(), *([] if in_tile else [segment(marker, bytes(20))])]
        if marker in (0xFF50, 0xFF5F, 0xFF60, 0xFF61):
            with pytest.raises(NotUnderstood):
                read(*parts, tiles={0: [part]})
        else:
            assert only(read(*parts, tiles={0: [part]})).codings == [PLAIN]


@pytest.mark.parametrize("parts", [[], [coding()], [quantisation()], [coding(), segment(0xFF5C, b"")], [segment(0xFF52,
b"\0\0\0\1\0\0\2\2"), quantisation()],
                                   [coding(), quantisation(), segment(0xFF5E, b"\0\0")], [coding(), quantisation(), segment(0xFF53,
                                   b"")]])  # fmt: skip
def test_segments_that_end_early_or_are_missing(parts: list[bytes]) -> None:
    with pytest.raises(NotUnderstood):
        read(size(), *parts)


def test_a_header_that_ends_early() -> None:
    data = stream(size(), coding(), quantisation(), end=b"")
    for cut in (data, data[:-1], data + b"\xff\x64\0"):
        with pytest.raises(NotUnderstood):
            codestream.read(cut, Jpeg2000(axes=AXES, samples=[(1, 1)]))


@pytest.mark.parametrize(
    ("number", "region"),
    [(0, [(5, 13), (3, 12)]), (1, [(13, 23), (3, 12)]), (3, [(33, 40), (3, 12)]), (4, [(5, 13), (12, 22)]), (11, [(33, 40), (22, 30)])],
)  # fmt: skip
def test_regions_of_tiles(number: int, region: list[tuple[int, int]]) -> None:
    # GIVEN four tiles across and three down, the first of which begins before the image
    found = CodeStream(((5, 40, 3, 10), (3, 30, 2, 10)), [(1, 1)], {})
    assert found.region(number) == region
    assert CodeStream(((0, 40, 0, 20), (0, 30, 0, 30)), [(1, 1)], {}).region(1) == [(20, 40), (0, 30)]
