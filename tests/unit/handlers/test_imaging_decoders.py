"""Of single formats, what the decoder is given and what is checked after it."""

from __future__ import annotations

import contextlib
import io
import struct
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image, TiffImagePlugin, features

from handlers.imaging import decoding, deflate, fax, gif, jpeg, jpeg2000, jpeg_pixels, limits, tails, tiff
from handlers.imaging.decoding import decode
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import drawn, encoded, noise
from tests.unit.handlers.test_imaging_decoding import FILES, HEIGHT, PIXELS, SIZE, WIDTH, of, refused
from tests.unit.handlers.test_imaging_value_ranges import row


def gif_without_its_last_pixel(value: int) -> bytes:
    """A frame of 6 x 5 pixels, of which 29 are written."""
    image = Image.new("P", (29, 1), value)
    image.putpixel((0, 0), 77)
    image.putpalette(bytes(range(256)) * 3)
    data = bytearray(encoded(image, "GIF", optimize=False))
    frame = data.index(b"\x2c", 13 + 3 * 256)
    data[6:10] = data[frame + 5 : frame + 9] = struct.pack("<HH", 6, 5)
    return bytes(data)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 254, 255])
def test_the_last_pixel_of_a_gif_is_missing(value: int) -> None:
    # GIVEN further data after the code that ends it, which Pillow reads as pixels if the file is longer than it reads at once
    whole = gif_without_its_last_pixel(value)
    assert whole.endswith(b"\0;")
    data = whole[:-2] + b"\5" + bytes(5) + b"\0;" + bytes(70_000)
    with pytest.raises(Rejection, match="GIF: its data ends before its last row") as found:
        decode(data, "GIF", side=64, max_pixels=99)
    assert found.value.code == "truncated_image"


def test_data_of_a_gif_must_end_after_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = FILES["gif"][1]

    def check_end(given: bytes, tile: Any) -> None:
        assert (given, tile.extents) == (data, (0, 0, *SIZE))
        raise KeyError

    monkeypatch.setattr(gif, "check_end", check_end)
    with pytest.raises(KeyError):
        of("gif")


def test_an_icon_whose_uppermost_row_comes_first() -> None:
    data = bytearray(FILES["ico"][1])
    upright = of("ico").image
    struct.pack_into("<i", data, 30, -2 * HEIGHT)
    found = decode(bytes(data), "ICO", side=128, max_pixels=PIXELS)
    assert (found.width, found.height) == SIZE
    flipped = upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    assert found.image.convert("RGB").tobytes() == flipped.convert("RGB").tobytes()
    struct.pack_into("<i", data, 26, -WIDTH)
    with pytest.raises(Rejection, match=f"It has {2**32 - WIDTH} x {HEIGHT}; "):
        decode(bytes(data), "ICO", side=128, max_pixels=PIXELS)


@pytest.mark.parametrize("at", [(0, 0), (3, 0), (0, 2), (3, 2)])
@pytest.mark.parametrize("screen", [SIZE, (WIDTH + 3, HEIGHT + 2)])
def test_a_frame_lies_on_a_screen_that_is_transparent(screen: tuple[int, int], at: tuple[int, int]) -> None:
    whole = drawn(*SIZE).quantize(16)
    data = bytearray(encoded(whole, "GIF"))
    frame = data.index(b"\x2c", 13 + (6 << (data[10] & 7)))
    if screen == SIZE:
        at = (0, 0)
    struct.pack_into("<HH", data, 6, *screen)
    struct.pack_into("<HH", data, frame + 1, *at)
    decoded = decode(bytes(data), "GIF", side=64, max_pixels=screen[0] * screen[1])
    assert (decoded.width, decoded.height) == decoded.image.size == screen
    if screen == SIZE:
        assert decoded.image.mode == "P"
    canvas = Image.new("RGBA", screen)
    canvas.paste(whole.convert("RGBA"), at)
    assert decoded.image.convert("RGBA").tobytes() == canvas.tobytes()


def test_colours_of_a_smaller_frame_are_those_of_its_palette() -> None:
    image = row([0, 1, 2, 3, 3], "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    data = bytearray(encoded(image, "GIF"))
    data[6:8] = struct.pack("<H", 9)
    assert data[10] & 7 == 1
    data[10] &= 0xF8
    del data[19:25]
    with pytest.raises(Rejection, match="It uses colour 3 of a palette of 2"):
        decode(bytes(data), "GIF", side=64, max_pixels=99)


def test_avif_that_pillow_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: name != "avif")
    found = refused("avif")
    assert (found.code, str(found)) == (
        "unsupported_format",
        str(Rejection("unsupported_format", "It is AVIF.")),
    )


