"""The first bytes of each format: whole, one byte short, one byte other, and each field at its bounds."""

from __future__ import annotations

import struct

import pytest

from handlers.imaging import sniffing
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import rejection

REST = bytes(range(40, 70))  # not text, as it has no character beyond ASCII


def brands(major: bytes, *compatible: bytes, size: int | None = None) -> bytes:
    """The first box of a file."""
    content = major + bytes(4) + b"".join(compatible)
    return struct.pack(">I4s", 8 + len(content) if size is None else size, b"ftyp") + content


def bmp(size: int) -> bytes:
    """A header of a file and the size of the second one."""
    return b"BM" + bytes(12) + struct.pack("<I", size)


def ico(count: int, kind: bytes = b"\1") -> bytes:
    return b"\0\0" + kind + b"\0" + struct.pack("<H", count)


STARTS = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF87a": "GIF", b"GIF89a": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF",
    b"II+\0": "TIFF", b"MM\0+": "TIFF", b"\xff\x4f\xff\x51": "JPEG2000", b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    **{bmp(size): "BMP" for size in (12, 16, 40, 52, 56, 64, 108, 124)},
    **{b"P%d%b" % (kind, space): "PPM" for kind in range(1, 7) for space in (b" ", b"\n")},
    b"RIFF\0\0\0\0WEBP": "WEBP", b"\0\0\1\0": "ICO", b"\0\0\2\0": "ICO", brands(b"avif"): "AVIF", brands(b"avis"): "AVIF",
    **{brands(brand): "HEIF" for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")},
}  # fmt: skip
FOLLOWS = {"ICO": b"\1\0" + REST, "PPM": b"640 480\n", "BMP": REST, "AVIF": b"vI"}


def name_of(data: bytes) -> str:
    """The format; "" of what is rejected."""
    try:
        return sniffing.sniff(data)
    except Rejection:
        return ""


@pytest.mark.parametrize("start", STARTS)
def test_a_format_is_known_by_its_first_bytes_and_by_no_others(start: bytes) -> None:
    name = STARTS[start]
    rest = FOLLOWS.get(name, REST)
    assert name_of(start + rest) == name
    # Of a box and of RIFF, some bytes are a size; of BMP, too.
    counted = {"WEBP": range(4, 8), "BMP": range(2, 14), "AVIF": range(4), "HEIF": range(4)}.get(name, ())
    for at in set(range(len(start))) - set(counted) - set(range(12, 16) if name in ("AVIF", "HEIF") else ()):
        other = start[:at] + bytes((start[at] ^ 0x80,)) + start[at + 1 :]
        assert name_of(other + rest) != name, at
        assert name_of(start[:at]) != name, at
    assert name_of(b"\x7f" + start + rest) == ""


@pytest.mark.parametrize(
    "size", [0, 11, 13, 15, 17, 39, 41, 51, 53, 55, 57, 63, 65, 107, 109, 123, 125, 40 << 8, 40 + (1 << 24)]
)
def test_a_bmp_has_one_of_the_known_sizes_of_its_second_header(size: int) -> None:
    assert name_of(bmp(size) + REST) == ""


@pytest.mark.parametrize(
    ("count", "name"), [(0, ""), (1, "ICO"), (255, "ICO"), (256, "ICO"), (257, ""), (512, "")]
)
def test_an_icon_has_1_to_256_images(count: int, name: str) -> None:
    assert name_of(ico(count) + bytes(16)) == name
    assert name_of(ico(count, b"\2") + bytes(16)) == name


@pytest.mark.parametrize("kind", [b"\1", b"\2"])
def test_an_icon_is_as_long_as_one_entry_of_its_directory(kind: bytes) -> None:
    data = ico(1, kind) + b"\x10" * 16
    assert name_of(data) == "ICO"
    for end in range(22):
        assert rejection(data[:end]).code == ("not_an_image" if end else "empty_object")


@pytest.mark.parametrize(
    "data", [b"P6 X", b"P6 x", b"P6X640", b"P6 ", b"P6", b"P0 64 ", b"P8 64 ", b"P61 4 "]
)
def test_text_that_begins_as_a_ppm_is_none(data: bytes) -> None:
    # A size, a comment, or white space follows
    assert name_of(data) == ("PPM" if data == b"P6 " else "")


@pytest.mark.parametrize("sign", list(b"0123456789# \t\r\n"))
def test_what_follows_the_first_space_of_a_ppm(sign: int) -> None:
    assert name_of(b"P5\t" + bytes((sign,)) + b"4 8 255\n") == "PPM"


