"""AVIF of several coded images: damage in what the first image consists of is found, damage in a later frame does not count."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from PIL import Image

from handlers.imaging import heif, tracks
from tests.unit.handlers import sample_avif
from tests.unit.handlers.sample_images import decoded, drawn, encoded, noise, prepare, rejection

SIZE = (300, 200)
PHOTO = Image.blend(drawn(*SIZE), noise(*SIZE), 0.15)
ALPHA = PHOTO.convert("RGBA")
ALPHA.putalpha(PHOTO.getchannel("G"))
LATER: dict[str, Any] = {"save_all": True, "append_images": [ALPHA.transpose(Image.Transpose.ROTATE_180)]}


def avif(image: Image.Image, **options: Any) -> bytes:
    return encoded(image, "AVIF", speed=10, autotiling=False, **options)


def tiles() -> list[bytes]:
    return [avif(PHOTO.crop((x, y, x + 150, y + 100))) for y in (0, 100) for x in (0, 150)]


FILES = {
    "grid": sample_avif.grid(tiles(), 2, (290, 190), (150, 100)),
    "cropped": sample_avif.cropped(avif(PHOTO), SIZE, (200, 150)),
    "premultiplied": avif(ALPHA, alpha_premultiplied=True),
    "animated": avif(ALPHA, **LATER),
}


def with_bits_changed(data: bytes, begin: int, length: int) -> list[bytes]:
    """Files with one other bit each, in the middle of a part."""
    places = range(begin + length // 4, begin + length * 3 // 4, length // 8)
    return [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in places]


@pytest.mark.parametrize("kind", FILES)
def test_each_coded_image_is_checked(kind: str) -> None:
    data = FILES[kind]
    assert prepare(data, side=512).height == 190 if kind == "grid" else 200
    parts = [(begin, length) for begin, length, *_ in heif.av1_extents(data)]
    assert len(parts) == {"grid": 4, "cropped": 1}.get(kind, 2)
    for begin, length in parts:
        damaged = with_bits_changed(data, begin, length)
        assert {rejection(one).code for one in damaged} == {"corrupt_image"}


def test_an_animation_without_items_is_checked_by_its_tracks() -> None:
    data = FILES["animated"].replace(b"iinf", b"free", 1)
    assert prepare(data, side=512).width == 300
    for begin, length, _ in tracks.first_samples(data):
        assert {rejection(one).code for one in with_bits_changed(data, begin, length)} == {"corrupt_image"}


def test_damage_in_a_later_frame_does_not_count() -> None:
    data = FILES["animated"]
    whole = decoded(prepare(data, side=512).data).tobytes()
    last = max(begin + length for begin, length, *_ in heif.av1_extents(data))
    for damaged in with_bits_changed(data, last, len(data) - last):
        assert decoded(prepare(damaged, side=512).data).tobytes() == whole


@pytest.mark.parametrize("options", [{}, {"advanced": {"film-grain-test": "3"}}], ids=["plain", "film grain"])
@pytest.mark.parametrize("size", [(300, 400), (300, 180), (310, 200)])
def test_data_of_another_size_than_the_header_is_not_stretched(
    options: dict[str, Any], size: tuple[int, int]
) -> None:
    data = avif(PHOTO, **options)
    other = data.replace(struct.pack(">4sIII", b"ispe", 0, *SIZE), struct.pack(">4sIII", b"ispe", 0, *size))
    assert other != data
    assert rejection(other).code == "corrupt_image"


@pytest.mark.parametrize("options", [{}, {"advanced": {"film-grain-test": "3"}}], ids=["plain", "film grain"])
@pytest.mark.parametrize("image", [PHOTO, PHOTO.convert("L"), ALPHA], ids=["colour", "grey", "alpha"])
def test_a_configuration_that_is_not_that_of_the_data(image: Image.Image, options: dict[str, Any]) -> None:
    # Found by fuzzing: with the bit for grey, libavif gives colour as grey values
    data = avif(image, **options)
    places = [at for at in range(len(data)) if data.startswith(b"av1C", at)]
    for at in places:
        for bit in (0x40, 0x20, 0x10, 8, 4):
            other = data[: at + 6] + bytes((data[at + 6] ^ bit,)) + data[at + 7 :]
            assert rejection(other).code in ("corrupt_image", "truncated_image")
    assert len(places) == 2 if image is ALPHA and not options else len(places) >= 1


def test_a_configuration_of_a_track_that_is_not_that_of_its_data() -> None:
    data = FILES["animated"]
    places = [at for at in range(data.index(b"moov"), len(data)) if data.startswith(b"av1C", at)]
    assert len(places) == 2  # colour and alpha
    for at in places:
        for bit in (0x40, 0x10, 8):
            other = data[: at + 6] + bytes((data[at + 6] ^ bit,)) + data[at + 7 :]
            assert rejection(other).code in ("corrupt_image", "truncated_image")
