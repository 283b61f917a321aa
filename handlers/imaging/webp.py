"""WebP: its size and whether it has an alpha channel, before the decoder, which takes memory when it is made."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from handlers.imaging import limits
from handlers.rejections import Rejection


@dataclass(slots=True)
class Webp:
    """``mode`` is that of Pillow, ``RGB`` or ``RGBA``."""

    width: int
    height: int
    mode: str


def inspect(data: bytes) -> Webp:
    """Read the chunks' headers.

    Raises
    ------
    Rejection
        ``truncated_image``, ``corrupt_image``, ``too_complex``.
    """
    size = int.from_bytes(data[4:8], "little")
    if size + 8 > len(data) + (size & 1):
        raise Rejection("truncated_image", f"WEBP: {size + 8} bytes are declared, {len(data)} are there.")
    view = memoryview(data)
    found: Webp | None = None
    at = 12
    chunks = 0
    while at + 8 <= len(data):
        chunks += 1
        limits.check_count("WEBP", "chunks", chunks, limits.MAX_SEGMENTS)
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        begin, end = at + 8, at + 8 + length
        if kind in (b"VP8 ", b"VP8L") and length > 256:
            _check_filled(data[end - 64 : end])
        if found is None:
            found = _header(kind, view[begin:end])
        at = end + (length & 1)
    if found is None:
        raise Rejection("truncated_image", "WEBP: it ends within its header.")
    return found


def _header(kind: bytes, content: memoryview) -> Webp:
    if kind == b"VP8X" and len(content) >= 10:
        width, height = (1 + int.from_bytes(content[at : at + 3], "little") for at in (4, 7))
        return Webp(width, height, "RGBA" if content[0] & 0x10 else "RGB")
    if kind == b"VP8L" and len(content) >= 5 and content[0] == 0x2F:
        (bits,) = struct.unpack_from("<I", content, 1)
        return Webp((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, "RGBA")
    if kind == b"VP8 " and len(content) >= 10 and bytes(content[3:6]) == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", content, 6)
        return Webp(width & 0x3FFF, height & 0x3FFF, "RGB")
    raise Rejection("corrupt_image", "WEBP: its header is damaged.")


def _check_filled(tail: bytes) -> None:
    """The coders of WebP read zeros without an error; a long run of them at the end was never written."""
    if len(tail) == 64 and not tail.strip(b"\0"):
        raise Rejection("truncated_image", "WEBP: the end of its data is zero bytes.")
