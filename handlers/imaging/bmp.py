"""BMP: where its pixels begin, and whether it has the colours that they use."""

from __future__ import annotations

from handlers.imaging import limits
from handlers.rejections import Rejection

_INFO = 40  # bytes of the second header that gives the number of colours


def inspect(data: bytes) -> int | None:
    """Read the headers.

    Returns
    -------
    int | None
        Colours of the palette; None where there is none, or the header does not say.

    Raises
    ------
    Rejection
        ``corrupt_image``, ``too_complex``.
    """
    colours: int | None = None
    if data[14] >= _INFO:
        bits, given = int.from_bytes(data[28:30], "little"), int.from_bytes(data[46:50], "little")
        colours = (given or 1 << bits) if 0 < bits <= 8 else None
        if int.from_bytes(data[30:34], "little") in (1, 2):
            limits.check_count("BMP", "bytes of run lengths", len(data), limits.MAX_SLOW_BYTES)
    if int.from_bytes(data[10:14], "little") < 14 + data[14] + 4 * (colours or 0):
        raise Rejection("corrupt_image", "BMP: its pixels would begin within its header or palette.")
    return colours
