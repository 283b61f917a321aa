"""HEVC: what is passed to the decoder's library and read from it, with a library that returns what a test sets."""

from __future__ import annotations

import ctypes
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from handlers.imaging import hevc
from handlers.imaging.heif import CodedImage

DECODER = 7


@dataclass
class Plane:
    """Rows of equal length, after each of which there are further bytes in memory."""

    rows: Sequence[bytes]
    bits: int = 8
    behind: bytes = b"\xee\xee\xee"

    def __post_init__(self) -> None:
        self.size = (self.bits + 7) // 8
        self.memory = ctypes.create_string_buffer(b"".join(row + self.behind for row in self.rows))


@dataclass
class Shown:
    """``chroma`` is of the enum de265_chroma."""

    chroma: int
    planes: Sequence[Plane]


@dataclass
class Step:
    """What one call to decode gives; ``more`` is whether there is more to decode, None to leave that as it is."""

    code: int = 0
    more: int | None = None
    warnings: Sequence[int] = ()
    images: Sequence[int] = ()


@dataclass
class Library:
    """Images have numbers from 1."""

    steps: list[Step]
    images: Sequence[Shown] = ()
    handle: int | None = DECODER
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def de265_new_decoder(self) -> int | None:
        return self.handle

    def de265_free_decoder(self, decoder: int) -> None:
        self.calls.append(("free", decoder))

    def de265_set_parameter_bool(self, decoder: int, parameter: int, value: bool) -> None:
        self.calls.append(("set", decoder, parameter, bool(value)))

    def de265_push_NAL(self, decoder: int, unit: bytes, size: int, *rest: object) -> None:
        self.calls.append(("push", decoder, unit[:size], *rest))

    def de265_flush_data(self, decoder: int) -> None:
        self.calls.append(("flush", decoder))
        self.step = Step()

    def de265_decode(self, decoder: int, more: Any) -> int:
        assert decoder == DECODER
        self.calls.append(("decode", more._obj.value))
        step = self.steps.pop(0)
        self.warnings, self.shown = list(step.warnings), list(step.images)
        if step.more is not None:
            more._obj.value = step.more
        return step.code

    def de265_get_warning(self, decoder: int) -> int:
        assert decoder == DECODER
        return self.warnings.pop(0) if self.warnings else 0

    def de265_get_next_picture(self, decoder: int) -> int | None:
        assert decoder == DECODER
        return self.shown.pop(0) if self.shown else None

    def de265_get_chroma_format(self, image: int) -> int:
        return self.images[image - 1].chroma

    def _plane(self, image: int, plane: int) -> Plane:
        return self.images[image - 1].planes[plane]

    def de265_get_image_width(self, image: int, plane: int) -> int:
        found = self._plane(image, plane)
        return len(found.rows[0]) // found.size

    def de265_get_image_height(self, image: int, plane: int) -> int:
        return len(self._plane(image, plane).rows)

    def de265_get_bits_per_pixel(self, image: int, plane: int) -> int:
        return self._plane(image, plane).bits

    def de265_get_image_plane(self, image: int, plane: int, stride: Any) -> int:
        found = self._plane(image, plane)
        stride._obj.value = len(found.rows[0] + found.behind)
        return ctypes.addressof(found.memory)


def decoded(library: Library, width: int = 64, height: int = 48, check_hash: bool = False) -> hevc._Decoding:
    coded = CodedImage([], width, height)
    return hevc._decode(library, coded, [b"unit", b"another"], check_hash=check_hash)


def sampled(*sizes: tuple[int, int], chroma: int, value: int = ord("X"), bits: int = 8) -> Shown:
    """An image whose samples all have a value; of each plane width and height."""
    row = value.to_bytes(1 if bits <= 8 else 2)
    return Shown(chroma, [Plane([row * width] * height, bits) for width, height in sizes])


@pytest.mark.parametrize("check_hash", [False, True])
def test_what_is_passed_to_the_decoder(check_hash: bool) -> None:
    # GIVEN two steps and more data before the second
    library = Library([Step(more=1), Step()])
    decoded(library, check_hash=check_hash)
    # THEN its checksum is that of filtered pixels
    assert library.calls == [
        ("set", DECODER, 0, check_hash), ("set", DECODER, 7, not check_hash), ("set", DECODER, 8, not check_hash),
        ("push", DECODER, b"unit", 0, None), ("push", DECODER, b"another", 0, None), ("flush", DECODER),
        ("decode", 0), ("decode", 0), ("free", DECODER),
    ]  # fmt: skip


def test_the_decoder_is_freed_after_an_error() -> None:
    library = Library([])
    with pytest.raises(IndexError):
        decoded(library)
    assert library.calls[-1] == ("free", DECODER)
    with pytest.raises(MemoryError, match="no decoder"):
        decoded(Library([], handle=None))


