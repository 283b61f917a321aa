"""Small images of every format and layout, and mutations that follow the parts of a file: chunks, segments, boxes, tags, blocks."""

from __future__ import annotations

import collections
import contextlib
import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

MOST_BYTES = 20_000_000  # of a mutated file; the service takes 100 MB by default
Mutator = Callable[[bytes, random.Random], bytes]

# Format, mode, and options of Pillow's encoder.
_LAYOUTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("JPEG", "RGB", {}), ("JPEG", "L", {}), ("JPEG", "CMYK", {}), ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "L", {"progressive": True}),
    ("JPEG", "RGB", {"restart_marker_rows": 1}), ("JPEG", "RGB", {"optimize": True, "subsampling": 0}),
    ("JPEG", "RGB", {"progressive": True, "restart_marker_blocks": 3}),
    ("PNG", "RGB", {}), ("PNG", "L", {}), ("PNG", "RGBA", {}), ("PNG", "P", {}), ("PNG", "1", {}), ("PNG", "I;16", {}),
    ("GIF", "P", {}), ("GIF", "L", {"interlace": False}), ("GIF", "P", {"save_all": True}),
    ("WEBP", "RGB", {}), ("WEBP", "RGBA", {}), ("WEBP", "RGB", {"lossless": True}), ("WEBP", "RGBA", {"lossless": True}),
    ("WEBP", "RGB", {"save_all": True}),
    ("AVIF", "RGB", {"speed": 10}), ("AVIF", "L", {"speed": 10}), ("AVIF", "RGBA", {"speed": 10}),
    ("AVIF", "RGB", {"speed": 10, "save_all": True}),
    ("BMP", "RGB", {}), ("BMP", "P", {}), ("BMP", "1", {}), ("BMP", "RGBA", {}),
    ("TIFF", "RGB", {}), ("TIFF", "RGB", {"compression": "tiff_lzw"}), ("TIFF", "RGB", {"compression": "jpeg"}), ("TIFF", "P", {}),
    ("TIFF", "RGB", {"compression": "tiff_deflate"}), ("TIFF", "L", {"compression": "packbits"}), ("TIFF", "1", {"compression": "group4"}),
    ("TIFF", "1", {"compression": "group3"}), ("TIFF", "F", {"compression": "tiff_lzw"}), ("TIFF", "I;16", {}), ("TIFF", "CMYK", {}),
    ("TIFF", "RGB", {"compression": "zstd"}), ("TIFF", "RGB", {"compression": "lzma"}), ("TIFF", "RGB", {"big_tiff": True}),
    ("TIFF", "RGB", {"compression": "tiff_lzw", "tiffinfo": {278: 8}}), ("TIFF", "L", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
    ("JPEG2000", "RGB", {}), ("JPEG2000", "L", {"no_jp2": True}), ("JPEG2000", "RGB", {"tile_size": (32, 32)}), ("JPEG2000", "RGBA", {}),
    ("JPEG2000", "RGB", {"irreversible": True, "quality_layers": [40, 10]}),
    ("ICO", "RGBA", {}), ("ICO", "RGBA", {"bitmap_format": "bmp"}), ("ICO", "RGB", {"bitmap_format": "bmp"}),
    ("ICO", "P", {"bitmap_format": "bmp"}), ("ICO", "L", {"bitmap_format": "bmp"}), ("ICO", "1", {"bitmap_format": "bmp"}),
    ("PPM", "RGB", {}), ("PPM", "L", {}), ("PPM", "1", {}),
    ("PPM", "I", {}),
    ("HEIF", "RGB", {}), ("HEIF", "RGBA", {}), ("HEIF", "L", {}), ("HEIF", "RGB", {"chroma": 444}), ("HEIF", "RGB", {"tile_size": 64}),
)  # fmt: skip


