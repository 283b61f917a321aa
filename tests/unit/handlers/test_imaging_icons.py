"""Directories and bitmaps of icons, built by hand: each field at its bounds, palettes and masks."""

from __future__ import annotations

import struct

import pytest

from handlers.imaging import icon
from handlers.rejections import Rejection


def entry(
    width: int = 4, height: int = 2, size: int = 99, offset: int = 22, *, planes: int = 1, bits: int = 32
) -> bytes:
    return struct.pack("<BBBBHHII", width, height, 7, 0, planes, bits, size, offset)


def directory(*entries: bytes, count: int | None = None) -> bytes:
    return b"\0\0\1\0" + struct.pack("<H", len(entries) if count is None else count) + b"".join(entries)


def test_the_largest_image_of_an_icon() -> None:
    content = bytes(range(41, 141))
    small, large = entry(16, 32, 50, 54), entry(32, 17, 60, 104)
    data = directory(small, large, entry(1, 1, 5, 160))
    data = data.ljust(54, b"h") + content + b"more"
    for entries, best, size, offset, end in (
        ((small, large), large, 60, 104, len(data)),
        ((large, small), large, 60, 104, len(data)),
        ((small, entry(17, 32, 41, 60)), entry(17, 32, 41, 60), 41, 60, len(data)),
        ((entry(0, 16, 41, 54), entry(255, 16, 60, 104)), entry(0, 16, 41, 54), 41, 54, 104),
        ((entry(16, 0, 41, 54), entry(16, 255, 60, 104)), entry(16, 0, 41, 54), 41, 54, 104),
        (
            (entry(9, 9, 41, 54, bits=8), entry(9, 9, 60, 104, bits=32)),
            entry(9, 9, 60, 104, bits=32),
            60,
            104,
            len(data),
        ),
        ((entry(9, 9, 41, 54, bits=32), entry(9, 9, 60, 104, bits=32)), entry(9, 9, 41, 54), 41, 54, 104),
    ):
        found = directory(*entries) + data[6 + 32 :]
        content, rest, chosen = icon.largest(found)
        assert chosen == best
        assert (content, rest) == (found[offset : offset + size], found[offset:end])


@pytest.mark.parametrize(
    ("entries", "best"),
    [
        ([(10, 100), (20, 20)], 0),
        ([(20, 20), (100, 10)], 1),
        ([(200, 0), (255, 201)], 1),  # 256 high
        ([(0, 200), (201, 255)], 1),
        ([(255, 16), (0, 16)], 1),
        ([(16, 255), (16, 0)], 1),
        ([(7, 8), (8, 7)], 0),
    ],
)
def test_the_image_with_most_pixels_is_the_largest(entries: list[tuple[int, int]], best: int) -> None:
    found = [entry(*size, bits=32) for size in entries]
    assert icon.largest(directory(*found))[2] == found[best]


@pytest.mark.parametrize("size", [0, 1, 39, 40, 41])
def test_a_size_of_no_more_than_a_header_counts_for_nothing(size: int) -> None:
    data = directory(entry(4, 2, size, 38), entry(1, 1, 9, 90)).ljust(38, b"\0") + bytes(range(100))
    content, rest, _ = icon.largest(data)
    assert rest == data[38:90]
    assert content == (rest if size <= 40 else data[38 : 38 + size])


def test_a_directory_that_is_cut() -> None:
    one, two = entry(4, 2), entry(9, 9, offset=0x01020304, size=0x01020304)
    assert icon.largest(directory(one, two))[2] == two
    assert icon.largest(directory(one, two)[:-1])[2] == one
    assert icon.largest(directory(one, two, count=1))[2] == one
    assert icon.largest(directory(one, two, count=0x0102))[2] == two
    for data in (directory(one)[:-1], directory(one, count=0)):
        with pytest.raises(Rejection, match="ICO: it ends within its directory") as found:
            icon.largest(data)
        assert found.value.code == "truncated_image"


FAR = 1 << 24


