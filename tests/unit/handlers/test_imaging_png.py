"""Chunks of PNG, built by hand: each field at its bounds, each condition alone; and how rows are counted."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from handlers.imaging import limits, pixel_values, png, png_pixels
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import encoded, noise, png_chunk

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = png_chunk(b"IEND", b"")
DATA = png_chunk(b"IDAT", b"data")


def header(
    width: int = 3,
    height: int = 5,
    depth: int = 8,
    colour: int = 2,
    compression: int = 0,
    filters: int = 0,
    interlaced: int = 0,
) -> bytes:
    values = width, height, depth, colour, compression, filters, interlaced
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", *values))


def wrong(chunk: bytes) -> bytes:
    """A chunk with another checksum."""
    return chunk[:-1] + bytes((chunk[-1] ^ 1,))


def inspected(*chunks: bytes) -> png.Png:
    return png.inspect(SIGNATURE + b"".join(chunks))


def refused(*chunks: bytes) -> tuple[str, str]:
    with pytest.raises(Rejection) as found:
        inspected(*chunks)
    return found.value.code, str(found.value).removeprefix(str(Rejection(found.value.code))).strip()


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Which of the seven passes has each pixel of eight by eight, as the standard draws it
PASSES = ("16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777")


@pytest.mark.parametrize("colour", CHANNELS)
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_bytes_that_the_data_holds(colour: int, depth: int) -> None:
    sizes = [(1, 1), (2, 3), (5, 5), (8, 8), (9, 17), (33, 4), (4, 33)]
    if (depth, colour) == (8, 2):
        sizes += [(76, 77), *((9, other) for other in range(1, 9)), *((other, 9) for other in range(1, 9))]
    for width, height in sizes:
        found = inspected(header(width, height, depth, colour), DATA)
        bits = depth * CHANNELS[colour]
        assert found.inflated == height * (1 + -(-width * bits // 8))
        found.interlaced = True
        expected = 0
        for number in "1234567":
            rows = [[PASSES[y % 8][x % 8] == number for x in range(width)] for y in range(height)]
            expected += sum(1 + -(-sum(line) * bits // 8) for line in rows if any(line))
        assert found.inflated == expected, (width, height)


@pytest.mark.parametrize(
    ("width", "height", "by_row"), [(128, 128, False), (16385, 1, True), (1, 16384, False), (300, 200, True)]
)
def test_large_images_without_interlacing_are_checked_by_a_row_more(
    width: int, height: int, by_row: bool
) -> None:
    assert inspected(header(width, height), DATA).checked_by_row == by_row
    assert not inspected(header(width, height, interlaced=1), DATA).checked_by_row


@pytest.mark.parametrize("height", [1, 0x01020304])
def test_the_header_with_a_row_more(height: int) -> None:
    extra = png_chunk(b"tEXt", b"a\0b")
    found = inspected(header(7, height), extra, DATA, END)
    more = b"".join(found.with_row_more())
    assert more == SIGNATURE + header(7, height + 1) + extra + DATA + END
    assert b"".join(found.parts) == SIGNATURE + header(7, height) + extra + DATA + END


def test_fields_of_the_header() -> None:
    found = inspected(header(0x01020304, 0x05060708, 4, 3, interlaced=1), DATA, END)
    assert (found.width, found.height, found.depth, found.colour) == (0x01020304, 0x05060708, 4, 3)
    assert (found.interlaced, found.significant_bits, found.closed) == (True, None, True)
    assert (found.animated, found.left_out, b"".join(found.data)) == (False, False, b"data")
    assert not inspected(header(), DATA).interlaced


NO_HEADER = ("corrupt_image", "PNG: it does not begin with a header.")
DAMAGED = ("corrupt_image", "PNG: its header is damaged.")
NO_DATA = ("truncated_image", "PNG: it ends before its image data.")
XCODE = ("unsupported_format", "It is PNG as Xcode writes it for iPhone apps (CgBI): take the original.")


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([DATA, header()], NO_HEADER),
        ([png_chunk(b"IHDR", bytes(12)), DATA], NO_HEADER),
        ([png_chunk(b"IHDR", bytes(14)), DATA], NO_HEADER),
        ([png_chunk(b"IHDr", header()[8:21]), DATA], NO_HEADER),
        ([header(width=0), DATA], DAMAGED),
        ([header(height=0), DATA], DAMAGED),
        *(([header(colour=colour), DATA], DAMAGED) for colour in (1, 5, 7)),
        ([header(compression=1), DATA], DAMAGED),
        ([header(filters=1), DATA], DAMAGED),
        ([header(interlaced=2), DATA], DAMAGED),
        ([wrong(header()), DATA], ("corrupt_image", "PNG: the checksum of a chunk b'IHDR' is wrong.")),
        ([header(), wrong(DATA)], ("corrupt_image", "PNG: the checksum of a chunk b'IDAT' is wrong.")),
        (
            [header(), wrong(png_chunk(b"PLTE", b"abc")), DATA],
            ("corrupt_image", "PNG: the checksum of a chunk b'PLTE' is wrong."),
        ),
        ([header(), DATA, wrong(END)], ("corrupt_image", "PNG: the checksum of a chunk b'IEND' is wrong.")),
        ([png_chunk(b"CgBI", bytes(4)), header(), DATA], XCODE),
        ([header(), png_chunk(b"CgBI", bytes(4)), DATA], XCODE),
        ([header()[:-1]], ("truncated_image", "PNG: it ends within its header.")),
        ([header()[:8]], ("truncated_image", "PNG: it ends within its header.")),
        ([header()[:7]], NO_DATA),
        ([], NO_DATA),
        ([header()], NO_DATA),
        ([header(), END, DATA], NO_DATA),
        ([header(), b"\0\0\0\4IDAT"], NO_DATA),
    ],
)
def test_chunks_that_are_damaged(chunks: list[bytes], expected: tuple[str, str]) -> None:
    assert refused(*chunks) == expected


def test_chunks_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = (header(), png_chunk(b"teSt", b""), png_chunk(b"teSt", b"x"), DATA, END)
    monkeypatch.setattr(limits, "MAX_CHUNKS", 5)
    assert inspected(*chunks).closed
    monkeypatch.setattr(limits, "MAX_CHUNKS", 4)
    assert refused(*chunks) == ("too_complex", "PNG: it has more than 4 chunks.")


@pytest.mark.parametrize(
    ("chunk", "is_kept", "animated", "left_out"),
    [
        (png_chunk(b"tEXt", b"x"), True, False, False),
        (png_chunk(b"PLTE", b"abc"), True, False, False),
        (wrong(png_chunk(b"tEXt", b"x")), False, False, True),
        (wrong(png_chunk(b"iCCP", b"x")), False, False, True),
        (png_chunk(b"acTL", b"x"), False, True, False),
        (png_chunk(b"fcTL", b"x"), False, True, False),
        (png_chunk(b"fdAT", b"x"), False, True, False),
        (wrong(png_chunk(b"fdAT", b"x")), False, True, False),
    ],
)
def test_what_the_decoder_is_given(chunk: bytes, is_kept: bool, animated: bool, left_out: bool) -> None:
    found = inspected(header(), chunk, DATA, END, chunk)
    assert b"".join(found.parts) == SIGNATURE + header() + chunk * is_kept + DATA + END
    assert (found.animated, found.left_out, found.closed) == (animated, left_out, True)


@pytest.mark.parametrize("content", [b"", b"\5", b"\5\6\4", b"\5\5\5\x08"])
def test_significant_bits(content: bytes) -> None:
    assert inspected(header(), png_chunk(b"sBIT", content), DATA).significant_bits == (
        max(content) if content else None
    )
    assert inspected(header(), wrong(png_chunk(b"sBIT", content)), DATA).significant_bits is None
    assert inspected(header(), png_chunk(b"sBIt", content), DATA).significant_bits is None


def test_a_file_that_ends_early() -> None:
    second = png_chunk(b"IDAT", b"more")
    for cut in range(1, 9):  # to the header of the second chunk
        found = inspected(header(), DATA, second[: len(second) - 4 - cut])
        assert b"".join(found.data) == b"data" + b"more"[: max(4 - cut, 0)]
        expected = second[: len(second) - 4 - cut] if cut < 4 else b""
        assert b"".join(found.parts) == SIGNATURE + header() + DATA + expected
    for cut in range(1, 4):
        assert b"".join(inspected(header(), DATA, second[:-cut]).data) == b"datamore"
        assert not inspected(header(), DATA, END[:-cut]).closed
        assert b"".join(inspected(header(), DATA, END[:-cut]).parts) == SIGNATURE + header() + DATA
    text = png_chunk(b"tEXt", b"abc")
    assert inspected(header(), DATA, text).left_out is False
    assert inspected(header(), DATA, text[:-1]).left_out
    assert b"".join(inspected(header(), DATA, text[:-1]).parts) == SIGNATURE + header() + DATA


@pytest.mark.parametrize(
    ("count", "code"),
    [(5 * 10, None), (5 * 10 + 1, None), (5 * 10 - 1, "truncated_image"), (0, "truncated_image")],
)
def test_the_data_is_inflated_and_counted(count: int, code: str | None) -> None:
    found = inspected(header(), png_chunk(b"IDAT", zlib.compress(bytes(count))))
    if code is None:
        png.verify(found)
    else:
        with pytest.raises(Rejection, match=f"PNG: its data ends after {count} of 50 bytes") as refused:
            png.verify(found)
        assert refused.value.code == code


def test_data_that_is_not_compressed_data() -> None:
    with pytest.raises(Rejection, match="PNG: its compressed data is damaged") as refused:
        png.verify(inspected(header(), DATA))
    assert refused.value.code == "corrupt_image"


def rows(image: Image.Image, count: int) -> bytes:
    """Rows of an image, each with the byte of its filter."""
    stride = len(image.tobytes()) // image.height
    return b"".join(b"\0" + image.tobytes()[at : at + stride] for at in range(0, count * stride, stride))


@pytest.mark.parametrize(("mode", "colour"), [("RGB", 2), ("L", 0), ("RGBA", 6)])
@pytest.mark.parametrize("height", [1, 2, 7])
def test_a_row_more_shows_whether_rows_are_missing(mode: str, colour: int, height: int) -> None:
    image = noise(200, height + 3, mode)

    def load(count: int, *, content: bytes | None = None) -> Image.Image | None:
        raw = zlib.compress(rows(image, count)) if content is None else content
        found = inspected(
            header(200, height, 8, colour), png_chunk(b"tEXt", b"a\0b"), png_chunk(b"IDAT", raw), END
        )
        return png_pixels.load_by_row(found)

    loaded = load(height)
    assert loaded is not None
    assert loaded.tobytes() == image.crop((0, 0, 200, height)).tobytes()
    assert (loaded.mode, loaded.size, loaded.info["a"]) == (mode, (200, height), "b")
    assert load(height - 1) is None
    assert load(height + 1) is None  # which is whole, as is found without that row
    whole = zlib.compress(rows(image, height))
    assert load(height, content=whole[:-1] + bytes((whole[-1] ^ 1,))) is None
    assert load(height, content=whole[: len(whole) // 2]) is None
    assert load(height, content=b"no data") is None
    # GIVEN a chunk within the data whose name has no letters
    found = inspected(
        header(200, height, 8, colour),
        png_chunk(b"IDAT", whole[:9]),
        png_chunk(b"+-*/", b""),
        png_chunk(b"IDAT", whole[9:]),
        END,
    )
    assert png_pixels.load_by_row(found) is None


def test_text_that_is_too_long_when_decompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    content = png_chunk(b"IDAT", zlib.compress(rows(noise(9, 4), 4)))
    for count, is_read in ((99, True), (100, False)):
        text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * count))
        monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", 99)
        found = inspected(header(9, 4), content, text, END)
        assert (png_pixels.load_by_row(found) is not None) == is_read


def test_a_second_header_of_another_size_is_no_row_more() -> None:
    content = png_chunk(b"IDAT", zlib.compress(rows(noise(9, 4), 4)))
    found = inspected(header(9, 4), header(9, 7), content, END)
    assert png_pixels.load_by_row(found) is None


def deep(values: list[int], bits: int | None = None) -> tuple[png.Png, Image.Image]:
    content = b"\0" + struct.pack(f">{len(values)}H", *values)
    extra = png_chunk(b"sBIT", bytes((bits,) * 3)) if bits else b""
    data = (
        SIGNATURE + header(len(values) // 3, 1, 16) + extra + png_chunk(b"IDAT", zlib.compress(content)) + END
    )
    found = png.inspect(data)
    image = png_pixels.open_image(png_pixels.as_file(found.parts), "PNG")
    image.load()
    image.info["a"] = "b"
    return found, image


@pytest.mark.parametrize(
    ("values", "bits", "shift"),
    [
        ([16383, 300, 5], None, 6), ([5, 16384, 300], None, None), ([5, 6, 65535], None, None), ([1023, 300, 5], None, 2),
        ([300, 200, 4095], None, 4), ([300, 200, 100], 12, 4), ([300, 200, 100], 16, None),
    ],
)  # fmt: skip
def test_colour_of_which_the_upper_bytes_are_hardly_used(
    values: list[int], bits: int | None, shift: int | None
) -> None:
    found, image = deep([1, 2, 3, *values], bits)
    result = png_pixels.deep(found, image)
    assert (result is image) == (shift is None)
    assert result.info["a"] == "b"
    expected = [value >> (8 if shift is None else shift) for value in [1, 2, 3, *values]]
    assert list(result.tobytes()) == expected


def test_the_lower_bytes_are_not_read_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyError

    monkeypatch.setattr(pixel_values, "combined", fail)
    for value, is_read in ((64 * 256 - 1, True), (64 * 256, False)):
        found, image = deep([1, 2, value])
        if is_read:
            with pytest.raises(KeyError):
                png_pixels.deep(found, image)
        else:
            assert png_pixels.deep(found, image) is image


def test_a_file_that_pillow_writes_is_whole() -> None:
    found = png.inspect(encoded(noise(30, 20), "PNG"))
    png.verify(found)
    assert (found.width, found.height, found.closed) == (30, 20, True)