def seeds() -> dict[str, list[bytes]]:
    """Files by format; HEIF only where the package pillow-heif, which writes it, is installed."""
    generator = random.Random(7)
    found: dict[str, list[bytes]] = collections.defaultdict(list)
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    for width, height in ((64, 48), (150, 110)):
        ground = Image.linear_gradient("L").resize((width, height))
        colour = Image.merge(
            "RGB", (ground, ground.transpose(Image.Transpose.FLIP_LEFT_RIGHT), ground.rotate(90))
        )
        noise = Image.frombytes("RGB", (width, height), generator.randbytes(width * height * 3))
        image = Image.blend(colour, noise, 0.1)
        for fmt, mode, options in _LAYOUTS:
            if fmt == "HEIF" and "HEIF" not in Image.SAVE:
                continue
            converted = _converted(image, mode)
            more = (
                {"append_images": [converted.transpose(Image.Transpose.ROTATE_180)]}
                if "save_all" in options
                else {}
            )
            more |= {"sizes": [(width, height)]} if fmt == "ICO" else {}
            buffer = io.BytesIO()
            converted.save(buffer, fmt, **options, **more)
            found[fmt].append(buffer.getvalue())
        found["PNG"].append(_interlaced(image))
        found["PPM"].append(_text(image))
    return dict(found)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if mode == "P":
        return image.quantize(64)
    if mode == "I" or mode.startswith("I;16"):
        return image.convert("L").convert("I").point(lambda value: value * 257).convert(mode)
    converted = image.convert(mode)
    if mode == "RGBA":
        converted.putalpha(image.getchannel("G"))
    return converted


def _interlaced(image: Image.Image) -> bytes:
    """PNG in Adam7 order, which Pillow does not write."""
    width, height = image.size
    raw = image.tobytes()
    rows = bytearray()
    for x0, y0, across, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for y in range(y0, height, down):
            if x0 < width:
                rows.append(0)
                for x in range(x0, width, across):
                    rows += raw[3 * (y * width + x) : 3 * (y * width + x) + 3]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _text(image: Image.Image) -> bytes:
    """PPM as text."""
    return b"P3 %d %d 255\n" % image.size + " ".join(map(str, image.tobytes())).encode()


