"""TIFF: what follows from the tags of a page, and which pages are rejected for them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from handlers.imaging import tiff
from handlers.imaging.tiff import Tiff
from handlers.rejections import Rejection
from tests.unit.handlers.sample_tiff import SHORT, Tag, grey
from tests.unit.handlers.sample_tiff import tiff as written

READ = (1, 2, 3, 4, 5, 7, 8, 32773, 32946, 32771, 34925, 50000)
# As the documentation of ExifTool and the headers of libtiff name them.
NAMES = {
    6: "old-style JPEG", 9: "JBIG", 10: "JBIG", 32766: "NeXT", 32809: "ThunderScan", 32895: "IT8 CT", 32908: "Pixar film",
    32909: "Pixar log", 33003: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "SGI LogLuv", 34677: "SGI LogLuv 24",
    34712: "JPEG 2000", 34715: "JBIG2", 34887: "LERC", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
RAW = {
    32767: "Sony ARW", 32769: "packed raw", 32770: "Samsung SRW", 34713: "Nikon NEF", 34892: "lossy JPEG of DNG", 65000: "Kodak DCR",
    65535: "Pentax PEF",
}  # fmt: skip


@pytest.mark.parametrize(
    ("tags", "bits"),
    [
        ({}, None), ({281: (0,)}, None), ({281: (1023,)}, 10), ({281: (1024,)}, 11), ({281: (3, 1023)}, 10), ({281: (65535,)}, None),
        ({281: (65534,)}, 16), ({258: (8, 16), 281: (65535,)}, None), ({258: (8, 16), 281: (255,)}, 8),
        ({258: (8,), 281: (255,)}, None), ({258: (8,), 281: (254,)}, 8), ({281: (5,), 339: (1, 2)}, 3), ({281: (5,), 339: (3,)}, None),
        ({281: (5,), 339: (1, 3)}, None), ({281: (5,), 339: (0,)}, None),
    ],
)  # fmt: skip
def test_bits_that_the_largest_value_needs(tags: dict[int, Any], bits: int | None) -> None:
    assert Tiff(1, 1, {258: (16,), **tags}).significant_bits == bits


def test_without_a_tag_a_sample_has_one_bit() -> None:
    assert Tiff(1, 1).bits == (1,)
    assert Tiff(1, 1, {281: (1,)}).significant_bits is None
    assert Tiff(1, 1, {258: (5, 6, 5)}).bits == (5, 6, 5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"-9999\0", -9999.0), (b"-9999 \0\0", -9999.0), (b"1e20", 1e20), (b"", None), (b"none\0", None), (b"5X", None),
        (b"1 2\0", None), ((5,), None),
    ],
)  # fmt: skip
def test_a_value_that_stands_for_no_data(text: Any, value: float | None) -> None:
    assert Tiff(1, 1, {42113: text}).no_data == value


def test_no_data_may_be_no_number_or_not_be_there() -> None:
    assert math.isnan(Tiff(1, 1, {42113: b"nan\0"}).no_data or 0)
    assert Tiff(1, 1).no_data is None


@pytest.mark.parametrize(
    ("tags", "layout"),
    [
        ({}, "1 unsigned samples of 1 bits, photometric interpretation 0, compression 1"),
        (
            {277: (3,), 339: (2, 2, 2), 258: (8, 9, 10, 11, 12, 13), 262: (2,), 259: (5,)},
            "3 signed samples of 8/9/10/11/12 bits, photometric interpretation 2, compression 5",
        ),
        ({339: (3,)}, "1 floating-point samples of 1 bits, photometric interpretation 0, compression 1"),
        ({339: (5,)}, "1 complex samples of 1 bits, photometric interpretation 0, compression 1"),
        ({339: (6,)}, "1 complex floating-point samples of 1 bits, photometric interpretation 0, compression 1"),
        ({339: (4,)}, "1 undefined samples of 1 bits, photometric interpretation 0, compression 1"),
        ({339: ()}, "1 unsigned samples of 1 bits, photometric interpretation 0, compression 1"),
    ],
)  # fmt: skip
def test_the_layout_in_words(tags: dict[int, Any], layout: str) -> None:
    assert Tiff(1, 1, tags).layout() == layout


def test_a_tag_that_is_not_an_integer_counts_for_nothing() -> None:
    assert (
        Tiff(1, 1, {259: b"7"}).compression
        == Tiff(1, 1, {259: ()}).compression
        == Tiff(1, 1).compression
        == 1
    )
    assert Tiff(1, 1, {259: (7, 8)}).compression == 7


class Layout(NamedTuple):
    """Tags of 50 x 35 pixels, and what follows: the parts needed, their bytes without compression, and the run of rows from byte 8."""

    tags: dict[int, Any]
    needed: int
    lengths: list[int]
    rows: tuple[int, int, int] | None


RGB = {277: (3,), 258: (8, 8, 8)}
TILES = {322: (16,), 323: (32,), 324: (8,)}
LAYOUTS = {
    "one bit": Layout({}, 1, [7 * 35], (8, 7, 35)),
    "one byte": Layout({258: (8,)}, 1, [50 * 35], (8, 50, 35)),
    "colour": Layout(RGB, 1, [150 * 35], (8, 150, 35)),
    "bits given once": Layout({277: (3,), 258: (4,)}, 1, [75 * 35], (8, 75, 35)),
    "different bits": Layout({277: (3,), 258: (5, 6, 5)}, 1, [100 * 35], (8, 100, 35)),
    "strips": Layout({258: (8,), 278: (10,)}, 4, [500, 500, 500, 250], (8, 50, 35)),
    "strips that fill": Layout({258: (8,), 278: (7,)}, 5, [350] * 5, (8, 50, 35)),
    "all rows": Layout({258: (8,), 278: (35,)}, 1, [1750], (8, 50, 35)),
    "all rows but one": Layout({258: (8,), 278: (34,)}, 2, [1700, 50], (8, 50, 35)),
    "more rows": Layout({258: (8,), 278: (2**32 - 1,)}, 1, [1750], (8, 50, 35)),
    "one row each": Layout({258: (8,), 278: (1,)}, 35, [50] * 35, (8, 50, 35)),
    "rows of 0": Layout({258: (8,), 278: (0,)}, 1, [1750], (8, 50, 35)),
    "planes": Layout({**RGB, 284: (2,)}, 3, [1750] * 3, (8, 50, 105)),
    "planes in strips": Layout({**RGB, 284: (2,), 278: (20,)}, 6, [1000, 750] * 3, (8, 50, 105)),
    "other planes": Layout({**RGB, 284: (3,)}, 1, [150 * 35], (8, 150, 35)),
    "planes without samples": Layout({258: (8,), 277: (0,), 284: (2,)}, 0, [], None),
    "one plane": Layout({**RGB, 284: (1,)}, 1, [150 * 35], (8, 150, 35)),
    "tiles": Layout({258: (8,), **TILES}, 8, [512] * 8, (8, 16, 256)),
    "tiles of bits": Layout({**TILES, 322: (20,)}, 6, [3 * 32] * 6, (8, 3, 192)),
    "tiles of odd bits": Layout({**TILES, 322: (17,)}, 6, [3 * 32] * 6, (8, 3, 192)),
    "tiles that fill": Layout({258: (8,), **TILES, 322: (25,), 323: (35,)}, 2, [875] * 2, (8, 25, 70)),
    "tiles of planes": Layout({**RGB, **TILES, 284: (2,)}, 24, [512] * 24, (8, 16, 768)),
    "no tile offsets": Layout({258: (8,), 322: (16,), 323: (32,)}, 1, [1750], (8, 50, 35)),
    "tiles of no width": Layout({258: (8,), **TILES, 322: (0,)}, 1, [1750], (8, 50, 35)),
    "tiles of no height": Layout({258: (8,), **TILES, 323: (0,)}, 1, [1750], (8, 50, 35)),
    "compressed": Layout({258: (8,), 259: (5,)}, 1, [1750], None),
    "chroma": Layout({**RGB, 262: (6,)}, 1, [150 * 35], None),
    "no chroma": Layout({**RGB, 262: (5,)}, 1, [150 * 35], (8, 150, 35)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_parts_of_the_pixels(name: str) -> None:
    tags, needed, lengths, rows = LAYOUTS[name]
    offsets = [8 + sum(lengths[:number]) for number in range(len(lengths))]
    found = Tiff(50, 35, {**tags, 324 if 324 in tags else 273: tuple(offsets)})
    assert (found.needed_parts, found.plain_lengths) == (needed, lengths)
    if lengths:
        assert found.plain_rows == rows


@pytest.mark.parametrize("moved", [-1, 0, 1])
@pytest.mark.parametrize("part", [1, 3])
def test_strips_that_do_not_follow_each_other(part: int, moved: int) -> None:
    offsets = [8, 508, 1008, 1508]
    offsets[part] += moved
    tags = {258: (8,), 278: (10,), 273: (*offsets, 5)}  # the last is not needed
    assert Tiff(50, 35, tags).plain_rows == (None if moved else (8, 50, 35))


def test_rows_without_bits() -> None:
    assert Tiff(50, 35, {258: (0,), 273: (8,)}).plain_rows is None


def test_offsets_and_lengths_of_tiles_come_before_those_of_strips() -> None:
    tags = {273: (1,), 279: (2,), 324: (3,), 325: (4,)}
    assert Tiff(1, 1, tags).parts == ((3,), (4,))
    assert Tiff(1, 1, {273: (1,), 279: (2,), 324: (), 325: ()}).parts == ((1,), (2,))
    assert Tiff(1, 1).parts == ((), ())


@pytest.mark.parametrize("numbers", [(273, 279), (324, 325)], ids=["strips", "tiles"])
def test_strips_and_tiles_of_jpeg_are_files(numbers: tuple[int, int]) -> None:
    data = b"....\xff\xd8one\xff\xd9.\xff\xd8other\xff\xd9"
    tags = {259: (7,), numbers[0]: (4, 12), numbers[1]: (7, 9)}
    streams = [b"\xff\xd8one\xff\xd9", b"\xff\xd8other\xff\xd9"]
    assert list(Tiff(1, 1, tags).jpeg_streams(data)) == streams
    # AND tables for all of them come before the rest of each
    for tables in (b"\xff\xd8tables\xff\xd9", b"\xff\xd8tables"):
        whole = list(Tiff(1, 1, {**tags, 347: tables}).jpeg_streams(data))
        assert whole == [b"\xff\xd8tables" + stream[2:] for stream in streams]
    for other in (6, 8):
        assert not list(Tiff(1, 1, {**tags, 259: (other,)}).jpeg_streams(data))
    assert not list(Tiff(1, 1, {259: (7,)}).jpeg_streams(data))


@pytest.mark.parametrize(
    "number",
    sorted({*READ, *NAMES, *(one + step for one in (*READ, *NAMES) for step in (-1, 1))} - {*RAW, 0}),
)
def test_compressions(number: int) -> None:
    data = written(grey(4, 4, Tag(259, SHORT, (number,))), bytes(24))
    if number in READ:
        assert tiff.inspect(data).compression == number
    else:
        with pytest.raises(
            Rejection, match=rf"TIFF with compression {number} \({NAMES.get(number, 'unknown')}\)\.$"
        ) as found:
            tiff.inspect(data)
        assert found.value.code == "unsupported_format"


@pytest.mark.parametrize("number", RAW)
def test_compressions_of_cameras(number: int) -> None:
    data = written(grey(4, 4, Tag(259, SHORT, (number,))), bytes(24))
    with pytest.raises(
        Rejection, match=rf"camera raw file, with compression {number} \({RAW[number]}\): "
    ) as found:
        tiff.inspect(data)
    assert found.value.code == "unsupported_format"


@pytest.mark.parametrize(
    ("number", "what"), [(32802, None), (32803, "the values of a colour filter array"), (34892, "linear raw values"), (34893, None)]
)  # fmt: skip
def test_values_of_sensors(number: int, what: str | None) -> None:
    data = written(grey(4, 4, Tag(262, SHORT, (number,))), bytes(24))
    if what is None:
        tiff.inspect(data)
    else:
        with pytest.raises(Rejection, match=f"camera raw file, with {what}: "):
            tiff.inspect(data)


@pytest.mark.parametrize(
    ("make", "camera"),
    [
        (b"NIKON CORPORATION\0", " of a NIKON CORPORATION camera"), (b"PENTAX \0\0", " of a PENTAX camera"),
        (b"x" * 41, f" of a {'x' * 40} camera"), (b"\0", ""), (b"a\nb\0", ""), (b"Caf\xe9\0", " of a Caf\ufffd camera"), ((5,), ""),
    ],
)  # fmt: skip
def test_the_camera_is_named(make: Any, camera: str) -> None:
    for tags in ({50706: b"\1\4\0\0"}, {262: (32803,)}):
        with pytest.raises(Rejection, match=rf"camera raw file( \(DNG\))?{camera}[:,]"):
            tiff._check_raw({271: make, **tags})


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({322: (4096,), 323: (4096,)}, ""), ({322: (4096,), 323: (4097,)}, "too_complex"),
        ({322: (16_777_216 + 4 * 64,), 323: (1,)}, ""), ({322: (16_777_217 + 4 * 64,), 323: (1,)}, "too_complex"),
        ({258: (64, 64, 64, 64)}, ""), ({258: (64, 64, 64, 65)}, "unsupported_format"),
        ({258: (16,) * 16}, ""), ({258: (16,) * 17}, ""), ({258: (16,) * 15 + (17,)}, "unsupported_format"),
    ],
)  # fmt: skip
def test_bounds_of_tiles_and_depths(tags: dict[int, Any], code: str) -> None:
    assert_rejected(Tiff(8, 8, {273: (8,), **tags}), code)


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({273: (8, 18)}, "truncated_image"), ({273: (8, 18, 28, 38)}, "truncated_image"), ({273: (8, 18, 28, 38, 48)}, ""),
        ({273: (8, 18, 28, 38, 7)}, "corrupt_image"), ({273: (8, 18, 28, 38, 48, 7)}, ""),
        ({273: (7, 18, 28, 38, 48), 259: (5,), 279: (0, 1, 1, 1, 1)}, ""),
        ({273: (7, 18, 28, 38, 48), 259: (5,), 279: (1,)}, "corrupt_image"),
        ({273: (8, 18, 28, 38, 48), 259: (5,), 279: (1, 1, 1, 1, 1)}, ""), ({273: (7,), 278: (10,), 279: (0,)}, "corrupt_image"),
        # A palette: three times as many values as the bits can have
        *(({273: (8,), 278: (10,), 258: (bits,), 262: (3,), 320: (0,) * count}, "" if count == 3 * 2**bits else "corrupt_image")
          for bits in (1, 4, 8) for count in (3 * 2**bits - 1, 3 * 2**bits, 3 * 2**bits + 1)),
        ({273: (8,), 278: (10,), 258: (8,), 262: (3,)}, "corrupt_image"), ({273: (8,), 278: (10,), 258: (9,), 262: (3,)}, ""),
        ({273: (8,), 278: (10,), 258: (8,), 262: (2,)}, ""), ({273: (8,), 278: (10,), 258: (8,), 262: (4,)}, ""),
    ],
)  # fmt: skip
def test_strips_and_colours_that_are_missing(tags: dict[int, Any], code: str) -> None:
    assert_rejected(Tiff(5, 10, {278: (2,), **tags}), code)


GREY = {258: (8,), 278: (10,), 273: (8, 508, 1008, 1508)}


@pytest.mark.parametrize(
    ("lengths", "other", "whole"),
    [
        ((500, 500, 500, 250), {}, True), ((500, 500, 500, 249), {}, False), ((499, 500, 500, 250), {}, False),
        ((500, 500, 499, 250), {}, False),
        ((0, 500, 500, 250), {}, False), ((0, 0, 0, 0), {}, True), ((501, 501, 501, 900), {}, True), ((501, 500, 501, 250), {}, False),
        ((500, 500, 500, 1), {}, False), ((500, 500, 500, 0), {}, True), ((500,), {}, True), ((400,), {}, True), ((500, 400), {}, False),
        ((500, 500, 500, 250, 7), {}, True), ((499, 500, 500, 250), {259: (5,)}, True), ((499, 500, 500, 250), {262: (6,)}, True),
        ((499, 500, 500, 250), {262: (5,)}, False), ((499, 500, 500, 250), {262: (7,)}, False),
    ],
)  # fmt: skip
def test_bytes_of_strips_without_compression(
    lengths: tuple[int, ...], other: dict[int, Any], whole: bool
) -> None:
    assert_rejected(Tiff(50, 35, {**GREY, 279: lengths, **other}), "" if whole else "corrupt_image")


@pytest.mark.parametrize(
    ("longer", "whole"),
    [((), True), ((0, 2, 4), True), ((2,), False), ((0, 4), False), ((1, 3, 5), True), ((3,), True)],
)
def test_bytes_of_strips_of_planes(longer: tuple[int, ...], whole: bool) -> None:
    # GIVEN strips of 20 rows and of 15, of three planes
    lengths = tuple((1000, 750)[number % 2] + (number in longer) for number in range(6))
    tags = {258: (8, 8, 8), 277: (3,), 284: (2,), 278: (20,), 273: (8,) * 6, 279: lengths}
    assert_rejected(Tiff(50, 35, tags), "" if whole else "corrupt_image")


def assert_rejected(page: Tiff, code: str) -> None:
    """Of a page with these tags, whether its bounds and its parts are rejected, and how."""
    if code:
        with pytest.raises(Rejection) as found:
            tiff._check_bounds(page)
        assert found.value.code == code
    else:
        tiff._check_bounds(page)


@pytest.mark.parametrize(("codec", "count"), [("raw", 2), ("jpeg", 3)])
def test_strips_that_the_pixels_do_not_need(codec: str, count: int) -> None:
    class Tile(NamedTuple):
        codec_name: str
        offset: int

    image: Any = SimpleNamespace(tile=[Tile(codec, 1), Tile(codec, 2), Tile(codec, 3)])
    alone: Any = SimpleNamespace(tile=[Tile("libtiff", 1)])
    tiff.leave_out_further_strips(alone, Tiff(8, 8, {278: (4,), 273: (8, 40, 72)}))
    assert alone.tile == [Tile("libtiff", 1)]
    tiff.leave_out_further_strips(image, Tiff(8, 8, {278: (4,), 273: (8, 40)}))
    assert image.tile == [Tile(codec, 1), Tile(codec, 2), Tile(codec, 3)]
    tiff.leave_out_further_strips(image, Tiff(8, 8, {278: (4,), 273: (8, 40, 72)}))
    assert image.tile == (
        [Tile(codec, 8), Tile(codec, 40)] if count == 2 else [Tile(codec, 1), Tile(codec, 2), Tile(codec, 3)]
    )