def test_what_the_decoder_reports() -> None:
    # GIVEN codes of damage and others, as results and as warnings THEN an error is the last step
    steps = [Step(0, 1, [1003, 1000, 4]), Step(0, 1), Step(8, 1, [1004, 1, 1017]), Step(0, 1, [5])]
    assert decoded(Library(steps)).codes == [1003, 4, 8, 1004, 1017]
    assert decoded(Library([Step(13, 1, [1020]), Step(4)])).codes == [1020]
    assert decoded(Library([Step(0, 0, [1021]), Step(4)])).codes == [1021]
    assert decoded(Library([Step()])) == hevc._Decoding([], 0, False, 0, 0, 0)


def test_pixels_of_all_planes() -> None:
    luma = Plane([b"abcdef", b"ghijkl", b"mnopqr", b"stuvwx"])
    planes = [luma, Plane([b"0123", b"4567"], bits=10), Plane([b"89ABCD", b"EFGHIJ"], bits=16)]
    library = Library([Step(images=[1])], [Shown(1, planes)])
    found = decoded(library)
    assert (found.samples, found.chroma, found.images) == (24 + 4 + 6, 1, 1)
    rows = b"abcdefghijklmnopqrstuvwx" + b"01234567" + b"89ABCDEFGHIJ"
    assert found.pixels == zlib.crc32(rows)
    # Of grey there is one plane
    grey = decoded(Library([Step(images=[1])], [Shown(0, planes)]))
    assert (grey.samples, grey.pixels, grey.chroma) == (24, zlib.crc32(rows[:24]), 0)
    # AND of all images
    both = decoded(
        Library(
            [Step(0, 1, images=[1, 2]), Step(images=[1])],
            [Shown(2, planes), Shown(3, planes[:1] * 3)],
        )
    )
    assert (both.images, both.chroma, both.samples) == (3, 2, 34 + 72 + 34)
    assert both.pixels == zlib.crc32(rows + rows[:24] * 3 + rows)


SIZES = {
    1: ((40, 40), (20, 20), (20, 20)),
    2: ((40, 40), (20, 40), (20, 40)),
    3: ((40, 40),) * 3,
    0: ((40, 40),),
}


