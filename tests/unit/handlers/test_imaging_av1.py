"""AVIF: changed bits, after which dav1d decodes other pixels without an error, and whole files of many kinds."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageChops

from handlers.imaging import av1, av1_tiles, dav1d, heif
from handlers.rejections import NotUnderstood, Rejection
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
    "tiles-of-one-colour": (Image.new("RGB", (700, 300), "teal"), {"tile_rows": 2, "tile_cols": 3}),
    "film-grain": (PHOTO, {"advanced": {"film-grain-test": "3"}}),
    "lossless-screen": (
        PHOTO.quantize(8).convert("RGB"),
        {"quality": 100, "advanced": {"tune-content": "screen"}},
    ),
    "large-blocks": (PHOTO, {"advanced": {"sb-size": "128", "aq-mode": "3", "enable-qm": "1"}}),
    "one-colour-and-a-dot": (Image.new("RGB", (90, 70), "teal"), {"quality": 10}),
    "tiny": (PHOTO.crop((0, 0, 5, 3)), {}),
    "animated": (PHOTO, {"save_all": True, "append_images": [PHOTO.rotate(180)]}),
}
for dotted in ("one-colour-and-a-dot", "tiles-of-one-colour"):
    WHOLE[dotted][0].paste("red", (80, 60, 84, 66))


def avif(kind: str) -> bytes:
    image, options = WHOLE[kind]
    return encoded(image, "AVIF", **FAST, **options)


@pytest.mark.parametrize("kind", WHOLE)
def test_whole(kind: str) -> None:
    assert prepare(avif(kind), side=512).width == WHOLE[kind][0].width


@pytest.mark.parametrize("part", [0, 1], ids=["colour", "alpha"])
def test_one_bit_is_changed(part: int) -> None:
    data = avif("alpha")
    begin, length, *_ = list(heif.av1_extents(data))[part]
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
        av1.check(data, image)
    except Rejection:
        return True
    return False


def test_damage_is_found_where_images_are_prepared() -> None:
    data = avif("plain")
    ((begin, length, *_),) = heif.av1_extents(data)
    codes = set()
    for at in range(begin + length // 4, begin + length // 2, length // 40):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        codes.add(rejection(damaged, side=64).code)
    assert codes == {"corrupt_image"}


def _tiles(data: bytes) -> av1_tiles.Layout:
    ((begin, length, *_),) = heif.av1_extents(data)
    return av1_tiles.layout(data, begin, begin + length)


@pytest.mark.parametrize(
    ("options", "columns", "rows"),
    [
        ({}, [(0, 300)], [(0, 200)]),
        ({"tile_rows": 1}, [(0, 300)], [(0, 128), (128, 200)]),
        ({"tile_cols": 2}, [(0, 128), (128, 256), (256, 300)], [(0, 200)]),
        ({"tile_rows": 2, "tile_cols": 1, "advanced": {"sb-size": "64"}}, None, None),
    ],
)
def test_where_tiles_are(
    options: dict[str, Any], columns: list[tuple[int, int]] | None, rows: list[tuple[int, int]] | None
) -> None:
    data = encoded(PHOTO, "AVIF", **{"speed": 10, "autotiling": False, **options})
    tiles = _tiles(data).tiles()
    assert tiles[-1].end == len(data)
    assert (tiles[-1].right, tiles[-1].bottom) == PHOTO.size
    assert sum((tile.right - tile.left) * (tile.bottom - tile.top) for tile in tiles) == 300 * 200
    if rows is not None and columns is not None:
        found = [(tile.left, tile.right, tile.top, tile.bottom) for tile in tiles]
        assert found == [(*column, *row) for row in rows for column in columns]


def test_a_tile_decodes_alone_to_its_pixels() -> None:
    # GIVEN the data of another tile in the place of one
    data = avif("tiles")
    layout, library = _tiles(data), dav1d.library()
    tiles = layout.tiles()
    places = [(tile.left, tile.top, tile.right, tile.bottom) for tile in tiles]
    whole = dav1d.checksums(library, av1_tiles.replaced(data, layout, {}), places)
    other = encoded(PHOTO.transpose(Image.Transpose.ROTATE_180), "AVIF", **FAST, **WHOLE["tiles"][1])
    theirs = _tiles(other).tiles()
    new = {1: other[theirs[1].begin : theirs[1].end]}
    found = dav1d.checksums(library, av1_tiles.replaced(data, layout, new), places)
    # THEN the pixels of that tile differ, and no others
    assert whole is not None
    assert found is not None
    assert [one == other for one, other in zip(whole, found, strict=True)] == [True, False, True, True]


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_each_tile_ends_where_its_data_does(number: int) -> None:
    data = avif("tiles")
    tile = _tiles(data).tiles()[number]
    codes = []
    for at in range(tile.begin + 20, tile.end - 100, max((tile.end - tile.begin) // 12, 1)):
        damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            prepare(damaged)
        except Rejection as found:
            codes.append(found.code)
        else:
            codes.append("read")
    assert len(codes) >= 8
    assert codes.count("corrupt_image") >= 0.9 * len(codes), codes


def test_headers_that_are_not_understood_leave_the_last_tile() -> None:
    data = avif("film-grain")
    with pytest.raises(NotUnderstood, match="film grain"):
        _tiles(data)
    ((begin, length, *_),) = heif.av1_extents(data)
    at = begin + length // 2
    assert rejection(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]).code == "corrupt_image"


def test_without_the_decoders_library_nothing_more_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = avif("plain")
    ((begin, length, *_),) = heif.av1_extents(data)
    at = begin + length // 4 + length // 40
    damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    assert rejection(damaged).code == "corrupt_image"
    monkeypatch.setattr(dav1d, "library", lambda: None)
    assert prepare(damaged).format == "AVIF"
