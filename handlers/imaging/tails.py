"""Pixels without compression: whether the last part of them was never written, and reads as zeros.

Zeros are a colour too, mostly black. But an image does not become black in the middle of a row up to its end, while the row before goes
on in other colours: that is where a copy broke off.
"""

from __future__ import annotations

from handlers.rejections import Rejection

_LEAST = 512  # bytes of zeros in the rows below
_CUT_OFF = 16  # bytes of a row that must be zeros
_BLOCK = 65_536  # bytes that are copied at a time
_DARK = 10  # of so many bytes in the row's length before them, one may be zero


def check(name: str, data: bytes, begin: int, row: int, rows: int) -> None:
    """Reject an image whose last part is zeros that no encoder writes.

    Parameters
    ----------
    begin, row, rows
        First byte of the pixels, bytes of a row, and number of rows.

    Raises
    ------
    Rejection
        ``truncated_image``.
    """
    end = begin + row * rows
    if not row or end > len(data):
        return
    first = _first_of_zeros(data, begin, end)
    above, inside = divmod(first - begin, row)
    rest = row - inside
    if not above or inside < _CUT_OFF or rest < _CUT_OFF or end - first < rest + _LEAST:
        return
    around = data[first - row : first]  # of this row what was written, of the row before the rest
    if _DARK * around.count(0) <= row:
        raise Rejection("truncated_image", f"{name}: its data ends within a row, and zeros follow.")


def _first_of_zeros(data: bytes, begin: int, end: int) -> int:
    """Where the zeros before `end` begin."""
    for stop in range(end, begin, -_BLOCK):
        start = max(begin, stop - _BLOCK)
        bare = data[start:stop].rstrip(b"\0")
        if bare:
            return start + len(bare)
    return begin
