"""JPEG 2000: headers of packets bit by bit, written as ISO/IEC 15444-1, B.10, has them; every number from both sides of its bound."""

from __future__ import annotations

import random
from itertools import groupby
from typing import Any

import pytest

from handlers.imaging import packet_headers
from handlers.imaging.codestream import Coding
from handlers.rejections import NotUnderstood, Rejection
from tests.unit.handlers.sample_jpeg2000 import packed
from tests.unit.handlers.test_imaging_tag_trees import Tree

BYPASS, TERMINATED = 1, 4


def reader(bits: str | bytes, headers: int = 0) -> Any:
    return packet_headers._HeaderBits(bits if isinstance(bits, bytes) else packed(bits), headers)


def coded(style: int = 0, *, begins: bool = False, ends: bool = False) -> Coding:
    return Coding(begins, ends, 0, 1, 0, (4, 4), style, [(15, 15)])


def damaged(run: Any, code: str = "corrupt_image") -> None:
    """What must be rejected."""
    words = (
        "the data of a tile is damaged"
        if code == "corrupt_image"
        else "a part of the data of a tile is missing"
    )
    with pytest.raises(Rejection, match=rf" JPEG2000: {words}\.$") as found:
        run()
    assert found.value.code == code


@pytest.mark.parametrize("seed", range(6))
def test_bits_of_headers(seed: int) -> None:
    # GIVEN headers one after another, mostly of ones
    draw = random.Random(seed)
    headers = ["".join(draw.choices("01", (1, 1 + 3 * seed), k=draw.randrange(1, 60))) for _ in range(8)]
    read = reader(b"".join(map(packed, headers)), 7)
    for bits in headers:
        read.begin()
        half = len(bits) // 2
        assert read.bits(half) == int(bits[:half] or "0", 2)
        assert "".join(str(read.bit()) for _ in bits[half:]) == bits[half:]
        read.end()
    assert read.at == len(read.data) == read.headers - 7


def test_a_byte_of_more_than_seven_bits_after_one_of_ones() -> None:
    for after, whole in ((0x7F, True), (0x80, False), (0xFF, False)):
        read = reader(bytes([0xFF, after, 0xFF]))
        assert read.bits(8) == 0xFF
        if whole:
            assert read.bits(7) == 0x7F
            assert read.bits(8) == 0xFF
            damaged(read.bit, "truncated_image")
        else:
            damaged(read.bit)


@pytest.mark.parametrize("last", [b"\x7f", b"\x80", b""])
def test_a_header_that_ends_with_a_byte_of_ones(last: bytes) -> None:
    read = reader(b"\xff" + last)
    read.bits(8)
    if last == b"\x7f":
        read.end()
        assert read.at == 2
    else:
        damaged(read.end, "corrupt_image" if last else "truncated_image")
    # WHERE it is another byte THEN nothing follows it
    other = reader(b"\xfe\xff")
    other.bits(8)
    other.end()
    assert other.at == 1


def test_a_header_begins_with_a_byte() -> None:
    read = reader(b"\xff\x80\x01")
    for at, byte in ((0, 0xFF), (1, 0x80), (2, 0x01)):
        assert read.at == at
        read.begin()
        assert read.bits(3) == byte >> 5
    read = reader(b"\xff\x80")
    assert read.bits(8) == 0xFF
    read.begin()
    assert read.bits(8) == 0x80


def test_bytes_of_headers_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_headers, "_MOST_HEADERS", 9)
    read = reader(bytes(3), 7)
    assert read.bits(16) == 0
    assert read.headers == 9
    with pytest.raises(NotUnderstood):
        read.bit()


def test_markers_that_are_passed_over() -> None:
    read = reader(b"\xff\x91\0\4\0\1\xff\x92\xff\x91")
    for marker, length, at in (
        (b"\xff\x92", 2, 0),
        (b"\xff\x91", 6, 6),
        (b"\xff\x91", 6, 6),
        (b"\xff\x92", 2, 8),
    ):
        read.skip(marker, length)
        assert read.at == at


