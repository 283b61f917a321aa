"""PPM, PGM and PBM: the size and maximum in the header, and values above that maximum, which decoders cut off."""

from __future__ import annotations

import re
import sys
from array import array
from dataclasses import dataclass

from handlers.imaging import limits
from handlers.rejections import Rejection

_NUMBER = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])+([0-9]{1,10})(?=[\s#])")

_COMMENT = re.compile(rb"#[^\r\n]*")
_SPACES = b" \t\n\r\x0b\x0c"
_KINDS = bytes(
    0x20 if sign in _SPACES else 0x39 for sign in range(256)
)  # a space, or a 9 for all that is part of a value
_MORE = "PPM: it has more data than its header says."


@dataclass(slots=True)
class Ppm:
    """``maximum`` is 1 of a bitmap; ``begin`` is where the values begin, ``row`` the bytes of a row, 0 of text."""

    width: int
    height: int
    maximum: int
    begin: int
    row: int = 0


def inspect(data: bytes) -> Ppm:
    """Read the header and check the values.

    Raises
    ------
    Rejection
        ``truncated_image``, ``corrupt_image``, ``too_complex``.
    """
    kind = data[:2]
    numbers: list[int] = []
    at = 2
    for _ in range(2 if kind in (b"P1", b"P4") else 3):
        found = _NUMBER.match(data, at)
        if not found:
            code = "truncated_image" if len(data) < 64 else "corrupt_image"
            raise Rejection(code, "PPM: its header is damaged.")
        numbers.append(int(found[1]))
        at = found.end()
    width, height, maximum = (*numbers, 1)[:3]
    ppm = Ppm(width, height, maximum, at + 1)
    if kind in (b"P1", b"P2", b"P3") or (kind != b"P4" and maximum != 255):
        limits.check_count(
            "PPM", "bytes of text or of values other than 8 bits", len(data), limits.MAX_SLOW_BYTES
        )
    if kind in (b"P1", b"P2", b"P3"):
        _check_text(data[ppm.begin :], width * height * (3 if kind == b"P3" else 1), kind == b"P1")
    if kind in (b"P4", b"P5", b"P6"):
        ppm.row = (
            (width + 7) // 8 if kind == b"P4" else width * (1 if kind == b"P5" else 3) * (1 + (maximum > 255))
        )
        end = ppm.begin + ppm.row * height
        rest = data[end : end + 4096].lstrip(b" \t\r\n\0")
        if rest and not rest.startswith(b"P"):  # of a further image
            raise Rejection("corrupt_image", _MORE)
    if kind in (b"P5", b"P6") and maximum != 255:
        _check_values(data, ppm, 1 if kind == b"P5" else 3)
    return ppm


def _check_text(content: bytes, expected: int, bits: bool) -> None:
    """Count the values of an image in text."""
    for found in _COMMENT.finditer(content):
        if (
            not bits and content[found.start() - 1 : found.start()].isdigit()
        ):  # Pillow joins what is before and after it
            raise Rejection("corrupt_image", "PPM: a comment begins within a value.")
    values = _COMMENT.sub(b"", content).partition(b"P")[0]  # without further images
    if bits:
        count = len(values.translate(None, _SPACES))
    else:
        count = (values.translate(_KINDS) + b" ").count(b"9 ")
    if count < expected:
        raise Rejection("truncated_image", f"PPM: {expected} values are declared, {count} are there.")
    if count > expected:
        raise Rejection("corrupt_image", _MORE)


def _check_values(data: bytes, ppm: Ppm, channels: int) -> None:
    size = 1 if ppm.maximum < 256 else 2
    content = data[ppm.begin : ppm.begin + ppm.width * ppm.height * channels * size]
    values = array("B" if size == 1 else "H", content[: len(content) // size * size])
    if sys.byteorder == "little":
        values.byteswap()  # of bytes, it changes nothing
    if values and max(values) > ppm.maximum:
        raise Rejection("corrupt_image", f"PPM: it has values above the maximum of {ppm.maximum}.")
