"""JPEG 2000: what its main header says, every bound from both sides."""

from __future__ import annotations

import struct

import pytest

from handlers.imaging import jpeg2000, limits
from handlers.imaging.jpeg2000 import Jpeg2000
from handlers.rejections import Rejection
from tests.unit.handlers.sample_jpeg2000 import (
    SIGNATURE,
    box,
    coding,
    quantisation,
    segment,
    size,
    stream,
    tile,
)

SIZE, CODING, STEPS, TILE = size(), coding(), quantisation(), tile()
WHOLE = stream(SIZE, CODING, STEPS, TILE)


def code(data: bytes, words: str = "") -> str:
    """The code of the rejection, or nothing."""
    try:
        jpeg2000.inspect(data)
    except Rejection as found:
        return found.code if words in str(found) else str(found)
    return ""


def test_all_that_the_main_header_says() -> None:
    head = (
        size((1000, 700), (60, 50), (300, 400), (50, 40), ((9, 1, 1), (137, 2, 1), (9, 2, 1)), 1)
        + coding(5, layers=513, transform=1)
        + segment(0xFF53, b"\1\0\5\2\2\0\1")
        + quantisation(exponents=(8, 9, 9, 10) + (9, 9, 10) * 4)
        + segment(0xFF5D, b"\2\x40" + bytes([8 << 3]))
        + b"\xff\x30"
        + segment(0xFF64, b"\0\1a comment" * 30)
    )
    lengths = segment(0xFF55, b"\0\x60" + b"\0\0\0\0\0\x0f" * 8)
    tiles = [tile(number, bytes([number]) * (1 + number)) for number in (3, 0, 1, 2, 4, 5, 6, 7)]
    tiles.append(tile(3, b"more", segment(0xFF64, b"own"), part=1))
    data = stream(head, lengths, *tiles)
    parts: dict[int, list[tuple[int, int]]] = {}
    at = 2 + len(head) + len(lengths)
    for number, part in zip((3, 0, 1, 2, 4, 5, 6, 7, 3), tiles, strict=True):
        parts.setdefault(number, []).append((at, at + len(part)))
        at += len(part)
    assert jpeg2000.inspect(data) == Jpeg2000(
        width=940, height=650, tiles=8, components=[10, 10, 10], resolutions=5, layers=513, head=b"\xff\x4f" + head, parts=parts,
        axes=((60, 1000, 50, 300), (50, 700, 40, 400)), samples=[(1, 1), (2, 1), (2, 1)],
    )  # fmt: skip


def test_what_it_says_if_nothing_was_read() -> None:
    assert Jpeg2000() == Jpeg2000(0, 0, 1, [], 0, 1, b"", {}, (), [], False, 0, b"")
    assert (
        jpeg2000.inspect(stream(SIZE, STEPS, TILE)).layers,
        jpeg2000.inspect(stream(SIZE, TILE)).resolutions,
    ) == (1, 0)


@pytest.mark.parametrize("before", [b"", box(b"ftyp", b"jp2 "), box(b"free", b"content", large=True)])
@pytest.mark.parametrize("kind", ["exact", "large", "to the end", "lacks 1", "lacks 2"])
def test_the_box_of_the_code_stream(before: bytes, kind: str) -> None:
    length = {"to the end": 0}.get(kind)
    found = SIGNATURE + before + box(b"jp2c", WHOLE, length, kind == "large")
    lacks = int(kind[-1]) if kind.startswith("lacks") else 0
    found = found[: len(found) - lacks]
    if kind in ("exact", "large"):
        found += box(b"free", b"")  # what follows is not read
    read = jpeg2000.inspect(found)
    begin = found.index(b"\xff\x4f")
    assert (read.begin, read.width, read.lacks) == (begin, 40, b"\xff\xd9"[2 - lacks :] if lacks else b"")
    assert read.head == SIGNATURE + before + b"\0\0\0\0jp2c" + b"\xff\x4f" + SIZE + CODING + STEPS
    at = begin + 2 + len(SIZE + CODING + STEPS)
    assert read.parts == {0: [(at, at + len(TILE))]}


