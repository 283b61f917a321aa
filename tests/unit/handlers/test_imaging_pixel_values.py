"""Values mean what they mean: depth, range, no data, transparency, colour profiles, orientation."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat, TiffImagePlugin

from handlers.imaging import png
from tests.unit.handlers.sample_images import (
    decoded,
    drawn,
    encoded,
    noise,
    png_chunk,
    prepare,
    rejection,
    with_chunk,
)

GREY = Image.linear_gradient("L").resize((60, 50))


def values(image: Image.Image, factor: float) -> list[int]:
    data: Any = image.get_flattened_data() if hasattr(image, "get_flattened_data") else image.getdata()
    return [int(value * factor) for value in data]


def deep_png(
    image: Image.Image, bits: int, *, chunk: bytes = b"", extra: dict[int, int] | None = None
) -> bytes:
    """Grey of `bits` in 16, some pixels replaced."""
    found = values(image, (2**bits - 1) / 255)
    for at, value in (extra or {}).items():
        found[at] = value
    rows = b"".join(
        b"\0" + struct.pack(f">{image.width}H", *found[y * image.width : (y + 1) * image.width])
        for y in range(image.height)
    )
    header = struct.pack(">IIBBBBB", *image.size, 16, 0, 0, 0, 0)
    return (
        png.SIGNATURE
        + png_chunk(b"IHDR", header)
        + chunk
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def unlike(data: bytes, image: Image.Image) -> float:
    """Mean difference of what a model sees to an image."""
    return max(ImageStat.Stat(ImageChops.difference(decoded(prepare(data).data), image.convert("RGB"))).mean)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_fewer_bits_in_sixteen_are_not_black(bits: int) -> None:
    assert unlike(deep_png(GREY, bits), GREY) < 2


@pytest.mark.parametrize("bits", [10, 12])
def test_significant_bits_count_even_where_the_image_is_dark(bits: int) -> None:
    dark = GREY.point(lambda value: value // 4)
    assert unlike(deep_png(dark, bits, chunk=png_chunk(b"sBIT", bytes((bits,)))), dark) < 2


def test_a_hot_pixel_is_not_the_range() -> None:
    assert unlike(deep_png(GREY, 10, extra={777: 65535}), GREY) < 2


@pytest.mark.parametrize("bits", [10, 12])
def test_colour_of_fewer_bits_in_sixteen(bits: int) -> None:
    image = drawn(60, 50)
    raw = image.tobytes()
    row = 60 * 3
    rows = b"".join(
        b"\0" + struct.pack(f">{row}H", *(value << (bits - 8) for value in raw[y * row : (y + 1) * row]))
        for y in range(50)
    )
    header = struct.pack(">IIBBBBB", 60, 50, 16, 2, 0, 0, 0)
    data = (
        png.SIGNATURE
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )
    assert unlike(data, image) < 2


def test_the_largest_value_that_a_tiff_gives() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[281] = 3
    tags[281] = 4095
    dark = GREY.point(lambda value: value // 8)
    deep = dark.convert("I").point(lambda value: value * 16).convert("I;16")
    assert unlike(encoded(deep, "TIFF", tiffinfo=tags), dark) < 2


@pytest.mark.parametrize("value", [-9999.0, -32768.0, -3.4028234663852886e38, 1e20])
@pytest.mark.parametrize("share", [1, 1000])
@pytest.mark.parametrize(("low", "high"), [(0, 255), (0, 190), (70, 255), (90, 160)])
def test_values_for_no_data_are_not_the_range(value: float, share: int, low: int, high: int) -> None:
    shown = GREY.point(lambda grey: low + grey * (high - low) // 255)
    shown.paste(low, (0, 0, 30, 1))
    shown.paste(high, (30, 0, 60, 1))
    image = shown.convert("F").point(lambda grey: grey * (1 / 255) + 0.0)
    for at in range(share):
        image.putpixel((at % 60, 49 - at // 60), value)
    seen = decoded(prepare(encoded(image, "TIFF")).data).convert("L").crop((0, 0, 60, 30))
    assert ImageStat.Stat(ImageChops.difference(seen, shown.crop((0, 0, 60, 30)))).mean[0] < 3


@pytest.mark.parametrize("high", [150, 255])
def test_hot_pixels_leave_few_bits_as_they_are(high: int) -> None:
    dark = GREY.point(lambda grey: grey * high // 255)
    dark.paste(0, (0, 0, 30, 1))
    assert unlike(deep_png(dark, 10, extra={777: 65535, 20: 60000}), dark) < 2


def test_no_data_as_gdal_gives_it() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[42113] = 2
    tags[42113] = "-5555"
    image = GREY.convert("F").point(lambda grey: grey * (1 / 255) + 0.0)
    for at in range(600):
        image.putpixel((at % 60, 49 - at // 60), -5555)
    seen = decoded(prepare(encoded(image, "TIFF", tiffinfo=tags)).data).convert("L").crop((0, 0, 60, 30))
    assert ImageStat.Stat(ImageChops.difference(seen, GREY.crop((0, 0, 60, 30)))).mean[0] < 3


@pytest.mark.parametrize("fmt", ["PNG", "WEBP", "TIFF", "AVIF", "JPEG2000"])
def test_alpha_of_zero_everywhere_means_nothing(fmt: str) -> None:
    image = drawn(60, 50, "RGBA")
    image.putalpha(0)
    options = {"WEBP": {"lossless": True, "exact": True}, "AVIF": {"speed": 10, "quality": 95}}.get(fmt, {})
    assert unlike(encoded(image, fmt, **options), drawn(60, 50)) < 6


@pytest.mark.parametrize(
    "fmt", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO", "PPM"]
)
@pytest.mark.parametrize("size", [(40, 30), (300, 200)])
def test_an_image_of_one_colour_shows_nothing(fmt: str, size: tuple[int, int]) -> None:
    options: dict[str, Any] = {"AVIF": {"speed": 10}, "ICO": {"sizes": [size]}}.get(fmt, {})
    if fmt == "ICO":
        size = (min(size[0], 256), size[1])
        options = {"sizes": [size]}
    assert rejection(encoded(Image.new("RGB", size, (200, 10, 30)), fmt, **options)).code == "blank_image"


def test_fine_stripes_are_not_blank() -> None:
    image = Image.new("L", (512, 512))
    image.putdata([255 * (n % 2) for n in range(512 * 512)])
    for fmt in ("JPEG", "PNG", "JPEG2000"):
        assert prepare(encoded(image, fmt)).width == 512


def wide_profile() -> bytes:
    """A profile of a gamut much wider than sRGB: red and green exchanged, so that applying it shows."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    for at in range(132, 132 + 12 * count, 12):
        name = bytes(profile[at : at + 4])
        profile[at : at + 4] = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}.get(name, name)
        if name == b"desc":
            begin, size = (int.from_bytes(profile[at + n : at + n + 4], "big") for n in (4, 8))
            profile[begin + 12 : begin + size] = bytes(size - 12)
    return bytes(profile)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_an_embedded_profile_is_applied(fmt: str, large: bool) -> None:
    image = drawn(300, 200) if large else drawn(40, 30)
    options = {"speed": 10, "quality": 95} if fmt == "AVIF" else {}
    plain, other = (
        decoded(prepare(encoded(image, fmt, icc_profile=profile, **options)).data)
        for profile in (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), wide_profile())
    )
    seen: list[Any] = [found.getpixel((5, 5)) for found in (plain, other)]
    assert seen[0][0] > 200 > 100 > seen[0][1]
    assert seen[1][1] > 150 > 100 > seen[1][0]


@pytest.mark.parametrize("profile", [b"garbage", wide_profile()[:200], bytes(500), b"p" * 4000])
def test_a_damaged_profile_is_ignored(profile: bytes) -> None:
    assert unlike(encoded(drawn(60, 50), "PNG", icc_profile=profile), drawn(60, 50)) < 1


def test_an_srgb_file_passes_as_it_is() -> None:
    data = encoded(
        drawn(40, 30), "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    assert prepare(data).data == data


def test_orientation_in_xmp_turns_nothing() -> None:
    packet = b'<x:xmpmeta><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    app1 = b"http://ns.adobe.com/xap/1.0/\0" + packet
    plain = encoded(drawn(48, 32), "JPEG")
    data = plain[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(app1)) + app1 + plain[2:]
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(0x0112) == 6  # as Pillow has it
    assert (prepare(data).width, prepare(data).height) == (48, 32)


def test_orientation_in_a_text_chunk_turns_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    text = (
        b"Raw profile type exif\0\nexif\n"
        + str(len(exif.tobytes())).encode()
        + b"\n"
        + exif.tobytes().hex().encode()
    )
    assert prepare(with_chunk(encoded(noise(48, 32), "PNG"), b"tEXt", text)).width == 48
