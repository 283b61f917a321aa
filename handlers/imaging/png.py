"""PNG: whether its chunks are sound and its compressed data makes exactly the rows that the header declares.

Pillow checks neither the checksums of image data nor that data is there for every row. Inflating once more would cost a third of the
time, so that a large image is decoded with one row more than it has: the decoder then reads to the checksum at the end of the compressed
data and verifies it. Of that row and of the one before, the last, it must show that exactly the latter was written.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from handlers.imaging import deflate, limits
from handlers.rejections import Rejection

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")  # the default image alone counts
_SMALL = 16_384  # pixels, below which inflating twice costs nothing


@dataclass(slots=True)
class Png:
    """What the chunks say; ``parts`` are those that the decoder is given, the header at index 1."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    significant_bits: int | None
    parts: list[bytes | memoryview]
    data: list[memoryview]
    animated: bool = False
    closed: bool = False
    left_out: bool = False

    @property
    def inflated(self) -> int:
        """Bytes that the compressed data must hold: each row with the byte of its filter."""
        bits = self.depth * _CHANNELS[self.colour]
        if not self.interlaced:
            return self.height * (1 + (self.width * bits + 7) // 8)
        total = 0
        for x, y, across, down in _PASSES:
            columns, rows = -(-(self.width - x) // across), -(-(self.height - y) // down)
            total += rows * (1 + (columns * bits + 7) // 8) if columns > 0 and rows > 0 else 0
        return total

    @property
    def checked_by_row(self) -> bool:
        """Whether `with_row_more` is the way to check it."""
        return not self.interlaced and self.width * self.height > _SMALL

    def with_row_more(self) -> list[bytes | memoryview]:
        """The file with a header that has one row more."""
        header = bytearray(self.parts[1])
        struct.pack_into(">I", header, 12, self.height + 1)
        struct.pack_into(">I", header, 21, zlib.crc32(header[4:21]))
        return [self.parts[0], bytes(header), *self.parts[2:]]


def inspect(data: bytes) -> Png:
    """Read the chunks and verify their checksums.

    Raises
    ------
    Rejection
        ``unsupported_format``, ``truncated_image``, ``corrupt_image``, ``too_complex``.
    """
    view = memoryview(data)
    png: Png | None = None
    at = len(SIGNATURE)
    chunks = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        content = view[at + 8 : at + 8 + length]
        end = at + 12 + length
        if kind == b"CgBI":
            raise Rejection(
                "unsupported_format",
                "It is PNG as Xcode writes it for iPhone apps (CgBI): take the original.",
            )
        if png is None and (kind != b"IHDR" or length != 13):
            raise Rejection("corrupt_image", "PNG: it does not begin with a header.")
        chunks += 1
        limits.check_count("PNG", "chunks", chunks, limits.MAX_CHUNKS)
        cut = end > len(data)
        # Unknown and damaged chunks that are marked as dispensable are left out.
        sound = cut or zlib.crc32(view[at + 4 : at + 8 + length]) == int.from_bytes(view[end - 4 : end])
        if not sound and not kind[0] & 32:
            raise Rejection("corrupt_image", f"PNG: the checksum of a chunk {kind!r} is wrong.")
        if png is None:
            png = _header(view[:8], content, view[at:end])
        elif kind == b"IDAT":
            if content or not cut:
                png.data.append(content)
                png.parts.append(view[at:end])
        elif kind == b"IEND":
            png.closed = not cut
            if png.closed:
                png.parts.append(view[at:end])
            break
        elif kind in _ANIMATION:
            png.animated = True
        elif not sound or cut:
            png.left_out = True
        else:
            if kind == b"sBIT" and length:
                png.significant_bits = max(content)
            png.parts.append(view[at:end])
        at = end
    if png is None or not png.data:
        raise Rejection("truncated_image", "PNG: it ends before its image data.")
    return png


def _header(signature: memoryview, content: memoryview, chunk: memoryview) -> Png:
    if len(chunk) < 25:
        raise Rejection("truncated_image", "PNG: it ends within its header.")
    width, height, depth, colour, compression, filters, interlaced = struct.unpack(">IIBBBBB", content)
    if not width or not height or colour not in _CHANNELS or compression or filters or interlaced > 1:
        raise Rejection("corrupt_image", "PNG: its header is damaged.")
    return Png(width, height, depth, colour, bool(interlaced), None, [signature, chunk], [])


def verify(png: Png) -> None:
    """Inflate the data and count.

    Raises
    ------
    Rejection
        ``corrupt_image`` if it is not compressed data or its checksum is wrong, ``truncated_image`` if there is too little of it.
    """
    try:
        count = deflate.inflated(png.data, png.inflated)
    except zlib.error as error:
        raise Rejection("corrupt_image", f"PNG: its compressed data is damaged ({error}).") from error
    if count < png.inflated:
        raise Rejection("truncated_image", f"PNG: its data ends after {count} of {png.inflated} bytes.")