@pytest.mark.parametrize("missing", [2, 3])
def test_a_box_that_is_longer_than_the_file(missing: int) -> None:
    data = SIGNATURE + box(b"jp2c", WHOLE)
    assert code(data[:-missing]) == ("truncated_image" if missing == 3 else "")
    if missing == 3:
        assert (
            code(data[:-3], f"{len(data)} bytes are declared, {len(data) - 3} are there") == "truncated_image"
        )


@pytest.mark.parametrize(
    "data",
    [
        SIGNATURE, SIGNATURE + b"\0\0\0\0jp2", SIGNATURE + box(b"free", b""), SIGNATURE + box(b"free", b"", 7) + box(b"jp2c", WHOLE),
        SIGNATURE + box(b"free", b"", 0) + box(b"jp2c", WHOLE), SIGNATURE + box(b"free", bytes(8), 15, large=True) + box(b"jp2c", WHOLE),
    ],
)  # fmt: skip
def test_a_file_without_image_data(data: bytes) -> None:
    assert code(data, "it ends before its image data") == "truncated_image"


@pytest.mark.parametrize("kind", [b"free", b"jp2c"])
def test_a_large_box_whose_length_is_not_there(kind: bytes) -> None:
    for count in range(16):
        assert code(SIGNATURE + box(kind, b"", 16, large=True)[:count]) == "truncated_image"


def test_boxes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = SIGNATURE + box(b"free", b"") * 2 + box(b"jp2c", WHOLE)
    assert code(data) == ""
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 3)
    assert code(data) == ""
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 2)
    assert code(data, "JPEG2000: it has more than 2 boxes") == "too_complex"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (size((40, 30), (39, 29)), ""), (size((40, 30), (40, 29)), "corrupt_image"), (size((40, 30), (41, 29)), "corrupt_image"),
        (size((40, 30), (39, 30)), "corrupt_image"), (size((40, 30), (39, 31)), "corrupt_image"),
        (size((40, 30), (5, 5), (35, 25), (5, 5)), ""), (size((40, 30), (5, 5), (35, 25), (6, 5)), "corrupt_image"),
        (size((40, 30), (5, 5), (35, 25), (5, 6)), "corrupt_image"), (size((40, 30), (5, 6), (36, 24), (4, 6)), ""),
        (size((40, 30), (5, 5), (5, 30)), "corrupt_image"), (size((40, 30), (5, 5), (40, 5)), "corrupt_image"),
        (size((11, 11), (5, 5), (6, 6)), "truncated_image"), (size((12, 12), (0, 0), (6, 12)), "truncated_image"),
        (size(profile=2), ""), (size(profile=3), "unsupported_format"), (size(profile=7), "unsupported_format"), (size(profile=8), ""),
        (size(profile=0x0304), ""), (size(components=[(7, 1, 1)] * 4), ""), (size(components=[(7, 1, 1)] * 5), "unsupported_format"),
        (size(components=[(7, 1, 0)]), "corrupt_image"), (size(components=[(7, 0, 1)]), "corrupt_image"),
        (size(components=[(7, 1, 1), (8, 1, 1)]), "unsupported_format"), (size(components=[(7, 1, 1), (135, 1, 1)]), ""),
        (size(components=[(7, 2, 1)]), "unsupported_format"), (size(components=[(7, 1, 1), (7, 2, 1)]), "unsupported_format"),
        (size(components=[(7, 1, 1), (7, 2, 1), (7, 2, 1)]), ""), (size(components=[(7, 1, 1), (7, 3, 1),
        (7, 1, 1)]), "unsupported_format"),
        (size(components=[]), "truncated_image"), (size(count=2), ""), (segment(0xFF51, size()[4:-1]), "truncated_image"),
        (segment(0xFF51, size()[4:]), ""),
        (size(components=[(7, 1, 1)] * 2, count=1), ""),
    ],
)  # fmt: skip
def test_bounds_of_the_size(header: bytes, expected: str) -> None:
    assert code(stream(header, CODING, STEPS, TILE)) == expected


