"""JPEG 2000: headers of packets that OpenJPEG reads, and other decoders read as something else."""

from __future__ import annotations

import struct

import pytest
from PIL import Image

from handlers.imaging import codestream, jpeg2000, packet_headers, packets
from handlers.rejections import NotUnderstood, Rejection
from tests.unit.handlers.sample_images import encoded, noise, rejection
from tests.unit.handlers.test_imaging_packets import KINDS, MARKED, WHOLE, reads

# One packet of one code-block: three bytes of header, 69 of data.
SINGLE = encoded(noise(8, 8).convert("L"), "JPEG2000", no_jp2=True, num_resolutions=1)
BEGIN = SINGLE.index(b"\xff\x93") + 2
GUARD = SINGLE.index(b"\xff\x5c") + 4  # the style of quantisation, with the bits that guard
LAYERS = encoded(
    Image.linear_gradient("L").rotate(90).resize((64, 48)).convert("RGB"),
    "JPEG2000",
    no_jp2=True,
    irreversible=True,
    quality_layers=[40, 10],
)


def check(data: bytes) -> None:
    """Only what is checked of headers."""
    found = jpeg2000.inspect(data)
    packet_headers.check(data, codestream.read(data, found))


def changed(data: bytes, at: int, new: bytes) -> bytes:
    """With other bytes from a place on."""
    return data[:at] + new + data[at + len(new) :]


def in_tile(data: bytes, *segments: bytes) -> bytes:
    """With marker segments in the header of its only tile."""
    at, more = data.index(b"\xff\x90"), b"".join(segments)
    (length,) = struct.unpack_from(">I", data, at + 6)
    return (
        data[: at + 6]
        + struct.pack(">I", length + len(more))
        + data[at + 10 : at + 12]
        + more
        + data[at + 12 :]
    )


def segment(data: bytes, marker: bytes) -> bytes:
    """A marker with its content."""
    at = data.index(marker)
    return data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]


@pytest.mark.parametrize("kind", [*WHOLE, "marked"])
def test_whole_files_are_understood(kind: str) -> None:
    image, options = WHOLE.get(kind, (None, {}))
    check(encoded(image, "JPEG2000", **options) if image else MARKED)


@pytest.mark.parametrize(
    ("begin", "whole"), [(b"\xff\x7f", True), (b"\xff\x80", False), (b"\xff\xff", False)]
)
def test_data_that_no_coder_begins_with(begin: bytes, whole: bool) -> None:
    data = changed(SINGLE, BEGIN + 3, begin)
    assert reads(data)
    if whole:
        check(data)
    else:
        assert rejection(data).code == "corrupt_image"


def test_an_empty_packet_where_its_header_is_needed_later() -> None:
    # GIVEN a header that includes no code-block, and the next of that layer, both one byte long
    at = LAYERS.index(b"\x80\x80\x80", LAYERS.index(b"\xff\x93"))
    # THEN an empty packet in its place leaves it open since when the blocks of the next layer are included
    data = changed(LAYERS, at, b"\0")
    assert reads(data)
    assert rejection(data).code == "corrupt_image"


def test_more_passes_than_bit_planes() -> None:
    check(SINGLE)
    assert SINGLE[GUARD] == 2 << 5
    check(changed(SINGLE, GUARD, bytes([3 << 5])))
    data = changed(SINGLE, GUARD, bytes([1 << 5]))
    assert reads(data)
    assert rejection(data).code == "corrupt_image"


@pytest.mark.parametrize("component", [False, True])
def test_a_tile_has_quantisation_of_its_own(component: bool) -> None:
    # GIVEN a main header whose quantisation does not suit the packets, and the right one in the header of the tile
    right, wrong = segment(SINGLE, b"\xff\x5c"), changed(SINGLE, GUARD, bytes([1 << 5]))
    own = b"\xff\x5d" + struct.pack(">HB", len(right) - 1, 0) + right[4:] if component else right
    check(in_tile(wrong, own))
    with pytest.raises(Rejection, match="damaged"):
        check(in_tile(SINGLE, segment(wrong, b"\xff\x5c")))
    # AND one for all components in the tile counts more than one of a component in the main header
    at = wrong.index(b"\xff\x90")
    check(
        in_tile(
            wrong[:at] + b"\xff\x5d" + struct.pack(">HB", 5, 0) + wrong[GUARD : GUARD + 2] + wrong[at:], right
        )
    )


