"""Damaged files of every format: what a decoder has to invent makes a rejection, and what is whole stays an image."""

from __future__ import annotations

import ctypes
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from handlers.imaging import jpeg, png
from handlers.imaging.spliced import SplicedFile
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import decoded, drawn, encoded, noise, png_chunk, prepare, rejection

WIDTH, HEIGHT = 300, 200
PHOTO = Image.blend(drawn(WIDTH, HEIGHT), noise(WIDTH, HEIGHT), 0.15)

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline": ("JPEG", {}),
    "baseline-grey": ("JPEG", {}),
    "baseline-optimized": ("JPEG", {"optimize": True}),
    "baseline-restart": ("JPEG", {"restart_marker_rows": 1}),
    "baseline-444": ("JPEG", {"subsampling": 0}),
    "progressive": ("JPEG", {"progressive": True}),
    "cmyk": ("JPEG", {}),
}


def jpeg_of(kind: str) -> bytes:
    fmt, options = KINDS[kind]
    image = PHOTO.convert({"baseline-grey": "L", "cmyk": "CMYK"}.get(kind, "RGB"))
    return encoded(image, fmt, quality=88, **options)


@pytest.mark.parametrize("side", [64, 512], ids=["scaled", "full"])
@pytest.mark.parametrize("kind", KINDS)
class TestJpeg:
    @pytest.mark.parametrize("share", [0.15, 0.5, 0.9, 0.99])
    def test_cut_and_closed(self, kind: str, share: float, side: int) -> None:
        data = jpeg_of(kind)
        # What is missing of the last bits does not show at an eighth of the size
        if kind == "progressive" and side == 64:
            share = min(share, 0.5)
        refused = rejection(data[: int(len(data) * share)] + b"\xff\xd9", side=side)
        assert refused.code == "truncated_image"

    @pytest.mark.parametrize("share", [0.15, 0.5, 0.9])
    def test_a_tail_of_zeros(self, kind: str, share: float, side: int) -> None:
        data = jpeg_of(kind)
        cut = int(len(data) * share)
        for tail in (bytes(len(data) - cut), bytes(100_000)):
            assert rejection(data[:cut] + tail, side=side).code in ("truncated_image", "corrupt_image")

    @pytest.mark.parametrize("rows", [HEIGHT + 16, HEIGHT * 2, HEIGHT * 10, 65_000])
    def test_more_height_than_data(self, kind: str, rows: int, side: int) -> None:
        data = bytearray(jpeg_of(kind))
        at = data.index(b"\xff\xc2" if kind == "progressive" else b"\xff\xc0") + 5
        struct.pack_into(">H", data, at, rows)
        assert rejection(bytes(data), side=side, max_pixels=10**8).code == "truncated_image"

    def test_without_its_last_bytes_it_is_whole(self, kind: str, side: int) -> None:
        data = jpeg_of(kind)
        whole = prepare(data, side=side)
        for other in (data[:-2], data[:-1], data + bytes(5000), data + b"trailing" * 99, data + data):
            found = prepare(other, side=side)
            assert (found.width, found.height) == (whole.width, whole.height)
            difference = ImageChops.difference(decoded(found.data), decoded(whole.data))
            assert max(ImageStat.Stat(difference).mean) <= (0 if side == 64 else 8)  # it may be encoded again
            # A model's own decoder may insist on the end that it has.
            assert found.data.endswith((b"\xff\xd9", b"IEND\xaeB`\x82")) or found.data == other

    def test_a_hole_in_the_middle(self, kind: str, side: int) -> None:
        data = jpeg_of(kind)
        middle = len(data) // 2
        assert rejection(data[:middle] + data[middle + 4000 :], side=side).code in (
            "truncated_image",
            "corrupt_image",
        )

    def test_a_marker_that_ends_the_scan_early(self, kind: str, side: int) -> None:
        data = jpeg_of(kind)
        middle = len(data) * 3 // 4
        assert rejection(data[:middle] + b"\xff\xfe\0\4ab" + data[middle:], side=side).code in (
            "truncated_image",
            "corrupt_image",
        )


