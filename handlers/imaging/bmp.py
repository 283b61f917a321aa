"""BMP: where its pixels begin, whether its palette has every colour, and whether run lengths fill every row exactly."""

from __future__ import annotations

from handlers.imaging import limits
from handlers.rejections import Rejection

_INFO = 40  # bytes of the second header that gives the number of colours
_RUNS_OF_BYTES, _RUNS_OF_HALVES = 1, 2  # kinds of compression
_SKIP = 2  # after a count of 0: 0 ends a row, 1 the image, and larger ones are counts of values that follow


def inspect(data: bytes) -> int | None:
    """Read the headers.

    Returns
    -------
    int | None
        Colours of the palette; None where there is none, or the header does not say.

    Raises
    ------
    Rejection
        ``truncated_image``, ``corrupt_image``, ``too_complex``.
    """
    colours: int | None = None
    if data[14] >= _INFO:
        bits, given = int.from_bytes(data[28:30], "little"), int.from_bytes(data[46:50], "little")
        colours = (given or 1 << bits) if 0 < bits <= 8 else None
    begin = int.from_bytes(data[10:14], "little")
    if begin < 14 + data[14] + 4 * (colours or 0):
        raise Rejection("corrupt_image", "BMP: its pixels would begin within its header or palette.")
    if data[14] >= _INFO and int.from_bytes(data[30:34], "little") in (_RUNS_OF_BYTES, _RUNS_OF_HALVES):
        limits.check_count("BMP", "bytes of run lengths", len(data), limits.MAX_SLOW_BYTES)
        _check_runs(data, begin)
    return colours


def plain_rows(data: bytes) -> tuple[int, int, int] | None:
    """First byte of the pixels, bytes of a row, and number of rows; None if they are compressed."""
    if data[14] < _INFO or int.from_bytes(data[30:34], "little") in (_RUNS_OF_BYTES, _RUNS_OF_HALVES):
        return None
    width, height = _size(data)
    return int.from_bytes(data[10:14], "little"), (width * data[28] + 31) // 32 * 4, abs(height)


def _size(data: bytes) -> tuple[int, int]:
    width, height = (int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22))
    return width, height


def _check_runs(data: bytes, at: int) -> None:
    """Hold run lengths against the size: Pillow cuts off what goes beyond a row, and makes black of what is missing in it."""
    width, height = _size(data)
    per_byte = 1 if data[30] == _RUNS_OF_BYTES else 2
    x, left = 0, abs(height)
    end = len(data) - 1
    while at < end and left:
        count, code = data[at], data[at + 1]
        at += 2
        if not count and code <= _SKIP:
            if code or x < width:
                break
            x, left = 0, left - 1
        else:
            if not count:
                count = code
                size = -(-code // per_byte)
                at += size + (size & 1)
            x += count
            if x > width:
                raise Rejection("corrupt_image", "BMP: its run lengths go beyond a row.")
    if left and (left > 1 or x < width):
        raise Rejection("truncated_image", "BMP: its run lengths leave pixels out.")
