"""GIF: a bound on the blocks before the first frame, which the decoder reads one by one, and whether its data ends after its pixels."""

from __future__ import annotations

from typing import Any

from PIL import Image

from handlers.imaging import limits
from handlers.rejections import Rejection

_MOST_PIXELS = 4_000_000  # of which the data is decoded once more
_MARK = 77


def check_end(data: bytes, tile: Any) -> None:
    """Whether the data of a frame makes no more pixels than it has: changed bits mostly change how many there are.

    It is decoded as a column, to see a single pixel more. Larger frames than 4 million pixels are not checked.

    Parameters
    ----------
    tile
        The frame as Pillow describes it.

    Raises
    ------
    Rejection
        ``corrupt_image``.
    """
    left, top, right, bottom = tile.extents
    count = (right - left) * (bottom - top)
    if count > _MOST_PIXELS:
        return
    column = Image.new("L", (1, count + 1))
    column.putpixel((0, count), _MARK)
    bits, _, *rest = tile.args
    decoder = Image._getdecoder("L", "gif", (bits, 0, *rest))
    decoder.setimage(column.im, (0, 0, 1, count + 1))
    decoder.decode(data[tile.offset :])
    if column.getpixel((0, count)) != _MARK:
        raise Rejection("corrupt_image", "GIF: its data goes on after its last row.")


def inspect(data: bytes) -> None:
    """Count the blocks before the first frame.

    Raises
    ------
    Rejection
        ``truncated_image``, ``too_complex``.
    """
    flags = data[:11][-1]  # of a shorter file, which has no frame, it does not matter
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    blocks = 0
    while at < len(data):
        if data[at] == 0x2C:
            return
        if data[at] == 0x3B:
            break
        at += 1
        if data[at - 1] != 0x21:
            continue
        at += 1
        while at < len(data) and data[at]:
            at += 1 + data[at]
            blocks += 1
            limits.check_count("GIF", "blocks before its first frame", blocks, limits.MAX_SEGMENTS)
        blocks += 1
        limits.check_count("GIF", "blocks before its first frame", blocks, limits.MAX_SEGMENTS)
    raise Rejection("truncated_image", "GIF: it ends before its first frame.")