@pytest.mark.parametrize("marker", [0xC0, 0xC3, 0xC9, 0xF7])
def test_a_frame_header_within_a_scan_is_damage_and_no_other_format(marker: int) -> None:
    data = jpeg_of("baseline")
    middle = len(data) // 2
    assert rejection(data[:middle] + bytes((0xFF, marker)) + data[middle + 2 :]).code == "corrupt_image"


def test_a_page_of_zeros_within_a_jpeg() -> None:
    data = encoded(noise(400, 300), "JPEG", quality=95)
    at = len(data) // 2
    assert rejection(data[:at] + bytes(4096) + data[at + 4096 :]).code == "corrupt_image"


def test_flat_areas_of_an_optimized_jpeg_are_not_taken_for_zeros() -> None:
    image = Image.new("L", (4000, 3000), 128)
    image.paste(20, (0, 0, 8, 8))
    data = encoded(image, "JPEG", optimize=True)
    assert bytes(512) in data
    assert prepare(data, side=512, max_pixels=10**8).width == 4000


def test_restart_markers_that_are_missing() -> None:
    data = jpeg_of("baseline-restart")
    first, third = data.index(b"\xff\xd1"), data.index(b"\xff\xd3")
    assert rejection(data[:first] + data[third:]).code == "truncated_image"


def test_a_progressive_jpeg_without_its_last_scan() -> None:
    data = jpeg_of("progressive")
    last = data.rindex(b"\xff\xda")
    refused = rejection(data[: data.rindex(b"\xff\xc4", 0, last)] + b"\xff\xd9")
    assert refused.code == "truncated_image"


def test_the_decoder_reads_as_far_ahead_as_is_assumed() -> None:
    # GIVEN whole files of many lengths and sizes THEN none is rejected for what the decoder reads ahead
    for seed in range(30):
        image = noise(130 + 7 * seed, 140, seed=seed)
        for quality in (20, 75, 95):
            assert prepare(encoded(image, "JPEG", quality=quality))


@pytest.mark.parametrize("size", [(300, 200), (40, 30)], ids=["large", "small"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "I;16"])
class TestPng:
    def rows(self, mode: str, size: tuple[int, int]) -> tuple[bytes, bytes, bytes]:
        """A file up to its data, its data inflated, and the end."""
        image = noise(*size).convert("RGB" if mode == "RGBA" else "L")
        image = (
            image.convert("L").convert("I").point(lambda value: value * 257).convert("I;16")
            if mode == "I;16"
            else image.convert(mode)
        )
        data = encoded(image, "PNG")
        at = data.index(b"IDAT") - 4
        found = png.inspect(data)
        return data[:at], zlib.decompress(b"".join(found.data)), png_chunk(b"IEND", b"")

    def test_a_stream_that_breaks_under_right_checksums(self, mode: str, size: tuple[int, int]) -> None:
        begin, raw, end = self.rows(mode, size)
        stream = bytearray(zlib.compress(raw))
        for share in (0.1, 0.5, 0.95):
            broken = bytearray(stream)
            at = int(len(stream) * share)
            broken[at : at + 3] = bytes(255 - value for value in broken[at : at + 3])
            assert rejection(begin + png_chunk(b"IDAT", bytes(broken)) + end).code in (
                "corrupt_image",
                "truncated_image",
            )

    def test_a_wrong_checksum_of_the_stream(self, mode: str, size: tuple[int, int]) -> None:
        begin, raw, end = self.rows(mode, size)
        stream = zlib.compress(raw)
        wrong = stream[:-1] + bytes((stream[-1] ^ 1,))
        assert rejection(begin + png_chunk(b"IDAT", wrong) + end).code == "corrupt_image"

    @pytest.mark.parametrize("missing", [1, 5, 1000])
    def test_rows_that_are_missing(self, mode: str, size: tuple[int, int], missing: int) -> None:
        begin, raw, end = self.rows(mode, size)
        short = zlib.compress(raw[: -min(missing, len(raw))])
        assert rejection(begin + png_chunk(b"IDAT", short) + end).code == "truncated_image"

    def test_more_data_than_rows_is_whole(self, mode: str, size: tuple[int, int]) -> None:
        begin, raw, end = self.rows(mode, size)
        data = begin + png_chunk(b"IDAT", zlib.compress(raw)) + end
        longer = begin + png_chunk(b"IDAT", zlib.compress(raw + bytes(7))) + end
        assert prepare(longer).width == prepare(data).width

    def test_whole_without_its_end(self, mode: str, size: tuple[int, int]) -> None:
        begin, raw, end = self.rows(mode, size)
        data = begin + png_chunk(b"IDAT", zlib.compress(raw)) + end
        assert prepare(data[:-12]).width == size[0]

    def test_a_wrong_checksum_of_a_chunk(self, mode: str, size: tuple[int, int]) -> None:
        begin, raw, end = self.rows(mode, size)
        chunk = bytearray(png_chunk(b"IDAT", zlib.compress(raw)))
        chunk[-1] ^= 1
        assert rejection(begin + bytes(chunk) + end).code == "corrupt_image"