def test_the_words_of_rejected_sizes() -> None:
    for header, words, expected in (
        (size((40, 30), (40, 0)), "its header is damaged", "corrupt_image"),
        (size(profile=4), "It is JPEG 2000 of digital cinema, whose colours are XYZ", "unsupported_format"),
        (size(components=[(7, 1, 1)] * 5), "It is JPEG 2000 with 5 components", "unsupported_format"),
        (size(components=[(7, 0, 1)]), "its header is damaged", "corrupt_image"),
        (
            size(components=[(7, 1, 1), (8, 1, 1)]),
            "whose components have different depths",
            "unsupported_format",
        ),
        (size(components=[(7, 2, 1)]), "with subsampled components of grey", "unsupported_format"),
        (segment(0xFF51, bytes(38)), "it ends within its header", "truncated_image"),
        (b"", "it ends within its header", "truncated_image"),
    ):
        assert code(SIGNATURE + box(b"jp2c", stream(header, CODING, STEPS, TILE)), words) == expected


@pytest.mark.parametrize(
    ("tiles", "expected"),
    [((100_000, 1), "truncated_image"), ((100_001, 1), "too_complex"), ((317, 316), "too_complex")],
)
def test_tiles_are_counted(tiles: tuple[int, int], expected: str) -> None:
    assert (
        code(stream(size((tiles[0] * 3 - 2, tiles[1] * 3 - 1), tile=(3, 3)), CODING, STEPS, TILE)) == expected
    )
    if expected == "truncated_image":
        assert (
            code(stream(size((299_998, 3), tile=(3, 3)), TILE), "99999 of 100000 tiles are missing")
            == expected
        )


@pytest.mark.parametrize(
    ("header", "levels", "expected"),
    [
        (size((4000, 1000), tile=(1, 1000)), 0, ""), (size((4001, 1000), tile=(1, 1000)), 0, "too_complex"),
        (size((1000, 1000), tile=(1, 1000), components=[(7, 1, 1)] * 2), 1, ""),
        (size((1001, 1000), tile=(1, 1000), components=[(7, 1, 1)] * 2), 1, "too_complex"),
    ],
)  # fmt: skip
def test_packets_are_counted(header: bytes, levels: int, expected: str) -> None:
    tiles = [tile(number) for number in range(4001)]
    assert code(stream(header, coding(levels, layers=1000), *tiles)) == expected
    assert code(stream(header, coding(levels, layers=999), *tiles)) == ""


def test_marker_segments_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN four segments, of which the tile is one
    for most, expected in ((4, ""), (3, "too_complex")):
        monkeypatch.setattr(limits, "MAX_STRIPS", most)
        assert code(WHOLE) == expected
    assert code(WHOLE, "JPEG2000: it has more than 3 marker segments") == "too_complex"


@pytest.mark.parametrize(
    ("marker", "without"), [(0xFF2F, False), (0xFF30, True), (0xFF3F, True), (0xFF40, False)]
)
def test_markers_without_a_length(marker: int, without: bool) -> None:
    data = stream(SIZE, struct.pack(">H", marker), CODING, STEPS, TILE)
    assert (code(data) == "") == without
    other = stream(SIZE, segment(marker, b"ab"), CODING, STEPS, TILE)
    assert (code(other) == "") == (not without)


def test_bytes_that_are_not_a_marker() -> None:
    for marker, expected in ((0xFF00, ""), (0xFEFF, "corrupt_image")):
        data = stream(SIZE, CODING, STEPS, segment(marker, b""), TILE)
        assert code(data, "there is no marker where one must be") == expected