def test_every_byte_of_sizes_and_offsets_counts() -> None:
    one = entry(9, 9, 50, 38)
    data = directory(one, entry(1, 1, 5, FAR + 60)).ljust(38, b"\0") + bytes(range(100))
    assert icon.largest(data)[1] == data[38:]
    data = directory(entry(9, 9, FAR + 50, 38), entry(1, 1)).ljust(38, b"\0") + bytes(range(100))
    assert icon.largest(data)[0] == data[38:]
    assert icon.largest(directory(entry(9, 9, 50, FAR + 22)).ljust(200, b"x"))[0] == b""
    content = bytearray(bytes(22) + bitmap(9, 3, 8, 7))
    begin, row, _ = icon.plain_rows(bytes(content), 9, 3)
    for at, more in ((22, FAR), (54, 4 * FAR)):
        changed = bytearray(content)
        changed[at + 3] += 1
        assert icon.plain_rows(bytes(changed), 9, 3) == (begin + more, row, 3)
        with pytest.raises(Rejection, match="ICO: its pixels end early"):
            alone(bytes(changed[22:]), 9, 3)
    changed = bytearray(content)
    changed[37] = 1  # 264 bits
    assert icon.plain_rows(bytes(changed), 9, 3) == (62, 300, 3)
    changed = bytearray(content)
    changed[38] = 3
    assert icon.plain_rows(bytes(changed), 9, 3) == (begin, row, 3)
    content[22 + 19] = 1
    with pytest.raises(Rejection, match=f"ICO: its bitmap has compression {FAR}"):
        alone(bytes(content[22:]), 9, 3)


@pytest.mark.parametrize(
    ("width", "height", "given", "whole"),
    [
        (4, 2, (4, 2), True), (4, 2, (4, 4), True), (4, 2, (0, 2), True), (4, 2, (4, 0), True),
        (4, 2, (5, 2), False), (4, 2, (4, 3), False),
        (4, 2, (3, 2), False), (4, 2, (4, 1), False), (256, 2, (0, 2), True), (257, 2, (1, 2), True),
        (256, 2, (1, 2), False), (4, 300, (4, 44), True),
        (4, 300, (4, 88), True), (4, 300, (4, 45), False), (4, 301, (4, 45), True), (4, 301, (4, 90), True),
        (4, 301, (4, 44), False), (4, 2, (4, 6), False), (2, 4, (4, 2), False),
    ],
)  # fmt: skip
def test_the_size_in_a_directory(width: int, height: int, given: tuple[int, int], whole: bool) -> None:
    one = entry(*given)
    if whole:
        icon.check_size(one, width, height)
        return
    message = f"ICO: its image has {width} x {height} pixels, {given[0]} x {given[1]} in its directory"
    with pytest.raises(Rejection, match=message) as found:
        icon.check_size(one, width, height)
    assert found.value.code == "corrupt_image"


def bitmap(
    width: int,
    height: int,
    bits: int,
    colours: int = 0,
    *,
    compression: int = 0,
    header: int = 40,
    palette: int | None = None,
    value: int = 0,
) -> bytes:
    """A header, a palette and the pixels, all of one byte, without a mask."""
    head = struct.pack(
        "<IiiHHIIiiII", header, width, 2 * height, 1, bits, compression, 0x55, 0x66, 0x77, colours, 0x88
    ).ljust(header, b"h")
    count = palette if palette is not None else (colours or 1 << bits) if bits <= 8 else 0
    row = (width * bits + 31) // 32 * 4
    return head + b"\x70" * (4 * count) + bytes((value,)) * (row * height)


def alone(content: bytes, width: int, height: int, rest: bytes | None = None) -> bytes:
    """The bitmap after the directory of an icon with it alone."""
    one = entry(width & 255, height & 255)
    found = icon.alone(content, content if rest is None else rest, one, width, height)
    assert found[:6] == b"\0\0\1\0\1\0"
    assert found[6:12] == one[:6]
    assert found[12:14] == content[14:16]
    assert struct.unpack_from("<II", found, 14) == (len(found) - 22, 22)
    return found[22:]