@pytest.mark.parametrize("count", [1, 2])
def test_a_tile_is_longer_than_its_packets(count: int) -> None:
    at = SINGLE.index(b"\xff\x90") + 6
    data = changed(SINGLE, at, struct.pack(">I", int.from_bytes(SINGLE[at : at + 4], "big") + count))
    data = data[:-2] + bytes(count) + data[-2:]
    assert reads(data)
    assert rejection(data).code == "corrupt_image"


def test_a_tile_is_shorter_than_its_packets() -> None:
    at = SINGLE.index(b"\xff\x90") + 6
    data = changed(SINGLE, at, struct.pack(">I", int.from_bytes(SINGLE[at : at + 4], "big") - 1))
    with pytest.raises(Rejection) as rejected:
        check(data[:-3] + data[-2:])
    assert rejected.value.code == "truncated_image"


@pytest.mark.parametrize("limit", ["_MOST_CONTRIBUTIONS", "_MOST_PACKETS", "_MOST_HEADERS"])
@pytest.mark.parametrize("kind", KINDS)
def test_too_many_to_read(kind: str, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image, options = KINDS[kind]
    data = encoded(image, "JPEG2000", **options)
    monkeypatch.setattr(packet_headers, limit, 1)
    with pytest.raises(NotUnderstood):
        check(data)
    # THEN the ends of its tiles are still checked by decoding
    found = jpeg2000.inspect(data)
    packets.check(data, found)
    at = data.index(b"\xff\x93") + 2
    with pytest.raises(Rejection):
        packets.check(changed(data, at, bytes([data[at] ^ 0x80])), found)


@pytest.mark.parametrize("marker", [b"\xff\x50", b"\xff\x5f", b"\xff\x61"])
def test_markers_that_are_not_understood(marker: bytes) -> None:
    with pytest.raises(NotUnderstood):
        check(in_tile(SINGLE, marker + b"\0\3\0"))


def test_work_that_a_small_file_does_not_need() -> None:
    # GIVEN 30,000 layers of 48 code-blocks, and precincts of two pixels in an image of 100 megapixels
    layers = LAYERS.index(b"\xff\x52") + 6
    size = SINGLE.index(b"\xff\x51") + 6
    coding = SINGLE.index(b"\xff\x52")
    many = changed(SINGLE, size, struct.pack(">II", 10_000, 10_000))
    many = changed(many, size + 16, struct.pack(">II", 10_000, 10_000))
    many = many[: coding + 3] + b"\x0d\x01" + many[coding + 5 : coding + 14] + b"\x11" + many[coding + 14 :]
    for data in (changed(LAYERS, layers, struct.pack(">H", 30_000)), many):
        with pytest.raises(NotUnderstood):
            check(data)


def test_high_throughput_is_not_understood() -> None:
    at = SINGLE.index(b"\xff\x52") + 12
    with pytest.raises(NotUnderstood):
        check(changed(SINGLE, at, b"\x40"))


def test_a_marker_without_content_in_the_header_of_a_tile() -> None:
    check(in_tile(SINGLE, b"\xff\x30"))


def test_styles_that_differ_after_ten_passes() -> None:
    # GIVEN a code-block of few passes: bypassing begins after ten
    few = encoded(
        noise(8, 8).convert("L").point(lambda value: 126 + value // 64),
        "JPEG2000",
        no_jp2=True,
        num_resolutions=1,
    )
    style = few.index(b"\xff\x52") + 12
    for bypass in (0, 1):
        check(changed(few, style, bytes([bypass])))
    with pytest.raises(Rejection):
        check(changed(few, style, bytes([4])))


@pytest.mark.parametrize(("most", "read"), [(4, True), (3, False)])
def test_contributions_of_all_tiles_are_added_up(
    monkeypatch: pytest.MonkeyPatch, most: int, read: bool
) -> None:
    # GIVEN four tiles of one code-block each
    data = encoded(noise(16, 16).convert("L"), "JPEG2000", no_jp2=True, num_resolutions=1, tile_size=(8, 8))
    monkeypatch.setattr(packet_headers, "_MOST_CONTRIBUTIONS", most)
    if read:
        check(data)
    else:
        with pytest.raises(NotUnderstood):
            check(data)
