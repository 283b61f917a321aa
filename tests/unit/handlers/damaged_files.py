"""Kinds of damage, and small files of every format to do them to."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image, TiffImagePlugin

from tests.unit.handlers.sample_images import drawn, encoded, noise, png_chunk

SIZE = WIDTH, HEIGHT = 122, 94
PHOTO = Image.blend(drawn(*SIZE), noise(*SIZE), 0.2)
GREY, PALETTE, LINES = PHOTO.convert("L"), PHOTO.quantize(64), PHOTO.convert("1")
ALPHA = PHOTO.copy()
ALPHA.putalpha(GREY.point(lambda value: max(value, 30)))
DEEP = GREY.convert("I").point(lambda value: value * 257).convert("I;16")
STRIPS: dict[str, Any] = {"tiffinfo": {278: 16}}
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))

_LAYOUTS: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
    "jpeg": (PHOTO, "JPEG", {}), "jpeg-progressive": (PHOTO, "JPEG", {"progressive": True}),
    "jpeg-cmyk": (PHOTO.convert("CMYK"), "JPEG", {}), "jpeg-restart": (PHOTO, "JPEG", {"restart_marker_rows": 1}),
    "png": (PHOTO, "PNG", {}), "png-16": (DEEP, "PNG", {}), "png-palette": (PALETTE, "PNG", {}), "png-alpha": (ALPHA, "PNG", {}),
    "gif": (PALETTE, "GIF", {"interlace": 0}), "gif-interlaced": (PALETTE, "GIF", {"interlace": 1}),
    "bmp": (PHOTO, "BMP", {}), "bmp-palette": (PALETTE, "BMP", {}), "tiff": (PHOTO, "TIFF", {}), "tiff-strips": (PHOTO, "TIFF", STRIPS),
    "tiff-palette": (PALETTE, "TIFF", {}),
    **{f"tiff-{kind.removeprefix('tiff_')}": (PHOTO, "TIFF", {"compression": kind, **STRIPS})
       for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")},
    **{f"tiff-{kind}": (LINES, "TIFF", {"compression": kind, **STRIPS}) for kind in ("group3", "group4", "tiff_ccitt")},
    "webp": (PHOTO, "WEBP", {}), "webp-lossless": (PHOTO, "WEBP", {"lossless": True}), "webp-alpha": (ALPHA, "WEBP", {}),
    "avif": (PHOTO, "AVIF", {"speed": 10}), "avif-alpha": (ALPHA, "AVIF", {"speed": 10}), "heic": (PHOTO, "HEIF", {}),
    "jp2": (PHOTO, "JPEG2000", {}), "j2k": (PHOTO, "JPEG2000", {"no_jp2": True}),
    "j2k-tiles": (PHOTO, "JPEG2000", {"no_jp2": True, "tile_size": (48, 48)}),
    "ico": (PHOTO.convert("RGBA"), "ICO", {"sizes": [SIZE], "bitmap_format": "bmp"}),
    "ico-palette": (PALETTE, "ICO", {"sizes": [SIZE], "bitmap_format": "bmp"}), "ico-png": (PHOTO, "ICO", {"sizes": [SIZE]}),
    "ppm": (PHOTO, "PPM", {}), "pgm": (GREY, "PPM", {}), "pbm": (LINES, "PPM", {}),
}  # fmt: skip
_OTHERS: dict[str, Callable[[], bytes]] = {
    "png-interlaced": lambda: _interlaced(PHOTO),
    "tiff-tiles": lambda: _tiles(PHOTO, 8),
    "tiff-tiles-plain": lambda: _tiles(PHOTO, 1),
    "ppm-text": lambda: b"P3 %d %d 255\n%b\n" % (*SIZE, " ".join(map(str, PHOTO.tobytes())).encode()),
}
NAMES = (*_LAYOUTS, *_OTHERS)


def whole(name: str) -> bytes:
    """A file without damage."""
    if name in _OTHERS:
        return _OTHERS[name]()
    image, fmt, options = _LAYOUTS[name]
    return encoded(image.copy(), fmt, **options)  # saving an image leaves settings in it


def _interlaced(image: Image.Image) -> bytes:
    raw = b""
    for left, top, across, down in PASSES:
        for y in range(top, image.height, down):
            row = [image.getpixel((x, y)) for x in range(left, image.width, across)]
            raw += b"\0" + b"".join(map(bytes, row)) if row else b""  # type: ignore[arg-type]  # RGB
    header = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 1)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(raw))
        + png_chunk(b"IEND", b"")
    )


def _tiles(image: Image.Image, compression: int) -> bytes:
    """A TIFF of tiles, plain or with Deflate."""
    places = [(x, y, x + 32, y + 32) for y in range(0, image.height, 32) for x in range(0, image.width, 32)]
    parts = [image.crop(place).tobytes() for place in places]
    parts = parts if compression == 1 else [zlib.compress(part) for part in parts]
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in {
        256: image.width,
        257: image.height,
        258: (8, 8, 8),
        259: compression,
        262: 2,
        277: 3,
        322: 32,
        323: 32,
    }.items():
        tags[tag] = value
    tags[325] = tuple(map(len, parts))
    begin = 8
    tags[324] = tuple(begin + sum(map(len, parts[:number])) for number in range(len(parts)))
    body = b"".join(parts)
    body += b"\0" * (len(body) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + tags.tobytes(8 + len(body))


def packed(data: bytes, at: int, form: str, value: int) -> bytes:
    """Other bytes in a place."""
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


def tag(data: bytes, number: int) -> tuple[int, str, list[int], int]:
    """Of a TIFF: where the values of a tag are, their form, themselves, and where its entry is."""
    first = struct.unpack_from("<I", data, 4)[0]
    for entry in range(first + 2, first + 2 + 12 * struct.unpack_from("<H", data, first)[0], 12):
        found, kind, count = struct.unpack_from("<HHI", data, entry)
        if found == number:
            form = {1: "B", 3: "H", 4: "I"}[kind]
            size = struct.calcsize(form)
            where = entry + 8 if size * count <= 4 else struct.unpack_from("<I", data, entry + 8)[0]
            return where, form, list(struct.unpack_from(f"<{count}{form}", data, where)), entry
    raise KeyError(number)


def lengths(data: bytes) -> tuple[int, str, list[int], int]:
    """As `tag`, of the numbers of bytes of strips or tiles."""
    try:
        return tag(data, 325)
    except KeyError:
        return tag(data, 279)


def _idat(data: bytes) -> tuple[bytes, bytes]:
    """A PNG up to its data, and that."""
    begin = at = data.index(b"IDAT") - 4
    content = b""
    while data[at + 4 : at + 8] == b"IDAT":
        length = int.from_bytes(data[at : at + 4], "big")
        content += data[at + 8 : at + 8 + length]
        at += 12 + length
    return data[:begin], content


def _gif_frame(data: bytes) -> int:
    return data.index(b"\x2c", 13 + (6 << (data[10] & 7)))


def closed(name: str, data: bytes, share: float) -> bytes | None:
    """Cut off, and ended as if that were all; None where the format has nothing that says where it ends."""
    part = data[: int(len(data) * share)]
    family = name.split("-")[0]
    if family == "jpeg":
        return part + b"\xff\xd9"
    if family == "png":
        begin, content = _idat(data)
        return begin + png_chunk(b"IDAT", content[: int(len(content) * share)]) + png_chunk(b"IEND", b"")
    if family == "gif":
        at = _gif_frame(data) + 11
        while at + 1 + data[at] < len(part):
            at += 1 + data[at]
        return data[:at] + b"\0;"
    if family == "webp":
        at = last = 12
        while at + 8 < len(part):
            last, at = at, at + 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1 & ~1)
        part = part[: len(part) & ~1]
        return packed(packed(part, last + 4, "<I", len(part) - last - 8), 4, "<I", len(part) - 8)
    if family in ("avif", "heic"):
        at = data.index(b"mdat") - 4
        part = data[: at + 8 + int((len(data) - at - 8) * share)]
        return packed(part, at, ">I", len(part) - at)
    if family in ("jp2", "j2k"):
        part += b"\xff\xd9"
        at, begin = part.find(b"jp2c") - 4, part.index(b"\xff\x90\0\x0a")
        part = packed(part, at, ">I", len(part) - at) if at > 0 else part
        return part if name == "j2k-tiles" else packed(part, begin + 6, ">I", len(part) - begin - 2)
    if family == "tiff" and name not in ("tiff", "tiff-palette"):  # of a single strip, pixels count
        where, form, found, _ = lengths(data)
        for number, length in enumerate(found):
            data = packed(data, where + number * struct.calcsize(form), f"<{form}", int(length * share))
        return data
    if family == "bmp":
        return packed(part, 2, "<I", len(part))
    return packed(part, 14, "<I", len(part) - 22) if family == "ico" else None


# Bytes of a row, without compression
ROWS = {
    "bmp": 368, "bmp-palette": 124, "tiff": 366, "tiff-strips": 366, "tiff-palette": 122, "ico": 488, "ico-palette": 124, "ppm": 366,
    "pgm": 122, "tiff-tiles-plain": 96,
}  # fmt: skip


def zeros(name: str, data: bytes, share: float) -> bytes | None:
    """The last part of the pixels is zeros, from the middle of a row."""
    end, begin = len(data), 0
    if name.startswith("tiff"):
        begin = tag(data, 324 if "tiles" in name else 273)[2][0]
        end = begin + sum(lengths(data)[2])
    elif name.startswith("bmp"):
        begin = int.from_bytes(data[10:14], "little")
    elif name.startswith("ico"):
        begin = 62 + 4 * (int.from_bytes(data[54:58], "little") or 256) * (name == "ico-palette")
    elif name in ROWS:
        begin = end - HEIGHT * ROWS[name]
    if name == "pbm":  # where zeros are white
        return None
    if name.startswith("png"):  # the checksums of chunks are right
        start, content = _idat(data)
        at = int(len(content) * share)
        return start + png_chunk(b"IDAT", content[:at] + bytes(len(content) - at)) + png_chunk(b"IEND", b"")
    at = begin + int((end - begin) * share)
    if name in ROWS:
        # Tiles at the right edge end in zeros
        count = 310 if name == "tiff-tiles-plain" else HEIGHT
        at = begin + int(count * share) * ROWS[name] + ROWS[name] // 2
    return data[:at] + bytes(end - at) + data[end:]


def taller(name: str, data: bytes, height: int) -> bytes:
    """A header with more rows than there are."""
    family = name.split("-")[0]
    if b"IHDR" in data:
        at = data.index(b"IHDR")
        data = packed(data, 7, "B", height) if family == "ico" else data
        changed = packed(data, at + 8, ">I", height)
        return packed(changed, at + 17, ">I", zlib.crc32(changed[at : at + 17]))
    if family == "jpeg":
        return packed(
            data, data.index(b"\xff\xc2" if name == "jpeg-progressive" else b"\xff\xc0") + 5, ">H", height
        )
    if family == "gif":
        return packed(packed(data, _gif_frame(data) + 7, "<H", height), 8, "<H", height)
    if family == "tiff":
        where, form, _, _ = tag(data, 257)
        return packed(data, where, f"<{form}", height)
    if family == "webp":
        if data[12:16] == b"VP8L":
            bits = int.from_bytes(data[21:25], "little") & ~(0x3FFF << 14) | height - 1 << 14
            return packed(data, 21, "<I", bits)
        return (
            packed(data, 27, "<H", height - 1) if data[12:16] == b"VP8X" else packed(data, 28, "<H", height)
        )
    if family in ("avif", "heic"):
        return packed(data, data.index(b"ispe") + 12, ">I", height)
    if family in ("jp2", "j2k"):
        data = packed(data, data.index(b"\xff\x51") + 10, ">I", height)
        return packed(data, data.index(b"ihdr") + 4, ">I", height) if family == "jp2" else data
    if family == "ico":
        return packed(packed(data, 7, "B", height), 30, "<i", 2 * height)
    return (
        packed(data, 22, "<i", height)
        if family == "bmp"
        else data.replace(b"%d %d" % SIZE, b"%d %d" % (WIDTH, height), 1)
    )


def missing(name: str, data: bytes) -> Iterator[bytes]:
    """Rows, strips, tiles or scans are not there, in a file that is otherwise whole."""
    family = name.split("-")[0]
    if family == "png":
        begin, content = _idat(data)
        raw = zlib.decompress(content)
        for count in (len(raw) // 2, len(raw) - 1):
            yield begin + png_chunk(b"IDAT", zlib.compress(raw[:count])) + png_chunk(b"IEND", b"")
    elif family == "tiff" and name not in ("tiff", "tiff-palette"):
        where, form, found, entry = lengths(data)
        offsets, form_of_offset, _, other = tag(data, 324 if "tiles" in name else 273)
        last = len(found) - 1
        yield packed(data, offsets + last * struct.calcsize(form_of_offset), f"<{form_of_offset}", 0)
        yield packed(
            data, offsets + last * struct.calcsize(form_of_offset), f"<{form_of_offset}", len(data) + 5
        )
        yield packed(packed(data, entry + 4, "<I", last), other + 4, "<I", last)
        if name not in (
            "tiff-strips",
            "tiff-tiles-plain",
        ):  # without compression, the lengths count for nothing
            yield packed(data, where + last * struct.calcsize(form), f"<{form}", 0)
    elif name == "jpeg-restart":
        yield data[: data.index(b"\xff\xd2")] + data[data.index(b"\xff\xd3") :]
        yield data[: data.index(b"\xff\xd3")] + b"\xff\xd9"
    elif name == "jpeg-progressive":
        yield data[: data.rindex(b"\xff\xc4", 0, data.rindex(b"\xff\xda"))] + b"\xff\xd9"
    elif name == "j2k-tiles":
        second = data.index(b"\xff\x90\0\x0a", data.index(b"\xff\x90\0\x0a") + 4)
        yield data[: data.rindex(b"\xff\x90\0\x0a")] + b"\xff\xd9"
        yield data[:second] + data[data.index(b"\xff\x90\0\x0a", second + 4) :]


def short_palette(name: str, data: bytes) -> bytes | None:
    """A quarter of the colours is left, or half."""
    if name == "png-palette":
        at = data.index(b"PLTE")
        count = int.from_bytes(data[at - 4 : at], "big")
        return (
            data[: at - 4]
            + png_chunk(b"PLTE", data[at + 4 : at + 4 + count // 6 * 3])
            + data[at + 8 + count :]
        )
    if name.startswith("gif"):
        size = 6 << (data[10] & 7)
        return packed(data, 10, "B", data[10] - 1)[: 13 + size // 2] + data[13 + size :]
    if name == "bmp-palette":
        begin, few = int.from_bytes(data[10:14], "little"), 16
        return packed(packed(data, 46, "<I", few), 10, "<I", 54 + 4 * few)[: 54 + 4 * few] + data[begin:]
    if name == "tiff-palette":
        return packed(data, tag(data, 320)[3] + 4, "<I", 96)
    if name == "ico-palette":
        count = int.from_bytes(data[54:58], "little") or 256
        return packed(data, 54, "<I", count // 8)[: 62 + count // 8 * 4] + data[62 + count * 4 :]
    return None


def wrong_checksums(name: str, data: bytes) -> Iterator[bytes]:
    """Of chunks, and of compressed data."""
    if b"IDAT" in data:
        for kind in (b"IHDR", b"IDAT"):
            at = data.index(kind)
            end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
            yield packed(data, end, "B", data[end] ^ 1)
        begin, content = _idat(data)
        wrong = content[:-1] + bytes((content[-1] ^ 1,))
        if name != "ico-png":
            yield begin + png_chunk(b"IDAT", wrong) + png_chunk(b"IEND", b"")
    elif name in ("tiff-adobe_deflate", "tiff-tiles"):
        for offset, length in zip(
            tag(data, 324 if "tiles" in name else 273)[2], lengths(data)[2], strict=True
        ):
            end = offset + length - 1
            yield packed(data, end, "B", data[end] ^ 1)


def one_bit(name: str, data: bytes) -> Iterator[bytes]:
    """Another bit of compressed data that has a checksum, itself or by the ends of its parts; that of a chunk is right again."""
    if b"IDAT" in data and name != "ico-png":
        begin, content = _idat(data)
        for at in range(3, len(content) - 9, len(content) // 12):
            changed = content[:at] + bytes((content[at] ^ 4,)) + content[at + 1 :]
            yield begin + png_chunk(b"IDAT", changed) + png_chunk(b"IEND", b"")
    elif name in ("tiff-adobe_deflate", "tiff-tiles"):
        first, *_, last = tag(data, 324 if "tiles" in name else 273)[2]
        for at in range(first + 3, last - 99, (last - first) // 40):
            yield packed(data, at, "B", data[at] ^ 4)


def without_end(name: str, data: bytes) -> Iterator[bytes]:
    """Every pixel is there, only what follows is not, or there is more."""
    family = name.split("-")[0]
    ends = {"jpeg": (1, 2), "png": (1, 12, 16), "gif": (1, 2), "j2k": (1, 2), "jp2": (1, 2)}
    for count in ends.get(family, (12,) if name == "ico-png" else ()):
        yield data[:-count]
    if family not in ("ppm", "pgm", "pbm"):
        yield data + b"trailing" * 9
    if family != "ppm":
        yield data + bytes(600)
    if family in ("avif", "heic"):
        yield data + struct.pack(">I4s", 5000, b"free") + bytes(99)
