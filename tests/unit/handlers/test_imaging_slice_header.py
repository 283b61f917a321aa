"""HEVC: each field of the parameter sets and of the header of a slice is read with its size, and where the specification has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from handlers.imaging import slice_header
from handlers.imaging.slice_header import (
    _Bits,
    _Parameters,
    _parameters,
    _Sequence,
    _sequence,
    _slice_aligned,
    allows_dependent_slices,
    is_aligned,
)
from handlers.rejections import NotUnderstood

Fields = Sequence[str]
ON, OFF = ("1",), ("0",)


def golomb(value: int) -> str:
    """A number in Exp-Golomb code."""
    return f"{value + 1:0{2 * (value + 1).bit_length() - 1}b}"


def unit(kind: int, fields: Iterable[str], fill: str = "1") -> bytes:
    """A NAL unit, filled up to a byte, with what separates bytes that would be a start code."""
    text = "".join(fields)
    text += fill * (-len(text) % 8)
    raw = bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))
    return bytes((kind << 1, 1)) + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", raw)


# The values differ, so that a wrong size or order changes what follows.
SEQUENCE: dict[str, Fields] = {
    "id": ("0110",), "layers": ("000",), "profile": ("1", "01" * 48), "number": (golomb(5),), "chroma": (golomb(1),), "planes": (),
    "size": (golomb(100), golomb(50)), "window": OFF, "edges": (), "depths": (golomb(1), golomb(2), golomb(4)), "ordering": ON,
    "buffers": (golomb(3), golomb(0), golomb(2)), "smallest": (golomb(0),), "difference": (golomb(2),),
    "transforms": (golomb(1), golomb(4), golomb(2), golomb(0)), "lists": OFF, "data": (), "asymmetric": ON, "sao": ON,
}  # fmt: skip
PICTURE: dict[str, Fields] = {
    "ids": (golomb(1), golomb(6)), "dependent": OFF, "output": OFF, "extra": ("000",), "signs": ("10",),
    "references": (golomb(0), golomb(3), golomb(9)), "intra": ("01",), "quantisers": OFF, "depth": (), "offsets": (golomb(2), golomb(5)),
    "chroma": OFF, "weights": ("101",), "tiles": OFF, "rows": OFF, "columns": (), "uniform": (), "sizes": (), "inner": (), "beyond": OFF,
    "deblocking": OFF, "override": (), "disabled": (), "strength": (), "lists": OFF, "modification": ON, "merge": (golomb(7),),
    "extension": OFF, "more": OFF,
}  # fmt: skip
SLICE: dict[str, Fields] = {
    "first": ON, "prior": ON, "id": (golomb(6),), "dependent": (), "address": (), "extra": (), "type": (golomb(2),), "output": (),
    "sao": (), "delta": (golomb(11),), "chroma": (), "override": (), "disabled": (), "strength": (), "across": (), "count": (),
    "length": (), "points": (), "extension": (), "more": (),
}  # fmt: skip


def fields(all_parts: dict[str, Fields], parts: dict[str, Fields]) -> list[str]:
    assert parts.keys() <= all_parts.keys()
    return [field for part in (all_parts | parts).values() for field in part]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[_Bits]:
    """The readers that were made."""
    made: list[_Bits] = []

    class Recorded(_Bits):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(slice_header, "_Bits", Recorded)
    return made


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({}, _Sequence(True, 8, True)),  # 100 x 50 in blocks of 32
        ({"asymmetric": ON, "sao": OFF}, _Sequence(True, 8, False)),
        ({"asymmetric": OFF}, _Sequence(True, 8, True)),
        ({"chroma": (golomb(0),)}, _Sequence(False, 8, True)),
        ({"chroma": (golomb(2),)}, _Sequence(True, 8, True)),
        ({"chroma": (golomb(3),), "planes": OFF}, _Sequence(True, 8, True)),
        ({"window": ON, "edges": (golomb(1), golomb(2), golomb(0), golomb(6))}, _Sequence(True, 8, True)),
        ({"difference": (golomb(0),)}, _Sequence(True, 13 * 7, True)),
        ({"difference": (golomb(3),)}, _Sequence(True, 2, True)),
        ({"difference": (golomb(4),)}, _Sequence(True, 2, True)),  # 64 is the largest
        ({"smallest": (golomb(2),), "difference": (golomb(0),)}, _Sequence(True, 8, True)),
        ({"size": (golomb(96), golomb(65))}, _Sequence(True, 9, True)),
        ({"size": (golomb(97), golomb(64))}, _Sequence(True, 8, True)),
        ({"profile": ("0", "10" * 48)}, _Sequence(True, 8, True)),
        ({"ordering": OFF, "depths": (golomb(0), golomb(0), golomb(12))}, _Sequence(True, 8, True)),
    ],
)
@pytest.mark.parametrize("fill", "01")
def test_sequence(parts: dict[str, Fields], found: _Sequence, fill: str, read: list[_Bits]) -> None:
    written = fields(SEQUENCE, parts)
    assert _sequence(unit(33, written, fill)) == found
    assert read[0].at == len("".join(written))


PLAIN = _Parameters(False, False, 0, False, False, False, False, False, False)


@pytest.mark.parametrize(
    ("parts", "changed"),
    [
        ({}, {}),
        ({"dependent": ON}, {"dependent": True}),
        ({"output": ON}, {"output": True}),
        ({"extra": ("101",)}, {"extra": 5}),
        ({"extra": ("110",), "signs": ("01",)}, {"extra": 6}),
        ({"intra": ("10",)}, {}),
        ({"quantisers": ON, "depth": (golomb(3),)}, {}),
        ({"chroma": ON, "weights": ("000",)}, {"chroma_offsets": True}),
        ({"beyond": ON}, {"across": True}),
        ({"deblocking": ON, "override": ON, "disabled": ON}, {"override": True, "disabled": True}),
        ({"deblocking": ON, "override": OFF, "disabled": ON}, {"disabled": True}),
        ({"deblocking": ON, "override": ON, "disabled": OFF, "strength": (golomb(4), golomb(9))}, {"override": True}),
        ({"deblocking": ON, "override": OFF, "disabled": OFF, "strength": (golomb(4), golomb(9))}, {}),
        ({"modification": OFF}, {}),
        ({"extension": ON}, {"extension": True}),
        ({"rows": ON}, {"entry_points": True}),
        (
            {"tiles": ON, "columns": (golomb(2), golomb(1)), "uniform": ON, "inner": OFF, "beyond": ON},
            {"entry_points": True, "across": True},
        ),
        ({"tiles": ON, "columns": (golomb(2), golomb(1)), "uniform": ON, "inner": ON}, {"entry_points": True}),
        (
            {"tiles": ON, "columns": (golomb(2), golomb(1)), "uniform": OFF, "sizes": (golomb(8), golomb(0), golomb(7)), "inner": ON},
            {"entry_points": True},
        ),
        ({"tiles": ON, "rows": ON, "columns": (golomb(0), golomb(0)), "uniform": OFF, "inner": ON}, {"entry_points": True}),
    ],
)  # fmt: skip
def test_parameters(parts: dict[str, Fields], changed: dict[str, Any], read: list[_Bits]) -> None:
    written = fields(PICTURE, parts)
    assert _parameters(unit(34, written, "0")) == replace(PLAIN, **changed)
    assert read[0].at == len("".join(written))


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        ({"layers": ("001",)}, "several layers"),
        ({"layers": ("100",)}, "several layers"),
        ({"chroma": (golomb(3),), "planes": ON}, "an extension"),
        ({"lists": ON, "data": ON}, "a scaling list"),
    ],
)
def test_sequences_that_are_not_understood(parts: dict[str, Fields], match: str) -> None:
    with pytest.raises(NotUnderstood, match=match):
        _sequence(unit(33, fields(SEQUENCE, parts)))


@pytest.mark.parametrize("name", ["lists", "more"])
def test_parameters_that_are_not_understood(name: str) -> None:
    with pytest.raises(NotUnderstood, match="an extension or a scaling list"):
        _parameters(unit(34, fields(PICTURE, {name: ON})))


def test_scaling_lists_without_data_are_those_of_the_standard() -> None:
    written = fields(SEQUENCE, {"lists": ON, "data": OFF})
    assert _sequence(unit(33, written)) == _Sequence(True, 8, True)


LATER: dict[str, Fields] = {"first": OFF, "address": ("1010",)}
GREY = _Sequence(False, 9, True)
SLICES: list[tuple[dict[str, Fields], dict[str, Any], _Sequence]] = [
    ({}, {}, _Sequence(True, 9, False)),
    ({"prior": OFF, "id": (golomb(0),), "type": (golomb(0),)}, {}, _Sequence(True, 9, False)),
    ({"sao": ("11",)}, {}, _Sequence(True, 9, True)),
    ({"sao": ("0",)}, {}, GREY),
    # The address has as many bits as the number of the last block.
    (LATER, {}, _Sequence(True, 9, False)),
    ({**LATER, "address": ("111",)}, {}, _Sequence(True, 8, False)),
    ({**LATER, "address": ("1111",)}, {}, _Sequence(True, 16, False)),
    ({**LATER, "address": ("10001",)}, {}, _Sequence(True, 17, False)),
    ({**LATER, "dependent": OFF}, {"dependent": True}, _Sequence(True, 9, False)),
    ({**LATER, "dependent": ON, "type": (), "delta": ()}, {"dependent": True, "extra": 3, "output": True}, _Sequence(True, 9, True)),
    ({**LATER, "dependent": ON, "type": (), "delta": (), "count": (golomb(0),)}, {"dependent": True, "entry_points": True}, GREY),
    ({}, {"dependent": True}, _Sequence(True, 9, False)),
    ({"extra": ("10110",)}, {"extra": 5}, _Sequence(True, 9, False)),
    ({"output": OFF}, {"output": True}, _Sequence(True, 9, False)),
    ({"chroma": (golomb(6), golomb(3))}, {"chroma_offsets": True}, _Sequence(True, 9, False)),
    # Filters beyond the edges of slices: only where there are any
    ({"sao": ("00",), "across": OFF}, {"across": True}, _Sequence(True, 9, True)),
    ({"sao": ("00",)}, {"across": True, "disabled": True}, _Sequence(True, 9, True)),
    ({"sao": ("01",), "across": OFF}, {"across": True, "disabled": True}, _Sequence(True, 9, True)),
    ({"sao": ("10",), "across": ON}, {"across": True, "disabled": True}, _Sequence(True, 9, True)),
    ({}, {"across": True, "disabled": True}, _Sequence(True, 9, False)),
    ({"across": ON}, {"across": True}, _Sequence(True, 9, False)),
    ({}, {"disabled": True}, _Sequence(True, 9, False)),
    # Deblocking of its own
    ({"override": OFF, "across": ON}, {"override": True, "across": True}, _Sequence(True, 9, False)),
    ({"override": OFF}, {"override": True, "across": True, "disabled": True}, _Sequence(True, 9, False)),
    ({"override": ON, "disabled": ON}, {"override": True, "across": True}, _Sequence(True, 9, False)),
    (
        {"override": ON, "disabled": OFF, "strength": (golomb(3), golomb(12)), "across": OFF},
        {"override": True, "across": True, "disabled": True}, _Sequence(True, 9, False),
    ),
    # Where rows or tiles begin
    ({"count": (golomb(0),)}, {"entry_points": True}, _Sequence(True, 9, False)),
    ({"count": (golomb(1),), "length": (golomb(0),), "points": ("0",)}, {"entry_points": True}, _Sequence(True, 9, False)),
    (
        {"count": (golomb(3),), "length": (golomb(4),), "points": ("10110", "00000", "11101")},
        {"entry_points": True}, _Sequence(True, 9, False),
    ),
    ({"count": (golomb(2),), "length": (golomb(31),), "points": ("01" * 32,)}, {"entry_points": True}, _Sequence(True, 9, False)),
    ({"extension": (golomb(0),)}, {"extension": True}, _Sequence(True, 9, False)),
    ({"extension": (golomb(3),), "more": ("010101010101010101010101",)}, {"extension": True}, _Sequence(True, 9, False)),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "changed", "sequence"), SLICES)
def test_slices(
    parts: dict[str, Fields], changed: dict[str, Any], sequence: _Sequence, read: list[_Bits]
) -> None:
    parameters, written = replace(PLAIN, **changed), fields(SLICE, parts)
    size = len("".join(written)) + 1
    # THEN all of it is read, to a 1 and zeros
    assert _slice_aligned(unit(19, [*written, "1"], "0") + b"\xff\xff", sequence, parameters)
    assert read[0].at == size + -size % 8
    # AND without the 1, it is damaged
    assert not _slice_aligned(unit(19, [*written, "0"], "0") + b"\xff", sequence, parameters)


@pytest.mark.parametrize("size", range(12, 20))
def test_the_end_of_a_header(size: int) -> None:
    # GIVEN headers of all sizes in bits
    long = "0" * (size // 2 - 4) + "1" + "0" * (size // 2 - 4)
    written = ["11", long, golomb(0), "1" if size % 2 else "010"]
    rest = -len("".join(written)) - 1 & 7
    wholes = [unit(20, [*written, "1"], fill) for fill in "01"]
    found = [_slice_aligned(whole + b"\xff", _Sequence(True, 9, False), PLAIN) for whole in wholes]
    assert found == [True, not rest]
    # AND another bit in each place behind the 1
    for place in range(rest):
        tail = "1" + "0" * place + "1"
        assert not _slice_aligned(unit(20, [*written, tail], "0"), _Sequence(True, 9, False), PLAIN)


def sets(sequence: Fields = (), picture: Fields = ()) -> tuple[bytes, bytes]:
    return unit(33, sequence or fields(SEQUENCE, {})), unit(34, picture or fields(PICTURE, {}))


WHOLE = unit(19, [*fields(SLICE, {"sao": ("01",)}), "1"], "0")
WRONG = unit(19, [*fields(SLICE, {"sao": ("01",)}), "1"], "1")


def of_kind(unit: bytes, kind: int) -> bytes:
    return bytes((kind << 1,)) + unit[1:]


def test_each_slice_of_a_key_frame_is_read() -> None:
    assert WHOLE != WRONG
    assert is_aligned([*sets(), WHOLE])
    assert is_aligned([*sets()])
    for kind in (19, 20):
        assert not is_aligned([*sets(), of_kind(WRONG, kind), WHOLE])
        assert not is_aligned([*sets(), WHOLE, of_kind(WRONG, kind)])
    # AND no other
    for kind in (1, 18, 21, 35, 39):
        assert is_aligned([*sets(), of_kind(WRONG, kind), WHOLE])
    assert is_aligned([b"", *sets(), bytes((19 << 1, 1)), b"", WHOLE])
    with pytest.raises(NotUnderstood, match="ends early"):
        is_aligned([*sets(), bytes((19 << 1, 1, 0x80)), WHOLE])


@pytest.mark.parametrize("number", [0, 1])
def test_there_is_one_of_each_parameter_set(number: int) -> None:
    both = sets()
    for units in ([both[1 - number]], [*both, both[number]]):
        with pytest.raises(NotUnderstood, match="several parameter sets"):
            is_aligned([*units, WHOLE])
    # AND one without content is none
    assert is_aligned([both[number][:2], *both, WHOLE])
    with pytest.raises(NotUnderstood, match="ends early"):
        is_aligned([both[number][:3], both[1 - number], WHOLE])


def of_size(size: int, begin: str, end: str) -> bytes:
    """A unit of so many bytes, most of them of a number in Exp-Golomb code."""
    # Each two bytes of zeros take a third; the other begin of the value makes the sizes that are left out otherwise.
    about = int((size - 2 - len(begin + end) / 8) * 16 / 5)
    numbers = (
        "0" * zeros + "1" + value.ljust(zeros, "1")
        for zeros in range(about - 20, about + 20)
        for value in ("", "0" * 40)
    )
    return next(one for number in numbers if len(one := unit(34, [begin, number, end])) == size)


def test_units_are_read_within_their_first_bytes() -> None:
    # GIVEN a number that fills all that is read, and a byte more
    begin, _, end = "".join(fields(SEQUENCE, {})).partition(golomb(5))
    _sequence(of_size(200, begin, end))
    with pytest.raises(NotUnderstood, match="ends early"):
        _sequence(of_size(201, begin, end))
    assert allows_dependent_slices(of_size(200, "", golomb(0) + "1"))
    assert not allows_dependent_slices(of_size(201, "", golomb(0) + "1"))
    begin, _, end = "".join(fields(PICTURE, {})).partition(golomb(6))
    _parameters(of_size(200, begin, end))
    with pytest.raises(NotUnderstood, match="ends early"):
        _parameters(of_size(201, begin, end))
    begin, _, end = "".join(fields(SLICE, {})).partition(golomb(6))
    _slice_aligned(of_size(2000, begin, end), GREY, PLAIN)
    with pytest.raises(NotUnderstood, match="ends early"):
        _slice_aligned(of_size(2001, begin, end), GREY, PLAIN)


@pytest.mark.parametrize("size", range(4))
def test_a_set_that_ends_early_allows_no_dependent_slices(size: int) -> None:
    assert not allows_dependent_slices((b"\x44\1" + b"\x41\xff")[:size])


@pytest.mark.parametrize("setting", "01")
def test_the_setting_of_dependent_slices_is_after_two_numbers(setting: str) -> None:
    other = "10"[int(setting)] * 9
    assert allows_dependent_slices(unit(34, [golomb(2), golomb(5), setting, other])) == (setting == "1")


def test_numbers() -> None:
    bits = _Bits(b"\x42\1" + bytes((0b0010_0101, 0, 0, 3, 1, 0b1011_0000)), 9)
    assert [bits.number(size) for size in (0, 3, 5)] == [0, 1, 5]
    assert bits.number(24) == 1  # without the 3 between
    assert bits.flag()
    assert not bits.flag()
    assert (bits.number(6), bits.number(0), bits.at) == (0b110000, 0, 40)
    for read in (bits.flag, bits.golomb):
        with pytest.raises(NotUnderstood, match="ends early"):
            read()
    numbers = _Bits(b"\x42\1" + bytes((0b1010_0110, 0b0100_0010, 0b1000_0000)), 9)
    assert [numbers.golomb() for _ in range(4)] == [0, 1, 2, 3]
    assert numbers.golomb() == 4
    assert _Bits(b"\x42\1" + bytes((0b1010_0110, 0b0100_0010, 0b1000_0000)), 9).golomb(4) == 3
    assert _Bits(b"\x42\1", 9).golomb(0) == 0