def with_zeros(
    chroma: int, place: tuple[int, int], planes: Sequence[int] = (0, 1, 2), bits: int = 8, block: int = 16
) -> Shown:
    """An image of 40 x 40, with a block of zeros in some planes at a place in pixels."""
    across, down = {1: (2, 2), 2: (2, 1)}.get(chroma, (1, 1))
    image = sampled(*SIZES[chroma], chroma=chroma, bits=bits)
    for number in planes:
        plane, size = image.planes[number], 1 if bits <= 8 else 2
        rows = [bytearray(row) for row in plane.rows]
        x, y = (place[0] // across, place[1] // down) if number else place
        wide, high = (block // across, block // down) if number else (block, block)
        for row in rows[y : y + high]:
            row[x * size : (x + wide) * size] = bytes(len(row[x * size : (x + wide) * size]))
        image.planes[number].__init__([bytes(row) for row in rows], bits)  # type: ignore[misc]
    return image


def unwritten(image: Shown, width: int = 40, height: int = 40) -> bool:
    return decoded(Library([Step(images=[1])], [image]), width, height).unwritten


@pytest.mark.parametrize("chroma", [1, 2])
@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("place", [(0, 0), (16, 0), (32, 0), (0, 16), (16, 32), (32, 32)])
def test_blocks_that_were_never_written(chroma: int, bits: int, place: tuple[int, int]) -> None:
    assert unwritten(with_zeros(chroma, place, bits=bits))
    # AND are zero in some planes only
    for planes in ((0,), (1, 2), (0, 1), (0, 2)):
        assert not unwritten(with_zeros(chroma, place, planes, bits))
    # AND are not shown
    right, below = (place[0], 40) if place[0] else (40, 40), (40, place[1]) if place[1] else (40, 40)
    for shown in (right, below):
        assert unwritten(with_zeros(chroma, place, bits=bits), *shown) == (shown == (40, 40))
    # AND of which a pixel is, or more than there are
    assert unwritten(with_zeros(chroma, place, bits=bits), place[0] + 1, place[1] + 1)
    assert unwritten(with_zeros(chroma, place, bits=bits), 1 << 31, 1 << 31)


def test_blocks_whose_zeros_are_values() -> None:
    for chroma in (0, 3):
        assert not unwritten(with_zeros(chroma, (16, 16), range(len(SIZES[chroma]))))
    assert not unwritten(with_zeros(1, (0, 0)), 0, 0)
    for less in (1, 2, 15):
        assert not unwritten(with_zeros(1, (0, 0), block=16 - less))
    # Zeros that lie across two blocks
    assert not unwritten(with_zeros(1, (8, 0)))
    assert not unwritten(with_zeros(1, (0, 8)), 40, 16)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("width", [33, 34, 35])
def test_the_last_samples_of_a_row_count(width: int, size: int) -> None:
    # GIVEN a luma of zeros at the right, and in chroma a last sample that is not
    luma = b"\1" * (32 * size) + bytes((width - 32) * size)
    half = (width + 1) // 2
    for last in (0, 1):
        row = b"\1" * (16 * size) + bytes((half - 16) * size - 1) + bytes((last,))
        planes = [Plane([one] * 16, 8 * size) for one in (luma, row, row)]
        assert unwritten(Shown(2, planes), width, 16) == (not last)


@pytest.mark.parametrize(("bits", "size"), [(7, 1), (8, 1), (9, 2), (16, 2)])
def test_bytes_of_a_value(bits: int, size: int) -> None:
    # GIVEN planes of other depths, of which each counts
    luma = Plane([b"\0" * (16 * size)] * 16, bits)
    for last in (0, 1):
        chroma = Plane([b"\0" * 15 + bytes((last,))] * 16, 10)
        library = Library([Step(images=[1])], [Shown(2, [luma, chroma, chroma])])
        found = decoded(library)
        assert (found.samples, found.unwritten) == (16 * 16 + 2 * 8 * 16, not last)


def separated(raw: bytes) -> bytes:
    """A unit, with what separates bytes that would be a start code."""
    return re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", raw)


@pytest.mark.parametrize(
    ("raw", "less", "end"),
    [
        (b"\x26\1ab\x80", 0, b"\x26\1ab\xff"),
        (b"\x26\1ab\xc0\0\0", 0, b"\x26\1ab\xff"),
        (b"\x26\1ab\xd0", 0, b"\x26\1ab\xdf"),
        (b"\x26\1ab\xd0", 2, b"\x26\1ab\xbf"),
        (b"\x26\1ab\1", 0, b"\x26\1ab\1"),
        (b"\x26\1abX\0", 0, b"\x26\1ab\x5f"),
        (b"\x26\1ab\1", 2, b"\x26\1aa\xff"),
        (b"\x26\1a\1\x80", 2, b"\x26\1a\0\xff"),
        (b"\x80", 2, b"\x7f"),
        (b"\xff", 2, b"\xfd"),
        (b"\0\0", 2, b""),
        (b"", 0, b""),
        # The last 64 bytes are one number
        (b"\x26\1\1" + bytes(62) + b"\x80", 2, b"\x26\1\0" + b"\xff" * 63),
        (b"\x26\1\1" + bytes(63) + b"\x80", 2, b"\x26\1\1" + bytes(63) + b"\x7f"),
    ],
)
def test_the_end_of_a_slice(raw: bytes, less: int, end: bytes) -> None:
    assert hevc._with_end(separated(raw), less) == separated(end) + b"\x55" * 8


def test_bytes_that_would_be_a_start_code_are_separated() -> None:
    for raw in (b"\0\0\0\x05", b"\0\0\1\x05", b"\0\0\2\x05", b"\0\0\3\x05", b"\0\0\0\0\0\0\x05"):
        assert hevc._with_end(b"\x26" + separated(raw), 0) == b"\x26" + separated(raw) + b"\x55" * 8
    assert hevc._with_end(b"\0\0\4\x05", 0) == b"\0\0\4\x05" + b"\x55" * 8
    units = [b"\x26\1a\x80", b"\x26\1b\x80", b"\x26\1c\x80"]
    changed = [hevc._with_end(unit, 2) for unit in units]
    assert hevc._with_ends(units, [0, 2], 2) == [changed[0], units[1], changed[2]]


def test_which_units_are_slices() -> None:
    for kind in range(64):
        expected = kind in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 18, 19, 20, 21)
        assert hevc._is_slice(bytes((kind << 1, 1, 0))) == expected
        assert hevc._is_slice(bytes((0x80 | kind << 1, 1, 0))) == expected
        assert hevc._type(bytes((kind << 1,))) == kind
    assert hevc._type(b"") == -1
    # Of another layer, or without content
    for unit in (b"\x27\1\0", b"\x26\x09\0", b"\x26\xf9\0", b"\x26\1", b"\x26", b""):
        assert not hevc._is_slice(unit)
    assert hevc._is_slice(b"\x26\7\0")


@pytest.mark.parametrize("kind", [0, 19, 31, 32, 40])
def test_bytes_that_no_encoder_writes(kind: int) -> None:
    def damage(content: bytes) -> str:
        return hevc._slices_damaged([b"", bytes((kind << 1, 1)) + content])

    for value in (0, 1, 2):
        assert damage(b"ab\0\0" + bytes((value,))) == ("bytes that no encoder writes" if kind < 32 else "")
    for content in (b"ab\0\0\3", b"ab\0\0", b"a\0b\0\1", b"\0\0\4"):
        assert damage(content) == ""


def test_headers_of_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    aligned: list[Any] = [True, False]
    monkeypatch.setattr(hevc.slice_header, "is_aligned", lambda units: aligned.pop(0))
    assert [hevc._slices_damaged([b"\x26\1a"]) for _ in range(2)] == ["", "slice header"]
