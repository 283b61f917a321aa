"""HEIC, as phones write it: read where pillow-heif is installed, named where it is not."""

from __future__ import annotations

import io
import struct
import sys
from typing import Any

import pytest
from PIL import Image, ImageStat

from handlers.imaging import heif, hevc
from handlers.rejections import NotUnderstood, Rejection
from tests import needs
from tests.unit.handlers.sample_images import UPRIGHT, corners, drawn, near, noise, prepare, rejection
from tests.unit.handlers.test_imaging import TURNED
from tests.unit.handlers.test_imaging_pixel_values import wide_profile

pillow_heif = needs.module("libraries", "pillow_heif")


def heic(image: Image.Image, **options: Any) -> bytes:
    """A file of one image."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **{"quality": 90, **options})
    return buffer.getvalue()


SMALL = heic(Image.blend(drawn(200, 150), noise(200, 150), 0.1))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_it_is_read(mode: str) -> None:
    picture = prepare(heic(drawn(300, 200, mode)))
    assert (picture.format, picture.width, picture.height) == ("HEIF", 300, 200)
    if mode != "L":
        assert near(corners(picture.data), UPRIGHT)


def test_a_grid_of_tiles_is_one_image() -> None:
    data = heic(drawn(600, 400), tile_size=256)
    assert b"grid" in data
    picture = prepare(data)
    assert (picture.width, picture.height) == (600, 400)
    assert near(corners(picture.data), UPRIGHT)


@pytest.mark.parametrize("bits", [10, 12])
def test_more_than_eight_bits(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    values = [value * 257 for value in drawn(64, 48).tobytes()]
    deep = pillow_heif.from_bytes(mode="RGB;16", size=(64, 48), data=struct.pack(f"<{len(values)}H", *values))
    buffer = io.BytesIO()
    deep.save(buffer, quality=90)
    assert pillow_heif.open_heif(buffer, convert_hdr_to_8bit=False).info["bit_depth"] == bits
    assert near(corners(prepare(buffer.getvalue()).data), UPRIGHT)


@pytest.mark.parametrize("orientation", TURNED)
def test_rotation_and_mirroring_of_the_container(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = heic(drawn(240, 160), exif=exif.tobytes())
    assert orientation == 1 or b"irot" in data or b"imir" in data
    picture = prepare(data)
    assert near(corners(picture.data), TURNED[orientation]), corners(picture.data)
    assert (picture.width > picture.height) == (orientation < 5)


def test_orientation_in_exif_alone_counts_for_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 1, "a camera"
    data = heic(drawn(240, 160), exif=exif.tobytes())
    for order in "<>":
        entry = struct.pack(order + "HHI", 0x0112, 3, 1)
        if entry in data:
            at = data.index(entry) + 8
            data = data[:at] + struct.pack(order + "H", 6) + data[at + 2 :]
    assert near(corners(prepare(data).data), UPRIGHT)


def test_an_embedded_profile_is_applied() -> None:
    plain, other = (
        corners(prepare(heic(drawn(), icc_profile=profile)).data) for profile in (b"", wide_profile())
    )
    assert plain[0][0] > 200 > 100 > plain[0][1]
    assert other[0][1] > 150 > 100 > other[0][0]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_cut_off_it_is_truncated(share: float) -> None:
    data = SMALL
    assert rejection(data[: int(len(data) * share)]).code == "truncated_image"
    cut = data[: int(len(data) * share)]
    assert rejection(cut + bytes(len(data) - len(cut))).code in ("truncated_image", "corrupt_image")


def test_a_tile_that_is_missing() -> None:
    data = heic(drawn(600, 400), tile_size=256)
    at = data.rindex(b"infe", 0, data.index(b"iprp"))
    while data[at + 12 : at + 16] != b"hvc1":  # the last entry of a tile
        at = data.rindex(b"infe", 0, at)
    assert rejection(data[: at + 12] + b"none" + data[at + 16 :]).code in ("corrupt_image", "truncated_image")


def test_a_size_that_is_a_bomb() -> None:
    data = heic(drawn(64, 48))
    at = data.index(b"ispe") + 8
    bomb = data[:at] + struct.pack(">II", 60_000, 60_000) + data[at + 8 :]
    assert rejection(bomb, max_pixels=10**8).code == "too_many_pixels"


def test_a_size_that_the_coded_data_contradicts() -> None:
    data = bytearray(heic(drawn(600, 400)))
    at = data.find(b"ispe")
    while at >= 0:
        struct.pack_into(">II", data, at + 8, 64, 48)
        at = data.find(b"ispe", at + 4)
    assert rejection(bytes(data)).code == "corrupt_image"


def test_without_the_library_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    refused = rejection(heic(drawn()))
    assert refused.code == "unsupported_format"
    assert "HEIC" in str(refused)


def test_a_header_alone_is_truncated() -> None:
    for brand in (b"heic", b"heix", b"mif1", b"hevc"):
        data = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + b"\0" * 500
        assert rejection(data).code == "truncated_image"


@pytest.mark.parametrize(
    "options",
    [
        {"chroma": 444},
        {"chroma": 422},
        {"quality": -1},
        {"quality": -1, "chroma": 444, "matrix_coefficients": 0},
        {"quality": 5},
        {"enc_params": {"preset": "ultrafast"}},
        {"enc_params": {"x265:slices": "3"}},
        {"tile_size": 64},
    ],
    ids=str,
)
def test_what_encoders_write_is_whole(options: dict[str, Any]) -> None:
    image = drawn(330, 250)
    image.paste((0, 0, 0), (100, 60, 220, 180))
    image.paste((0, 255, 0), (10, 10, 90, 90))
    assert prepare(heic(image, **options)).width == 330


def test_what_is_shown_of_each_part() -> None:
    tiles = list(heif.coded_images(heic(drawn(600, 400), tile_size=256)))
    assert sorted((tile.width, tile.height) for tile in tiles) == sorted(
        (600 - x, 400 - y) for x in (0, 256, 512) for y in (0, 256)
    )
    cropped = heic(drawn(50, 41))
    assert b"clap" in cropped
    assert [(coded.width, coded.height) for coded in heif.coded_images(cropped)] == [(50, 41)]
    assert len(list(heif.coded_images(heic(drawn(50, 40, "RGBA"))))) == 2


# Width, height, and the centre's distances from that of the coded image: numerators, and divisors of 1 and 2. 64 x 64 are coded.
@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ((50, 41, -14, -23), (50, 41)),
        ((64, 64, 0, 0), (64, 64)),
        ((32, 64, 32, 0), (0, 0)),  # not at the left
        ((32, 64, -32, 0), (32, 64)),
        ((51, 41, -14, -23), None),  # half a pixel
        ((32, 64, 34, 0), None),
        ((32, 64, -34, 0), None),
        ((65, 64, 0, 0), None),
        ((0, 64, 0, 0), None),
    ],
)
def test_what_is_shown_is_within_the_image(
    numbers: tuple[int, int, int, int], shown: tuple[int, int] | None
) -> None:
    data = heic(drawn(50, 41))
    at, sizes = data.index(b"clap") + 4, data.index(b"ispe") + 8
    assert struct.unpack(">II", data[sizes : sizes + 8]) == (64, 64)
    width, height, x, y = numbers
    aperture = struct.pack(">IIIIiIiI", width, 1, height, 1, x, 2, y, 2)
    changed = data[:at] + aperture + data[at + 32 :]
    if shown is None:
        assert rejection(changed).code == "corrupt_image"
    else:
        (coded,) = heif.coded_images(changed)
        assert (coded.width, coded.height) == shown


@pytest.mark.parametrize("divisor", [4, 12])
def test_what_is_shown_has_a_size(divisor: int) -> None:
    data = heic(drawn(50, 41))
    at = data.index(b"clap") + divisor
    assert rejection(data[: at + 4] + bytes(4) + data[at + 8 :]).code == "corrupt_image"


def test_boxes_of_another_form_are_left_to_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    data = SMALL.replace(b"pitm", b"none", 1)
    with pytest.raises(NotUnderstood):
        list(heif.coded_images(data))
    hevc.check(data)


def _with_colour(data: bytes, matrix: int, *, full: bool) -> bytes:
    at = data.index(b"nclx") + 8
    return data[:at] + struct.pack(">HB", matrix, 128 * full) + data[at + 3 :]


def test_the_colour_of_the_item_counts_before_that_of_its_data() -> None:
    data = _with_colour(SMALL, 1, full=False)
    assert heif.colour(data) == (1, False)
    # As real cameras write it: not damage. It has more contrast.
    plain, stretched = (Image.open(io.BytesIO(prepare(file).data)).convert("L") for file in (SMALL, data))
    assert ImageStat.Stat(stretched).stddev[0] > ImageStat.Stat(plain).stddev[0] + 1


def test_green_blue_and_red_are_not_sampled_down() -> None:
    refused = rejection(_with_colour(SMALL, 0, full=True))
    assert refused.code == "corrupt_image"
    assert "sampled down" in str(refused)
    tiles = heic(drawn(150, 100), tile_size=64)
    assert rejection(_with_colour(tiles, 0, full=True)).code == "corrupt_image"
    whole = heic(drawn(60, 40), chroma=444)
    assert prepare(_with_colour(whole, 0, full=True)).format == "HEIF"
    assert rejection(_with_colour(whole, 0, full=False)).code == "unsupported_format"
    assert prepare(_with_colour(heic(drawn(60, 40, "L")), 0, full=False)).format == "HEIF"


def test_data_in_another_file() -> None:
    # GIVEN a reference to the first of the files that ``dref`` lists, which is missing
    at = SMALL.index(b"iloc") + 14
    assert SMALL[at - 4 : at + 2] == b"\0\1\0\1\0\0"
    changed = SMALL[: at + 1] + b"\1" + SMALL[at + 2 :]
    refused = rejection(changed)
    assert refused.code == "corrupt_image"
    assert "another file" in str(refused)
    # WHEN it is there: this file, or another
    for here in (True, False):
        entry = b"\0\0\0\x0curl \0\0\0" + bytes([here])
        dref = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
        dinf = struct.pack(">I4s", 8 + len(dref), b"dinf") + dref
        meta = changed.index(b"meta") - 4
        size = int.from_bytes(changed[meta : meta + 4], "big")
        head = changed[:meta] + (size + len(dinf)).to_bytes(4, "big") + changed[meta + 4 : meta + 12]
        offset = int.from_bytes(changed[at + 8 : at + 12], "big") + len(dinf)
        body = changed[meta + 12 : at + 8] + offset.to_bytes(4, "big") + changed[at + 12 :]
        data = head + dinf + body
        if here:
            assert prepare(data).data == prepare(SMALL).data
        else:
            assert rejection(data).code == "corrupt_image"


def test_two_images_in_the_place_of_one() -> None:
    # GIVEN a length of 0, which means to the end of the file, of the first of two tiles
    data = heic(drawn(100, 60), tile_size=64)
    assert len(list(heif.coded_images(data))) == 2
    at = data.index(b"iloc") + 32 + 16
    refused = rejection(data[:at] + bytes(4) + data[at + 4 :])
    assert refused.code == "corrupt_image"
    assert "several images" in str(refused)


def test_items_of_an_old_form_are_not_images() -> None:
    # GIVEN an entry without a type, and too short for one
    data = heic(drawn(50, 41, "RGBA"))
    at = data.rindex(b"infe")
    short = struct.pack(">I4sIHH", 16, b"infe", 0, 2, 0) + struct.pack(">I", 5) + b"\0"
    assert len(short) == int.from_bytes(data[at - 4 : at], "big")
    changed = data[: at - 4] + short + data[at - 4 + len(short) :]
    assert len(list(heif.coded_images(data))) == 2
    assert len(list(heif.coded_images(changed))) == 1


def _at(data: bytes, box: bytes, more: int, value: int) -> bytes:
    at = data.index(box) + more
    return data[:at] + bytes([value]) + data[at + 1 :]


def test_tiles_that_the_decoder_leaves_out() -> None:
    # GIVEN a grid, of which libheif leaves out tiles that it cannot read
    data = heic(drawn(150, 100), tile_size=64)
    assert prepare(data).width == 150
    assert data[data.index(b"iloc") + 4] == 1
    second = 4 + 8 + 20  # its number, and how its data is found
    changed = {
        "within other items": _at(data, b"iloc", second + 3, 2),
        "nowhere": _at(data, b"iloc", second + 16, 127),
        "ends early": _at(data, b"hvcC", 26, 200),
        "no configuration": data.replace(b"hvcC", b"none"),
    }
    for reason, file in changed.items():
        assert rejection(file).code in ("corrupt_image", "unsupported_format")
        with pytest.raises(Rejection, match=reason):
            list(heif.coded_images(file))


def test_another_image_is_not_shown_for_the_primary_one() -> None:
    # Found by fuzzing: libheif shows a tile that is not hidden where the grid lacks another one
    data = bytearray(heic(drawn(150, 100), tile_size=64))
    entries = [at for at in range(len(data)) if data.startswith(b"infe", at)]
    assert len(entries) == 7
    data[entries[1] + 2] += 1
    assert data[entries[3] + 7] == 1  # hidden
    data[entries[3] + 7] = 0
    assert rejection(bytes(data)).code == "corrupt_image"
    with pytest.raises(Rejection, match="is missing"):
        heif.check_shown(bytes(data), 64, 64)


def test_the_primary_image_is_shown_in_its_size() -> None:
    data = heic(drawn(150, 100), tile_size=64)
    heif.check_shown(data, 150, 100)
    with pytest.raises(Rejection, match="cannot be read"):
        heif.check_shown(data, 64, 64)


def test_data_that_goes_on_beyond_the_file() -> None:
    # Found by fuzzing: of a grid, libheif shows such a tile as green
    data = bytearray(heic(drawn(150, 100), tile_size=64))
    *_, length = heif._items(bytes(data))[1][7].extents[0]
    at = data.index(struct.pack(">I", length))
    struct.pack_into(">I", data, at, length + 70)
    assert rejection(bytes(data)).code == "truncated_image"
