"""Blocks of GIF and chunks of WebP, built by hand: each length, field and bound."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image

from handlers.imaging import gif, limits, webp
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import encoded

ENDS = ("truncated_image", "GIF: it ends before its first frame.")
FRAME = b"\x2c"


def screen(flags: int = 0, palette: int = 0) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 4, 3, flags, 0, 0) + b"\x3b" * palette


def blocks(*contents: bytes, label: int = 0xFE) -> bytes:
    """An extension."""
    return bytes((0x21, label)) + b"".join(bytes((len(one),)) + one for one in contents) + b"\0"


def outcome(function: Any, *arguments: Any) -> tuple[str, str] | None:
    try:
        function(*arguments)
    except Rejection as found:
        return found.code, str(found).removeprefix(str(Rejection(found.code))).strip()
    return None


@pytest.mark.parametrize("size", range(8))
def test_a_palette_is_passed_over(size: int) -> None:
    count = 3 * 2 ** (size + 1)
    assert outcome(gif.inspect, screen(0x80 | size, count) + FRAME) is None
    assert outcome(gif.inspect, screen(0x70 | size) + FRAME) is None
    for other in (count - 1, count + 1):
        assert outcome(gif.inspect, screen(0x80 | size, other) + FRAME) == ENDS


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (FRAME, True),
        (b"", False),
        (b"\x3b" + FRAME, False),
        (b"\0\x01\xff" + FRAME, True),  # bytes between blocks
        (blocks(b"\x3b") + FRAME, True),
        (blocks(b"\x3b\x3b", b"\x3b\x3b\x3b") + FRAME, True),
        (blocks(label=0x2C) + FRAME, True),
        (blocks(label=0) + FRAME, True),
        (blocks(FRAME), False),
        (blocks(FRAME * 3, FRAME * 200), False),
        (blocks(label=0x2C), False),
        (blocks(b"\x3b") + b"\x3b" + FRAME, False),
        (blocks(b"ab") * 3 + FRAME, True),
        (blocks(b"ab")[:-2], False),
        (b"\x21", False),
        (b"\x21\xf9", False),
        (b"\x21\xf9\x05", False),
    ],
)
def test_where_the_first_frame_is(data: bytes, found: bool) -> None:
    assert outcome(gif.inspect, screen() + data) == (None if found else ENDS)


@pytest.mark.parametrize("length", range(6, 14))
def test_a_gif_that_ends_within_its_screen(length: int) -> None:
    assert outcome(gif.inspect, screen(0x80)[:length]) == ENDS
    assert outcome(gif.inspect, screen()[:length]) == ENDS


def test_blocks_before_the_first_frame_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = screen() + blocks(b"a", b"bc") + b"\0" + blocks() + blocks(b"d") + FRAME
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 6)  # three with content, and three ends
    assert outcome(gif.inspect, data) is None
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 5)
    assert outcome(gif.inspect, data) == (
        "too_complex",
        "GIF: it has more than 5 blocks before its first frame.",
    )
    # They are counted as they are read.
    for most in range(2):
        monkeypatch.setattr(limits, "MAX_SEGMENTS", most)
        expected = ("too_complex", f"GIF: it has more than {most} blocks before its first frame.")
        assert outcome(gif.inspect, screen() + blocks(b"a", b"b", b"c")) == expected
        assert outcome(gif.inspect, screen() + blocks() * 2) == expected


def frame(
    pixels: int, width: int, height: int, *, interlace: int = 0, at: tuple[int, int] = (0, 0)
) -> tuple[bytes, Any]:
    """A file with so many pixels for a frame of this size, and its tile."""
    image = Image.frombytes("L", (pixels, 1), bytes(index % 60 for index in range(pixels)))
    data = bytearray(encoded(image, "GIF", interlace=interlace))
    begin = data.index(FRAME, 13 + 3 * 2)
    begin = data.index(struct.pack("<BHHHH", 0x2C, 0, 0, pixels, 1))
    struct.pack_into("<HHHH", data, begin + 1, *at, width, height)
    struct.pack_into("<HH", data, 6, width + at[0], height + at[1])
    data[begin + 9] |= 0x40 * interlace
    with Image.open(io.BytesIO(data)) as opened:
        return bytes(data), opened.tile[0]  # type: ignore[attr-defined]


GOES_ON = ("corrupt_image", "GIF: its data goes on after its last row.")


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize("at", [(0, 0), (3, 2)])
@pytest.mark.parametrize(("width", "height"), [(6, 5), (1, 30), (30, 1), (7, 11)])
def test_the_data_of_a_frame_has_not_a_pixel_more(
    width: int, height: int, at: tuple[int, int], interlace: int
) -> None:
    for more, expected in ((0, None), (-1, None), (1, GOES_ON), (500, GOES_ON)):
        data, tile = frame(width * height + more, width, height, interlace=interlace, at=at)
        assert outcome(gif.check_end, data, tile) == expected


def test_large_frames_are_not_decoded_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gif._MOST_PIXELS == 4_000_000  # as documented
    data, tile = frame(31, 6, 5, at=(3, 2))
    monkeypatch.setattr(gif, "_MOST_PIXELS", 30)
    assert outcome(gif.check_end, data, tile) == GOES_ON
    monkeypatch.setattr(gif, "_MOST_PIXELS", 29)
    assert outcome(gif.check_end, data, tile) is None


def chunk(kind: bytes, content: bytes, length: int | None = None) -> bytes:
    length = len(content) if length is None else length
    return kind + struct.pack("<I", length) + content + b"\0" * (length & 1)


def riff(*chunks: bytes, more: int = 0) -> bytes:
    content = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content) + more) + content


def extended(width: int, height: int, flags: int = 0) -> bytes:
    return bytes((flags, 0, 0, 0)) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def lossless(width: int, height: int, high: int = 0) -> bytes:
    return b"\x2f" + ((width - 1) | (height - 1) << 14 | high << 28).to_bytes(4, "little")


def lossy(width: int, height: int, scale: int = 0) -> bytes:
    return b"\x50\x07\0\x9d\x01\x2a" + struct.pack("<HH", width | scale << 14, height | scale << 14)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (chunk(b"VP8X", extended(0x102, 0x30405)), (0x102, 0x30405, "RGB")),
        (chunk(b"VP8X", extended(0x30405, 1, 0x10)), (0x30405, 1, "RGBA")),
        (chunk(b"VP8X", extended(1, 2, 0xFF)), (1, 2, "RGBA")),
        (chunk(b"VP8X", extended(1, 2, 0xEF)), (1, 2, "RGB")),
        (chunk(b"VP8X", extended(5, 6) + b"more"), (5, 6, "RGB")),
        (chunk(b"VP8L", lossless(1, 16384)), (1, 16384, "RGBA")),
        (chunk(b"VP8L", lossless(16384, 1, 15)), (16384, 1, "RGBA")),
        (chunk(b"VP8L", lossless(0x1234, 0x2345, 1) + b"more"), (0x1234, 0x2345, "RGBA")),
        (chunk(b"VP8 ", lossy(1, 16383)), (1, 16383, "RGB")),
        (chunk(b"VP8 ", lossy(0x1234, 0x2345, 3) + b"more"), (0x1234, 0x2345, "RGB")),
        # The first counts.
        (chunk(b"VP8X", extended(5, 6)) + chunk(b"VP8L", lossless(7, 8)), (5, 6, "RGB")),
    ],
)
def test_the_size_of_a_webp(data: bytes, expected: tuple[int, int, str]) -> None:
    found = webp.inspect(riff(data))
    assert (found.width, found.height, found.mode) == expected


HEADER = ("corrupt_image", "WEBP: its header is damaged.")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (chunk(b"VP8X", extended(5, 6)[:-1]), HEADER),
        (chunk(b"VP8L", lossless(5, 6)[:-1]), HEADER),
        (chunk(b"VP8L", b"\x2e" + lossless(5, 6)[1:]), HEADER),
        *((chunk(b"VP8 ", lossy(5, 6)[:at] + b"\x55" + lossy(5, 6)[at + 1 :]), HEADER) for at in (3, 4, 5)),
        (chunk(b"VP8 ", lossy(5, 6)[:-1]), HEADER),
        (chunk(b"VP8x", extended(5, 6)), HEADER),
        *((chunk(b"EXIF", content), HEADER) for content in (extended(5, 6), lossless(5, 6), lossy(5, 6))),
        (chunk(b"ICCP", b"abc") + chunk(b"VP8L", lossless(5, 6)), HEADER),
        (b"", ("truncated_image", "WEBP: it ends within its header.")),
        (b"VP8X\n\0\0", ("truncated_image", "WEBP: it ends within its header.")),
        (b"VP8X\n\0\0\0", HEADER),
    ],
)
def test_a_webp_whose_header_is_damaged(data: bytes, expected: tuple[str, str]) -> None:
    assert outcome(webp.inspect, riff(data)) == expected


@pytest.mark.parametrize(
    ("more", "whole"),
    [(0, True), (-1, True), (-5, True), (1, False), (2, False), (256, False), (1 << 24, False)],
)
def test_a_webp_is_as_long_as_it_says(more: int, whole: bool) -> None:
    for extra in (b"x", b"xyz"):
        data = riff(chunk(b"VP8L", lossless(5, 6) + extra), more=more)
        assert len(data) % 2 == 0
        expected = ("truncated_image", f"WEBP: {len(data) + more} bytes are declared, {len(data)} are there.")
        # A byte that fills the last chunk may be missing.
        assert outcome(webp.inspect, data) == (None if whole or more == 1 else expected)


def test_chunks_of_webp_are_counted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = riff(
        chunk(b"VP8X", extended(5, 6)), chunk(b"EXIF", b"VP8"), chunk(b"XMP ", b""), chunk(b"ANIM", b"abcd")
    )
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 4)
    assert outcome(webp.inspect, data) is None
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 3)
    assert outcome(webp.inspect, data) == ("too_complex", "WEBP: it has more than 3 chunks.")
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 4)
    assert outcome(webp.inspect, data + b"more of") is None
    assert outcome(webp.inspect, data + b"more of it")[0] == "too_complex"  # type: ignore[index]


ZEROS = ("truncated_image", "WEBP: the end of its data is zero bytes.")


@pytest.mark.parametrize(
    ("kind", "size", "zeros", "expected"),
    [
        (b"VP8L", 257, 64, ZEROS),
        (b"VP8 ", 257, 64, ZEROS),
        (b"ALPH", 257, 64, None),
        (b"VP8L", 256, 64, None),
        (b"VP8L", 257, 63, None),
        (b"VP8L", 5000, 4000, ZEROS),
    ],
)
def test_data_that_ends_in_zeros_was_not_written(
    kind: bytes, size: int, zeros: int, expected: tuple[str, str] | None
) -> None:
    head = chunk(b"VP8X", extended(5, 6))
    content = b"x" * (size - zeros) + bytes(zeros)
    assert outcome(webp.inspect, riff(head, chunk(kind, content))) == expected
    assert outcome(webp.inspect, riff(head, chunk(kind, content), chunk(b"EXIF", b"abc"))) == expected
    # Of data that is not there, nothing is known.
    assert outcome(webp.inspect, riff(head, chunk(kind, content, len(content) + 1)[:-1])) is None