def interlaced(size: tuple[int, int], missing: int = 0) -> bytes:
    """An interlaced RGB file of which `missing` bytes are not there."""
    found = png.inspect(encoded(drawn(*size), "PNG"))
    found.interlaced = True
    raw = bytes(found.inflated - missing)
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 1)
    return (
        png.SIGNATURE
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(raw))
        + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(300, 200), (7, 5), (1, 1), (2, 3)])
def test_an_interlaced_png_whose_passes_are_incomplete(size: tuple[int, int]) -> None:
    assert rejection(interlaced(size, 1)).code == "truncated_image"
    assert rejection(interlaced(size)).code == "blank_image"


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("frame", ["whole", "part"])
def test_a_gif_whose_data_ends_early_but_is_closed(large: bool, frame: str) -> None:
    image = noise(200 if large else 40, 150 if large else 30).quantize(200)
    data = encoded(image, "GIF")
    if frame == "part":  # of a larger screen
        data = data[:6] + struct.pack("<HH", 400, 300) + data[10:]
        assert prepare(data)
    # GIVEN sub-blocks of the frame's data, of which the last are left out and replaced by the terminator
    at = data.index(b"\x2c") + 11
    for _ in range(3):
        at += 1 + data[at]
    assert rejection(data[:at] + b"\0;").code == "truncated_image"


@pytest.mark.parametrize(("interlace", "share"), [(0, 0.4), (1, 0.4)])
def test_a_gif_whose_data_does_not_end_after_its_pixels(interlace: int, share: float) -> None:
    # GIVEN one changed bit, after which there often are more pixels, or fewer
    data = encoded(PHOTO.quantize(64), "GIF", interlace=interlace)
    first = data.index(b"\x2c", 13 + 3 * 64) + 12
    places = range(first + 9, len(data) - 99, len(data) // 60)
    found = 0
    for at in places:
        try:
            prepare(data[:at] + bytes((data[at] ^ 16,)) + data[at + 1 :])
        except Rejection as refused:
            found += refused.code in ("corrupt_image", "truncated_image")
    assert found > share * len(places) > 20


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "ICO", "PPM"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_every_format_cut_off_is_truncated(fmt: str, share: float) -> None:
    options = {"speed": 10} if fmt == "AVIF" else {"sizes": [(200, 150)]} if fmt == "ICO" else {}
    data = encoded(noise(200, 150), fmt, **options)
    assert rejection(data[: int(len(data) * share)]).code in ("truncated_image", "corrupt_image")


@pytest.mark.parametrize(
    ("fmt", "options"),
    [
        ("WEBP", {}), ("WEBP", {"lossless": True}), ("AVIF", {"speed": 10}), ("JPEG2000", {}), ("GIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_deflate"}), ("TIFF", {"compression": "jpeg"}),
        ("ICO", {"sizes": [(200, 150)]}),
    ],
)  # fmt: skip
def test_compressed_data_that_ends_in_zeros(fmt: str, options: dict[str, Any]) -> None:
    data = encoded(noise(200, 150), fmt, **options)
    cut = len(data) // 3
    assert rejection(data[:cut] + bytes(len(data) - cut)).code in ("truncated_image", "corrupt_image")


