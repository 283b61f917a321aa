"""Deflate, to its end: whether the data of PNG and TIFF is whole and its checksum right.

libtiff stops reading a strip or tile when it has all rows, mostly before the checksum behind them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from handlers.rejections import Rejection

if TYPE_CHECKING:
    from handlers.imaging.tiff import Tiff

COMPRESSIONS = frozenset({8, 32946})
_IN, _OUT = 1 << 16, 1 << 20  # bytes at a time


def check(data: bytes, found: Tiff) -> None:
    """Inflate each strip or tile of a TIFF.

    Raises
    ------
    Rejection
        ``corrupt_image``.
    """
    for begin, length, plain in zip(*found.parts, found.plain_lengths, strict=False):
        try:
            inflated([memoryview(data)[begin : begin + length]], plain)
        except zlib.error as error:
            raise Rejection("corrupt_image", f"TIFF: its compressed data is damaged ({error}).") from error


def inflated(parts: Iterable[memoryview], expected: int) -> int:
    """How many bytes the parts of one stream make, which is read to its checksum.

    More bytes than are expected do not matter if the stream ends. After damage it goes on instead: a run of zeros makes values without end.

    Raises
    ------
    zlib.error
        The data is damaged.
    """
    decompressor = zlib.decompressobj()
    count = 0
    for part in parts:
        for at in range(0, len(part), _IN):
            pending: bytes | memoryview = part[at : at + _IN]
            while len(pending) and not decompressor.eof:
                count += len(decompressor.decompress(pending, _OUT))
                if count > 2 * expected + _OUT:
                    raise zlib.error("it goes on after the last row")
                pending = decompressor.unconsumed_tail
    if not decompressor.eof:
        count += len(decompressor.flush())
        if count > expected:
            raise zlib.error("it goes on after the last row and does not end")
    return count
