"""Zeros at the end of pixels without compression: which are the end of a copy, and which are black."""

from __future__ import annotations

import contextlib

import pytest

from handlers.imaging import tails
from handlers.rejections import Rejection

BEGIN, ROW, ROWS = 10, 100, 12


def is_cut_off(data: bytes, begin: int = BEGIN, row: int = ROW, rows: int = ROWS) -> bool:
    """Whether it is rejected."""
    with contextlib.suppress(Rejection):
        tails.check("BMP", data, begin, row, rows)
        return False
    return True


def test_the_rejection() -> None:
    with pytest.raises(Rejection, match="BMP: its data ends within a row, and zeros follow") as found:
        tails.check("BMP", pixels(150), BEGIN, ROW, ROWS)
    assert found.value.code == "truncated_image"


def pixels(
    written: int, row: int = ROW, rows: int = ROWS, begin: int = BEGIN, after: bytes = b"end"
) -> bytes:
    """So many bytes of pixels, and zeros."""
    return b"X" * (begin + written) + bytes(row * rows - written) + after


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (0, False), (50, False), (84, False), (99, False), (100, False), (115, False), (116, True), (150, True), (184, True),
        (185, False), (200, False),
        (515, False), (516, True), (584, True), (585, False), (600, False), (616, False), (650, False), (1150, False), (1200, False),
    ],
)  # fmt: skip
def test_where_the_zeros_begin(written: int, expected: bool) -> None:
    assert is_cut_off(pixels(written)) == expected
    assert is_cut_off(pixels(written, begin=0, after=b""), begin=0) == expected


@pytest.mark.parametrize(
    ("row", "whole", "expected"),
    [
        (33, 15, False), (33, 16, True), (100, 5, False), (100, 6, True), (256, 1, False), (256, 2, True), (511, 1, False), (511, 2, True),
        (512, 0, False), (512, 1, True), (513, 0, False), (513, 1, True), (1000, 0, False), (1000, 1, True),
    ],
)  # fmt: skip
def test_rows_of_zeros_after_the_row_in_which_they_begin(row: int, whole: int, expected: bool) -> None:
    for inside in (15, 16, row - 16, row - 15):
        written = (20 - whole - 1) * row + inside
        assert is_cut_off(pixels(written, row, 20), BEGIN, row, 20) == (expected and inside in (16, row - 16))


@pytest.mark.parametrize(("dark", "expected"), [(0, True), (9, True), (10, True), (11, False), (60, False)])
def test_a_row_that_was_dark_before(dark: int, expected: bool) -> None:
    # GIVEN so many zeros in the row's length before those of the end
    written = b"\0" * dark + b"X" * (ROW - dark)
    assert is_cut_off(b"y" * BEGIN + b"X" * 50 + written + bytes(ROW * ROWS - 150)) == expected
    # AND of those before it, it does not matter
    earlier = b"y" * BEGIN + bytes(49) + b"X" + b"X" * ROW + bytes(ROW * ROWS - 150)
    assert is_cut_off(earlier)


def test_pixels_that_are_not_there_or_have_no_rows() -> None:
    data = pixels(150, after=b"")
    assert is_cut_off(data)
    assert not is_cut_off(data[:-1])
    assert not is_cut_off(data, row=0)
    assert not is_cut_off(data, rows=0)


def test_a_byte_after_the_zeros() -> None:
    data = bytearray(pixels(150))
    data[BEGIN + ROW * ROWS - 1] = 1
    assert not is_cut_off(bytes(data))
    data[BEGIN + ROW * ROWS - 1] = 0
    data[BEGIN + ROW * ROWS] = 1
    assert is_cut_off(bytes(data))


@pytest.mark.parametrize("row", [300, 65536])
@pytest.mark.parametrize("zeros", [65535, 65536, 65537, 131072, 200_000])
def test_many_zeros(row: int, zeros: int) -> None:
    rows = 400_000 // row
    end = BEGIN + row * rows
    for count in range(zeros - 1, zeros + 2):
        begin = end - count
        expected = 16 <= (begin - BEGIN) % row <= row - 16 and count >= row - (begin - BEGIN) % row + row
        assert tails._first_of_zeros(b"X" * begin + bytes(count), BEGIN, end) == begin
        assert is_cut_off(b"X" * begin + bytes(count) + b"X", BEGIN, row, rows) == expected


def test_zeros_alone() -> None:
    for begin in (0, 7):
        assert tails._first_of_zeros(bytes(70_000), begin, 70_000) == begin
        assert not is_cut_off(bytes(70_000), begin, 500, 139)
