"""The orientation of a loaded image: by EXIF of some formats, and 1 of whatever is none."""

from __future__ import annotations

import pytest
from PIL import Image

from handlers.imaging.orientation import is_sideways, orientation, upright


def exif(tag: int, value: object) -> bytes:
    block = Image.Exif()
    block[tag] = value
    return block.tobytes()


def image_with(block: object) -> Image.Image:
    image = Image.new("RGB", (2, 1))
    image.info["exif"] = block
    return image


@pytest.mark.parametrize("value", range(1, 9))
def test_exif_counts_where_browsers_read_it(value: int) -> None:
    image = image_with(exif(0x0112, value))
    for name in ("JPEG", "PNG", "WEBP", "AVIF"):
        assert orientation(image, name) == value
    for name in ("TIFF", "HEIF", "GIF", "BMP", "ICO", "PPM", "JPEG2000"):
        assert orientation(image, name) == 1


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # of Pillow
@pytest.mark.parametrize(
    "block",
    [
        b"",
        None,
        exif(0x0112, 0),
        exif(0x0112, 9),
        exif(0x0113, 6),
        exif(0x0111, 6),
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
    ],
)
def test_what_is_no_orientation_turns_nothing(block: object) -> None:
    assert orientation(image_with(block), "JPEG") == 1
    assert orientation(Image.new("RGB", (2, 1)), "JPEG") == 1


def test_from_5_on_width_and_height_change_places() -> None:
    image = Image.frombytes("L", (3, 2), b"abcdef")
    seen = {value: upright(image, value) for value in range(10)}
    # By the standard, of the first row and the first column: top, right, bottom or left of what is seen
    expected = {
        1: b"abcdef", 2: b"cbafed", 3: b"fedcba", 4: b"defabc", 5: b"adbecf", 6: b"daebfc", 7: b"fcebda", 8: b"cfbead",
    }  # fmt: skip
    assert {value: seen[value].tobytes() for value in expected} == expected
    assert seen[0] is seen[9] is image
    assert [value for value in seen if is_sideways(value)] == [5, 6, 7, 8]
    assert {value: seen[value].size == (2, 3) for value in seen} == {v: v in (5, 6, 7, 8) for v in seen}
