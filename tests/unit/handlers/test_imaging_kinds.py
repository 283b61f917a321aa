"""Every kind of damage, done to a file of every format: it is found, and what is whole is read as it is."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import pytest
from PIL import Image, ImageChops, ImageStat

from tests.unit.handlers import damaged_files as damage
from tests.unit.handlers.sample_images import decoded, encoded, prepare, rejection

try:
    import pillow_heif

    pillow_heif.register_heif_opener()
    NAMES = damage.NAMES
except ImportError:
    NAMES = tuple(name for name in damage.NAMES if name != "heic")

DAMAGED = {"truncated_image", "corrupt_image"}
each = pytest.mark.parametrize("name", NAMES)


@functools.cache
def file_of(name: str) -> bytes:
    return damage.whole(name)


@functools.cache
def shown(name: str, side: int) -> Image.Image:
    return decoded(prepare(file_of(name), side=side).data)


def is_found(files: Iterable[bytes]) -> None:
    """Each is rejected as damaged, at its size and scaled down."""
    for data in files:
        assert {rejection(data, side=side).code for side in (48, 256)} <= DAMAGED


@each
def test_cut_off(name: str) -> None:
    data = file_of(name)
    is_found(data[: int(len(data) * share)] for share in (0.3, 0.6, 0.9))


@each
def test_cut_off_and_closed(name: str) -> None:
    files = [damage.closed(name, file_of(name), share) for share in (0.4, 0.7, 0.95)]
    is_found(data for data in files if data is not None)


@each
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_tail_of_zeros(name: str, share: float) -> None:
    data = damage.zeros(name, file_of(name), share)
    is_found([data] if data is not None else [])


@each
@pytest.mark.parametrize("height", [damage.HEIGHT + 16, damage.HEIGHT * 2])
def test_more_height_than_data(name: str, height: int) -> None:
    is_found([damage.taller(name, file_of(name), height)])


@each
def test_rows_strips_tiles_or_scans_that_are_missing(name: str) -> None:
    is_found(damage.missing(name, file_of(name)))


@each
def test_a_palette_that_is_too_short(name: str) -> None:
    data = damage.short_palette(name, file_of(name))
    is_found([data] if data is not None else [])


@each
def test_wrong_checksums(name: str) -> None:
    is_found(damage.wrong_checksums(name, file_of(name)))


@each
def test_one_bit_where_there_is_a_checksum(name: str) -> None:
    is_found(damage.one_bit(name, file_of(name)))


@each
def test_without_what_follows_the_last_row_it_is_whole(name: str) -> None:
    for data in damage.without_end(name, file_of(name)):
        for side in (48, 256):
            difference = ImageChops.difference(decoded(prepare(data, side=side).data), shown(name, side))
            assert max(ImageStat.Stat(difference).mean) < 0.02


OTHER = damage.PHOTO.transpose(Image.Transpose.ROTATE_180)
SEVERAL = {
    "webp": ("WEBP", {}), "webp-lossless": ("WEBP", {"lossless": True}), "apng": ("PNG", {}), "gif": ("GIF", {}), "tiff": ("TIFF", {}),
    "tiff-deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}), "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "mpo": ("MPO", {}), "avif": ("AVIF", {"speed": 10}), "heic": ("HEIF", {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", [kind for kind in SEVERAL if kind in NAMES or kind != "heic"])
def test_damage_after_the_first_image_does_not_count(kind: str) -> None:
    # GIVEN three images, frames or pages in one file
    fmt, options = SEVERAL[kind]
    sources = (damage.PHOTO, OTHER, damage.GREY.convert("RGB"))
    # Copies, as saving an image leaves settings in it
    images = [image.quantize(64) if fmt == "GIF" else image.copy() for image in sources]
    data = encoded(images[0], fmt, save_all=True, append_images=images[1:], **options)
    whole = decoded(prepare(data, side=256).data)
    # WHEN there are other bytes in the last half
    for at in range(len(data) // 2, len(data) - 4, len(data) // 16):
        damaged = data[:at] + bytes(255 - value for value in data[at : at + 3]) + data[at + 3 :]
        # THEN the first is read as it is
        assert decoded(prepare(damaged, side=256).data).tobytes() == whole.tobytes()
    # AND damage in the first is found where there is a checksum, or where its data must end
    if kind in ("apng", "tiff-deflate", "avif", "heic"):
        for at in range(len(data) // 8, len(data) // 4, len(data) // 64):
            is_found([data[:at] + bytes((data[at] ^ 8,)) + data[at + 1 :]])