SIZES = [(1, 1), (8, 3), (9, 2), (32, 5), (33, 5), (64, 2), (100, 3)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("bits", [1, 4, 8, 24, 32])
def test_the_mask_of_an_icon_is_filled_to_whole_rows(width: int, height: int, bits: int) -> None:
    pixels = bitmap(width, height, bits)
    short, filled = -(-width // 8), -(-width // 32) * 4
    mask = bytes(1 + index % 200 for index in range(filled * height))
    assert alone(pixels, width, height) == pixels + bytes(filled * height)
    assert alone(pixels + mask, width, height) == pixels + mask
    assert alone(pixels + mask + b"more", width, height) == pixels + mask
    rows = [mask[at : at + short] for at in range(0, short * height, short)]
    expected = b"".join(one.ljust(filled, b"\0") for one in rows)
    assert alone(pixels + b"".join(rows), width, height) == pixels + expected
    assert (
        alone(pixels + b"".join(rows), width, height, pixels + b"".join(rows) + b"\xff" * 99)
        == pixels + expected
    )
    # What the directory leaves out is taken from what follows.
    for count in (0, 1, len(pixels) - 1, len(pixels)):
        assert (
            alone((pixels + mask)[: max(count, 50)], width, height, pixels + mask + b"more") == pixels + mask
        )
    if bits < 32 and short * height > 1:
        with pytest.raises(Rejection, match="ICO: its mask ends early") as found:
            alone(pixels + mask[: short * height - 1], width, height)
        assert found.value.code == "truncated_image"
    elif short * height > 1:
        cut = mask[: short * height - 1]
        assert alone(pixels + cut, width, height) == pixels + cut.ljust(filled * height, b"\0")
    with pytest.raises(Rejection, match="ICO: its pixels end early") as found:
        alone(pixels[:-1], width, height)
    assert found.value.code == "truncated_image"


@pytest.mark.parametrize(
    ("compression", "whole"), [(0, True), (3, True), (1, False), (2, False), (4, False), (256, False)]
)
def test_the_compression_of_an_icon(compression: int, whole: bool) -> None:
    content = bitmap(8, 4, 32, compression=compression)
    if whole:
        assert alone(content, 8, 4).startswith(content)
        return
    with pytest.raises(Rejection, match=f"ICO: its bitmap has compression {compression}") as found:
        alone(content, 8, 4)
    assert found.value.code == "corrupt_image"


@pytest.mark.parametrize(("bits", "per_byte", "highest"), [(1, 8, 1), (4, 2, 15), (8, 1, 255)])
def test_colours_of_an_icon_are_those_of_its_palette(bits: int, per_byte: int, highest: int) -> None:
    for value in (0, 1, highest // 2, highest):
        packed = sum(value << bits * number for number in range(per_byte))
        if value:
            content = bitmap(16, 2, bits, value, value=packed)
            with pytest.raises(Rejection, match=f"It uses colour {value} of a palette of {value}") as found:
                alone(content, 16, 2)
            assert found.value.code == "corrupt_image"
        for colours in {min(value + 1, highest + 1), 0}:
            content = bitmap(16, 2, bits, colours, value=packed)
            assert alone(content, 16, 2) == content + bytes(8)


def test_bytes_that_fill_a_row_are_no_colours() -> None:
    content = bitmap(3, 2, 8, 2)
    filled = content[:-5] + b"\xff" + content[-4:-1] + b"\xff"
    assert alone(filled, 3, 2) == filled + bytes(8)
    wrong = content[:-6] + b"\2" + content[-5:]
    with pytest.raises(Rejection, match="It uses colour 2 of a palette of 2"):
        alone(wrong, 3, 2)


@pytest.mark.parametrize("bits", [24, 32])
@pytest.mark.parametrize("header", [40, 52, 108])
def test_colours_for_displays_that_have_few_are_left_out(bits: int, header: int) -> None:
    for colours in (1, 2):
        plain = bitmap(8, 4, bits, header=header)
        content = bitmap(8, 4, bits, colours, header=header, palette=colours) + bytes(16)
        assert alone(content, 8, 4) == plain + bytes(16)
        # GIVEN that they are not there, or that these are masks of bits THEN nothing is left out
        absent = bitmap(8, 4, bits, colours, header=header) + bytes(16)
        assert alone(absent, 8, 4) == absent
        fields = bitmap(8, 4, bits, colours, header=header, compression=3) + bytes(16) + bytes(4 * colours)
        assert alone(fields, 8, 4) == fields[: -4 * colours]
        # as many bytes as the mask may lack
        short = bitmap(8, 4, bits, colours, header=header, palette=colours) + bytes(4)
        assert alone(short, 8, 4) == plain + bytes(16)
        assert len(alone(short[:-1], 8, 4)) == len(absent)


@pytest.mark.parametrize(
    ("bits", "colours"), [(1, 0), (1, 1), (4, 0), (4, 9), (8, 0), (8, 0x102), (24, 0), (24, 5), (32, 0)]
)
@pytest.mark.parametrize("header", [40, 0x102])
def test_rows_of_an_icon(bits: int, colours: int, header: int) -> None:
    content = bytes(22) + bitmap(9, 3, bits, colours, header=header)
    count = (colours or 2**bits) if bits <= 8 else 0
    for width in (9, 100, 321):
        row = -(-width * bits // 32) * 4
        assert icon.plain_rows(content, width, 3) == (22 + header + 4 * count, row, 3)
