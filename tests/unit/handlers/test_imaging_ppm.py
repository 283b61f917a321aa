"""PPM, PGM and PBM: headers, numbers of values, and the bounds of both."""

from __future__ import annotations

import struct

import pytest

from handlers.imaging import limits, ppm
from handlers.rejections import Rejection


def code(data: bytes) -> str:
    """The code of the rejection, or nothing."""
    try:
        ppm.inspect(data)
    except Rejection as found:
        return found.code
    return ""


@pytest.mark.parametrize(
    ("header", "maximum", "row"),
    [
        (b"P1 9 2\n", 1, 0), (b"P2 9 2 255\n", 255, 0), (b"P3 9 2 255\n", 255, 0), (b"P4 9 2\n", 1, 2),
        (b"P5 9 2 255\n", 255, 9), (b"P6 9 2 255\n", 255, 27), (b"P5 9 2 256\n", 256, 18), (b"P6 9 2 256\n", 256, 54),
        (b"P5 9 2 254\n", 254, 9), (b"P6 9 2 65535\n", 65535, 54), (b"P5\n# one # two\n9\t2\r# three\n\n254#", 254, 9),
        (b"P5#\n9 #\n2#\n0000000254\n", 254, 9),
    ],
)  # fmt: skip
def test_headers(header: bytes, maximum: int, row: int) -> None:
    content = b"1 " * 54 if header[1:2] == b"3" else b"0" * 18 if header[1:2] == b"1" else b"1 " * 18
    found = ppm.inspect(header + (content if not row else bytes(2 * row)))
    assert found == ppm.Ppm(9, 2, maximum, len(header), row)


@pytest.mark.parametrize(("width", "row"), [(1, 1), (7, 1), (8, 1), (9, 2), (16, 2), (17, 3)])
def test_rows_of_a_bitmap_are_filled(width: int, row: int) -> None:
    assert ppm.inspect(b"P4 %d 2\n" % width + bytes(2 * row)).row == row


@pytest.mark.parametrize(
    "header",
    [b"P5 9 2 2p5\n", b"P5 9 2 00000000254\n", b"P5 9 two 255\n", b"P59 2 255\n", b"P5 9 2 255", b"P5 9 2\n", b"P4 9\n", b"P5 -9 2 255\n"],
)  # fmt: skip
def test_headers_that_are_damaged(header: bytes) -> None:
    assert code(header.ljust(63, b"x")) == "truncated_image"
    assert code(header.ljust(64, b"x")) == "corrupt_image"
    with pytest.raises(Rejection, match="PPM: its header is damaged"):
        ppm.inspect(header)


TEXT = {b"P1": b"P1 3 2 ", b"P2": b"P2 3 2 255 ", b"P3": b"P3 1 2 255 "}  # of six values


@pytest.mark.parametrize("kind", TEXT)
@pytest.mark.parametrize(
    ("values", "rejected"),
    [
        (b"1 0 1 0 1 0", ""), (b"1\t0\n1\r0\x0b1\x0c0\r\n", ""), (b"  1 0 1 0 1  0  ", ""), (b"1 0 1 0 1", "truncated_image"),
        (b"1 0 1 0 1 0 1", "corrupt_image"), (b"1 0 1 # 2\n0 1 0 # 3", ""), (b"# 1 0\r1 0 1 0 1 0", ""), (b"1 0 1 0 1 0 P 1 0", ""),
        (b"1 0 1 0 1 P 0", "truncated_image"), (b"# P\n1 0 1 0 1 0", ""), (b"", "truncated_image"),
        (b"1 0 1 0 1 #\n# 2\n0", ""),
    ],
)  # fmt: skip
def test_values_in_text(kind: bytes, values: bytes, rejected: str) -> None:
    assert code(TEXT[kind] + values) == rejected


def test_a_count_of_values_in_text_is_reported() -> None:
    with pytest.raises(Rejection, match="PPM: 6 values are declared, 5 are there"):
        ppm.inspect(TEXT[b"P2"] + b"1 22 333 4 5")
    with pytest.raises(Rejection, match=r" PPM: it has more data than its header says\.$"):
        ppm.inspect(TEXT[b"P2"] + b"1 22 333 4 5 6 7")


