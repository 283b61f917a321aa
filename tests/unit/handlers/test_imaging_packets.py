"""JPEG 2000: damaged headers of packets, which OpenJPEG passes over, and whole files of many layouts."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from handlers.imaging import jpeg2000, packets
from tests.unit.handlers.sample_images import decoded, drawn, encoded, noise, prepare, rejection

PHOTO = Image.blend(drawn(150, 110), noise(150, 110), 0.15)
LAYERS = {"no_jp2": True, "irreversible": True, "quality_layers": [40, 10]}
TILES = {"tile_size": (64, 64)}
ODD_TILES = {"tile_size": (70, 50)}
KINDS: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "plain": (PHOTO, {}),
    "layers": (PHOTO, LAYERS),
    "tiles": (PHOTO, TILES),
    "odd-tiles": (PHOTO, ODD_TILES),
}
# What decoders must take for whole: empty packets at the end, packets in every order, other blocks and precincts.
WHOLE: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    **KINDS,
    "grey": (PHOTO.convert("L"), {"progression": "RLCP"}),
    "alpha": (PHOTO.convert("RGBA"), {"progression": "RPCL", "precinct_size": (64, 64)}),
    "deep": (PHOTO.convert("I;16"), {"progression": "PCRL", "codeblock_size": (4, 4)}),
    "position": (PHOTO, {"progression": "CPRL", "plt": True, "num_resolutions": 1}),
    "offset": (PHOTO, {"offset": (3, 20), **ODD_TILES}),
    "almost-flat": (
        Image.new("RGB", (150, 110), "white"),
        {"irreversible": True, "quality_layers": [80, 40, 20, 10, 5, 1]},
    ),
    "tiny": (PHOTO.crop((0, 0, 3, 2)), {}),
}
WHOLE["almost-flat"][0].paste("navy", (1, 1, 4, 4))
# Of one grey, 16 x 16 pixels, with SOP and EPH around each packet, as FFmpeg's encoder writes them and Pillow's does not.
MARKED = bytes.fromhex(
    "ff4fff510029000000000010000000100000000000000000000001000000010000000000000000000001070101ff52000c06"
    "000001000602020001ff5c00162040484850484850484850484850484850484850ff64001100014c61766336322e32382e31"
    "3032ff90000a0000000000500001ff93ff9100040000cfa804ff9205ff910004000100ff92ff910004000200ff92ff910004"
    "000300ff92ff910004000400ff92ff910004000500ff92ff910004000600ff92ffd9"
)


def reads(data: bytes) -> bool:
    """Whether Pillow reads it."""
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("kind", WHOLE)
def test_whole(kind: str) -> None:
    image, options = WHOLE[kind]
    data = encoded(image, "JPEG2000", **options)
    assert prepare(data, side=512).width == image.width
    assert prepare(data + bytes(50), side=16).width == image.width


@pytest.mark.parametrize("last", [False, True], ids=["first-tile", "last-tile"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_header_of_a_packet_is_damaged(kind: str, last: bool) -> None:
    image, options = KINDS[kind]
    data = encoded(image, "JPEG2000", **options)
    at = 2 + (data.rindex(b"\xff\x93") if last else data.index(b"\xff\x93"))
    damaged = data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]
    assert reads(damaged)
    for side in (16, 512):
        assert rejection(damaged, side=side).code == "corrupt_image"


@pytest.mark.parametrize("count", [1, 2, 9])
def test_packets_are_missing(count: int) -> None:
    data = encoded(PHOTO, "JPEG2000", no_jp2=True, plt=True, quality_layers=[20, 1])
    lengths, value = [], 0
    at = data.index(b"\xff\x58")
    for byte in data[at + 5 : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]:
        value = value << 7 | byte & 127
        if not byte & 128:
            lengths.append(value)
            value = 0
    begin, missing = data.index(b"\xff\x90"), sum(lengths[-count:])
    length = len(data) - 2 - begin - missing
    damaged = data[: begin + 6] + struct.pack(">I", length) + data[begin + 10 : -2 - missing] + data[-2:]
    assert reads(damaged)
    assert rejection(damaged).code == "truncated_image"


def test_lengths_of_tiles_in_the_main_header_are_left_as_they_are() -> None:
    data = encoded(PHOTO, "JPEG2000", no_jp2=True, **TILES)
    at = begin = data.index(b"\xff\x90")
    entries = b""
    while data[at : at + 2] == b"\xff\x90":
        entries += data[at + 4 : at + 10]
        at += int.from_bytes(data[at + 6 : at + 10], "big")
    tlm = struct.pack(">HHBB", 0xFF55, 4 + len(entries), 0, 0x60) + entries
    assert prepare(data[:begin] + tlm + data[begin:]).width == PHOTO.width


@pytest.mark.parametrize("kind", [*WHOLE, "odd-size"])
def test_at_a_fraction_of_its_size(kind: str) -> None:
    image, options = WHOLE.get(kind, (PHOTO.crop((0, 0, 149, 109)), ODD_TILES))
    data = encoded(image, "JPEG2000", **options)
    found, whole = jpeg2000.inspect(data), Image.open(io.BytesIO(data))
    sizes = {level: found.size_at(level) for level in range(found.resolutions + 1)}
    assert sizes[0] == image.size
    if kind == "offset":  # Pillow cannot
        assert not any(size for level, size in sizes.items() if level)
    for level, size in sizes.items():
        if size:
            assert size == tuple(-(-length >> level) for length in image.size)
            assert jpeg2000.load(data, found, level).size == size
    assert kind in ("offset", "tiny", "position") or sizes[1]
    # THEN it shows the same as the whole image does
    if image.mode == "RGB" and (size := sizes.get(1)) and kind != "tiny":
        seen = ImageChops.difference(jpeg2000.load(data, found, 1), whole.resize(size, Image.Resampling.BOX))
        assert max(ImageStat.Stat(seen).mean) < 8


def test_a_tile_that_vanishes_when_halved() -> None:
    data = encoded(PHOTO, "JPEG2000", num_resolutions=5, **ODD_TILES)
    found = jpeg2000.inspect(data)
    assert found.size_at(3) == (19, 14)
    assert found.size_at(4) is None
    assert prepare(data, side=8).width == PHOTO.width


@pytest.mark.parametrize(("size", "whole"), [((16, 16), True), ((15, 16), False), ((16, 15), False)])
def test_subsampled_components(size: tuple[int, int], whole: bool) -> None:
    # GIVEN three components, the second and third with half the samples each way
    data = encoded(PHOTO.crop((0, 0, *size)), "JPEG2000", no_jp2=True, tile_size=(16, 16), num_resolutions=2)
    at = 2 + 4 + 36
    subsampled = data[: at + 4] + b"\2\2\7\2\2" + data[at + 9 :]
    # THEN Pillow puts their samples in other places unless they fill every tile
    if whole:
        found = jpeg2000.inspect(subsampled)
        assert (found.size_at(0), found.size_at(1)) == ((16, 16), (8, 8))
    else:
        assert rejection(subsampled).code == "unsupported_format"


@pytest.mark.parametrize(
    ("at", "values"),
    [
        (24, (1, 0)),
        (24, (0, 1)),
        (8, (2**31, 60, 2**31 - 60, 0, 1, 60)),
        (6, (60, 2**31, 0, 2**31 - 60, 60, 1)),
    ],
)
def test_the_first_tile_is_not_where_the_image_begins(at: int, values: tuple[int, ...]) -> None:
    # GIVEN a first tile that begins after the image does, or ends before it: two thousand million tiles are not
    data = encoded(PHOTO, "JPEG2000", no_jp2=True)
    moved = data[: 2 + at] + struct.pack(f">{len(values)}I", *values) + data[2 + at + 4 * len(values) :]
    assert rejection(moved).code == "corrupt_image"


def test_a_component_without_samples() -> None:
    data = encoded(PHOTO, "JPEG2000", no_jp2=True)
    assert rejection(data[:46] + b"\0" + data[47:]).code == "corrupt_image"


def test_markers_around_empty_packets() -> None:
    assert MARKED.endswith(b"\0\xff\x92\xff\xd9")
    packets.check(MARKED, jpeg2000.inspect(MARKED))


@pytest.mark.parametrize(("at", "bits"), [(5, 0x20), (7, 0x40), (9, 0x80), (17, 0x20), (4, 0x01)])
def test_an_exponent_far_from_those_of_its_level_or_an_unknown_style(at: int, bits: int) -> None:
    data = encoded(PHOTO, "JPEG2000", irreversible=True)
    place = data.index(b"\xff\x5c") + at
    damaged = data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]
    assert reads(damaged)
    assert rejection(damaged).code == "corrupt_image"


def test_more_bits_than_coefficients_have() -> None:
    data = encoded(PHOTO, "JPEG2000")
    place = data.index(b"\xff\x5c") + 5
    exponents = bytes([31 << 3] * 4)
    assert rejection(data[:place] + exponents + data[place + 4 :]).code == "corrupt_image"


@pytest.mark.parametrize("irreversible", [False, True])
def test_a_transform_that_its_quantisation_contradicts(irreversible: bool) -> None:
    data = encoded(PHOTO, "JPEG2000", irreversible=irreversible)
    at = data.index(b"\xff\x52") + 13
    assert data[at] == (not irreversible)
    component = b"\xff\x53\0\x09%c\0" + data[at - 4 : at]
    damaged = data[:at] + bytes([data[at] ^ 1])
    assert reads(damaged + data[at + 1 :])
    assert rejection(damaged + data[at + 1 :]).code == "corrupt_image"
    # GIVEN the right one for each component, and a marker without a length
    for count, whole in ((2, False), (3, True)):
        rest = b"".join(component % number + data[at : at + 1] for number in range(count))
        codestream = (damaged + rest + b"\xff\x30" + data[at + 1 :])[data.index(b"\xff\x4f\xff\x51") :]
        if whole:
            assert decoded(prepare(codestream).data).tobytes() == decoded(prepare(data).data).tobytes()
        else:
            assert rejection(codestream).code == "corrupt_image"


@pytest.mark.parametrize("profile", [3, 4])
def test_colours_of_digital_cinema(profile: int) -> None:
    data = encoded(PHOTO, "JPEG2000", no_jp2=True)
    assert rejection(data[:7] + bytes([profile]) + data[8:]).code == "unsupported_format"
