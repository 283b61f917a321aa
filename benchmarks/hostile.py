"""Hostile files: truncated, bombs, wrongly named, empty, text, random, and mutations of valid images, the same for the same seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image

_SIDE = 48


def valid() -> dict[str, bytes]:
    """Small valid files of every format that is read, by file name."""
    image = Image.linear_gradient("L").resize((_SIDE, _SIDE)).convert("RGB")
    frames = [image.rotate(angle) for angle in (90, 180)]
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "a.jpg": ("JPEG", {"quality": 90}),
        "progressive.jpg": ("JPEG", {"progressive": True}),
        "a.png": ("PNG", {}),
        "a.gif": ("GIF", {"save_all": True, "append_images": frames}),
        "a.bmp": ("BMP", {}),
        "a.tif": ("TIFF", {"compression": "tiff_lzw"}),
        "pages.tif": ("TIFF", {"save_all": True, "append_images": frames}),
        "a.webp": ("WEBP", {"lossless": True}),
        "a.avif": ("AVIF", {"speed": 10}),
    }
    files = {}
    for name, (format_, options) in ways.items():
        buffer = io.BytesIO()
        image.save(buffer, format_, **options)
        files[name] = buffer.getvalue()
    return files


def fixed() -> dict[str, bytes]:
    """Files that are hostile by construction, by file name."""
    good = valid()
    chance = random.Random(7)
    return {
        "empty.png": b"",
        "text.jpg": b"This is a text, whatever its name says.\n" * 20,
        "page.html.png": b"<!doctype html><title>no picture</title>",
        "program.jpg": b"\x7fELF" + chance.randbytes(5000),
        "archive.png": b"PK\x03\x04" + chance.randbytes(5000),
        "vector.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "random.png": chance.randbytes(20_000),
        "random-large.jpg": chance.randbytes(3_000_000),
        "signature-only.png": b"\x89PNG\r\n\x1a\n",
        "signature-only.jpg": b"\xff\xd8\xff",
        "jpeg-named.png": good["a.jpg"],
        "png-named.txt": good["a.png"],
        "no-extension": good["a.webp"],
        "pixel-bomb.png": _png(100_000, 100_000, b""),
        "widest.png": _png(2**31 - 1, 1, b""),
        # 60 million pixels of one colour in 60 kB: within the limit, and to be decoded.
        "zeros.png": _png(10_000, 6_000, zlib.compress(b"\0" * (6_000 * 30_001), 9)),
        "metadata-bomb.png": _png(
            8, 8, zlib.compress(b"\0" * 8 * 25), (b"zTXt", b"x\0\0" + zlib.compress(b"0" * 50_000_000, 9))
        ),
        "concatenated.jpg": good["a.jpg"] + good["a.png"] + good["a.gif"],
        "trailing.png": good["a.png"] + chance.randbytes(100_000),
        **{
            f"truncated-{share}-{name}": content[: len(content) * share // 100]
            for name, content in good.items()
            for share in (10, 50, 95)
        },
    }


def mutations(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """`count` damaged copies of valid files: bytes changed, cut out, repeated, swapped or filled."""
    files = list(valid().items())
    for number in range(count):
        chance = random.Random(seed * 1_000_003 + number)
        name, content = files[number % len(files)]
        data = bytearray(content)
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            _mutate(data, chance)
        yield f"mutation-{number:05d}-{name}", bytes(data)


def _mutate(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data) + 1)
    length = chance.choice((1, 2, 4, 16, 200))
    match chance.randrange(5):
        case 0:
            data[start : start + 1] = chance.randbytes(1)
        case 1:
            del data[start : start + length]
        case 2:
            data[start:start] = data[start : start + length]
        case 3:
            data[start : start + length] = chance.choice((b"\0", b"\xff")) * length
        case _:
            data[start : start + 4] = struct.pack(
                chance.choice("<>") + "I", chance.choice((0, 1, 2**16, 2**31 - 1, 2**32 - 1))
            )


def _png(width: int, height: int, compressed: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", compressed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in parts
    )
