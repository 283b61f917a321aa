"""TIFF with CCITT compression: libtiff invents the rows for which there is no data, and reports nothing."""

from __future__ import annotations

import hashlib
import io
import itertools
import struct
from typing import TYPE_CHECKING

from PIL import Image

from handlers.rejections import Rejection

if TYPE_CHECKING:
    from handlers.imaging.tiff import Tiff

COMPRESSIONS = frozenset({2, 3, 4})
_FILL_ORDER = 266
# Tags that decoding depends on.
_COPIED = (256, 257, 258, 259, 262, _FILL_ORDER, 277, 278, 292, 293, 322, 323)  # fmt: skip
# Each decodes to other rows than the others: invalid codes; the row above again, or short runs; one pixel more than above.
_CONTINUATIONS = [bits * 512 for bits in ("0", "1", "01")]
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

_MESSAGE = "TIFF: the data of a CCITT strip ends before its last row."


def load(image: Image.Image) -> None:
    """Decode; raises ``corrupt_image`` if libtiff reports codes that do not exist."""
    from handlers.imaging import libtiff  # ctypes, for these files alone

    with libtiff.errors() as errors:
        image.load()
    if errors:
        raise Rejection("corrupt_image", "TIFF: its CCITT data has codes that do not exist.")


def check(data: bytes, found: Tiff) -> None:
    """Whether the strips have data for all their rows.

    If a strip is complete, nothing depends on the bytes that follow it. If a row is missing, the decoder reads on into them, or fills
    it. So the strips are decoded with different bytes after each, and must give the same pixels.

    Raises
    ------
    Rejection
        ``truncated_image``: they do not.
    """
    strips = [data[begin : begin + length] for begin, length in zip(*found.parts, strict=False)]
    reverse = found.tags.get(_FILL_ORDER) == (2,)
    digests = set()
    for continuation in _CONTINUATIONS:
        continued = [_continued(strip, continuation, reverse) for strip in strips[: found.needed_parts]]
        with Image.open(io.BytesIO(_file(found, continued))) as image:
            try:
                digests.add(hashlib.sha256(image.tobytes()).digest())
            except OSError:
                raise Rejection("truncated_image", _MESSAGE) from None
        if len(digests) > 1:
            raise Rejection("truncated_image", _MESSAGE)


def _continued(strip: bytes, continuation: str, reverse: bool) -> bytes:
    """The strip with other bits after its last code.

    Zeros at the end are padding, or what a copy that broke off left; the last code ends in at most three of them.
    """
    bare = strip.rstrip(b"\0")
    last = f"{bare[-1]:08b}" if bare else "0"
    bits = (last[::-1] if reverse else last).rstrip("0") + "000" + continuation
    end = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    return bare[:-1] + (end.translate(_REVERSED) if reverse else end)


def _file(found: Tiff, strips: list[bytes]) -> bytes:
    """A file of these strips, with the tags of the other that matter; integers of 32 bits in big-endian order."""
    values = {tag: found.tags[tag] for tag in _COPIED if tag in found.tags}
    tiled = 322 in values
    lengths = [len(strip) for strip in strips]
    offsets = list(itertools.accumulate(lengths[:-1], initial=8))
    values[324 if tiled else 273], values[325 if tiled else 279] = tuple(offsets), tuple(lengths)
    at = 8 + sum(lengths)
    arrays, entries = b"", []
    for tag in sorted(values):
        numbers = values[tag]
        packed = struct.pack(f">{len(numbers)}I", *numbers)
        entries.append(
            struct.pack(">HHI", tag, 4, len(numbers))
            + (packed if len(packed) <= 4 else struct.pack(">I", at + len(arrays)))
        )
        arrays += packed if len(packed) > 4 else b""
    directory = struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4)
    return b"MM\0*" + struct.pack(">I", at + len(arrays)) + b"".join(strips) + arrays + directory