def test_a_segment_is_read_as_far_as_it_is_needed() -> None:
    # GIVEN segments that end early THEN they count for nothing
    whole = jpeg2000.inspect(WHOLE)
    short = (
        segment(0xFF52, b"\0\0\0\1\0"),
        segment(0xFF53, b"\0\0\5\2\2\0"),
        segment(0xFF5C, b"\x03\0\0"),
        segment(0xFF5D, b"\0\x03\0"),
    )
    for one in short:
        found = jpeg2000.inspect(stream(SIZE, CODING, STEPS, one, TILE))
        assert (found.layers, found.resolutions, found.parts[0][0][0]) == (
            1,
            0,
            whole.parts[0][0][0] + len(one),
        )
    # AND the least that counts does
    assert jpeg2000.inspect(stream(SIZE, segment(0xFF52, b"\0\0\0\7\0\5"), STEPS, TILE)).layers == 7
    for one in (segment(0xFF5C, b"\x03\0\0\0"), segment(0xFF5D, b"\0\x03\0\0")):
        assert code(stream(SIZE, CODING, one, TILE)) == "corrupt_image"
    assert code(stream(SIZE, CODING, STEPS, segment(0xFF90, bytes(7)))) == "truncated_image"


def test_headers_of_packets_in_the_main_header() -> None:
    for marker in (0xFF5F, 0xFF60, 0xFF61):
        found = jpeg2000.inspect(stream(SIZE, CODING, segment(marker, b"\0"), STEPS, TILE))
        assert found.packed == (marker == 0xFF60)


@pytest.mark.parametrize("rest", [0, 1, 5])
def test_tiles_to_their_end(rest: int) -> None:
    head = stream(SIZE, CODING, STEPS, end=b"")
    begin, data = len(head), b"d" * (9 + rest)
    # GIVEN no length THEN the tile ends with the marker of the end
    found = jpeg2000.inspect(head + tile(0, data, length=0) + b"\xff\xd9")
    assert found.parts == {0: [(begin, begin + 14 + len(data))]}
    # GIVEN one that is longer than the file THEN it is truncated
    whole = head + tile(0, data)
    assert jpeg2000.inspect(whole).parts == found.parts
    assert code(whole[:-1], "JPEG2000: it ends within a tile") == "truncated_image"
    # GIVEN one that is shorter than its header THEN what follows the header is next
    for length in (1, 13, 14):
        short = jpeg2000.inspect(head + tile(0, b"", length=length))
        assert (short.parts, short.lacks) == ({0: [(begin, begin + length)]}, b"\xff\xd9")
    # AND it may be longer than the file
    assert jpeg2000.inspect(head + tile(0, length=12)[:12]).lacks == b""


def test_what_follows_the_first_tile_is_not_the_main_header() -> None:
    whole = jpeg2000.inspect(WHOLE)
    for end in (segment(0xFF64, b"\0\1note") + b"\xff\xd9", segment(0xFF64, b"")):
        assert jpeg2000.inspect(stream(SIZE, CODING, STEPS, TILE, end=end)).head == whole.head
    # AND four bytes are a marker and a length, three are not
    assert code(stream(SIZE, CODING, STEPS, TILE, end=bytes(4))) == "corrupt_image"
    assert code(stream(SIZE, CODING, STEPS, TILE, end=bytes(3))) == ""


def test_what_is_missing_of_the_end() -> None:
    for end, lacks in (
        (b"\xff\xd9", b""),
        (b"\xff", b"\xd9"),
        (b"", b"\xff\xd9"),
        (b"\xfe", b""),
        (b"\xff\xd8", b""),
        (b"\xff\xd9more", b""),
    ):
        assert jpeg2000.inspect(stream(SIZE, CODING, STEPS, TILE, end=end)).lacks == lacks


@pytest.mark.parametrize("end", [b"\xff\xd9", b"\xff\xd9trailing", b""])
@pytest.mark.parametrize("count", [63, 64, 65, 66, 70])
def test_zeros_at_the_end(end: bytes, count: int) -> None:
    head = [SIZE, CODING, STEPS]
    expected = "truncated_image" if count >= 64 else ""
    for before in (b"data", bytes(9) + b"data"):
        zeros = stream(*head, tile(0, before + bytes(count)), end=end)
        assert code(zeros, "the end of its data is zero bytes") == expected
    assert code(stream(*head, tile(0, bytes(count) + b"d"), end=end)) == ""
    assert code(stream(*head, tile(0, bytes(60) + b"d" + bytes(63)), end=end)) == ""


