"""TIFF: how its directories are read, in both byte orders and with offsets of 32 and 64 bits; every bound from both sides."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from handlers.imaging import limits, tiff
from handlers.rejections import Rejection
from tests.unit.handlers import sample_tiff as written
from tests.unit.handlers.sample_tiff import ASCII, BYTE, IFD, IFD8, LONG, LONG8, SHORT, UNDEFINED, Tag, grey

FORMS = [("<", False), (">", False), ("<", True), (">", True)]
forms = pytest.mark.parametrize(("order", "big"), FORMS, ids=["little", "big", "little-64", "big-64"])
RAW = [Tag(50706, BYTE, b"\1\4\0\0")]  # of a camera


def read(
    tags: list[Tag], order: str = "<", big: bool = False, most: int = 100_000, after: bytes = b""
) -> Any:
    """The tags of a directory that begins at byte 3, and the offset of the next, 77."""
    data = b"..." + written.directory(tags, 3, order, big, following=77) + after
    return tiff._directory(data, 3, order, big, most)


def rejected(data: bytes) -> str:
    """The code of the rejection, or nothing."""
    try:
        tiff.inspect(data)
    except Rejection as found:
        return found.code
    return ""


@forms
@pytest.mark.parametrize("kind", [BYTE, SHORT, LONG, IFD, LONG8, IFD8])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 9])
def test_integers_of_every_type(order: str, big: bool, kind: int, count: int) -> None:
    # GIVEN values of which each byte counts, alone, in their entry or after the directory
    size = written.SIZES[kind]
    values = tuple((0x0102030405060708 >> 8 * (8 - size)) + number for number in range(count))
    found, following = read(
        [Tag(256, SHORT, (5,)), Tag(258, kind, values), Tag(277, SHORT, (6,))], order, big
    )
    assert found == {256: (5,), 258: values, 277: (6,)}
    assert following == 77


@forms
@pytest.mark.parametrize("kind", [ASCII, UNDEFINED])
@pytest.mark.parametrize("count", [1, 4, 5, 8, 9, 256, 257])
def test_bytes(order: str, big: bool, kind: int, count: int) -> None:
    text = bytes(1 + number % 255 for number in range(count))
    found, _ = read([Tag(271, kind, text), Tag(347, kind, text)], order, big)
    assert found == ({271: text} if count <= 256 else {}) | {347: text}


@forms
@pytest.mark.parametrize("kind", [0, *written.SIZES, 14, 15, 19])
def test_values_of_pixels_that_the_file_does_not_have(order: str, big: bool, kind: int) -> None:
    # GIVEN nine values at the end of a file, of a type that is or is not of integers
    data = b"..." + written.directory([Tag(258, kind, bytes(9 * written.SIZES.get(kind, 1)))], 3, order, big)
    found, _ = tiff._directory(data, 3, order, big, limits.MAX_STRIPS)
    assert (258 in found) == (kind in (*written.INTEGERS, ASCII, UNDEFINED))
    # WHEN the last byte is missing
    with pytest.raises(Rejection, match="tag 258 has 9 values, but the file ends before") as missing:
        tiff._directory(data[:-1], 3, order, big, limits.MAX_STRIPS)
    assert missing.value.code == "truncated_image"
    # THEN that does not matter in another directory than the first
    found, _ = tiff._directory(data[:-1], 3, order, big, 256)
    assert found == ({258: bytes(8)} if kind in (ASCII, UNDEFINED) else {})


@pytest.mark.parametrize("number", [258, 273, 279, 324, 325, 320, 256, 262, 281, 330, 339, 347])
def test_tags_whose_values_must_be_there(number: int) -> None:
    data = written.directory([Tag(number, LONG, (1, 2, 3))], 0)
    if number in (258, 273, 279, 324, 325, 320):
        with pytest.raises(Rejection, match=f"tag {number} has 3 values"):
            tiff._directory(data[:-1], 0, "<", False, limits.MAX_STRIPS)
    else:
        assert tiff._directory(data[:-1], 0, "<", False, limits.MAX_STRIPS) == ({}, 0)


USED = (
    256,
    257,
    258,
    259,
    262,
    266,
    271,
    273,
    277,
    278,
    279,
    281,
    284,
    292,
    293,
    320,
    322,
    323,
    324,
    325,
    330,
    339,
    347,
    42113,
    50706,
)


def test_tags_that_are_used() -> None:
    every = sorted({number + step for number in USED for step in (-1, 0, 1)})
    found, _ = read([Tag(number, SHORT, (number,)) for number in every])
    assert found == {number: (number,) for number in USED}


def test_the_first_of_equal_tags_counts() -> None:
    found, _ = read([Tag(256, SHORT, (1,)), Tag(256, SHORT, (2,)), Tag(257, SHORT, (3,))])
    assert found == {256: (1,), 257: (3,)}


@pytest.mark.parametrize("most", [2, 3])
def test_values_of_a_tag_are_bounded(most: int) -> None:
    assert read([Tag(262, SHORT, (1, 2, 3))], most=most)[0] == ({262: (1, 2, 3)} if most == 3 else {})


@pytest.mark.parametrize("number", [273, 279, 324, 325, 258, 320])
@pytest.mark.parametrize("count", [100_000, 100_001])
def test_strips_and_tiles_are_counted(number: int, count: int) -> None:
    entry = Tag(number, BYTE, b"", count=count, where=0)
    if count > 100_000 and number not in (258, 320):
        with pytest.raises(Rejection, match="TIFF: it has more than 100000 strips or tiles"):
            read([entry], after=bytes(100_001))
    else:
        assert len(read([entry], after=bytes(100_001), most=limits.MAX_STRIPS)[0]) == (count == 100_000)


@forms
@pytest.mark.parametrize("count", [4096, 4097])
def test_tags_are_counted(order: str, big: bool, count: int) -> None:
    tags = [Tag(256, SHORT, (7,)), *(Tag(1000 + number, SHORT, (1,)) for number in range(count - 1))]
    if count > 4096:
        with pytest.raises(Rejection, match="TIFF: it has more than 4096 tags"):
            read(tags, order, big)
    else:
        assert read(tags, order, big) == ({256: (7,)}, 77)


@forms
def test_a_directory_that_ends_early(order: str, big: bool) -> None:
    data = b"..." + written.directory([Tag(256, SHORT, (7,)), Tag(257, SHORT, (8,))], 3, order, big, 77)
    entries, offset = (3 + 8 + 40, 8) if big else (3 + 2 + 24, 4)
    assert len(data) == entries + offset
    for cut in range(4, entries + offset + 1):
        if cut < (11 if big else 5):  # its number of tags is not whole
            assert tiff._directory(data[:cut], 3, order, big, 9) == ({}, 0)
        elif cut < entries:
            with pytest.raises(Rejection, match="TIFF: it ends within its directory"):
                tiff._directory(data[:cut], 3, order, big, 9)
        else:
            following = 77 if cut == entries + offset else 0
            assert tiff._directory(data[:cut], 3, order, big, 9) == ({256: (7,), 257: (8,)}, following)


@forms
def test_a_file_is_read(order: str, big: bool) -> None:
    found = tiff.inspect(written.tiff(grey(5, 7), bytes(51), order, big))
    assert (found.width, found.height, found.bits, found.parts) == (5, 7, (8,), ((16,), (35,)))
    assert found.tags[259] == (1,)


@pytest.mark.parametrize(("width", "height"), [(0, 4), (4, 0)])
def test_a_page_without_a_size(width: int, height: int) -> None:
    assert rejected(written.tiff(grey(width, height), bytes(24))) == "corrupt_image"
    tags = [tag for tag in grey() if tag.number != (257 if width else 256)]
    assert rejected(written.tiff(tags, bytes(24))) == "corrupt_image"


@forms
def test_where_the_first_directory_begins(order: str, big: bool) -> None:
    data = written.header(30, order, big).ljust(32, b"\0")
    # GIVEN no tags at all THEN it has no size; GIVEN no space for their number THEN it is truncated
    assert rejected(data) == "corrupt_image"
    assert rejected(data[:31]) == "truncated_image"
    assert rejected(written.header(0, order, big).ljust(32, b"\0")) == "truncated_image"
    assert rejected(written.header(1, order, big).ljust(32, b"\0")) != "truncated_image"


def test_a_file_of_fewer_than_16_bytes() -> None:
    assert rejected(written.header(8).ljust(16, b"\0")) == "corrupt_image"
    assert rejected(written.header(8).ljust(15, b"\0")) == "truncated_image"
    for cut in (4, 8, 15):
        assert rejected(written.header(8, "<", True)[:cut]) == "truncated_image"


def test_canons_files() -> None:
    for order, big, canon in (("<", False, True), (">", False, False), ("<", True, False)):
        # GIVEN its mark after the header, or as a part of the offset of the first directory
        first = int.from_bytes(b"CR", "little") if big else 16
        data = written.header(first, order, big) + (b"" if big else b"CR\2\0" + bytes(4))
        data += bytes(first - len(data)) + written.directory(grey(), first, order, big)
        assert rejected(data) == ("unsupported_format" if canon else "")
        assert (data[8:10] == b"CR") is True


def chain(count: int, last: list[Tag], *, loop: bool = False) -> bytes:
    """So many directories one after another, the last of these tags; with a loop, it is followed by the first."""
    data = written.header(32).ljust(32, b"\0")
    for number in range(count):
        tags, at = grey() if number < count - 1 else last, len(data)
        after = at + len(written.directory(tags, at))
        data += written.directory(tags, at, following=after if number < count - 1 else 32 * loop)
    return data


@pytest.mark.parametrize(("count", "read"), [(2, True), (24, True), (25, False)])
def test_directories_that_are_read(count: int, read: bool) -> None:
    assert rejected(chain(count, RAW)) == ("unsupported_format" if read else "")


def test_directories_in_a_loop() -> None:
    assert rejected(chain(3, grey(), loop=True)) == ""
    # GIVEN that each of three has the first below it eight times THEN the third is read
    below = Tag(330, LONG, (32,) * 8)
    for last, expected in ((RAW, "unsupported_format"), (grey(), "")):
        data = written.header(32).ljust(32, b"\0")
        for tags in (grey(4, 4, below), grey(4, 4, below), last):
            at = len(data)
            following = at + len(written.directory(tags, at)) if tags is not last else 0
            data += written.directory(tags, at, following=following)
        assert rejected(data) == expected


@pytest.mark.parametrize(("place", "read"), [(0, True), (7, True), (8, False)])
@forms
def test_directories_below_another(order: str, big: bool, place: int, read: bool) -> None:
    # GIVEN nine offsets, one of which is that of a directory with raw values, the others that of none
    base = (16 if big else 8) + 16

    def file(raw: int) -> bytes:
        below = [0] * 9
        below[place] = raw
        tags = grey(4, 4, Tag(330, LONG, below))
        return written.header(base, order, big) + bytes(16) + written.directory(tags, base, order, big)

    begin = len(file(0))
    assert rejected(file(begin) + written.directory(RAW, begin, order, big)) == (
        "unsupported_format" if read else ""
    )


@pytest.mark.parametrize(("count", "read"), [(256, True), (257, False)])
def test_values_of_further_directories_are_few(count: int, read: bool) -> None:
    raw = [Tag(262, SHORT, (32803,) * count)]
    assert rejected(chain(2, raw)) == ("unsupported_format" if read else "")


@pytest.mark.parametrize("compression", [1, 5])
def test_bytes_of_strips_that_overlap(compression: int) -> None:
    def file(total: int) -> bytes:
        lengths = (total // 2, total - total // 2)
        tags = [
            Tag(273, LONG, (16, 16)),
            Tag(279, LONG, lengths),
            Tag(278, LONG, (2,)),
            Tag(259, SHORT, (compression,)),
        ]
        return written.tiff(grey(4, 4, *tags), bytes(24))

    most = 4 * len(file(0)) + 65536
    assert rejected(file(most)) == ""
    assert rejected(file(most + 2)) == ("too_complex" if compression == 5 else "")


def test_an_entry_is_not_read_past_its_directory() -> None:
    # GIVEN a second entry where the offset of the next directory is
    tags = [Tag(256, SHORT, (4,))]
    data = written.directory(tags, 0, following=struct.unpack("<I", struct.pack("<HH", 257, 3))[0]) + bytes(8)
    assert tiff._directory(data, 0, "<", False, 9)[0] == {256: (4,)}