def passes_in_bits(count: int) -> str:
    """Table B.4."""
    if count <= 2:
        return "0" if count == 1 else "10"
    if count <= 5:
        return f"11{count - 3:02b}"
    return f"1111{count - 6:05b}" if count <= 36 else f"111111111{count - 37:07b}"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 35, 36, 37, 38, 100, 163, 164])
def test_numbers_of_passes(count: int) -> None:
    bits = passes_in_bits(count)
    read = reader(bits + "1" * 20)
    assert packet_headers._passes(read) == count
    assert read.bits(4) == 15
    assert read.at == -(-(len(bits) + 4) // 8) or 0xFF in read.data


def segment_of(number: int, style: int) -> int:
    """The segment of a pass: arithmetic coder and raw bits take turns after ten passes, if it bypasses; see Table D.9."""
    if style & TERMINATED:
        return number
    if not style & BYPASS or number < 10:
        return 0
    turn, within = divmod(number - 10, 3)
    return 1 + 2 * turn + (within == 2)


def precinct(planes: int = 40, wide: int = 1, high: int = 1) -> Any:
    blocks = [packet_headers._CodeBlock() for _ in range(wide * high)]
    return packet_headers._Precinct(
        wide, high, planes, blocks, packet_headers._TagTree(wide, high), packet_headers._TagTree(wide, high)
    )


SPLITS = [
    [1],
    [9],
    [10],
    [11],
    [12],
    [13],
    [14],
    [15],
    [16],
    [3, 7, 1],
    [9, 2, 5],
    [10, 1, 1, 1, 1],
    [11, 1, 3, 9],
    [2, 20, 40],
    [1] * 18,
]


@pytest.mark.parametrize(
    "style", [0, BYPASS, TERMINATED, BYPASS | TERMINATED, 2, 8 | BYPASS, 32 | 16 | TERMINATED]
)
@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_lengths_of_segments(style: int, split: list[int]) -> None:
    # GIVEN a code-block with so many passes in each layer
    draw = random.Random(sum(split))
    one, length_bits, done, last = precinct(), 3, 0, -1
    for layer, count in enumerate(split):
        runs = [
            (key, len(list(group)))
            for key, group in groupby(segment_of(done + number, style) for number in range(count))
        ]
        lengths = [draw.randrange(1 << draw.randrange(1, 12)) for _ in runs]
        needed = max(
            length.bit_length() - (passes.bit_length() - 1)
            for length, (_, passes) in zip(lengths, runs, strict=True)
        )
        more = max(0, needed - length_bits)
        length_bits += more
        bits = ("1" if layer else "11") + passes_in_bits(count) + "1" * more + "0"
        for length, (_, passes) in zip(lengths, runs, strict=True):
            bits += f"{length:0{length_bits + passes.bit_length() - 1}b}"
        read = reader(bits + "101")
        found = packet_headers._contribution(read, coded(style), one, 0, one.blocks[0], layer)
        assert found == [(length, key != last) for length, (key, _) in zip(lengths, runs, strict=True)]
        assert read.bits(3) == 0b101
        last, done = runs[-1][0], done + count
    assert one.blocks[0].passes == done


@pytest.mark.parametrize(("planes", "empty"), [(1, 0), (5, 0), (5, 2), (9, 8), (5, 5)])
def test_passes_of_a_code_block_are_bounded_by_its_bit_planes(planes: int, empty: int) -> None:
    most = 3 * (planes - empty) - 2
    for count in {max(most, 1), max(most, 0) + 1}:
        one = precinct(planes)
        read = reader("1" + "0" * empty + "1" + passes_in_bits(count) + "0" + "0" * 40)
        if count <= most:
            packet_headers._contribution(read, coded(), one, 0, one.blocks[0], 0)
            # AND those of later layers count, too
            damaged(
                lambda one=one: packet_headers._contribution(
                    reader("100" + "0" * 40), coded(), one, 0, one.blocks[0], 1
                )
            )
        else:
            damaged(
                lambda one=one, read=read: packet_headers._contribution(
                    read, coded(), one, 0, one.blocks[0], 0
                )
            )


@pytest.mark.parametrize(
    ("passes", "more", "whole"), [(1, 29, True), (1, 30, False), (2, 28, True), (2, 29, False), (3, 28, True), (4, 27, True),
    (4, 28, False), (1, 40, False)]
)  # fmt: skip
def test_bits_of_a_length(passes: int, more: int, whole: bool) -> None:
    one = precinct()
    read = reader("11" + passes_in_bits(passes) + "1" * more + "0" + "10" * 16)
    if whole:
        assert packet_headers._contribution(read, coded(), one, 0, one.blocks[0], 0) == [(0xAAAAAAAA, True)]
    else:
        damaged(lambda: packet_headers._contribution(read, coded(), one, 0, one.blocks[0], 0))


def test_a_length_whose_bits_do_not_end() -> None:
    one = precinct()
    damaged(lambda: packet_headers._contribution(reader("110" + "1" * 60), coded(), one, 0, one.blocks[0], 0))


def test_layers_in_which_code_blocks_are_included() -> None:
    # GIVEN 3 x 2 code-blocks, first included in these layers, with so many empty bit planes
    layers, empty = [2, 0, 1, 1, 3, 0], [0, 3, 1, 4, 2, 2]
    one, inclusion, planes = precinct(9, 3, 2), Tree(3, 2, layers), Tree(3, 2, empty)
    for layer in range(4):
        for number, block in enumerate(one.blocks):
            down, across = divmod(number, 3)
            if layers[number] < layer:  # included before: now every other one is
                bits, expected = ("100001", [(1, False)]) if number % 2 else ("0", [])
            else:
                bits, expected = inclusion.bits(across, down, layer + 1), []
            if layers[number] == layer:
                bits += "".join(planes.bits(across, down, below) for below in range(1, 11)) + "00" + "101"
                expected = [(5, True)]
            read = reader(bits + "011")
            assert packet_headers._contribution(read, coded(), one, number, block, layer) == expected
            assert read.bits(3) == 0b011
            assert block.included == (layers[number] <= layer)
            if block.included:
                assert block.most == 3 * (9 - empty[number]) - 2


@pytest.mark.parametrize(
    ("layer", "first", "whole"), [(0, 0, True), (1, 1, True), (1, 0, False), (3, 3, True), (3, 2, False)]
)
def test_a_packet_that_was_empty_where_a_code_block_begins(layer: int, first: int, whole: bool) -> None:
    one = precinct()
    read = reader("0" * first + "1" + "1" + "00" + "010")
    if whole:
        assert packet_headers._contribution(read, coded(), one, 0, one.blocks[0], layer) == [(2, True)]
    else:
        damaged(lambda: packet_headers._contribution(read, coded(), one, 0, one.blocks[0], layer))


def header(length: int) -> bytes:
    """Of a packet with one code-block: included, without an empty plane, one pass, a length of three bits."""
    return packed(f"11100{length:03b}")


@pytest.mark.parametrize(
    ("begins", "ends", "data", "at"),
    [
        (False, False, header(2) + b"ab", 3), (True, True, b"\xff\x91\0\4\0\1" + header(2) + b"\xff\x92ab", 11),
        (True, True, header(2) + b"ab", 3),
        (True, False, b"\xff\x91\0\4\0\1" + header(2) + b"ab", 9), (False, True, header(2) + b"\xff\x92ab", 5), (False, False, b"\0ab", 1),
        (False, True, b"\0\xff\x92", 3), (True, False, b"\xff\x91\0\4\0\1\0", 7), (False, False, header(0), 1),
        (False, False, header(7) + b"abcdefg", 8),
    ],
)  # fmt: skip
def test_a_packet(begins: bool, ends: bool, data: bytes, at: int) -> None:
    read = reader(data)
    packet_headers._packet(read, coded(begins=begins, ends=ends), [precinct()], 0)
    assert read.at == at
    if at == len(data) and data[-1:] in b"bg":
        damaged(
            lambda: packet_headers._packet(
                reader(data[:-1]), coded(begins=begins, ends=ends), [precinct()], 0
            ),
            "truncated_image",
        )


@pytest.mark.parametrize(("begins", "ends"), [(True, False), (False, True), (False, False)])
def test_markers_that_are_not_declared(begins: bool, ends: bool) -> None:
    # GIVEN a marker at which a packet that has none would begin, and one that would be data
    if not begins:
        damaged(
            lambda: packet_headers._packet(reader(b"\xff\x91\0\4\0\1\0"), coded(ends=ends), [precinct()], 0)
        )
    if not ends:
        damaged(
            lambda: packet_headers._packet(
                reader(header(4) + b"\xff\x92ab"), coded(begins=begins), [precinct()], 0
            )
        )


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"\xff\x7f\0\0", True), (b"\xff\x80\0\0", False), (b"\xff\x90\0\0", False), (b"\xfe\xff\0\0", True), (b"\x7f\xff\xff\xff", True),
        (b"\xff\x7f", True), (b"\xff\x80", False), (b"\xff", True),
    ],
)  # fmt: skip
def test_bytes_with_which_a_segment_begins(data: bytes, whole: bool) -> None:
    one = precinct()
    for layer in (0, 1):  # of a segment that goes on, any bytes are right
        read = reader((header(len(data)) if not layer else packed(f"1100{len(data):03b}")) + data)
        if whole or layer:
            packet_headers._packet(read, coded(), [one], layer)
            assert read.at == 1 + len(data)
        else:
            damaged(lambda read=read: packet_headers._packet(read, coded(), [precinct()], 0))
            packet_headers._packet(reader(header(1) + b"\xff"), coded(), [one], 0)
    # AND each segment of those that end with a pass begins so
    two = packed("1" + "11" + "10" + "0" + "010" + "100") + b"ab" + data.ljust(4, b"\0")
    if not whole:
        damaged(lambda: packet_headers._packet(reader(two), coded(TERMINATED), [precinct()], 0))
    else:
        packet_headers._packet(reader(two), coded(TERMINATED), [precinct()], 0)


