"""AV1: the header that all frames of an image share (AV1 bitstream specification, 5.5)."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.rejections import NotUnderstood


class Bits:
    """Numbers, the highest bit first."""

    def __init__(self, data: bytes, begin: int, end: int) -> None:
        self._data, self.at, self._end = data, 8 * begin, 8 * end

    def number(self, size: int) -> int:
        """The next `size` bits; 0 for none."""
        end = self.at + size
        if end > self._end:
            raise NotUnderstood("it ends early")
        raw = int.from_bytes(self._data[self.at >> 3 : end + 7 >> 3])
        self.at = end
        return raw >> -end % 8 & (1 << size) - 1

    def flag(self) -> bool:
        """The next bit."""
        return self.number(1) == 1

    def below(self, most: int) -> int:
        """A number less than `most`."""
        size = most.bit_length()
        short = (1 << size) - most
        value = self.number(size - 1)
        return value if value < short else (value << 1) - short + self.number(1)

    def aligned(self) -> int:
        """The next byte, after zeros."""
        if self.number(-self.at % 8):
            raise NotUnderstood("bits that must be 0")
        return self.at >> 3


@dataclass(slots=True)
class Sequence:
    """``configuration`` has depth, number of planes and sampling in the bits that they have in the third byte of ``av1C``."""

    reduced: bool
    id_bits: int
    size_bits: tuple[int, int]
    size: tuple[int, int]
    large: bool  # blocks of 128 pixels
    screen: int  # 0 and 1: as it says; 2: each frame says
    integer: int
    order_bits: int
    scaled: bool
    cdef: bool
    restoration: bool
    grain: bool
    planes: int
    subsampled: bool
    separate: bool
    configuration: int


def declared(content: bytes) -> int:
    """The configuration in the content of an ``av1C`` box, to be compared with `Sequence.configuration`; -1 if it has none."""
    return content[2] & 0b1111100 if len(content) > 3 else -1


def read(bits: Bits) -> Sequence:
    """Read it to its end.

    Raises
    ------
    NotUnderstood
        It ends early, or has the times of frames.
    """
    profile = bits.number(3)
    bits.number(1)
    reduced = bits.flag()
    if reduced:
        bits.number(5)
    else:
        if bits.flag():
            raise NotUnderstood("timing")
        delay = bits.flag()
        for _ in range(bits.number(5) + 1):
            bits.number(12)
            if bits.number(5) > 7:
                bits.number(1)
            if delay and bits.flag():
                bits.number(4)
    size_bits = bits.number(4) + 1, bits.number(4) + 1
    size = bits.number(size_bits[0]) + 1, bits.number(size_bits[1]) + 1
    id_bits = 0
    if not reduced and bits.flag():
        difference = bits.number(4) + 2
        id_bits = bits.number(3) + 1 + difference
    large = bits.flag()
    bits.number(2)
    screen = integer = 2
    order_bits = 0
    if not reduced:
        bits.number(4)
        ordered = bits.flag()
        if ordered:
            bits.number(2)
        screen = 2 if bits.flag() else bits.number(1)
        if screen:
            integer = 2 if bits.flag() else bits.number(1)
        if ordered:
            order_bits = bits.number(3) + 1
    scaled, cdef, restoration = bits.flag(), bits.flag(), bits.flag()
    planes, subsampled, configuration = _colour(bits, profile)
    separate = planes == 3 and bits.flag()
    return Sequence(
        reduced, id_bits, size_bits, size, large, screen, integer, order_bits, scaled, cdef, restoration,
        bits.flag(), planes, subsampled, separate, configuration,
    )  # fmt: skip


def _colour(bits: Bits, profile: int) -> tuple[int, bool, int]:
    """Number of planes, whether chroma has half the rows, and the configuration."""
    deep = bits.flag()
    twelve = profile == 2 and deep and bits.flag()
    grey = profile != 1 and bits.flag()
    configuration = deep << 6 | twelve << 5 | grey << 4
    described = (bits.number(8), bits.number(8), bits.number(8)) if bits.flag() else (2, 2, 2)
    if grey:
        bits.number(1)
        return 1, True, configuration | 0b1100
    if described == (1, 13, 0):
        return 3, False, configuration
    bits.number(1)
    across = down = profile == 0
    if profile == 2:
        across = not twelve or bits.flag()
        down = twelve and across and bits.flag()
    if across and down:
        bits.number(2)
    return 3, across and down, configuration | across << 3 | down << 2
