"""Colour profiles, built by hand: which count, where their description is, and what becomes of grey and of inks."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from PIL import Image

from handlers.imaging import colour

HEADER = 128


def profile(
    tags: dict[bytes, bytes] | list[tuple[bytes, bytes]],
    space: bytes = b"RGB ",
    pcs: bytes = b"XYZ ",
    *,
    count: int | None = None,
) -> bytes:
    """A profile of these tags, which may declare another number of them."""
    pairs = list(tags.items()) if isinstance(tags, dict) else tags
    begin = HEADER + 4 + 12 * len(pairs)
    table = content = b""
    for name, value in pairs:
        table += name + struct.pack(">II", begin + len(content), len(value))
        content += value.ljust(-(-len(value) // 4) * 4, b"\0")
    white = struct.pack(">3i", 63190, 65536, 54061)
    head = (
        struct.pack(">I4xI", begin + len(content), 0x02100000) + b"mntr" + space + pcs + bytes(12) + b"acsp"
    )
    head = (head.ljust(68, b"\0") + white).ljust(HEADER - 1, b"\0") + b"\1"  # a byte that is not the count's
    return head + struct.pack(">I", len(pairs) if count is None else count) + table + content


def image_with(block: object, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, (2, 2))
    image.info["icc_profile"] = block
    return image


def seen(block: object) -> bool:
    """Whether it changes what is seen."""
    found = colour.profile_of(image_with(block))
    assert found in (None, block)
    return found is not None


@pytest.mark.parametrize("space", [b"GRAY", b"CMYK", b"RGB "])
def test_a_profile_is_of_a_known_space_and_has_a_whole_header(space: bytes) -> None:
    whole = profile([], space)
    assert len(whole) == 132
    assert seen(whole)
    assert seen(whole + b"\0")
    assert not seen(whole[:-1])
    assert not seen(bytearray(whole))
    assert not seen(None)
    for other in (b"Lab ", space.lower(), space[1:] + b" ", b"XYZ "):
        assert not seen(profile([], other))


@pytest.mark.parametrize("text", [b"sRGB", b"IEC sRGB 2.1", b"\0s\0R\0G\0B", b"s\0R\0G\0B\0"])
def test_srgb_is_known_by_its_description(text: bytes) -> None:
    assert not seen(profile({b"desc": text}))
    # Of grey and inks a name says nothing, nor does another text of the profile.
    assert seen(profile({b"desc": text}, b"GRAY"))
    assert seen(profile({b"cprt": text, b"dmnd": text, b"desc": b"Display P3"}))
    assert seen(profile({b"cprt": text}))


@pytest.mark.parametrize(
    ("number", "count", "is_read"),
    [
        (0, 1, True),
        (3, 4, True),
        (3, 3, False),
        (0, 0, False),
        (99, 101, True),
        (100, 101, False),
        (1, 0x01000001, True),
    ],
)
def test_of_a_profile_100_tags_are_read_and_no_more_than_it_has(
    number: int, count: int, is_read: bool
) -> None:
    tags = [(b"cprt", b"text")] * number + [(b"desc", b"sRGB")]
    assert seen(profile([*tags, (b"cprt", b"text")], count=count)) != is_read


@pytest.mark.parametrize(
    ("before", "size", "is_srgb"),
    [
        (0, 4, True),
        (0, 3, False),
        (508, 512, True),
        (509, 513, False),
        (508, 513, True),
        (252, 256, True),
        (1, 5, True),
        (1, 4, False),
    ],
)
def test_of_a_description_512_bytes_are_read_and_no_more_than_it_has(
    before: int, size: int, is_srgb: bool
) -> None:
    block = bytearray(profile({b"desc": b"x" * before + b"sRGB", b"cprt": b"sRGB"}))
    struct.pack_into(">I", block, HEADER + 4 + 8, size)
    assert seen(bytes(block)) != is_srgb


def test_where_a_description_begins() -> None:
    far = profile({b"cprt": b"sRGB" * 18_000, b"desc": b"sRGB", b"dmnd": b"Display P3"})
    (begin,) = struct.unpack_from(">I", far, HEADER + 4 + 12 + 4)
    assert begin > 0x10000
    assert not seen(far)
    assert seen(far[:begin] + b"Adob" + far[begin + 4 :])
    assert seen(far[:begin])


def test_a_description_is_a_tag_and_not_another_place_of_the_table() -> None:
    block = bytearray(profile([(b"cprt", b"sRGB"), (b"dmnd", b"sRGB")]))
    begin = len(block) - 8
    struct.pack_into(">4sII", block, HEADER + 4 + 4, b"desc", begin, 4)
    assert seen(bytes(block))
    struct.pack_into(">4sII", block, HEADER + 4, b"desc", begin, 4)
    assert not seen(bytes(block))


CURVE = b"curv" + bytes(8)  # of no points: values are light


def grey() -> bytes:
    return profile({b"kTRC": CURVE, b"wtpt": b"XYZ " + struct.pack(">I3i", 0, 63190, 65536, 54061)}, b"GRAY")


def inks() -> bytes:
    """A table from four inks to Lab: the first alone darkens, whatever the others are."""
    corners = b"".join(bytes((255 * (1 - cyan), 128, 128)) for cyan in (0, 1) for _ in range(8))
    line = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * (row == column) for row in range(3) for column in range(3)))
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + line * 4 + corners + line * 3
    return profile({b"A2B0": table}, b"CMYK", b"Lab ")


def shown(image: Image.Image, block: bytes) -> Any:
    found = colour.to_srgb(image, block)
    assert found.mode == "RGB"
    return found.getpixel((0, 0))


def test_grey_whose_values_are_light_becomes_brighter() -> None:
    for value in (0, 55, 128, 200, 255):
        light = value / 255
        expected = 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)
        assert shown(Image.new("L", (2, 2), value), grey()) == pytest.approx((expected,) * 3, abs=2)


def test_inks_become_what_their_profile_says() -> None:
    assert shown(Image.new("CMYK", (2, 2), (0, 255, 255, 255)), inks()) == pytest.approx((255,) * 3, abs=3)
    assert shown(Image.new("CMYK", (2, 2), (255, 0, 0, 0)), inks()) == pytest.approx((0,) * 3, abs=3)


@pytest.mark.parametrize(
    ("mode", "block"),
    [
        ("RGB", grey()),
        ("RGB", inks()),
        ("L", inks()),
        ("CMYK", grey()),
        ("L", profile({})),
        ("CMYK", profile({})),
    ],
)
def test_a_profile_of_another_space_changes_nothing(mode: str, block: bytes) -> None:
    image = Image.new(mode, (2, 2), 100)
    assert colour.to_srgb(image, block) is image


def test_a_profile_without_what_it_needs_changes_nothing() -> None:
    for mode, space in (("RGB", b"RGB "), ("L", b"GRAY"), ("CMYK", b"CMYK")):
        image = Image.new(mode, (2, 2), 100)
        assert colour.to_srgb(image, profile({}, space)) is image