@pytest.mark.parametrize("values", [b"1 0 1 0 1#\n 0", b"1 0 1 0 1 10#\n", b"1 0 1 0 1 0#"])
def test_a_comment_directly_after_a_value(values: bytes) -> None:
    assert code(TEXT[b"P1"] + values.replace(b"10", b"0")) == ""
    for kind in (b"P2", b"P3"):
        with pytest.raises(Rejection, match="a comment begins within a value") as found:
            ppm.inspect(TEXT[kind] + values)
        assert found.value.code == "corrupt_image"


def test_values_of_several_digits_count_once() -> None:
    assert code(TEXT[b"P2"] + b"100 22 0 255 17 9") == code(b"P2 3 2 40 1 2 3 4 5 6") == ""
    assert code(TEXT[b"P1"] + b"101010") == ""
    assert code(TEXT[b"P1"] + b"1010100") == "corrupt_image"
    assert code(TEXT[b"P1"] + b"10101") == "truncated_image"


@pytest.mark.parametrize(
    ("data", "counted"),
    [
        (TEXT[b"P1"] + b"101010", True), (TEXT[b"P2"] + b"1 2 3 4 5 6", True), (TEXT[b"P3"] + b"1 2 3 4 5 6", True),
        (b"P4 9 2\nabcd", False),
        (b"P5 2 2 255\nabcd", False), (b"P6 1 1 255\nabc", False), (b"P5 2 2 254\nabcd", True), (b"P6 1 1 256\nabcdef", True),
    ],
)  # fmt: skip
def test_bytes_that_are_read_slowly_are_bounded(
    data: bytes, counted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limits.MAX_SLOW_BYTES == 16_000_000
    monkeypatch.setattr(limits, "MAX_SLOW_BYTES", len(data))
    assert code(data) != "too_complex"
    monkeypatch.setattr(limits, "MAX_SLOW_BYTES", len(data) - 1)
    assert code(data) == ("too_complex" if counted else "")


BINARY = {b"P4": (b"P4 9 3\n", 6), b"P5": (b"P5 9 3 255\n", 27), b"P6": (b"P6 9 3 255\n", 81)}


@pytest.mark.parametrize("kind", BINARY)
@pytest.mark.parametrize(
    ("rest", "rejected"),
    [
        (b"", ""), (b"x", "corrupt_image"), (b" \t\r\n\0\0", ""), (b" \t\r\n\0x", "corrupt_image"), (b"\n" * 4095 + b"x", "corrupt_image"),
        (b"\n" * 4096 + b"x", ""), (b"P5 9 9 255\nx", ""), (b"\n\0P", ""), (b"xP", "corrupt_image"),
    ],
)  # fmt: skip
def test_data_after_the_last_row(kind: bytes, rest: bytes, rejected: str) -> None:
    header, count = BINARY[kind]
    assert code(header + b"\x01" * count + rest) == rejected
    if rejected:
        with pytest.raises(Rejection, match=r" PPM: it has more data than its header says\.$"):
            ppm.inspect(header + b"\x01" * count + rest)


@pytest.mark.parametrize(("kind", "count"), [(b"P5", 6), (b"P6", 18)])
@pytest.mark.parametrize("maximum", [1, 100, 254, 255, 256, 1000, 65534, 65535])
def test_values_above_the_maximum(kind: bytes, count: int, maximum: int) -> None:
    header, form = kind + b" 3 2 %d\n" % maximum, ">B" if maximum < 256 else ">H"
    size = struct.calcsize(form)
    for place in (0, count // 2, count - 1):
        for value in {maximum, min(maximum + 1, 256**size - 1), maximum ^ 1}:
            data = bytearray(header + bytes(count * size))
            struct.pack_into(form, data, len(header) + place * size, min(value, 256**size - 1))
            assert code(bytes(data)) == ("corrupt_image" if value > maximum else "")
            # A further image has a maximum of its own.
            assert code(bytes(data) + b"P\xff\xff\xff\xff") == ("corrupt_image" if value > maximum else "")
    if maximum < 256**size - 1:
        with pytest.raises(Rejection, match=f"PPM: it has values above the maximum of {maximum}"):
            ppm.inspect(header + b"\xff" * count * size)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_values_that_are_cut_off_are_left_to_the_decoder(count: int) -> None:
    assert code(b"P5 3 2 300\n" + bytes(count)) == ""
    assert code(b"P5 3 2 30\n" + bytes(count)) == ""
    # Of 16 bits, a half is not a value.
    assert code(b"P5 3 2 300\n" + b"\x01" * count + b"\xff") == ("corrupt_image" if count % 2 else "")
