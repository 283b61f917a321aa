"""AV1: each field of the header of a sequence is read with its size, and is where the specification has it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from handlers.imaging.av1_sequence import Bits, Sequence, _colour, declared, read
from handlers.rejections import NotUnderstood

Fields = Collection[tuple[int, int]]  # value and size in bits


def packed(fields: Fields) -> tuple[bytes, int]:
    """The fields one after another, filled up with ones, and how many bits they have."""
    text = "".join(f"{value:0{size}b}" for value, size in fields if size)
    return int(text + "1" * (-len(text) % 8), 2).to_bytes((len(text) + 7) // 8, "big"), len(text)


SUBSAMPLED: Fields = [(0, 1), (0, 1), (0, 1), (1, 1), (3, 2), (1, 1)]


def header(
    *,
    points: Fields = ((0, 1), (0, 5), (0xFFF, 12), (7, 5)),
    ids: Fields = ((0, 1),),
    tools: Fields = ((15, 4), (0, 1), (1, 1), (1, 1)),
    flags: str = "0000",
    colours: Fields = SUBSAMPLED,
) -> Fields:
    """A header of an image of 300 x 200; `flags` are large blocks, scaling, CDEF and restoration."""
    large, *others = ((int(flag), 1) for flag in flags)
    return [
        (0, 3), (1, 1), (0, 1), (0, 1), *points, (8, 4), (7, 4), (299, 9), (199, 8), *ids, large, (3, 2), *tools, *others,
        *colours, (1, 1),
    ]  # fmt: skip


PLAIN = Sequence(
    reduced=False, id_bits=0, size_bits=(9, 8), size=(300, 200), large=False, screen=2, integer=2, order_bits=0, scaled=False,
    cdef=False, restoration=False, grain=True, planes=3, subsampled=True, separate=True, configuration=0b0000_1100,
)  # fmt: skip
REDUCED: Fields = [
    (0, 3), (1, 1), (1, 1), (31, 5), (8, 4), (7, 4), (299, 9), (199, 8), (1, 1), (3, 2), (1, 1), (0, 1), (1, 1), *SUBSAMPLED,
    (0, 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        (header(), {}),
        (REDUCED, {"reduced": True, "large": True, "scaled": True, "restoration": True, "grain": False}),
        # Operating points: with a tier from level 8 on, with delays of the decoder.
        (header(points=[(0, 1), (1, 5), (0, 12), (8, 5), (1, 1), (0, 12), (7, 5)]), {}),
        (header(points=[(1, 1), (1, 5), (0, 12), (8, 5), (1, 1), (0, 1), (0, 12), (7, 5), (1, 1), (15, 4)]), {}),
        (header(ids=[(1, 1), (3, 4), (5, 3)]), {"id_bits": 11}),
        # Tools for screens: as it says, and each frame says; order hints.
        (header(tools=[(15, 4), (0, 1), (0, 1), (0, 1)]), {"screen": 0}),
        (header(tools=[(15, 4), (0, 1), (0, 1), (1, 1), (0, 1), (0, 1)]), {"screen": 1, "integer": 0}),
        (header(tools=[(15, 4), (0, 1), (0, 1), (1, 1), (0, 1), (1, 1)]), {"screen": 1, "integer": 1}),
        (header(tools=[(15, 4), (0, 1), (1, 1), (0, 1), (1, 1)]), {"integer": 1}),
        (header(tools=[(15, 4), (1, 1), (3, 2), (1, 1), (1, 1), (6, 3)]), {"order_bits": 7}),
        (header(flags="1000"), {"large": True}),
        (header(flags="0100"), {"scaled": True}),
        (header(flags="0010"), {"cdef": True}),
        (header(flags="0001"), {"restoration": True}),
        # Of grey, no quantisers that may differ.
        (
            header(colours=((0, 1), (1, 1), (0, 1), (1, 1))),
            {"planes": 1, "separate": False, "configuration": 0b0001_1100},
        ),
    ],
)  # fmt: skip
def test_every_field(fields: Fields, changed: dict[str, Any]) -> None:
    data, size = packed(fields)
    bits = Bits(b"\xff" + data, 1, 1 + len(data))
    assert read(bits) == replace(PLAIN, **changed)
    assert bits.at == 8 + size
    # AND none that ends before its last byte
    with pytest.raises(NotUnderstood, match="ends early"):
        read(Bits(data, 0, (size + 7) // 8 - 1))


def test_times_of_frames_are_not_understood() -> None:
    data, _ = packed([(0, 3), (1, 1), (0, 1), (1, 1), (0, 200)])
    with pytest.raises(NotUnderstood, match="timing"):
        read(Bits(data, 0, len(data)))


DESCRIBED: Fields = [(1, 8), (13, 8), (1, 8)]


@pytest.mark.parametrize(
    ("profile", "fields", "found"),
    [
        (0, [(1, 1), (0, 1), (0, 1), (1, 1), (3, 2)], (3, True, 0b0100_1100)),
        (0, [(0, 1), (0, 1), (1, 1), *DESCRIBED, (1, 1), (3, 2)], (3, True, 0b0000_1100)),
        (0, [(1, 1), (1, 1), (0, 1), (1, 1)], (1, True, 0b0101_1100)),
        (0, [(1, 1), (1, 1), (1, 1), *DESCRIBED, (1, 1)], (1, True, 0b0101_1100)),
        (0, [(0, 1), (0, 1), (1, 1), (1, 8), (13, 8), (0, 8)], (3, False, 0)),  # sRGB
        (1, [(1, 1), (0, 1), (1, 1)], (3, False, 0b0100_0000)),
        (2, [(0, 1), (0, 1), (0, 1), (1, 1)], (3, False, 0b0000_1000)),
        (2, [(1, 1), (0, 1), (0, 1), (0, 1), (1, 1)], (3, False, 0b0100_1000)),
        (2, [(1, 1), (1, 1), (0, 1), (0, 1), (1, 1), (0, 1)], (3, False, 0b0110_0000)),
        (2, [(1, 1), (1, 1), (0, 1), (0, 1), (1, 1), (1, 1), (0, 1)], (3, False, 0b0110_1000)),
        (2, [(1, 1), (1, 1), (0, 1), (0, 1), (1, 1), (1, 1), (1, 1), (3, 2)], (3, True, 0b0110_1100)),
    ],
)
def test_colours(profile: int, fields: Fields, found: tuple[int, bool, int]) -> None:
    data, size = packed(fields)
    bits = Bits(data, 0, len(data))
    assert _colour(bits, profile) == found
    assert bits.at == size


@pytest.mark.parametrize(
    ("most", "fields", "found"),
    # Of five values, three have two bits, the others three.
    [(5, [(2, 2)], 2), (5, [(6, 3)], 3), (5, [(7, 3)], 4), (1, [], 0), (8, [(0, 3)], 0), (8, [(7, 3)], 7)],
)
def test_numbers_below_a_bound(most: int, fields: Fields, found: int) -> None:
    data, size = packed([*fields, (0, 8)])
    bits = Bits(data, 0, len(data))
    assert (bits.below(most), bits.at) == (found, size - 8)


@pytest.mark.parametrize(("size", "at"), [(0, 0), (1, 1), (7, 1), (8, 1), (9, 2)])
def test_the_next_byte_is_after_zeros(size: int, at: int) -> None:
    bits = Bits(b"\0\0\0", 0, 3)
    bits.number(size)
    assert bits.aligned() == at
    bits = Bits(b"\1", 0, 1)
    bits.number(1)
    with pytest.raises(NotUnderstood, match="must be 0"):
        bits.aligned()


@pytest.mark.parametrize(
    ("content", "configuration"),
    [
        (b"\xff\xff\xff\xff", 0b0111_1100),
        (b"\xff\xff\0\xff", 0),
        (b"\0\0\x54\0more", 0b0101_0100),
        (b"\0\0\x54", -1),
        (b"", -1),
    ],
)
def test_the_configuration_that_a_box_declares(content: bytes, configuration: int) -> None:
    assert declared(content) == configuration
