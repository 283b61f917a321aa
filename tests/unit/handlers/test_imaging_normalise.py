"""What passes through, how the rest is scaled and encoded, and what becomes of an error of a decoder."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import pytest
from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError

from handlers import imaging
from handlers.imaging import normalise, pixel_values
from handlers.imaging.decoding import Decoded
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import decoded, drawn, encoded, noise, prepare, rejection, with_chunk
from tests.unit.handlers.test_imaging_colour import profile
from tests.unit.handlers.test_imaging_orientation import exif

MOST = 98_304
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_constants_have_their_reasons() -> None:
    assert imaging.MAX_IMAGE_BYTES * 4 // 3 == 262_144 // 2  # in base64, half of the limit of a state
    assert MOST == imaging.MAX_IMAGE_BYTES
    assert PngImagePlugin.MAX_TEXT_CHUNK == 16 * 2**20  # as documented
    assert normalise._USUAL_TEXT == 2**20  # what Pillow reads by itself
    assert Image.MAX_IMAGE_PIXELS is None


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, *notes: str) -> None:
    def decode(*_: Any, **__: Any) -> None:
        for _ in range(2):
            for note in notes:
                warnings.warn(note, stacklevel=1)
        raise error

    monkeypatch.setattr(normalise, "decode", decode)


BMP = b"BM" + bytes(12) + b"\x28\0\0\0"
# As long as it says, so that they may be a colour
CONVERTED = b"BM" + struct.pack("<I", 34) + BMP[6:] + b"\r\n" * 8


@pytest.mark.parametrize(
    ("error", "notes", "code", "found"),
    [
        (OSError("Truncated File Read"), [], "truncated_image", "BMP: OSError: Truncated File Read."),
        (OSError("unexpected end of file"), [], "truncated_image", "BMP: OSError: unexpected end of file."),
        (ValueError("broken: EOF"), [], "truncated_image", "BMP: ValueError: broken: EOF."),
        (EOFError("x"), [], "truncated_image", "BMP: EOFError: x."),
        (OSError("Unsupported thing (7)"), ["a"], "unsupported_format", "It is BMP: Unsupported thing (7)."),
        (KeyError(5), ["truncated"], "corrupt_image", "BMP: KeyError: 5."),
        (UnidentifiedImageError("0x7f"), [], "corrupt_image", "BMP: its header cannot be read."),
        (UnidentifiedImageError("0x7f"), ["one", "two", "three"], "corrupt_image", "BMP: three."),
        (UnidentifiedImageError("0x7f"), ["data is truncated"], "truncated_image", "BMP: data is truncated."),
        (MemoryError(), [], "too_complex", "BMP: it takes more memory than there is."),
        (Rejection("truncated_image", "It ends."), [], "truncated_image", "It ends."),
        (Rejection("corrupt_image", "It breaks."), [], "corrupt_image", "It breaks."),
        (Rejection("too_complex", "It is much."), [], "too_complex", "It is much."),
    ],
)
def test_an_error_of_a_decoder_is_a_rejection_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, error: Exception, notes: list[str], code: str, found: str
) -> None:
    failing(monkeypatch, error, *notes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the notes are read all the same
        refused = rejection(BMP)
    assert (refused.code, str(refused)) == (code, str(Rejection(code, found)))
    assert (
        code in ("truncated_image", "too_complex")
        or isinstance(error, Rejection)
        or refused.__cause__ is error
    )
    # GIVEN a file whose line ends were converted THEN a damaged one has this too
    more = rejection(CONVERTED)
    assert more.code == code
    explained = code in ("truncated_image", "corrupt_image", "unsupported_format")
    assert str(more).startswith(str(refused))
    assert ("Its line ends were converted" in str(more)) == explained
    assert (f"{str(refused)[-5:]} Its line ends" in str(more)) == explained


def test_line_ends_that_were_converted_are_found_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyError())
    refused = rejection(b"GIF89a" + b"\r\n" * 8)
    assert refused.code == "corrupt_image"
    assert "Its line ends were converted" in str(refused)
    assert "KeyError" not in str(refused)
    assert "KeyError" in str(rejection(b"GIF89a" + b"\r\n" * 7))


def padded(size: int) -> bytes:
    return encoded(noise(60, 40), "JPEG").ljust(size, b"x")


def test_a_file_passes_through_up_to_the_size_that_fits() -> None:
    assert prepare(padded(MOST)).data == padded(MOST)
    found = prepare(padded(MOST + 1))
    assert found.content_type == "image/png"
    assert decoded(found.data).tobytes() == decoded(padded(MOST)).tobytes()


@pytest.mark.parametrize("fmt", ["JPEG", "PNG"])
def test_a_file_passes_through_up_to_the_longest_side(fmt: str) -> None:
    for size in ((60, 40), (40, 60)):
        data = encoded(noise(*size), fmt)
        assert prepare(data, side=60) == imaging.Normalised(data, f"image/{fmt.lower()}", fmt, *size)
        found = prepare(data, side=59)
        assert (found.content_type, found.width, found.height) == ("image/jpeg", *size)
        assert max(decoded(found.data).size) == 59


LETTERS = b"name\0\0"


def transparent(mode: str, alpha: int) -> Image.Image:
    image = drawn(30, 20, mode)
    image.putalpha(Image.new("L", image.size, 255))
    image.putpixel(
        (0, 0), (*drawn().convert(mode.removesuffix("A")).getbands(), 0)[:0] or image.getpixel((0, 0))
    )
    band = image.getchannel("A")
    band.putpixel((3, 3), alpha)
    image.putalpha(band)
    return image


@pytest.mark.parametrize(
    ("data", "passes"),
    [
        (encoded(transparent("RGBA", 255), "PNG"), True),
        (encoded(transparent("RGBA", 254), "PNG"), False),
        (encoded(transparent("LA", 255), "PNG"), False),
        (encoded(drawn(30, 20, "P"), "PNG"), True),
        (encoded(drawn(30, 20, "P"), "PNG", transparency=0), False),
        (encoded(drawn(30, 20, "L"), "PNG"), True),
        (encoded(drawn(30, 20, "L"), "PNG", transparency=0), False),
        (encoded(drawn(30, 20, "1"), "PNG"), True),
        (encoded(drawn(30, 20), "PNG", transparency=(1, 2, 3)), False),
        (encoded(drawn(30, 20, "I;16"), "PNG"), False),
        (encoded(drawn(30, 20, "L"), "JPEG"), True),
        (encoded(drawn(30, 20, "CMYK"), "JPEG"), False),
        (encoded(drawn(30, 20), "JPEG")[:-2], False),
        *((encoded(drawn(30, 20), "JPEG", exif=exif(0x0112, turn)), turn == 1) for turn in (1, 2, 6)),
        (encoded(drawn(30, 20), "GIF"), False),
        (encoded(drawn(30, 20), "BMP"), False),
        (encoded(drawn(30, 20), "MPO", save_all=True, append_images=[drawn(30, 20)]), False),
        (encoded(drawn(30, 20), "PNG", save_all=True, append_images=[noise(30, 20)]), False),
        (encoded(drawn(30, 20), "JPEG", icc_profile=profile({})), False),
        (encoded(drawn(30, 20), "JPEG", icc_profile=SRGB), True),
        (with_chunk(encoded(drawn(30, 20), "PNG"), b"zTXt", LETTERS + zlib.compress(b"x" * 2**20)), True),
        (with_chunk(encoded(drawn(30, 20), "PNG"), b"zTXt", LETTERS + zlib.compress(b"x" * (2**20 + 1))), False),
        (with_chunk(encoded(drawn(30, 20), "PNG"), b"iCCP", LETTERS + zlib.compress(b"x" * 2**20)), True),
        (with_chunk(encoded(drawn(30, 20), "PNG"), b"iCCP", LETTERS + zlib.compress(b"x" * (2**20 + 1))), False),
    ],
)  # fmt: skip
def test_what_every_decoder_reads_alike_passes_through(data: bytes, passes: bool) -> None:
    assert (prepare(data).data == data) == passes


def test_16_bits_pass_through_only_as_8() -> None:
    header = struct.pack(">IIBBBBB", 3, 1, 16, 2, 0, 0, 0)
    content = zlib.compress(b"\0" + struct.pack(">9H", *range(0, 65_529, 8191)))
    from tests.unit.handlers.sample_images import png_chunk

    data = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", content)
        + png_chunk(b"IEND", b"")
    )
    assert list(decoded(prepare(data).data).tobytes()) == [value >> 8 for value in range(0, 65_529, 8191)]


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (9, 8, 7)), ("L", 77), ("P", 0), ("1", 255)])
def test_one_colour_is_named(mode: str, colour: Any) -> None:
    image = Image.new(mode, (20, 10), colour)
    shown = image.convert("RGB").getpixel((0, 0))
    for side in (20, 10):
        refused = rejection(encoded(image, "PNG"), side=side)
        assert refused.code == "blank_image"
        assert f"Its colour is {shown}." in str(refused)


def test_an_image_that_is_one_colour_only_when_scaled_down_is_decoded_again() -> None:
    image = Image.new("L", (512, 512))
    image.putdata([255 * ((x + y) % 2) for y in range(512) for x in range(512)])
    for fmt in ("JPEG", "PNG", "WEBP"):
        assert prepare(encoded(image, fmt), side=16).width == 512
    for size in ((20, 512), (512, 20)):
        assert prepare(encoded(image.crop((0, 0, *size)), "JPEG"), side=16).width == size[0]
    # GIVEN that the limit of pixels is exactly met, and a decoder at a fraction of the size
    assert prepare(encoded(image, "JPEG"), side=16, max_pixels=512 * 512).height == 512


@pytest.mark.parametrize(("mode", "count"), [("P", 1), ("RGB", 2)])  # RGB is scaled in place
def test_an_image_of_one_colour_is_not_decoded_without_need(
    monkeypatch: pytest.MonkeyPatch, mode: str, count: int
) -> None:
    given = []
    decode = normalise.decode

    def recorded(data: bytes, name: str, **options: int) -> Decoded:
        given.append(options)
        return decode(data, name, **options)

    monkeypatch.setattr(normalise, "decode", recorded)
    assert rejection(encoded(Image.new(mode, (90, 50)), "PNG"), max_pixels=4500).code == "blank_image"
    assert given == [{"side": 64, "max_pixels": 4500}, {"side": 90, "max_pixels": 4500}][:count]


@pytest.mark.parametrize("fmt", ["PNG", "WEBP"])
def test_a_large_image_is_scaled_and_encoded_as_the_best_jpeg_that_fits(fmt: str) -> None:
    image = noise(400, 250)
    data = encoded(image, fmt, **({"lossless": True} if fmt == "WEBP" else {}))
    image.thumbnail((64, 64), Image.Resampling.LANCZOS)
    expected = encoded(image, "JPEG", quality=92, subsampling=0)
    found = prepare(data)
    assert found == imaging.Normalised(expected, "image/jpeg", fmt, 400, 250)


def test_the_best_quality_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(64, 48)
    versions = [
        encoded(image, "PNG"),
        *(encoded(image, "JPEG", quality=q, subsampling=0) for q in (92, 85, 70, 50, 30)),
    ]
    sizes = list(map(len, versions))
    assert sizes == sorted(sizes, reverse=True)
    for version, size in zip(versions, sizes, strict=True):
        monkeypatch.setattr(normalise, "MAX_IMAGE_BYTES", size)
        for lossless in (True, False) if version is not versions[0] else (True,):
            content_type = "image/png" if version is versions[0] else "image/jpeg"
            assert normalise._encode(image.copy(), lossless=lossless) == (version, content_type)
    # GIVEN that none fits THEN it is half as large, and never lossless
    monkeypatch.setattr(normalise, "MAX_IMAGE_BYTES", sizes[-1] - 1)
    half = encoded(image.reduce(2), "JPEG", quality=92, subsampling=0)
    assert normalise._encode(image, lossless=True) == (half, "image/jpeg")
    # GIVEN that it would be small as PNG then
    image = noise(32, 24, "L").convert("1").convert("RGB").resize((64, 48), Image.Resampling.NEAREST)
    most = len(encoded(image, "JPEG", quality=30, subsampling=0)) - 1
    monkeypatch.setattr(normalise, "MAX_IMAGE_BYTES", most)
    assert len(encoded(image.reduce(2), "PNG")) < most
    assert normalise._encode(image, lossless=False)[1] == "image/jpeg"


@pytest.mark.parametrize("size", [(60, 40), (90, 80)])
def test_what_is_sent_has_no_profile(size: tuple[int, int]) -> None:
    for fmt in ("TIFF", "WEBP"):
        sent = prepare(encoded(noise(*size), fmt, icc_profile=SRGB)).data
        with Image.open(io.BytesIO(sent)) as image:
            assert image.info.get("icc_profile") is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "CMYK"])
def test_no_copy_is_made_at_full_size(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    image = noise(300, 200, mode) if mode in ("RGB", "RGBA", "L") else noise(300, 200).convert(mode)
    copies = []
    convert = Image.Image.convert

    def recorded(self: Image.Image, *arguments: Any, **options: Any) -> Image.Image:
        if (self.size, self.mode) == ((300, 200), arguments[0]):
            copies.append(self.mode)
        return convert(self, *arguments, **options)

    monkeypatch.setattr(Image.Image, "convert", recorded)
    found = normalise._rgb(Decoded(image, 300, 200), 64)
    assert (found.mode, found.size) == ("RGB", (64, 43))
    assert copies == []


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (2, 2), (1, 2, 3)), (1, 2, 3)),
        (Image.new("L", (2, 2), 9), (9, 9, 9)),
        (Image.new("CMYK", (2, 2), (0, 0, 0, 55)), (200, 200, 200)),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 128)), (127, 127, 127)),
        (Image.new("RGBA", (2, 2), (5, 6, 7, 0)), (5, 6, 7)),
        (Image.new("LA", (2, 2), (0, 128)), (127, 127, 127)),
        (Image.new("LA", (2, 2), (9, 0)), (9, 9, 9)),
        (Image.new("YCbCr", (2, 2), (100, 128, 128)), (100, 100, 100)),
        (Image.new("1", (2, 2), 255), (255, 255, 255)),
    ],
)
def test_every_mode_becomes_rgb(image: Image.Image, expected: tuple[int, ...]) -> None:
    found = normalise._rgb(Decoded(image, 2, 2), 2)
    assert (found.mode, found.getpixel((1, 1))) == ("RGB", expected)


def test_what_the_file_gives_of_its_values_counts() -> None:
    image = Image.new("I", (2, 1), 100)
    image.putpixel((1, 0), 200)
    assert list(normalise._rgb(Decoded(image, 2, 1, significant_bits=9), 2).tobytes()) == [49] * 3 + [99] * 3
    deep = Image.new("F", (41, 2), 0.25)
    deep.paste(-5555, (0, 1, 41, 2))
    deep.putpixel((3, 0), 0.75)
    assert pixel_values.is_blank(normalise._rgb(Decoded(deep, 41, 2), 41).crop((0, 0, 41, 1)))
    assert not pixel_values.is_blank(
        normalise._rgb(Decoded(deep, 41, 2, no_data=-5555.0), 41).crop((0, 0, 41, 1))
    )


def test_a_profile_counts_after_scaling(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def to_srgb(image: Image.Image, block: bytes) -> Image.Image:
        seen.append((image.mode, image.size, block))
        return Image.new("RGB", image.size, (7, 8, 9))

    monkeypatch.setattr(normalise.colour, "to_srgb", to_srgb)
    for mode, space in (("L", b"GRAY"), ("RGB", b"RGB "), ("CMYK", b"CMYK")):
        image = Image.new(mode, (30, 10))
        image.info["icc_profile"] = profile({}, space)
        assert normalise._rgb(Decoded(image, 30, 10), 15).getpixel((0, 0)) == (7, 8, 9)
        assert seen.pop() == (mode, (15, 5), profile({}, space))