def test_a_segment_of_one_byte_may_be_any() -> None:
    # GIVEN two segments, the first of which has one byte
    data = packed("1" + "11" + "10" + "0" + "001" + "010") + b"\xff" + b"\x90a"
    packet_headers._packet(reader(data), coded(TERMINATED), [precinct()], 0)


def test_the_header_of_a_packet_ends_with_a_byte_of_ones() -> None:
    # GIVEN a length of 11 ones
    bits = "111" + "10" + "1" * 7 + "0" + "1" * 11
    read = reader(packed(bits) + b"d" * 2047)
    assert packed(bits).endswith(b"\xff\0")
    packet_headers._packet(read, coded(), [precinct()], 0)
    assert read.at == len(read.data)


def test_code_blocks_of_all_sub_bands_are_in_one_packet() -> None:
    # GIVEN precincts of 2, 0 and 1 code-blocks
    bands = [precinct(9, 2, 1), precinct(9, 0, 1), precinct(9)]
    bits = "1" + "11" + "11" + "0" + "0" + "010" + "1" + "1" + "0" + "0" + "011" + "11" + "0" + "0" + "001"
    read = reader(packed(bits) + b"ab" + b"cde" + b"f")
    packet_headers._packet(read, coded(), bands, 0)
    assert read.at == len(read.data)
    assert [block.passes for band in bands for block in band.blocks] == [1, 1, 1]