FREE = b"aaaa"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (brands(b"mif1", b"avif"), "AVIF"),
        (brands(b"mif1", FREE, b"avis"), "AVIF"),
        (brands(FREE, FREE, b"heic"), "HEIF"),
        (brands(FREE, FREE, b"heic", FREE), "HEIF"),
        (brands(FREE, FREE, FREE, FREE), ""),
        (brands(FREE, b"xavi", b"fxxx"), ""),  # no four bytes of the list
        (brands(FREE, b"xhei", b"cxxx"), ""),
        (b"\0\0\0\x14ftypaaaaheicaaaa", ""),  # a version is no brand
        (brands(FREE, *[FREE] * 59, b"avif"), "AVIF"),  # the last within 256 bytes
        (brands(FREE, *[FREE] * 60, b"avif"), ""),
        (brands(FREE, FREE, size=20) + b"avif", ""),  # of what follows the box
        (brands(FREE, FREE, b"avif", size=24), "AVIF"),
        (brands(FREE, FREE, b"avif", size=1 << 24), "AVIF"),
        (brands(FREE, FREE, b"avif", size=21), "AVIF"),
    ],
)
def test_the_brands_of_a_file_of_boxes(data: bytes, name: str) -> None:
    assert name_of(data) == name


REPLACED = b"\xef\xbf\xbd"


@pytest.mark.parametrize(
    ("count", "before", "found"), [(3, 0, False), (4, 0, True), (4, 65536 - 12, True), (4, 65536 - 11, False)]
)
def test_more_than_three_replaced_characters_within_64_kib_are_a_text_encoding(
    count: int, before: int, found: bool
) -> None:
    data = b"GIF89a\xfe".ljust(before, b"\xfe") + REPLACED * count
    data = data[len(data) - before - 3 * count :] if before else data
    data = b"GIF89a\xfe" + data[7:] if before else data
    assert (name_of(data + b"\xfe") == "") == found


LETTERS = "".join(map(chr, range(0xC0, 0xC9)))  # nine, of two bytes each


def text(letters: str) -> bytes:
    return ("GIF89a" + letters).encode()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (text(LETTERS), True),
        (text(LETTERS[1:] * 9), False),  # eight are chance
        (text(LETTERS[1:] + "\x7f"), False),  # this is ASCII
        (text(LETTERS[1:] + "\x80"), True),
        (text(LETTERS) + b"\xfe" + LETTERS.encode(), False),
        (text("only of ASCII" * 400), False),
        (text("only of ASCII" * 400 + LETTERS), False),  # 4,096 bytes are read
        (text(LETTERS[1:]).ljust(4095) + LETTERS[0].encode(), False),
        (text(LETTERS[1:]).ljust(4094) + LETTERS[0].encode() + b"\xfe", True),
        (text(LETTERS).ljust(4095) + "\xe0".encode(), True),  # cut within a character
        (text(LETTERS).ljust(4093) + "\U0001f600".encode(), True),
        (text(LETTERS).ljust(4092) + b"\xfeabc", False),
        (text(LETTERS[1:]).ljust(4093) + "\U0001f600".encode(), False),
    ],
)
def test_text_beyond_ascii_is_no_image(data: bytes, found: bool) -> None:
    assert (name_of(data) == "") == found
    if found:
        assert "text encoding" in str(rejection(data))


def lines(count: int, size: int = 0) -> bytes:
    return b"GIF89a".ljust(6 + size, b"\0") + b"a\r\n" * count


@pytest.mark.parametrize(
    ("data", "converted"),
    [
        (lines(7), False),
        (lines(8), True),
        (lines(8) + b"\n", False),
        (lines(8) + b"\r", True),
        (lines(8).ljust(65536) + b"\n", True),  # 64 KiB are read
        (lines(8).ljust(65535) + b"\n", False),
    ],
)
def test_every_line_feed_after_a_carriage_return(data: bytes, converted: bool) -> None:
    assert sniffing.has_converted_line_ends(data, "GIF") == converted
    for name in ("TIFF", "PPM", "ICO"):
        assert not sniffing.has_converted_line_ends(data, name)
    for name in ("JPEG", "PNG", "WEBP", "JPEG2000", "AVIF", "HEIF"):
        assert sniffing.has_converted_line_ends(data, name) == converted


@pytest.mark.parametrize(("more", "converted"), [(0, False), (1, True), (-1, False), (256, True)])
def test_a_bmp_with_converted_line_ends_is_longer_than_it_says(more: int, converted: bool) -> None:
    content = b"\r\n" * 200
    data = b"BM" + struct.pack("<I", 6 + len(content) - more) + content
    assert sniffing.has_converted_line_ends(data, "BMP") == converted
