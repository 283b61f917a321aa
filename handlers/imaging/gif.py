"""GIF: a bound on the blocks before the first frame, which the decoder reads one by one."""

from __future__ import annotations

from handlers.imaging import limits
from handlers.rejections import Rejection


def inspect(data: bytes) -> None:
    """Count the blocks before the first frame.

    Raises
    ------
    Rejection
        ``truncated_image``, ``too_complex``.
    """
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
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
        at += 1
        blocks += 1
        limits.check_count("GIF", "blocks before its first frame", blocks, limits.MAX_SEGMENTS)
    raise Rejection("truncated_image", "GIF: it ends before its first frame.")