@pytest.mark.parametrize(
    ("main", "own", "style", "expected"),
    [
        (1, {}, 0, ""), (0, {}, 0, "corrupt_image"), (1, {}, 1, "corrupt_image"), (0, {}, 1, ""), (0, {}, 2, ""),
        (2, {}, 2, "corrupt_image"),
        (0, {0: 1, 1: 1}, 0, ""), (0, {0: 1}, 0, "corrupt_image"), (0, {1: 1}, 0, "corrupt_image"), (1, {1: 0}, 0, "corrupt_image"),
        (1, {2: 0}, 0, ""), (1, {0: 1, 1: 0}, 0, "corrupt_image"),
    ],
)  # fmt: skip
def test_transforms_and_quantisation(main: int, own: dict[int, int], style: int, expected: str) -> None:
    parts = [segment(0xFF53, bytes([number, 0, 0, 2, 2, 0, transform])) for number, transform in own.items()]
    header = size(components=[(7, 1, 1)] * 2)
    data = stream(header, coding(transform=main), quantisation(style, exponents=(8,) * 4), *parts, TILE)
    assert code(data, "its transform and its quantisation contradict each other") == expected


def test_quantisation_of_a_component() -> None:
    header = size(components=[(7, 1, 1)] * 2)
    for number, style, expected in (
        (0, 0, ""),
        (1, 0, ""),
        (0, 2, "corrupt_image"),
        (1, 2, "corrupt_image"),
        (2, 2, ""),
    ):
        own = segment(0xFF5D, bytes([number, 2 << 5 | style]) + bytes([8 << 3] * 4))
        assert code(stream(header, CODING, STEPS, own, TILE)) == expected
    # GIVEN a main header that is wrong for all components THEN that of each has to be right
    right = [segment(0xFF5D, bytes([number, 2 << 5]) + bytes([8 << 3] * 4)) for number in (0, 1)]
    for parts in ([], right[:1], right[1:], right):
        wrong = stream(header, CODING, quantisation(2, exponents=(8, 8)), *parts, TILE)
        assert code(wrong) == ("" if parts == right else "corrupt_image")
    # WITHOUT quantisation or a transform, there is nothing to compare
    assert code(stream(header, CODING, TILE)) == ""
    assert code(stream(header, STEPS, TILE)) == ""


@pytest.mark.parametrize(
    ("style", "guard", "exponents", "whole"),
    [
        (0, 2, (8, 9, 10, 11), True), (0, 2, (8, 9, 10, 12), False), (0, 2, (11, 10, 9, 8), True), (0, 2, (8, 8, 8, 8, 20, 21, 23), True),
        (0, 2, (8, 8, 8, 8, 20, 21, 24), False), (0, 2, (8, 8, 8, 8, 12, 12, 12, 15, 16, 19), False),
        (0, 2, (8, 8, 8, 8, 12, 12, 12, 15, 16, 18), True),
        (2, 2, (8, 9, 10, 11), True), (2, 2, (8, 9, 10, 12), False), (1, 2, (8,), True), (3, 2, (8, 8), False), (31, 2, (8, 8), False),
        (0, 2, (30, 30, 30), True), (0, 2, (30, 30, 31), False), (0, 0, (31, 31, 31), True), (0, 1, (31, 31, 31), True),
        (0, 7, (25, 25, 25), True),
        (0, 7, (26, 25, 25), False), (2, 7, (25, 25), True), (2, 7, (25, 26), False),
    ],
)  # fmt: skip
def test_steps_of_sub_bands(style: int, guard: int, exponents: tuple[int, ...], whole: bool) -> None:
    data = stream(SIZE, coding(transform=style == 0), quantisation(style, guard, exponents), TILE)
    expected = "" if whole else "corrupt_image"
    assert code(data, "its header is damaged" if style > 2 else "its quantisation is damaged") == expected
