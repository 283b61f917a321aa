"""AVIF: changed bits, after which dav1d decodes other pixels without an error, and whole files of many kinds."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageChops

from handlers.imaging import av1, heif
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import drawn, encoded, noise, prepare, rejection

PHOTO = Image.blend(drawn(300, 200), noise(300, 200), 0.15)
ALPHA = PHOTO.convert("RGBA")
ALPHA.putalpha(PHOTO.getchannel("G"))
FAST: dict[str, Any] = {"speed": 10, "autotiling": False}
KINDS: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "plain": (PHOTO, {}),
    "alpha": (ALPHA, {"quality": 60}),
}
WHOLE: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    **KINDS,
    "lossless": (PHOTO, {"quality": 100, "subsampling": "4:4:4"}),
    "premultiplied": (ALPHA, {"alpha_premultiplied": True, "quality": 100}),
    "grey": (PHOTO.convert("L"), {"subsampling": "4:0:0", "range": "limited"}),
    "tiles": (PHOTO, {"tile_rows": 1, "tile_cols": 1}),
    "one-colour-and-a-dot": (Image.new("RGB", (90, 70), "teal"), {"quality": 10}),
    "tiny": (PHOTO.crop((0, 0, 5, 3)), {}),
    "animated": (PHOTO, {"save_all": True, "append_images": [PHOTO.rotate(180)]}),
}
WHOLE["one-colour-and-a-dot"][0].paste("red", (80, 60, 84, 66))


def avif(kind: str) -> bytes:
    image, options = WHOLE[kind]
    return encoded(image, "AVIF", **FAST, **options)


@pytest.mark.parametrize("kind", WHOLE)
def test_whole(kind: str) -> None:
    assert prepare(avif(kind), side=512).width == WHOLE[kind][0].width


@pytest.mark.parametrize("part", [0, 1], ids=["colour", "alpha"])
def test_one_bit_is_changed(part: int) -> None:
    data = avif("alpha")
    begin, length = list(heif.av1_extents(data))[part]
    shown = Image.open(io.BytesIO(data))
    shown.load()
    read, passed = 0, 0
    for at in range(begin + length // 8, begin + length // 2, length // 40):
        damaged = data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]
        image = Image.open(io.BytesIO(damaged))
        try:
            image.load()
        except RuntimeError:
            continue
        if ImageChops.difference(image, shown).getbbox(alpha_only=False):
            read += 1
            passed += not is_damaged(damaged, image)
    assert read >= 5
    assert passed <= read // 4  # a tile may end near enough by chance


def is_damaged(data: bytes, image: Image.Image) -> bool:
    """Whether it is rejected after it was decoded to `image`."""
    try:
        av1.check(data, image, lambda changed: Image.open(io.BytesIO(changed)))
    except Rejection:
        return True
    return False


def test_damage_is_found_where_images_are_prepared() -> None:
    data = avif("plain")
    ((begin, length),) = heif.av1_extents(data)
    codes = set()
    for at in range(begin + length // 4, begin + length // 2, length // 40):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        codes.add(rejection(damaged, side=64).code)
    assert codes == {"corrupt_image"}