def flip(data: bytes, rng: random.Random) -> bytes:
    """Change single bytes, cut, double, fill with zeros."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(content)) if rng.random() < 0.6 else rng.randrange(min(200, len(content)))
        match rng.randrange(6):
            case 0:
                content[at] ^= 1 << rng.randrange(8)
            case 1:
                content[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
            case 2:
                del content[at : at + rng.randint(1, 64)]
            case 3:
                content[at:at] = content[at : at + rng.randint(1, 64)]
            case 4:
                length = rng.choice((4, 64, 512, len(content)))
                content[at : at + length] = bytes(len(content[at : at + length]))
            case _:
                content[at : at + 4] = rng.choice(
                    (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", struct.pack("<I", 65535))
                )
        if not content:
            return b"\0"
    return bytes(content)


def shuffled(parts: list[bytes], rng: random.Random) -> list[bytes]:
    """Leave out, double or exchange one of the parts."""
    parts = list(parts)
    if not parts:
        return parts
    at, other = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(4):
        case 0:
            del parts[at]
        case 1:
            parts.insert(other, parts[at])
        case 2:
            parts[at], parts[other] = parts[other], parts[at]
        case _:
            parts += parts[at : at + 1] * rng.choice((2, 50, 3000))
    return parts


def png(data: bytes, rng: random.Random) -> bytes:
    """Mutate chunks, their checksums right, and the data below its compression."""
    chunks, at = [], 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunks.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    index = rng.randrange(len(chunks))
    kind, content = chunks[index]
    if kind == b"IDAT" and rng.random() < 0.7:
        raw = zlib.decompress(content)
        content = zlib.compress(raw[: rng.randrange(len(raw))] if rng.random() < 0.5 else flip(raw, rng))
    elif content:
        content = flip(content, rng)
    chunks[index] = (kind, content)
    packed = [_chunk(*part) for part in chunks]
    return data[:8] + b"".join(shuffled(packed, rng) if rng.random() < 0.3 else packed)


def jpeg(data: bytes, rng: random.Random) -> bytes:
    """Mutate segments and the data of scans."""
    segments, at = [], 2
    while at + 4 <= len(data):
        marker = data[at + 1]
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            while end < len(data) - 1 and not (
                data[end] == 0xFF and data[end + 1] not in (0, *range(0xD0, 0xD8))
            ):
                end += 1
        segments.append(data[at:end])
        at = end
    if rng.random() < 0.5:
        index = rng.randrange(len(segments))
        part = segments[index]
        if part[1] == 0xDA and rng.random() < 0.5:
            segments[index] = part[: rng.randint(2, len(part))]
        else:
            segments[index] = part[:4] + flip(part[4:] or b"\0", rng)
    else:
        segments = shuffled(segments, rng)
    return data[:2] + b"".join(segments) + (b"\xff\xd9" if rng.random() < 0.8 else b"")


def riff(data: bytes, rng: random.Random) -> bytes:
    """Mutate the chunks of WebP, their lengths right."""
    chunks, at = [], 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + (length & 1)
    index = rng.randrange(len(chunks))
    kind, content = chunks[index]
    chunks[index] = (
        kind,
        content[: rng.randint(1, len(content))] if rng.random() < 0.3 else flip(content, rng),
    )
    body = b"".join(k + struct.pack("<I", len(c)) + c + bytes(len(c) & 1) for k, c in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def boxes(data: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """Mutate a box of ISO media or JPEG 2000, at any depth, the lengths right."""
    found, at = [], 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        size = size or len(data) - at
        if size < 8:
            break
        found.append((kind, data[at + 8 : at + size]))
        at += size
    if not found:
        return flip(data or b"\0", rng)
    index = rng.randrange(len(found))
    kind, content = found[index]
    if kind in (b"meta", b"iprp", b"ipco", b"jp2h") and depth < 4:
        skip = 4 if kind == b"meta" else 0
        content = content[:skip] + boxes(content[skip:], rng, depth + 1)
    elif content:
        content = flip(content, rng)
    found[index] = (kind, content)
    packed = [struct.pack(">I4s", 8 + len(c), k) + c for k, c in found]
    return b"".join(shuffled(packed, rng) if rng.random() < 0.2 else packed)


def tiff(data: bytes, rng: random.Random) -> bytes:
    """Change type, count or value of tags."""
    content = bytearray(data)
    first = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, first)[0]
    for _ in range(rng.randint(1, 3)):
        entry = first + 2 + 12 * rng.randrange(max(count, 1))
        field, size = rng.choice(((2, "<H"), (4, "<I"), (8, "<I"), (8, "<H")))
        value = rng.choice((0, 1, 2, 3, 5, 7, 8, 16, 32, 255, 65535, 2**31 - 1, rng.getrandbits(16)))
        struct.pack_into(size, content, entry + field, value & (0xFFFF if size == "<H" else 0xFFFFFFFF))
    return bytes(content)


def gif(data: bytes, rng: random.Random) -> bytes:
    """Mutate blocks, and the sub-blocks of data within them."""
    begin = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    parts = list(_gif_blocks(data, begin))
    index = rng.randrange(len(parts))
    part = parts[index]
    if rng.random() < 0.6 and len(part) > 16:
        at = rng.randrange(len(part))
        parts[index] = part[:at] + flip(part[at : at + 300], rng) + part[at + 300 :]
    else:
        parts = shuffled(parts, rng)
    head = flip(data[6:13], rng)[:7].ljust(7, b"\0") if rng.random() < 0.2 else data[6:13]
    return data[:6] + head + data[13:begin] + b"".join(parts) + (b";" if rng.random() < 0.8 else b"")


def _gif_blocks(data: bytes, at: int) -> Iterator[bytes]:
    while at < len(data) and data[at] in (0x21, 0x2C):
        begin = at
        if data[at] == 0x2C:
            flags = data[at + 9]
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        else:
            at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
        yield data[begin:at]


def header(data: bytes, rng: random.Random) -> bytes:
    """Mutate the first 64 bytes alone: of formats that have little else to get wrong."""
    return flip(data[:64], rng) + data[64:]


MUTATORS: dict[str, tuple[Mutator, ...]] = {
    "PNG": (png, png, flip), "JPEG": (jpeg, jpeg, flip), "WEBP": (riff, riff, flip), "AVIF": (boxes, boxes, flip),
    "HEIF": (boxes, boxes, flip), "JPEG2000": (boxes, flip), "TIFF": (tiff, flip), "GIF": (gif, gif, flip), "BMP": (header, flip),
    "ICO": (header, flip), "PPM": (header, flip),
}  # fmt: skip


def mutated(fmt: str, data: bytes, rng: random.Random) -> bytes:
    """A file changed in a part that its format defines."""
    try:
        found = rng.choice(MUTATORS[fmt])(data, rng)
        return found if len(found) <= MOST_BYTES else found[:MOST_BYTES]
    except (struct.error, IndexError, ValueError, zlib.error):  # it cannot be taken apart
        return flip(data, rng)


def one_bit_changed(data: bytes, rng: random.Random) -> bytes:
    """The file with one bit changed, anywhere."""
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
