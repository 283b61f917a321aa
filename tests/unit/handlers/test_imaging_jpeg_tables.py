"""Huffman tables of JPEG: which bits end no block and fill a scan, and which zero bytes are no data."""

from __future__ import annotations

import pytest

from handlers.imaging import jpeg
from tests.unit.handlers.test_imaging_jpeg import (
    END,
    NO_ZEROS,
    frame,
    inspected,
    refused,
    scan,
    segment,
    table,
)

# The usual table of AC coefficients of colour (ITU-T T.81, table K.6), of which the first codes are
CHROMA = {"00": 0x00, "01": 0x01, "100": 0x02, "1010": 0x03, "1011": 0x11, "11000": 0x04}
# One whose code of zeros is a coefficient, and one without a code that ends a block
LUMA = {"00": 0x01, "01": 0x02, "100": 0x03, "1010": 0x00, "1011": 0x04}
WITHOUT = {"0": 0x01, "10": 0x02}


@pytest.mark.parametrize(
    ("codes", "symbol", "code"),
    [
        (CHROMA, 0x00, "00"), (CHROMA, 0x01, "01"), (CHROMA, 0x03, "1010"), (CHROMA, 0x11, "1011"), (CHROMA, 0x04, "11000"),
        (CHROMA, 0x99, ""),
        (LUMA, 0x00, "1010"), (WITHOUT, 0x00, ""), ({"0": 7}, 7, "0"), ({"0" * 16: 0}, 0, "0" * 16), ({}, 0, ""),
    ],
)  # fmt: skip
def test_codes_of_a_table(codes: dict[str, int], symbol: int, code: str) -> None:
    packed = table(0x10, codes)
    assert jpeg._code(packed[1:17], packed[17:], symbol) == code


@pytest.mark.parametrize(
    ("ends", "pattern"),
    [
        (set(), "0"), ({""}, "0"), ({"1010"}, "0"), ({"00"}, "011"), ({"00", "11"}, "01"), ({"00", "0110", "0101"}, "0111"),
        ({"00000", "11", "0101"}, "00001"), ({"0" * 56}, "011"), ({"0" * 57}, "0"),
    ],
)  # fmt: skip
def test_bits_that_end_no_block(ends: set[str], pattern: str) -> None:
    found = jpeg._fill(ends)
    assert len(found) == 7
    assert f"{int.from_bytes(found):056b}" == (pattern * 56)[:56]
    assert jpeg._fill(ends | {"0"}) == bytes(7)


@pytest.mark.parametrize(
    ("tables", "chosen", "zero_run", "pattern"),
    [
        (table(0x10, LUMA), 0x00, True, "0"),
        (table(0x10, CHROMA), 0x00, False, "011"),
        (table(0x13, CHROMA) + table(0x12, LUMA), 0x03, False, "011"),
        (table(0x13, CHROMA) + table(0x12, LUMA), 0x12, True, "0"),
        (table(0x13, CHROMA) + table(0x12, LUMA), 0x11, False, "0"),  # which is not there
        (table(0x10, WITHOUT), 0x00, True, "0"),
        (table(0x10, LUMA) + table(0x12, CHROMA), 0x02, False, "011"),
        (table(0x00, LUMA), 0x00, False, "0"),  # of DC
        (table(0x08, LUMA), 0x08, False, "0"),
        (table(0x10, CHROMA) + table(0x00, LUMA), 0x00, False, "011"),
        (table(0x10, {}), 0x00, False, "0"),
        (table(0x10, LUMA)[:17], 0x00, False, "0"),
        (table(0x10, LUMA)[:9], 0x00, False, "0"),
        (table(0x10, CHROMA) + b"\x10", 0x00, False, "011"),
    ],
)
def test_tables_of_a_scan(tables: bytes, chosen: int, zero_run: bool, pattern: str) -> None:
    for parts in ([segment(0xC4, tables)], [segment(0xC4, table(0x10, WITHOUT)), segment(0xC4, tables)]):
        if len(parts) == 2 and chosen & 15 != 0:
            continue
        found = inspected(*parts[-1:], frame(), scan(tables=chosen)).scans[0]
        assert (found.zero_run, f"{int.from_bytes(found.fill):056b}") == (zero_run, (pattern * 56)[:56])
    assert not inspected(segment(0xC4, tables), frame(marker=0xC2), scan(tables=chosen)).scans[0].zero_run


@pytest.mark.parametrize("marker", [0xE1, 0xFE, 0xDB, 0xC8, 0xCC])
def test_what_another_segment_has_is_no_table(marker: int) -> None:
    assert not inspected(frame(), segment(marker, table(0x10, LUMA)), scan()).scans[0].zero_run


def test_each_component_has_its_table() -> None:
    header = segment(0xDA, b"\2" + b"\1\2" + b"\2\3" + b"\0\x3f\0") + NO_ZEROS
    for codes, other, expected in ((LUMA, CHROMA, True), (CHROMA, LUMA, True), (CHROMA, CHROMA, False)):
        tables = segment(0xC4, table(0x12, codes) + table(0x13, other))
        found = inspected(tables, frame(20, 30, 0x11, 0x11), header).scans[0]
        assert (found.zero_run, found.fill != bytes(7)) == (expected, True)


@pytest.mark.parametrize(("zeros", "whole"), [(511, True), (512, False)])
def test_zero_bytes_that_are_no_data(zeros: int, whole: bool) -> None:
    data = scan(data=b"a" + bytes(zeros) + b"b")
    for codes, found in ((LUMA, not whole), (CHROMA, False)):
        parts = (segment(0xC4, table(0x10, codes)), frame(), segment(0xFE, bytes(600)), data)
        if found:
            assert refused(*parts) == ("corrupt_image", "JPEG: a part of its data is zero bytes.")
        else:
            assert inspected(*parts)
    assert inspected(segment(0xC4, table(0x10, LUMA)), frame(), scan(), end=END + bytes(600))
