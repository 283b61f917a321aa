"""Files as people have them, made of one image: what each must give, through the whole service."""

from __future__ import annotations

import base64
import gzip
import struct
import zlib
from typing import NamedTuple

from PIL import Image, TiffImagePlugin

from tests.unit.handlers.sample_images import encoded, png_chunk


class Case(NamedTuple):
    """A file; the reason ``code`` of a failed one, else it is read; a pattern of its message; a file of the same prediction."""

    data: bytes
    code: str = ""
    message: str = ""
    same_as: str = ""


def cases(image: Image.Image) -> dict[str, Case]:
    """Files by name.

    Parameters
    ----------
    image
        RGB, of some 100 pixels a side or more.
    """
    jpeg = encoded(image, "JPEG", quality=90)
    return {
        "base.jpg": Case(jpeg),
        "grey.png": Case(encoded(image.convert("L"), "PNG")),
        **_damaged(image, jpeg),
        **_named(image, jpeg),
        **_values(image),
        **_altered(jpeg),
    }


def _png(image: Image.Image, depth: int, colour: int, rows: bytes, before: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *image.size, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + before + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def _rows(image: Image.Image, width: int) -> bytes:
    """Scan lines of a PNG, each with its filter."""
    raw = image.tobytes()
    return b"".join(b"\0" + raw[at : at + width] for at in range(0, len(raw), width))


def _damaged(image: Image.Image, jpeg: bytes) -> dict[str, Case]:
    stream = bytearray(zlib.compress(_rows(image, 3 * image.width)))
    stream[len(stream) // 2 : len(stream) // 2 + 6] = b"\xff" * 6
    height = jpeg.index(b"\xff\xc0") + 5
    return {
        "png-broken-deflate.png": Case(_png(image, 8, 2, bytes(stream)), "corrupt_image"),
        "jpeg-cut-but-closed.jpg": Case(jpeg[: len(jpeg) // 10] + b"\xff\xd9", "truncated_image"),
        "jpeg-zero-tail.jpg": Case(jpeg[: len(jpeg) // 3].ljust(len(jpeg), b"\0"), "truncated_image"),
        "jpeg-height-times-ten.jpg": Case(
            jpeg[:height] + struct.pack(">H", 10 * image.height) + jpeg[height + 2 :], "truncated_image"
        ),
        "jpeg-without-eoi.jpg": Case(jpeg[:-2], same_as="base.jpg"),
        "heic-header-only.jpg": Case(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "truncated_image"),
    }


def _named(image: Image.Image, jpeg: bytes) -> dict[str, Case]:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    red, green, blue, alpha = image.convert("RGBA").split()
    body = deflate.compress(_rows(Image.merge("RGBA", (blue, green, red, alpha)), 4 * image.width))
    apple = _png(image, 8, 6, body + deflate.flush(), png_chunk(b"CgBI", b"\x50\0\x20\2"))
    frame = jpeg.index(b"\xff\xc0")
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254], tags[50706] = 1, b"\1\4\0\0"
    bomb = "524946461e000000574542505650384c110000002f0fe7c31907508a6ad5a3808188e87f0000"
    found = {
        "png-cgbi.png": Case(apple, "unsupported_format", "CgBI"),
        "jpeg-12-bit.jpg": Case(
            jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :], "unsupported_format", "12-bit"
        ),
        "jpeg-lossless.jpg": Case(
            jpeg.replace(b"\xff\xc0", b"\xff\xc3", 1), "unsupported_format", "lossless"
        ),
        "jpeg-ls.jpg": Case(jpeg.replace(b"\xff\xc0", b"\xff\xf7", 1), "unsupported_format", "JPEG-LS"),
        "raw-camera.dng": Case(encoded(image, "TIFF", tiffinfo=tags), "unsupported_format", "raw.*DNG"),
        "webp-38-bytes.webp": Case(bytes.fromhex(bomb), "too_many_pixels", "WEBP"),
    }
    tiff = bytearray(encoded(image, "TIFF"))
    at = tiff.index(struct.pack("<HHI", 259, 3, 1)) + 8
    for number, name in ((34712, "JPEG 2000"), (34887, "LERC"), (50001, "WebP")):
        struct.pack_into("<H", tiff, at, number)
        found[f"tiff-compression-{number}.tif"] = Case(bytes(tiff), "unsupported_format", f"{number}.*{name}")
    return found


def _values(image: Image.Image) -> dict[str, Case]:
    grey = image.convert("L")
    deep = struct.pack(f">{image.width * image.height}H", *(value * 4 for value in grey.tobytes()))
    rows = b"".join(b"\0" + deep[at : at + 2 * image.width] for at in range(0, len(deep), 2 * image.width))
    floats = grey.convert("F").point(lambda value: value * (1 / 255) + 0.0)
    floats.putpixel((0, 0), -9999)
    clear = image.convert("RGBA")
    clear.putalpha(0)
    return {
        "grey-10-bit-in-16.png": Case(_png(image, 16, 0, zlib.compress(rows)), same_as="grey.png"),
        "float-nodata.tif": Case(encoded(floats, "TIFF"), same_as="grey.png"),
        "alpha-all-zero.png": Case(encoded(clear, "PNG"), same_as="base.jpg"),
    }


def _altered(jpeg: bytes) -> dict[str, Case]:
    packed = base64.b64encode(jpeg)
    form = b'--X\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + jpeg + b"\r\n--X--\r\n"
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
    return {
        "through-utf8.jpg": Case(jpeg.decode("utf8", "replace").encode(), "not_an_image", "UTF-8"),
        "base64.jpg": Case(packed, "not_an_image", "base64"),
        "data-uri.jpg": Case(b"data:image/jpeg;base64," + packed, "not_an_image", "data URI"),
        "gzip.jpg": Case(gzip.compress(jpeg), "not_an_image", "gzip"),
        "lfs-pointer.jpg": Case(pointer, "not_an_image", "Git LFS"),
        "multipart.jpg": Case(form, "not_an_image", "multipart"),
    }