def test_a_tiff_whose_jpeg_strips_are_cut() -> None:
    data = bytearray(encoded(noise(200, 150), "TIFF", compression="jpeg"))
    at = data.rindex(b"\xff\xd9")
    begin = data.rindex(b"\xff\xda", 0, at)
    middle = begin + (at - begin) // 3
    data[middle : middle + 2] = b"\xff\xd9"
    assert rejection(bytes(data)).code in ("truncated_image", "corrupt_image")


@pytest.mark.parametrize("compression", ["group4", "group3", "tiff_ccitt"])
def test_a_fax_whose_rows_are_missing(compression: str) -> None:
    # GIVEN a scan in strips of 50 rows, and where its second strip is
    scan = drawn(300, 150).convert("1")
    data = encoded(scan, "TIFF", compression=compression, tiffinfo={278: 50})
    with Image.open(io.BytesIO(data)) as image:
        tags = image.tag_v2  # type: ignore[attr-defined]  # of a TIFF
    begin, length = tags[273][1], tags[279][1]
    assert decoded(prepare(data, side=512).data).convert("1").tobytes() == scan.tobytes()
    for share in (0.3, 0.9):
        # WHEN the rest of it is zeros, or there is none
        missing = length - int(length * share)
        zeros = data[: begin + length - missing] + bytes(missing) + data[begin + length :]
        counts = struct.pack("<3I", *tags[279])
        shorter = struct.pack("<3I", tags[279][0], length - missing, tags[279][2])
        assert data.count(counts) == 1
        # THEN no row is invented
        for damaged in (zeros, data.replace(counts, shorter)):
            assert rejection(damaged).code in ("truncated_image", "corrupt_image")


def test_codes_of_a_fax_that_do_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(PHOTO.convert("1"), "TIFF", compression="group4")
    with Image.open(io.BytesIO(data)) as image:
        (begin,), (length,) = (image.tag_v2[tag] for tag in (273, 279))  # type: ignore[attr-defined]  # of a TIFF
    places = range(begin + 9, begin + length // 2, length // 50)
    # GIVEN one changed bit THEN nearly all of these files have a code that does not exist
    found = []
    for at in places:
        try:
            prepare(data[:at] + bytes((data[at] ^ 4,)) + data[at + 1 :])
        except Rejection as refused:
            found.append(refused.code)
    assert len(places) > 20
    assert found.count("corrupt_image") > 0.9 * len(places)
    # WHERE libtiff cannot be found, an image is read all the same
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert prepare(data).width == WIDTH


@pytest.mark.parametrize("declared", [10, 10_000])
def test_a_webp_that_declares_more_than_there_is(declared: int) -> None:
    data = bytearray(encoded(noise(200, 150), "WEBP"))
    struct.pack_into("<I", data, 4, struct.unpack_from("<I", data, 4)[0] + declared)
    assert rejection(bytes(data)).code == "truncated_image"


def test_a_tile_of_jpeg_2000_that_is_missing() -> None:
    data = encoded(noise(200, 150), "JPEG2000", tile_size=(64, 64), no_jp2=True)
    last = data.rindex(b"\xff\x90\0\x0a")
    assert rejection(data[:last] + b"\xff\xd9").code == "truncated_image"


def test_a_file_of_parts_reads_as_one() -> None:
    whole = bytes(range(200))
    file = SplicedFile([whole[:50], memoryview(whole)[50:51], b"", whole[51:]])
    assert file.read() == whole
    assert file.seek(40) == 40
    assert file.read(20) == whole[40:60]
    assert (file.seek(-5, 2), file.read(10), file.read(10)) == (195, whole[195:], b"")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\0\2",
        jpeg_of("baseline")[: jpeg_of("baseline").index(b"\xff\xc0") + 5] + b"\xff\xd9",
        b"\xff\xd8\xff\xc0\0\x0b\x08\0\1\0\1\1\1\x11\0",
    ],
)
def test_a_jpeg_of_a_beginning_alone(data: bytes) -> None:
    with pytest.raises(Rejection) as refused:
        jpeg.inspect(data)
    assert refused.value.code == "truncated_image"
