"""Headers and run lengths of BMP, built by hand: each field at its bounds."""

from __future__ import annotations

import struct

import pytest

from handlers.imaging import bmp, limits
from handlers.rejections import Rejection

WITHIN = "BMP: its pixels would begin within its header or palette."


def file(
    width: int = 3,
    height: int = 2,
    bits: int = 24,
    compression: int = 0,
    colours: int = 0,
    *,
    size: int = 40,
    begin: int | None = None,
    data: bytes = b"",
) -> bytes:
    """A BMP; `size` is that of its second header."""
    header = struct.pack(
        "<IiiHHIIiiII", size, width, height, 1, bits, compression, 0x55, 0x66, 0x77, colours, 0x88
    ).ljust(size, b"\0")
    palette = 4 * (colours or 1 << bits) if 0 < bits <= 8 else 0
    start = 14 + size + palette if begin is None else begin
    return (b"BM" + struct.pack("<IHHI", 0, 0, 0, start) + header).ljust(start, b"\0") + data


def code_of(data: bytes) -> str | None:
    try:
        bmp.inspect(data)
    except Rejection as found:
        return found.code
    return None


@pytest.mark.parametrize(
    ("bits", "given", "colours"),
    [
        (1, 0, 2), (1, 1, 1), (4, 0, 16), (4, 7, 7), (8, 0, 256), (8, 0x102, 0x102), (8, 1, 1), (9, 5, None),
        (24, 0, None), (24, 9, None), (32, 0, None),
        (0, 3, None), (0x104, 0, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [40, 52, 108, 124])
def test_colours_of_a_palette(bits: int, given: int, colours: int | None, size: int) -> None:
    assert bmp.inspect(file(bits=bits, colours=given, size=size)) == colours
    least = 14 + size + 4 * (colours or 0)
    assert bmp.inspect(file(bits=bits, colours=given, size=size, begin=least + 256)) == colours
    for begin in (least, least - 1):
        data = bytearray(file(bits=bits, colours=given, size=size))
        struct.pack_into("<I", data, 10, begin)
        if begin == least:
            assert bmp.inspect(bytes(data)) == colours
        else:
            with pytest.raises(Rejection, match=WITHIN[:-1]) as found:
                bmp.inspect(bytes(data))
            assert found.value.code == "corrupt_image"


def test_every_byte_of_where_pixels_begin_counts() -> None:
    data = bytearray(file(bits=8))
    struct.pack_into("<I", data, 10, 0x01000005)
    assert bmp.inspect(bytes(data)) == 256


@pytest.mark.parametrize("size", [12, 16, 39])
def test_an_older_header_gives_no_colours(size: int) -> None:
    data = bytearray(file(bits=8, begin=14 + 40))
    data[14] = size
    struct.pack_into("<I", data, 10, 14 + size)
    assert bmp.inspect(bytes(data)) is None
    struct.pack_into("<I", data, 30, 1)
    assert bmp.inspect(bytes(data)) is None
    assert bmp.plain_rows(bytes(data)) is None
    struct.pack_into("<I", data, 10, 14 + size - 1)
    assert code_of(bytes(data)) == "corrupt_image"


@pytest.mark.parametrize(
    ("width", "height", "bits", "compression", "rows"),
    [
        (3, 2, 24, 0, (12, 2)), (4, 2, 24, 0, (12, 2)), (5, 2, 24, 0, (16, 2)), (3, -2, 32, 0, (12, 2)),
        (3, 7, 32, 3, (12, 7)), (1, 1, 1, 0, (4, 1)),
        (32, 1, 1, 0, (4, 1)), (33, 1, 1, 0, (8, 1)), (9, 1, 4, 0, (8, 1)), (0x10203, 0x102, 8, 0, (0x10204, 0x102)),
        (3, 2, 8, 1, None), (3, 2, 4, 2, None),
        (3, 2, 8, 257, (4, 2)), (3, 2, 8, 0x01000001, (4, 2)), (3, 2, 8, 0x01000002, (4, 2)),
        (3, 2, 8, 1 << 24, (4, 2)), (3, 2, 8, 4, (4, 2)),
    ],
)  # fmt: skip
def test_rows_without_compression(
    width: int, height: int, bits: int, compression: int, rows: tuple[int, int] | None
) -> None:
    data = file(width, height, bits, compression, begin=0x10203)
    assert bmp.plain_rows(data) == (rows and (0x10203, *rows))


@pytest.mark.parametrize(
    ("compression", "is_checked"),
    [(0, False), (1, True), (2, True), (3, False), (257, False), (1 << 24, False), (0x01000001, False)],
)
def test_run_lengths_are_those_of_two_kinds_of_compression(
    monkeypatch: pytest.MonkeyPatch, compression: int, is_checked: bool
) -> None:
    data = file(3, 1, 8, compression, 16)
    assert code_of(data) == ("truncated_image" if is_checked else None)
    whole = file(3, 1, 8, compression, 16, data=b"\3\0")
    monkeypatch.setattr(limits, "MAX_SLOW_BYTES", len(whole))
    assert code_of(whole) is None
    monkeypatch.setattr(limits, "MAX_SLOW_BYTES", len(whole) - 1)
    if is_checked:
        with pytest.raises(Rejection, match=f"BMP: it has more than {len(whole) - 1} bytes of run lengths"):
            bmp.inspect(whole)


BEYOND, OUT = "BMP: its run lengths go beyond a row.", "BMP: its run lengths leave pixels out."


@pytest.mark.parametrize(
    ("kind", "runs", "message"),
    [
        (1, b"\3\7\0\0\3\7\0\1", ""),
        (1, b"\3\7\0\0\3\7", ""),
        (1, b"\1\7\2\7\0\0\3\7\0\0", ""),
        (1, b"\0\3abc\0\0\0\3\7", ""),  # three values, filled to four
        (2, b"\0\3ab\0\0\3\7", ""),  # of half a byte each
        (1, b"\3\7\0\0\3\7\1\7", BEYOND),
        (1, b"\4\7", BEYOND),
        (1, b"\2\7\2\7", BEYOND),
        (1, b"\0\4abcd", BEYOND),
        (1, b"\3\7\3\7", BEYOND),
        (1, b"\3\7\0\0\2\7\0\1", OUT),
        (1, b"\3\7\0\0\2\7\0\0", OUT),
        (1, b"\2\7\0\0\3\7\0\1", OUT),
        (1, b"\3\7\0\1\3\7\0\1", OUT),
        (1, b"\3\7\0\0", OUT),
        (1, b"\3\7\0\0\3", OUT),
        (1, b"\3\7", OUT),
        (1, b"", OUT),
        (1, b"\0\2\1\1\3\7", OUT),
        (1, b"\3\7\0\2\0\1\3\7", OUT),
        (1, b"\3\7\0\0\3\7\0\2\0\0", ""),
        (1, b"\3\7\0\0\3\7\0\0\3\7\3\7", ""),  # after the last row, nothing counts
        (1, b"\3\7\0\0\0\0", OUT),
    ],
)
@pytest.mark.parametrize("height", [2, -2])
def test_runs_of_two_rows_of_three_pixels(kind: int, runs: bytes, message: str, height: int) -> None:
    data = file(3, height, 8 // kind, kind, 4, data=runs)
    if not message:
        assert bmp.inspect(data) == 4
        return
    with pytest.raises(Rejection, match=message[:-1]) as found:
        bmp.inspect(data)
    assert found.value.code == ("corrupt_image" if message == BEYOND else "truncated_image")


@pytest.mark.parametrize(("count", "size"), [(1, 2), (2, 2), (3, 4), (5, 6), (254, 254), (255, 256)])
def test_values_as_they_are_fill_an_even_number_of_bytes(count: int, size: int) -> None:
    if count < 3:
        return
    for per_byte, kind in ((1, 1), (2, 2)):
        used = -(-count // per_byte)
        filled = used + used % 2
        for extra in (0, -1):
            runs = bytes((0, count)) + b"\7" * (filled + extra) + b"\1\7"
            data = file(count + 1, 1, 8 // kind, kind, 4, data=runs)
            assert code_of(data) == (None if not extra else "truncated_image"), (per_byte, extra)
