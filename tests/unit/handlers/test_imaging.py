"""Any image in, a small upright RGB image out; anything else is rejected with a code."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from handlers.imaging import MAX_IMAGE_BYTES, Normalised
from tests.unit.handlers.sample_images import (
    BLUE,
    COLOURED,
    GREEN,
    RED,
    SIDE,
    UPRIGHT,
    YELLOW,
    corners,
    decoded,
    drawn,
    encoded,
    near,
    noise,
    prepare,
    rejection,
    with_chunk,
)

GREY = {
    "jpeg": ("L", "JPEG"),
    "png": ("L", "PNG"),
    "png-alpha": ("LA", "PNG"),
    "png-16-bit": ("I;16", "PNG"),
    "tiff-16-bit": ("I;16", "TIFF"),
    "tiff-32-bit": ("I", "TIFF"),
    "gif": ("L", "GIF"),
    "bmp": ("L", "BMP"),
}


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("kind", COLOURED)
def test_every_mode_and_format_shows_the_same_image(kind: str, large: bool) -> None:
    mode, fmt, options = COLOURED[kind]
    width, height = (400, 300) if large else (48, 36)
    picture = prepare(encoded(drawn(width, height, mode), fmt, **options))
    assert (picture.format, picture.width, picture.height) == (fmt, width, height)
    assert decoded(picture.data).size == ((64, 48) if large else (48, 36))
    assert near(corners(picture.data), UPRIGHT), corners(picture.data)


@pytest.mark.parametrize("kind", GREY)
def test_grey_of_every_depth_keeps_its_brightness(kind: str) -> None:
    mode, fmt = GREY[kind]
    picture = prepare(encoded(drawn(80, 60, mode), fmt))
    expected = [decoded(encoded(drawn(80, 60, "L"), "PNG")).getpixel(xy) for xy in ((10, 10), (70, 50))]
    found = [decoded(picture.data).getpixel(xy) for xy in ((8, 8), (56, 40))]
    assert near(found, expected, 6)


@pytest.mark.parametrize(
    ("mode", "low", "high"),
    [("F", 0.0, 1.0), ("F", -3.0, 5.0), ("F", 0.0, 1e30), ("I", 0, 255), ("I", 0, 65535), ("I", -70000, 70000)],
)  # fmt: skip
def test_a_grey_ramp_of_any_range_stays_a_ramp(mode: str, low: float, high: float) -> None:
    image = Image.new(mode, (32, 8))
    for x in range(32):
        value = low + (high - low) * x / 31
        image.paste(value if mode == "F" else int(value), (x, 0, x + 1, 8))
    seen = decoded(prepare(encoded(image, "TIFF")).data).convert("L")
    ramp: list[Any] = [seen.getpixel((x, 4)) for x in range(32)]
    assert ramp == sorted(ramp)
    assert ramp[0] <= 2
    assert ramp[-1] >= 250


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_pixels_that_are_no_numbers_are_rejected(value: float) -> None:
    image = Image.new("F", (8, 8), 1.0)
    image.putpixel((3, 3), value)
    assert rejection(encoded(image, "TIFF")).code == "corrupt_image"


def test_one_bit_images() -> None:
    for fmt in ("PNG", "TIFF", "BMP", "GIF"):
        image = Image.new("1", (16, 16))
        image.paste(1, (8, 0, 16, 16))
        seen = decoded(prepare(encoded(image, fmt)).data)
        assert (seen.getpixel((2, 2)), seen.getpixel((12, 2))) == ((0, 0, 0), (255, 255, 255)), fmt


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", ["rgba", "la", "palette", "rgb-key", "gif", "webp"])
def test_what_is_transparent_is_white(kind: str, large: bool) -> None:
    size = (300, 300) if large else (30, 30)
    half = (0, 0, size[0] // 2, size[1])
    if kind in ("rgba", "webp", "la"):
        image = Image.new("RGBA", size, (0, 0, 0, 0))
        image.paste((200, 0, 0, 255), half)
        fmt = "WEBP" if kind == "webp" else "PNG"
        options: dict[str, Any] = {"lossless": True} if kind == "webp" else {}
        image = image.convert("LA") if kind == "la" else image
    elif kind == "rgb-key":
        image = Image.new("RGB", size, (1, 2, 3))
        image.paste((200, 0, 0), half)
        fmt, options = "PNG", {"transparency": (1, 2, 3)}
    else:
        image = Image.new("P", size, 0)
        image.putpalette([1, 2, 3, 200, 0, 0])
        image.paste(1, half)
        fmt, options = ("GIF" if kind == "gif" else "PNG"), {"transparency": 0}
    seen = decoded(prepare(encoded(image, fmt, **options)).data)
    colours: list[Any] = [seen.getpixel((x * seen.width // 4, seen.height // 2)) for x in (1, 3)]
    assert near(colours[1:], [(255, 255, 255)], 4)
    assert min(colours[0]) < 230


@pytest.mark.parametrize("fmt", ["GIF", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
def test_of_several_frames_or_pages_the_first_counts(fmt: str) -> None:
    options: dict[str, Any] = {"speed": 10} if fmt == "AVIF" else {}
    others = [Image.new("RGB", (48, 36), "black") for _ in range(3)]
    data = encoded(drawn(48, 36), fmt, save_all=True, append_images=others, **options)
    assert near(corners(prepare(data).data), UPRIGHT)


def test_an_animated_png_is_not_sent_as_it_is() -> None:
    data = encoded(drawn(), "PNG", save_all=True, append_images=[Image.new("RGB", (40, 30))])
    assert prepare(data).data != data


TURNED = {
    1: UPRIGHT, 2: (GREEN, RED, YELLOW, BLUE), 3: (YELLOW, BLUE, GREEN, RED), 4: (BLUE, YELLOW, RED, GREEN),
    5: (RED, BLUE, GREEN, YELLOW), 6: (BLUE, RED, YELLOW, GREEN), 7: (YELLOW, GREEN, BLUE, RED), 8: (GREEN, YELLOW, RED, BLUE),
}  # fmt: skip


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_all_eight_orientations_come_out_upright(orientation: int, fmt: str, large: bool) -> None:
    width, height = (240, 160) if large else (48, 32)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"speed": 10} if fmt == "AVIF" else {}
    picture = prepare(encoded(drawn(width, height), fmt, exif=exif.tobytes(), **options))
    assert near(corners(picture.data), TURNED[orientation]), corners(picture.data)
    assert (picture.width, picture.height) == ((width, height) if orientation < 5 else (height, width))
    seen = decoded(picture.data)
    assert (seen.width > seen.height) == (orientation < 5)
    # What is sent must not be turned a second time by whoever honours EXIF.
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*"]
)
def test_damaged_exif_does_not_make_an_image_unreadable(exif: bytes) -> None:
    for fmt in ("JPEG", "PNG", "WEBP"):
        assert near(corners(prepare(encoded(drawn(300, 200), fmt, exif=exif)).data), UPRIGHT)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    assert near(corners(prepare(encoded(drawn(), "JPEG", exif=exif.tobytes())).data), UPRIGHT)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_a_small_png_is_sent_byte_for_byte(mode: str) -> None:
    data = encoded(drawn(32, 32, mode), "PNG")
    assert prepare(data) == Normalised(data, "image/png", "PNG", 32, 32)


def test_a_small_jpeg_is_sent_byte_for_byte() -> None:
    for data in (encoded(drawn(64, 64), "JPEG"), encoded(drawn(64, 20, "L"), "JPEG")):
        assert prepare(data).data == data


def test_an_opaque_alpha_channel_is_no_reason_to_encode_again() -> None:
    data = encoded(drawn(32, 32, "RGBA"), "PNG")
    assert prepare(data).data == data


def test_large_metadata_of_a_small_image_is_removed() -> None:
    png = encoded(drawn(32, 32), "PNG")
    fat = with_chunk(png, b"tEXt", b"Comment\0" + b"x" * 300_000)
    picture = prepare(fat)
    assert len(picture.data) < 2_000
    assert ImageChops.difference(decoded(picture.data), decoded(png)).getbbox() is None
    jpeg = encoded(drawn(32, 32), "JPEG", icc_profile=b"p" * 200_000)
    assert len(prepare(jpeg).data) < 5_000


def test_noise_gets_small_enough() -> None:
    for side in (256, 1024):
        for image in (noise(1100, 1000), noise(side, side)):
            assert len(prepare(encoded(image, "PNG"), side=side, max_pixels=10**7).data) <= MAX_IMAGE_BYTES


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000), (30_000, 3), (2, 9_999)])
@pytest.mark.parametrize("fmt", ["PNG", "JPEG"])
def test_extreme_aspect_ratios(size: tuple[int, int], fmt: str) -> None:
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2 if size[0] > 2 else 0, size[1] // 2 if size[1] > 3 else 0, *size))
    picture = prepare(encoded(image, fmt))
    seen = decoded(picture.data)
    assert (picture.width, picture.height) == size
    assert max(seen.size) == min(max(size), SIDE)
    assert min(seen.size) >= 1
    assert near([seen.getpixel((0, 0))], [(254, 0, 0)], 3)


def test_an_image_of_fifty_megapixels() -> None:
    data = encoded(drawn(8660, 5774), "JPEG", quality=60)
    picture = prepare(data, side=256, max_pixels=100_000_000)
    assert (picture.width, picture.height) == (8660, 5774)
    assert decoded(picture.data).size == (256, 171)
    assert near(corners(picture.data), UPRIGHT, 12)


def test_scaling_down_averages_what_draft_decodes() -> None:
    # GIVEN black and white stripes one pixel wide, which naive decimation would turn black or white
    image = Image.new("L", (512, 512))
    image.putdata([255 * (n % 2) for n in range(512 * 512)])
    for fmt in ("JPEG", "PNG"):
        mean = ImageStat.Stat(decoded(prepare(encoded(image, fmt)).data)).mean[0]
        assert abs(mean - 127.5) < 8, fmt
