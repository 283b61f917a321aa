"""Small images for the tests, drawn and encoded here: every mode and format that Pillow writes."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from handlers import imaging
from handlers.imaging import MAX_IMAGE_BYTES, Normalised
from handlers.rejections import Rejection

SIDE = 64
MAX_PIXELS = 1_000_000
# Corners of `drawn`.
RED, GREEN, BLUE, YELLOW = (230, 20, 20), (20, 200, 20), (20, 20, 230), (230, 230, 20)
UPRIGHT = (RED, GREEN, BLUE, YELLOW)

# Mode, format and options of files that can show colours.
COLOURED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "jpeg": ("RGB", "JPEG", {}),
    "jpeg-progressive": ("RGB", "JPEG", {"progressive": True}),
    "jpeg-cmyk": ("CMYK", "JPEG", {}),
    "jpeg-ycbcr-420": ("YCbCr", "JPEG", {"subsampling": 2}),
    "png": ("RGB", "PNG", {}),
    "png-alpha": ("RGBA", "PNG", {}),
    "png-palette": ("P", "PNG", {}),
    "gif": ("P", "GIF", {}),
    "bmp": ("RGB", "BMP", {}),
    "bmp-palette": ("P", "BMP", {}),
    "bmp-alpha": ("RGBA", "BMP", {}),
    "tiff": ("RGB", "TIFF", {}),
    "tiff-lzw": ("RGB", "TIFF", {"compression": "tiff_lzw"}),
    "tiff-deflate-alpha": ("RGBA", "TIFF", {"compression": "tiff_deflate"}),
    "tiff-jpeg": ("RGB", "TIFF", {"compression": "jpeg"}),
    "tiff-cmyk": ("CMYK", "TIFF", {}),
    "tiff-lab": ("LAB", "TIFF", {}),
    "tiff-palette": ("P", "TIFF", {}),
    "tiff-big": ("RGB", "TIFF", {"big_tiff": True}),
    "webp": ("RGB", "WEBP", {}),
    "webp-lossless": ("RGBA", "WEBP", {"lossless": True}),
    "avif": ("RGB", "AVIF", {"quality": 90, "speed": 10}),
}


def drawn(width: int = 40, height: int = 30, mode: str = "RGB") -> Image.Image:
    """An image whose four corners differ (red, green, blue, yellow), so that turning it shows."""
    image = Image.new("RGB", (width, height))
    for x0, y0, colour in (
        (0, 0, (230, 20, 20)),
        (width // 2, 0, (20, 200, 20)),
        (0, height // 2, (20, 20, 230)),
        (width // 2, height // 2, (230, 230, 20)),
    ):
        image.paste(colour, (x0, y0, width, height))
    if mode.startswith("I;16") or mode == "I":
        return image.convert("L").convert("I").point(lambda value: value * 257).convert(mode)
    if mode == "F":
        return image.convert("L").convert("F")
    if mode == "P":
        return image.quantize(16)
    return image.convert(mode)


def noise(width: int, height: int, mode: str = "RGB", seed: int = 1) -> Image.Image:
    """An image that no encoder makes small."""
    size = width * height * {"RGB": 3, "RGBA": 4, "L": 1}[mode]
    return Image.frombytes(mode, (width, height), random.Random(seed).randbytes(size))


def encoded(image: Image.Image, fmt: str, **options: Any) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    """What a model sees: RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(png: bytes, kind: bytes, content: bytes) -> bytes:
    """A PNG with one more chunk, after its header."""
    return png[:33] + png_chunk(kind, content) + png[33:]


def png_header(width: int, height: int) -> bytes:
    """A PNG of a header alone: so many pixels are declared, none is there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    )


def prepare(data: bytes, side: int = SIDE, max_pixels: int = MAX_PIXELS) -> Normalised:
    """The normalised image of a file, checked to be small and of its content type."""
    normalised = imaging.prepare(data, side=side, max_pixels=max_pixels)
    assert len(normalised.data) <= MAX_IMAGE_BYTES
    with Image.open(io.BytesIO(normalised.data), formats=("JPEG", "PNG")) as image:
        assert Image.MIME[image.format or ""] == normalised.content_type
    return normalised


def rejection(data: bytes, **options: int) -> Rejection:
    """The rejection of a file that must be rejected."""
    with pytest.raises(Rejection) as rejected:
        prepare(data, **options)
    return rejected.value


def corners(data: bytes) -> tuple[tuple[int, ...], ...]:
    """The colours in the middle of the four quarters: upper left, upper right, lower left, lower right."""
    image = decoded(data)
    (w, h) = image.size
    middles = ((w // 4, h // 4), (3 * w // 4, h // 4), (w // 4, 3 * h // 4), (3 * w // 4, 3 * h // 4))
    return tuple(image.getpixel(middle) for middle in middles)  # type: ignore[misc]


def near(seen: Any, expected: Any, tolerance: int = 40) -> bool:
    """Whether colours are alike."""
    return all(
        abs(a - b) <= tolerance
        for left, right in zip(seen, expected, strict=True)
        for a, b in zip(left, right, strict=True)
    )


def many_scans(width: int, height: int, count: int) -> bytes:
    """A progressive JPEG whose last scan comes `count` times more."""
    data = encoded(noise(width, height), "JPEG", progressive=True, quality=30)
    last = data.rindex(b"\xff\xda")
    begin = data.rindex(b"\xff\xc4", 0, last)
    return data[:begin] + data[begin:-2] * 3 + data[last : last + 20] * count + b"\xff\xd9"