@pytest.mark.skipif("heif" not in FILES, reason="needs a file to read, which pillow-heif writes")
def test_of_heif_the_image_alone_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def register(**options: bool) -> None:
        given.append(options)
        raise KeyError

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    with pytest.raises(KeyError):
        of("heif")
    assert given == [{"thumbnails": False, "depth_images": False, "aux_images": False}]
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    found = refused("heif")
    assert found.code == "unsupported_format"
    assert "It is HEIC; pillow-heif, which reads it, is not installed (HeicLibrariesKey)." in str(found)


def test_what_a_tiff_gives_of_its_values() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[281], tags.tagtype[42113] = 3, 2
    tags[281], tags[42113] = 4095, "-5555"
    data = encoded(drawn(*SIZE, "I;16"), "TIFF", tiffinfo=tags)
    decoded = decode(data, "TIFF", side=64, max_pixels=PIXELS)
    assert (decoded.significant_bits, decoded.no_data, decoded.altered) == (12, -5555.0, False)


@pytest.mark.parametrize(
    ("compression", "mode", "expected"),
    [
        (None, "RGB", ["leave out", "tails"]),
        ("tiff_lzw", "RGB", ["leave out"]),
        ("tiff_adobe_deflate", "RGB", ["leave out", "deflate"]),
        ("group4", "1", ["leave out", "load fax", "fax"]),
        ("jpeg", "RGB", ["streams", "leave out"]),
    ],
)
def test_what_is_checked_of_a_tiff(
    monkeypatch: pytest.MonkeyPatch, compression: str | None, mode: str, expected: list[str]
) -> None:
    calls = []

    def recorded(module: Any, name: str, what: str) -> None:
        function = getattr(module, name)

        def called(*arguments: Any, **options: Any) -> Any:
            calls.append(what)
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, called)

    data = encoded(drawn(*SIZE, mode), "TIFF", compression=compression)
    for module, name, what in (
        (tiff, "leave_out_further_strips", "leave out"), (fax, "load", "load fax"), (fax, "check", "fax"), (deflate, "check", "deflate"),
        (tails, "check", "tails"), (jpeg_pixels, "load", "streams"),
    ):  # fmt: skip
        recorded(module, name, what)
    decoded = decode(data, "TIFF", side=64, max_pixels=PIXELS)
    assert calls == expected
    assert (decoded.width, decoded.height) == decoded.image.size == SIZE
    assert decoded.image.im is not None


def test_jpeg_within_tiff_is_checked_as_jpeg_is(monkeypatch: pytest.MonkeyPatch) -> None:
    found = jpeg.inspect(FILES["jpeg"][1])
    given: list[Any] = []
    monkeypatch.setattr(jpeg, "inspect", lambda data: found)
    monkeypatch.setattr(
        jpeg_pixels, "load", lambda *arguments, **options: given.append((*arguments, options))
    )
    decoding._check_tiff_streams([b"one", b"two"])
    assert given == [(data, found, 1, {"exact": False}) for data in (b"one", b"two")]
    found.scans *= 21
    found.width = limits.MAX_WORK // 21 // HEIGHT + 1
    with pytest.raises(Rejection, match=f"TIFF: it has 21 or more scans of {found.width * HEIGHT} pixels"):
        decoding._check_tiff_streams([b"one"])


@pytest.mark.parametrize(
    ("resolutions", "side", "halvings"),
    [(6, 65, 0), (6, 64, 1), (6, 33, 1), (6, 32, 2), (6, 16, 3), (3, 16, 2), (2, 1, 1), (1, 1, 0), (6, 1, 5)],
)
def test_jpeg_2000_is_halved_down_to_twice_the_side(
    monkeypatch: pytest.MonkeyPatch, resolutions: int, side: int, halvings: int
) -> None:
    image = drawn(256, 300)
    data = encoded(image, "JPEG2000", num_resolutions=resolutions)
    given = []
    load = jpeg2000.load

    def recorded(data: bytes, found: Any, count: int) -> Image.Image:
        given.append(count)
        return load(data, found, count)

    monkeypatch.setattr(limits, "bounded_memory", contextlib.nullcontext)
    monkeypatch.setattr(jpeg2000, "load", recorded)
    size = -(-256 >> halvings), -(-300 >> halvings)
    monkeypatch.setattr(limits, "DECODING_BYTES", 25 * size[0] * size[1])
    decoded = decode(data, "JPEG2000", side=side, max_pixels=256 * 300)
    assert given == [halvings]
    assert decoded.image.size == size
    assert (decoded.width, decoded.height) == (256, 300)
    for limit, bound in ((256 * 300 - 1, 10**9), (10**9, 25 * size[0] * size[1] - 1)):
        monkeypatch.setattr(limits, "DECODING_BYTES", bound)
        with pytest.raises(Rejection, match="has 256 x 300"):
            decode(data, "JPEG2000", side=side, max_pixels=limit)


