"""HEVC: the header of a slice ends with a 1 and zeros to the end of the byte, which libde265 does not check and other decoders do."""

from __future__ import annotations

from dataclasses import dataclass

from handlers.rejections import NotUnderstood


class _Bits:
    """Numbers of some bits, or in Exp-Golomb code, one after another."""

    def __init__(self, unit: bytes, most: int) -> None:
        raw = unit[2:most].replace(b"\0\0\3", b"\0\0")
        self._bits = "".join(f"{byte:08b}" for byte in raw)
        self.at = 0

    def number(self, size: int) -> int:
        """The next `size` bits; 0 for none."""
        if self.at + size > len(self._bits):
            raise NotUnderstood("it ends early")
        self.at += size
        return int(self._bits[self.at - size : self.at] or "0", 2)

    def flag(self) -> bool:
        return self.number(1) == 1

    def golomb(self, times: int = 1) -> int:
        """The last of some numbers in Exp-Golomb code, with or without sign."""
        value = 0
        for _ in range(times):
            one = self._bits.find("1", self.at)
            if one < 0:
                raise NotUnderstood("it ends early")
            size, self.at = one - self.at, one
            value = self.number(size + 1) - 1
        return value

    def none(self) -> None:
        """A flag of something that is not read here."""
        if self.flag():
            raise NotUnderstood("an extension or a scaling list")


@dataclass(slots=True)
class _Sequence:
    chroma: bool
    blocks: int  # coding tree blocks of an image
    sao: bool


@dataclass(slots=True)
class _Parameters:
    dependent: bool
    output: bool
    extra: int
    chroma_offsets: bool
    override: bool
    disabled: bool
    across: bool
    entry_points: bool
    extension: bool


def is_aligned(units: list[bytes]) -> bool:
    """Whether the header of each slice ends as it must.

    Read are key frames (IDR) whose parameter sets use no extensions, scaling lists or layers, as nearly all of HEIC.

    Raises
    ------
    NotUnderstood
        One of them is another.
    """
    found = [(unit[0] >> 1, unit) for unit in units if len(unit) > 2]
    sequences, pictures = ([unit for kind, unit in found if kind == wanted] for wanted in (33, 34))
    if len(sequences) != 1 or len(pictures) != 1:
        raise NotUnderstood("several parameter sets")
    sequence, parameters = _sequence(sequences[0]), _parameters(pictures[0])
    return all(_slice_aligned(unit, sequence, parameters) for kind, unit in found if kind in (19, 20))


def allows_dependent_slices(unit: bytes) -> bool:
    """Whether the parameters of an image allow them; False if they end before that."""
    bits = _Bits(unit, 200)
    try:
        bits.golomb(2)
        return bits.flag()
    except NotUnderstood:
        return False


def _sequence(unit: bytes) -> _Sequence:
    bits = _Bits(unit, 200)
    bits.number(4)
    if bits.number(3):
        raise NotUnderstood("several layers")
    bits.number(1 + 96)  # profile, tier and level
    bits.golomb()
    chroma = bits.golomb()
    if chroma == 3:
        bits.none()
    width, height = bits.golomb(), bits.golomb()
    if bits.flag():
        bits.golomb(4)
    bits.golomb(3)
    bits.number(1)
    bits.golomb(3)
    smallest = bits.golomb() + 3
    size = 1 << smallest + min(bits.golomb(), 3)
    bits.golomb(4)
    if bits.flag():
        bits.none()
    bits.number(1)
    return _Sequence(chroma != 0, -(-width // size) * -(-height // size), bits.flag())


def _parameters(unit: bytes) -> _Parameters:
    bits = _Bits(unit, 200)
    bits.golomb(2)
    dependent, output, extra = bits.flag(), bits.flag(), bits.number(3)
    bits.number(2)
    bits.golomb(3)
    bits.number(2)
    if bits.flag():
        bits.golomb()
    bits.golomb(2)
    chroma_offsets = bits.flag()
    bits.number(3)
    tiles, rows = bits.flag(), bits.flag()
    if tiles:
        across, down = bits.golomb(), bits.golomb()
        if not bits.flag():
            bits.golomb(across + down)
        bits.number(1)
    beyond = bits.flag()
    override = disabled = False
    if bits.flag():
        override, disabled = bits.flag(), bits.flag()
        if not disabled:
            bits.golomb(2)
    bits.none()
    bits.number(1)
    bits.golomb()
    extension = bits.flag()
    bits.none()
    return _Parameters(
        dependent, output, extra, chroma_offsets, override, disabled, beyond, tiles or rows, extension
    )


def _slice_aligned(unit: bytes, sequence: _Sequence, parameters: _Parameters) -> bool:
    bits = _Bits(unit, 2_000)
    first = bits.flag()
    bits.number(1)
    bits.golomb()
    dependent = False
    if not first:
        dependent = parameters.dependent and bits.flag()
        bits.number((sequence.blocks - 1).bit_length())
    if not dependent:
        bits.number(parameters.extra)
        bits.golomb()
        bits.number(parameters.output)
        filtered = False
        if sequence.sao:
            filtered = bool(bits.number(1 + sequence.chroma))
        bits.golomb(1 + 2 * parameters.chroma_offsets)
        disabled = parameters.disabled
        if parameters.override and bits.flag():
            disabled = bits.flag()
            if not disabled:
                bits.golomb(2)
        if parameters.across and (filtered or not disabled):
            bits.number(1)
    if parameters.entry_points and (count := bits.golomb()):
        bits.number(count * (bits.golomb() + 1))
    if parameters.extension:
        bits.number(8 * bits.golomb())
    return bits.flag() and bits.number(-bits.at % 8) == 0
