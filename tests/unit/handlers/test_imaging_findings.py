"""What fuzzing and other decoders found: each a file that must not be called whole, or must not be rejected."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from PIL import Image

from tests.unit.handlers.sample_images import (
    decoded,
    drawn,
    encoded,
    near,
    noise,
    png_chunk,
    prepare,
    rejection,
)


@pytest.mark.parametrize(
    ("kind", "maximum"), [(b"P6", 100), (b"P5", 100), (b"P5", 1000), (b"P6", 1000), (b"P2", 100)]
)
def test_values_of_ppm_above_its_maximum(kind: bytes, maximum: int) -> None:
    count = 60 * 40 * (3 if kind == b"P6" else 1)
    for highest, whole in ((maximum, True), (maximum + 1, False)):
        values = [value % maximum for value in range(count - 1)] + [highest]
        if kind == b"P2":
            content = " ".join(map(str, values)).encode()
        else:
            content = struct.pack(f">{count}{'B' if maximum < 256 else 'H'}", *values)
        data = kind + b" # a comment\n60 40\n%d\n" % maximum + content
        if whole:
            assert prepare(data).width == 60
        else:
            assert rejection(data).code == "corrupt_image"


@pytest.mark.parametrize("kind", ["P1", "P2", "P3"])
def test_values_of_ppm_in_text_are_as_many_as_its_header_says(kind: str) -> None:
    # GIVEN values in lines, as P1 allows them also without spaces
    count = 30 * 20 * (3 if kind == "P3" else 1)
    values = [str(value % 2 if kind == "P1" else value % 251) for value in range(count)]
    header = f"{kind}\n30 20\n" + ("" if kind == "P1" else "255\n")

    def written(values: list[str], between: str = " ") -> bytes:
        return (header + between.join(values)).encode()

    whole = decoded(prepare(written(values, "" if kind == "P1" else " ")).data).tobytes()
    # WHEN there are comments or line ends between them, or a further image follows (not of bits: Pillow reads them to the end)
    further = b"" if kind == "P1" else b"\n" + written(values[:50])
    for data in (
        written(values, " # 1# 2\n"),
        written(values, "\r\n") + b"\n# the end",
        written(values) + further,
    ):
        # THEN the image is the same
        assert decoded(prepare(data).data).tobytes() == whole
    # AND with one more, or one less, it is damaged
    assert rejection(written([*values, "1"])).code == "corrupt_image"
    assert rejection(written(values[:-1])).code == "truncated_image"
    # AND a comment ends a number or comes within it: decoders disagree; a bit is a value by itself
    data = written([*values[:7], values[7] + "#9\n", *values[8:]])
    if kind == "P1":
        assert decoded(prepare(data).data).tobytes() == whole
    else:
        assert rejection(data).code == "corrupt_image"


def test_a_number_of_ppm_that_is_none() -> None:
    assert rejection(b"P3 2 2 25pz 1 2 3 4 5 6 7 8 9 10 11 12 ".ljust(80)).code == "corrupt_image"


def test_a_dark_image_of_16_bits_whose_maximum_is_given_stays_dark() -> None:
    values = struct.pack(">2400H", *(value % 9000 for value in range(2400)))
    seen: Any = decoded(prepare(b"P5 60 40 65535 " + values).data).getextrema()
    assert max(high for _, high in seen) < 40


@pytest.mark.parametrize("size", [(600, 400), (1400, 900)], ids=["small", "large"])
@pytest.mark.parametrize("optimize", [False, True])
def test_missing_bytes_at_the_end_of_a_scan(size: tuple[int, int], optimize: bool) -> None:
    data = encoded(noise(*size), "JPEG", quality=90, optimize=optimize)[:-2]
    # In a large image, the last two blocks may lack bits.
    for missing in (1, 3, 7) if size[0] < 1000 else (300,):
        refused = rejection(data[:-missing] + b"\xff\xd9", max_pixels=10**7)
        assert refused.code == "truncated_image", missing
    assert prepare(data + b"\xff\xd9", max_pixels=10**7)


@pytest.mark.parametrize("progressive", [False, True])
def test_bytes_missing_before_a_restart_marker(progressive: bool) -> None:
    data = encoded(noise(400, 300), "JPEG", restart_marker_rows=2, progressive=progressive)
    assert prepare(data)
    at = data.index(b"\xff\xd3", data.index(b"\xff\xda"))
    assert rejection(data[: at - 40] + data[at:]).code == "truncated_image"
    assert prepare(data[:at] + b"\xff" + data[at:])  # a fill byte before a marker


def test_restart_markers_out_of_order() -> None:
    data = encoded(noise(400, 300), "JPEG", restart_marker_rows=2)
    at = data.index(b"\xff\xd3", data.index(b"\xff\xda"))
    assert rejection(data[: at + 1] + b"\xd4" + data[at + 2 :]).code == "truncated_image"


@pytest.mark.parametrize("fmt", ["BMP", "PNG", "TIFF", "GIF"])
def test_colours_that_the_palette_does_not_have(fmt: str) -> None:
    image = drawn(60, 40, "P")
    data = bytearray(encoded(image, fmt))
    if fmt == "BMP":
        struct.pack_into("<I", data, 46, 2)
    elif fmt == "PNG":
        at = data.index(b"PLTE") - 4
        length = struct.unpack_from(">I", data, at)[0]
        data[at : at + 12 + length] = png_chunk(b"PLTE", bytes(data[at + 8 : at + 14]))
    elif fmt == "TIFF":
        at = data.index(struct.pack("<HH", 320, 3))
        struct.pack_into("<I", data, at + 4, 6)
    else:
        assert data[10] & 7
        colours = 3 << (data[10] & 7) + 1
        data[10] &= 0xF8
        data[13 : 13 + colours] = data[13:19]
    assert rejection(bytes(data)).code == "corrupt_image"


def test_a_palette_that_runs_into_the_pixels() -> None:
    data = bytearray(encoded(drawn(60, 40, "P"), "BMP"))
    struct.pack_into("<I", data, 10, 60)
    assert rejection(bytes(data)).code == "corrupt_image"


@pytest.mark.parametrize("mode", ["1", "L"])
def test_greys_that_the_palette_does_not_have(mode: str) -> None:
    data = bytearray(encoded(drawn(60, 40, mode), "BMP"))
    struct.pack_into("<I", data, 46, 1)
    assert rejection(bytes(data)).code == "corrupt_image"


def tiff_with(image: Image.Image, tag: int, *, count: int | None = None, value: int | None = None) -> bytes:
    """A file whose tag has another count or value."""
    data = bytearray(encoded(image, "TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    for at in range(first + 2, first + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", data, at)[0] == tag:
            if count is not None:
                struct.pack_into("<I", data, at + 4, count)
            if value is not None:
                struct.pack_into("<I", data, at + 8, value)
    return bytes(data)


def test_a_tiff_whose_strips_or_colours_are_missing() -> None:
    # A plane for each colour
    assert rejection(tiff_with(drawn(60, 40), 284, value=2)).code == "truncated_image"
    assert rejection(tiff_with(drawn(60, 40), 278, value=10)).code == "truncated_image"  # rows per strip
    assert rejection(tiff_with(drawn(60, 40), 273, value=4)).code == "corrupt_image"  # where the strip begins
    assert rejection(tiff_with(drawn(60, 40), 273, value=0)).code == "corrupt_image"
    # Bytes of the strips
    assert rejection(tiff_with(drawn(60, 40), 279, count=90_000)).code == "truncated_image"
    assert rejection(tiff_with(drawn(60, 40, "P"), 320, count=767)).code == "corrupt_image"


def test_a_wrong_length_of_an_uncompressed_strip_does_no_harm() -> None:
    assert prepare(tiff_with(drawn(60, 40), 279, value=40_000_000)).width == 60


@pytest.mark.parametrize("planes", [1, 2])
def test_strips_without_compression_have_the_bytes_of_their_rows(planes: int) -> None:
    # GIVEN strips of 10 rows, the last one of 5; as planes, of 60 bytes a row instead of 180
    lengths = [1800, 1800, 1800, 900] if planes == 1 else [600, 600, 600, 300] * 3
    data = tiff_of_strips(lengths, planes=planes)
    assert prepare(data).width == 60
    # GIVEN that all, or the last alone, are longer THEN the image is whole
    filled = [length + 2 for length in lengths]
    assert prepare(tiff_of_strips(filled, planes=planes)).data == prepare(data).data
    assert prepare(tiff_of_strips([*lengths[:-1], lengths[0]], planes=planes)).data == prepare(data).data
    # GIVEN lengths as of compressed strips THEN it is corrupt
    for wrong in ([lengths[0], lengths[1] - 1, *lengths[2:]], [lengths[0] + 7, lengths[1] + 1, *lengths[2:]]):
        assert rejection(tiff_of_strips(wrong, planes=planes)).code == "corrupt_image"


def test_tiles_without_compression_have_the_bytes_of_their_pixels() -> None:
    whole = tiff_of_strips([16 * 16 * 3] * 12, tile=16)
    assert prepare(whole).width == 60
    assert rejection(tiff_of_strips([768] * 11 + [767], tile=16)).code == "corrupt_image"


def tiff_of_strips(lengths: list[int], *, planes: int = 1, tile: int = 0) -> bytes:
    """RGB of 60 x 35 pixels without compression in strips of 10 rows, or in tiles; the bytes of each are numbered."""
    content, offsets = b"", []
    for length in lengths:
        offsets.append(8 + len(content))
        content += bytes(index % 251 for index in range(length))
    tags = [(256, 60), (257, 35), (259, 1), (262, 2), (277, 3), (284, planes)]
    tags += [(322, tile), (323, tile)] if tile else [(278, 10)]
    directory = 8 + len(content)
    arrays = directory + 2 + 12 * (len(tags) + 3) + 4
    places = [(258, 3, arrays), (324 if tile else 273, len(offsets), arrays + 12)]
    places.append((325 if tile else 279, len(lengths), arrays + 12 + 4 * len(offsets)))
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags]
    entries += [struct.pack("<HHII", tag, 4, count, where) for tag, count, where in places]
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry))
    values = struct.pack(f"<3I{len(offsets)}I{len(lengths)}I", 8, 8, 8, *offsets, *lengths)
    return (
        b"II*\0"
        + struct.pack("<I", directory)
        + content
        + struct.pack("<H", len(entries))
        + b"".join(entries)
        + bytes(4)
        + values
    )


@pytest.mark.parametrize("rows", [40, 10])
def test_strips_that_the_pixels_do_not_need_are_not_decoded(rows: int) -> None:
    image = drawn(60, 40)
    whole = encoded(image, "TIFF", tiffinfo={278: rows})
    (directory,) = struct.unpack_from("<I", whole, 4)
    (entries,) = struct.unpack_from("<H", whole, directory)
    for at in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind, count, value = struct.unpack_from("<HHII", whole, at)
        if tag == 273:
            offsets = (
                list(struct.unpack_from(f"<{count}{'H' if kind == 3 else 'I'}", whole, value))
                if count > 1
                else [value]
            )
            assert len(offsets) == 40 // rows
            more = struct.pack(f"<{count + 1}I", *offsets, 8)
            data = bytearray(whole)
            struct.pack_into("<HHII", data, at, 273, 4, count + 1, len(whole))
    assert decoded(prepare(bytes(data) + more).data).tobytes() == decoded(prepare(whole).data).tobytes()


def test_ppm_with_more_data_than_its_header_says() -> None:
    image = noise(60, 40)
    data = encoded(image, "PPM")
    assert prepare(data + b"\n").width == 60
    assert prepare(data + data).width == 60
    assert rejection(data.replace(b"60 40", b"60 38")).code == "corrupt_image"


def test_a_frame_smaller_than_its_screen_lies_on_white() -> None:
    data = bytearray(encoded(drawn(60, 40, "P"), "GIF"))
    struct.pack_into("<HH", data, 6, 120, 40)
    seen = decoded(prepare(bytes(data), side=128).data)
    assert near([seen.getpixel((110, 20))], [(255, 255, 255)], 2)
    assert near([seen.getpixel((10, 10))], [(230, 20, 20)])


def test_components_of_different_depths() -> None:
    data = bytearray(encoded(drawn(60, 40), "JPEG2000", no_jp2=True))
    data[45] = 1  # of the second component
    assert rejection(bytes(data)).code == "unsupported_format"


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("in_directory", [0, 1, 24])
def test_the_depth_of_an_icons_image_is_that_of_its_header(kind: int, in_directory: int) -> None:
    # GIVEN an icon or a cursor with an alpha channel, whose directory has another depth, or where the cursor points
    image = drawn(48, 48, "RGBA")
    image.putalpha(Image.linear_gradient("L").resize((48, 48)))
    whole = encoded(image, "ICO", sizes=[(48, 48)], bitmap_format="bmp")
    data = bytearray(whole)
    struct.pack_into("<H", data, 2, kind)
    struct.pack_into("<HH", data, 10, 1, in_directory)
    assert prepare(bytes(data)).data == prepare(whole).data


def test_the_mask_of_an_icon_whose_rows_are_not_filled() -> None:
    bitmap, other = (
        encoded(noise(50, 40), "ICO", sizes=[(50, 40)], bitmap_format=kind) for kind in ("bmp", "png")
    )
    pixels = (decoded(prepare(data).data).tobytes() for data in (bitmap, other))
    assert next(pixels) == next(pixels)


def test_bytes_behind_the_mask_of_an_icon_are_not_the_mask() -> None:
    whole = encoded(drawn(64, 64), "ICO", sizes=[(64, 64)], bitmap_format="bmp")
    data = bytearray(whole + b"\xff" * 300)
    struct.pack_into("<I", data, 14, len(data) - 22)
    assert prepare(bytes(data)).data == prepare(whole).data


def test_the_size_of_an_icons_image_may_be_that_of_its_header() -> None:
    data = bytearray(encoded(drawn(48, 48), "ICO", sizes=[(48, 48)], bitmap_format="bmp"))
    struct.pack_into("<I", data, 14, 40)
    assert prepare(bytes(data)).width == 48


def icon_24() -> bytes:
    """An icon of 48 x 48 pixels of 24 bits; their bytes begin at 62, those of the mask at 6974."""
    return encoded(drawn(48, 48), "ICO", sizes=[(48, 48)], bitmap_format="bmp")


def test_the_directory_of_an_icon_may_have_too_small_a_size() -> None:
    data = bytearray(icon_24())
    for size in (len(data) - 22 - 1, 6974 - 22, 3000):
        struct.pack_into("<I", data, 14, size)
        assert prepare(bytes(data)).data == prepare(icon_24()).data


def test_an_icon_without_a_mask_is_opaque_and_one_with_a_part_of_it_is_truncated() -> None:
    data = icon_24()
    assert len(data) == 6974 + 6 * 48  # rows of 48 bits, not filled
    masked = data[:6974] + b"\xff" * 6 * 24 + data[6974 + 6 * 24 :]
    pixels = decoded(prepare(masked).data)
    assert pixels.crop((0, 24, 48, 48)).getextrema() == ((255, 255),) * 3  # the lower half comes first
    assert prepare(data[:6974]).data == prepare(data).data
    for cut in (6975, len(data) - 1):
        assert rejection(data[:cut]).code == "truncated_image"
    assert rejection(data[:6973]).code == "truncated_image"


@pytest.mark.parametrize(("mode", "bits"), [("1", 1), ("P", 8)])
def test_colours_that_the_palette_of_an_icon_does_not_have(mode: str, bits: int) -> None:
    image = Image.linear_gradient("L").resize((48, 48)).convert(mode)
    data = bytearray(encoded(image, "ICO", sizes=[(48, 48)], bitmap_format="bmp"))
    (colours,) = struct.unpack_from("<I", data, 54)
    assert data[36] == bits
    assert prepare(bytes(data)).width == 48
    # WHEN the palette ends before the highest colour THEN the image is corrupt
    highest = 1 if mode == "1" else int(image.getextrema()[1])  # type: ignore[arg-type]
    struct.pack_into("<I", data, 54, highest)
    del data[62 + 4 * highest : 62 + 4 * colours]
    struct.pack_into("<I", data, 14, len(data) - 22)
    assert rejection(bytes(data)).code == "corrupt_image"


@pytest.mark.parametrize("kind", ["bmp", "png"])
def test_an_icon_whose_directory_has_another_size(kind: str) -> None:
    data = bytearray(encoded(drawn(64, 48), "ICO", sizes=[(64, 48)], bitmap_format=kind))
    assert data[6:8] == b"\x40\x30"
    for size, whole in (
        (b"\0\0", True),
        (b"\x40\0", True),
        (b"\x40\x60", True),
        (b"\x42\x30", False),
        (b"\x40\x31", False),
    ):
        data[6:8] = size
        if whole:
            assert prepare(bytes(data)).width == 64
        else:
            assert rejection(bytes(data)).code == "corrupt_image"


@pytest.mark.parametrize("compression", [1, 2, 4, 5])
def test_an_icon_whose_bitmap_is_compressed(compression: int) -> None:
    data = bytearray(encoded(drawn(48, 48, "P"), "ICO", sizes=[(48, 48)], bitmap_format="bmp"))
    assert prepare(bytes(data)).width == 48
    data[38] = compression
    assert rejection(bytes(data)).code == "corrupt_image"


def test_an_icon_whose_last_row_is_not_filled_is_truncated() -> None:
    data = encoded(drawn(50, 48), "ICO", sizes=[(50, 48)], bitmap_format="bmp")
    pixels = data[: 62 + 152 * 48]  # rows of 150 bytes, filled to 152
    assert prepare(pixels).width == 50
    assert rejection(pixels[:-1]).code == "truncated_image"


def test_colours_before_the_pixels_of_an_icon_are_no_pixels() -> None:
    data = bytearray(icon_24())
    struct.pack_into("<I", data, 54, 3)
    # GIVEN three colours in the header that are not there THEN nothing is left out
    assert prepare(bytes(data)).data == prepare(icon_24()).data
    # GIVEN that they are there THEN they are left out
    data[62:62] = bytes(range(12))
    struct.pack_into("<I", data, 14, len(data) - 22)
    assert prepare(bytes(data)).data == prepare(icon_24()).data


def test_a_png_that_ends_within_the_header_of_a_chunk_is_whole() -> None:
    data = encoded(drawn(60, 40), "PNG")
    for cut in (data[:-4], data[:-1], data[:-12] + b"\0\0\1\0IDAT", data[:-12] + b"\0\0\1\0tEXtab"):
        assert prepare(cut).width == 60


@pytest.mark.parametrize("at", [26, 27])
def test_a_png_of_an_unknown_method(at: int) -> None:
    data = encoded(Image.linear_gradient("L"), "PNG")
    header = bytearray(data[16:29])
    header[at - 16] = 1
    assert rejection(data[:8] + png_chunk(b"IHDR", bytes(header)) + data[33:]).code == "corrupt_image"