def test_jpeg_2000_that_cannot_be_halved_is_decoded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(drawn(256, 300), "JPEG2000")
    load = jpeg2000.load

    given = []

    def failing(data: bytes, found: Any, count: int) -> Image.Image:
        given.append(count)
        if count or limits.DECODING_BYTES == 77 * 10**6:
            raise OSError("broken data stream")
        return load(data, found, count)

    monkeypatch.setattr(limits, "bounded_memory", contextlib.nullcontext)
    monkeypatch.setattr(jpeg2000, "load", failing)
    monkeypatch.setattr(limits, "DECODING_BYTES", 25 * 256 * 300)
    assert decode(data, "JPEG2000", side=32, max_pixels=256 * 300).image.size == (256, 300)
    monkeypatch.setattr(limits, "DECODING_BYTES", 25 * 256 * 300 - 1)
    with pytest.raises(Rejection, match="of JPEG2000, which"):
        decode(data, "JPEG2000", side=32, max_pixels=256 * 300)
    monkeypatch.setattr(limits, "DECODING_BYTES", 77 * 10**6)
    given.clear()
    with pytest.raises(OSError, match="broken"):
        decode(data, "JPEG2000", side=256, max_pixels=256 * 300)
    assert given == [0]


def test_jpeg_2000_without_its_end_is_read() -> None:
    data = encoded(noise(*SIZE), "JPEG2000", no_jp2=True)
    whole = decode(data, "JPEG2000", side=64, max_pixels=PIXELS).image
    assert decode(data[:-2], "JPEG2000", side=64, max_pixels=PIXELS).image.tobytes() == whole.tobytes()


@pytest.mark.parametrize("kind", ["bmp", "ico", "tiff", "ppm"])
def test_pixels_without_compression_are_checked_for_zeros(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    given: list[Any] = []
    monkeypatch.setattr(tails, "check", lambda *arguments: given.append(arguments))
    of(kind)
    ((name, data, begin, length, rows),) = given
    assert name == FILES[kind][0]
    assert rows == HEIGHT
    assert length == {"bmp": 384, "ico": 512, "tiff": 384, "ppm": 384}[kind]
    pixels = Image.frombytes("RGBA" if kind == "ico" else "RGB", SIZE, data[begin : begin + length * rows])
    if kind in ("bmp", "ico"):
        order = (2, 1, 0, 3) if kind == "ico" else (2, 1, 0)
        bands = pixels.transpose(Image.Transpose.FLIP_TOP_BOTTOM).split()
        pixels = Image.merge(pixels.mode, [bands[band] for band in order])
    with Image.open(io.BytesIO(FILES[kind][1])) as image:
        assert pixels.convert("RGB").tobytes() == image.convert("RGB").tobytes()


def test_values_of_ppm_have_all_bits() -> None:
    assert of("ppm").significant_bits == 16
    assert of("bmp").significant_bits is None


@pytest.mark.parametrize(("mode", "colours"), [("L", 200), ("1", 1)])
def test_colours_of_a_bmp_are_those_of_its_palette(mode: str, colours: int) -> None:
    image = row([0, colours - 1, 0, colours - 1], mode if mode != "1" else "L").convert(mode)
    for highest, whole in ((colours - 1, True), (colours, False)):
        image.putpixel((1, 0), 255 * highest if mode == "1" else highest)
        data = bytearray(encoded(image, "BMP"))
        struct.pack_into("<I", data, 46, colours)
        if whole:
            assert decode(bytes(data), "BMP", side=64, max_pixels=PIXELS).image.mode == mode
        else:
            with pytest.raises(Rejection, match=f"of a palette of {colours}"):
                decode(bytes(data), "BMP", side=64, max_pixels=PIXELS)


def test_black_and_white_of_a_bmp_with_two_colours_is_whole() -> None:
    data = encoded(row([0, 255, 0], "L").convert("1"), "BMP")
    assert data[46] == 2
    assert decode(data, "BMP", side=64, max_pixels=PIXELS).image.mode == "1"
    assert decode(data[:46] + b"\0" + data[47:], "BMP", side=64, max_pixels=PIXELS).image.mode == "1"


@pytest.mark.parametrize(("length", "message"), [(39, "its image ends early"), (41, "its pixels end early")])
def test_an_icon_that_ends_within_its_image(length: int, message: str) -> None:
    data = FILES["ico"][1][: 22 + length]
    with pytest.raises(Rejection, match=f"ICO: {message}.") as found:
        decode(data, "ICO", side=64, max_pixels=PIXELS)
    assert found.value.code == "truncated_image"


@pytest.mark.parametrize("kind", ["ico", "ico-png"])
@pytest.mark.parametrize("at", [6, 7])
def test_the_directory_of_an_icon_has_its_size(kind: str, at: int) -> None:
    data = bytearray(FILES[kind][1])
    data[at] += 1
    with pytest.raises(
        Rejection,
        match=f"ICO: its image has {WIDTH} x {HEIGHT} pixels, {data[6]} x {data[7]} in its directory",
    ):
        decode(bytes(data), "ICO", side=64, max_pixels=PIXELS)
