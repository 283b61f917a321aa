"""JPEG 2000 whose headers of packets are not read: which other ends of its tiles are decoded, and what follows from it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handlers.imaging import codestream, jpeg2000, packet_headers, packets
from handlers.imaging.jpeg2000 import Jpeg2000
from handlers.rejections import NotUnderstood, Rejection
from tests.unit.handlers.sample_images import encoded, noise
from tests.unit.handlers.sample_jpeg2000 import coding, quantisation, segment, size, stream, tile

MORE, LESS = packets._MORE, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
HEAD = size((40, 30), tile=(20, 30)) + coding() + quantisation()
FIRST, SECOND = bytes(range(1, 101)), bytes(range(101, 111))
TILES = stream(
    HEAD, tile(0, FIRST), tile(1, SECOND[:4]), tile(1, SECOND[4:], segment(0xFF64, b"\0\1own"), part=1)
)


@pytest.fixture(autouse=True)
def _not_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers are not read."""

    def check(*_: object) -> None:
        raise NotUnderstood

    monkeypatch.setattr(packet_headers, "check", check)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Check a file with a decoder that rejects some of the streams; returns the streams, and the code of the rejection."""

    def check(
        rejected: Callable[[bytes], bool], data: bytes = TILES, changed: dict[str, Any] | None = None
    ) -> tuple[list[tuple[bytes, int]], str]:
        streams: list[tuple[bytes, int]] = []

        def load(one: bytes, found: Jpeg2000, level: int) -> None:
            streams.append((one, level))
            if rejected(one):
                raise OSError("broken data stream")

        monkeypatch.setattr(packets, "load", load)
        found = jpeg2000.inspect(data)
        for name, value in (changed or {}).items():
            setattr(found, name, value)
        try:
            packets.check(data, found)
        except Rejection as error:
            return streams, error.code
        return streams, ""

    return check


def with_end(*tiles: int, less: int = 0, more: bytes = b"") -> bytes:
    """Some of the tiles alone, with other ends."""
    both = [
        lambda: tile(0, FIRST[: 100 - less] + more),
        lambda: (
            tile(1, SECOND[:4]) + tile(1, SECOND[4 : 10 - less] + more, segment(0xFF64, b"\0\1own"), part=1)
        ),
    ]
    return stream(HEAD, *(both[number]() for number in tiles))


def ends(number: int, longest: int) -> Iterator[bytes]:
    """Other ends of a tile, in their order."""
    for less in LESS:
        if less <= longest:
            for more in (b"", MORE, b"\xff"):
                yield with_end(number, less=less, more=more)


def test_the_first_tile_is_damaged(decoded: Callable[..., Any]) -> None:
    # GIVEN a decoder that accepts everything
    streams, code = decoded(lambda _: False)
    assert [one for one, _ in streams] == [with_end(0, 1, more=MORE), *ends(0, 100)]
    assert code == "corrupt_image"
    assert {level for _, level in streams} == {0}
    with pytest.raises(Rejection, match="JPEG2000: the data of a tile is damaged"):
        packets.check(TILES, jpeg2000.inspect(TILES))


def test_the_last_tile_is_damaged(decoded: Callable[..., Any]) -> None:
    # GIVEN a decoder that rejects the tenth end of the first tile, which is whole then
    rejected = list(ends(0, 100))[9]
    streams, code = decoded(lambda one: one == rejected)
    assert [one for one, _ in streams] == [with_end(0, 1, more=MORE), *list(ends(0, 100))[:10], *ends(1, 6)]
    assert code == "corrupt_image"


def test_every_tile_is_whole(decoded: Callable[..., Any]) -> None:
    streams, code = decoded(lambda one: MORE not in one)
    assert [one for one, _ in streams] == [
        with_end(0, 1, more=MORE),
        with_end(0, less=1),
        with_end(1, less=1),
    ]
    assert code == ""


@pytest.mark.parametrize(("both", "expected"), [(False, "truncated_image"), (True, "")])
def test_more_data_is_taken_for_headers(decoded: Callable[..., Any], both: bool, expected: str) -> None:
    # GIVEN a decoder that rejects more data after each tile, or the file as it is, too
    streams, code = decoded(lambda one: both or MORE in one)
    assert [one for one, _ in streams] == [with_end(0, 1, more=MORE), with_end(0, 1)]
    assert code == expected
    if not both:
        with pytest.raises(Rejection, match="JPEG2000: a part of the data of a tile is missing"):
            packets.check(TILES, jpeg2000.inspect(TILES))


def test_a_tile_without_data_has_no_other_end(decoded: Callable[..., Any]) -> None:
    data = stream(HEAD, tile(0, b""), tile(1, b"d"))
    streams, code = decoded(lambda one: one.endswith(b"\xff\x93\xff\xd9") and b"d" not in one, data)
    assert len(streams) == 2
    assert code == ""
    streams, code = decoded(lambda _: False, data)
    assert (len(streams), code) == (4, "corrupt_image")


def test_the_lowest_resolution_that_can_be_read(decoded: Callable[..., Any]) -> None:
    for changed, level in (
        ({"resolutions": 3}, 3), ({"resolutions": 5}, 5), ({"resolutions": 6}, 5), ({"resolutions": 9}, 5),
        ({"resolutions": 4, "axes": ((2, 40, 0, 20), (0, 30, 0, 30))}, 0),
    ):  # fmt: skip
        streams, _ = decoded(lambda _: True, changed=changed)
        assert {found for _, found in streams} == {level}


def test_headers_of_packets_elsewhere(decoded: Callable[..., Any]) -> None:
    assert decoded(lambda _: False, changed={"packed": True}) == ([], "")


@pytest.mark.parametrize(("resolutions", "pixels"), [(0, 40 * 30), (2, 10 * 8)])
def test_pixels_at_the_lowest_resolution_are_bounded(
    decoded: Callable[..., Any], resolutions: int, pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert packets._MOST_PIXELS == 16_000_000
    for most in (pixels, pixels - 1):
        monkeypatch.setattr(packets, "_MOST_PIXELS", most)
        _, code = decoded(lambda _: False, changed={"resolutions": resolutions})
        assert code == ("corrupt_image" if most == pixels else "")


def test_tiles_are_bounded(decoded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert packets._MOST_TILES == 256
    for most, count in ((2, 37), (1, 1)):
        monkeypatch.setattr(packets, "_MOST_TILES", most)
        streams, code = decoded(lambda _: False)
        assert (len(streams), code) == (count, "corrupt_image" if most == 2 else "")


@pytest.mark.parametrize("count", [1, 5, 36])
def test_work_is_bounded(decoded: Callable[..., Any], count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert packets._MOST_WORK == 64_000_000
    each = 40 * 30 // 2 + 40 * 30 // 16
    for most in (count * each, count * each - 1):
        monkeypatch.setattr(packets, "_MOST_WORK", most)
        streams, code = decoded(lambda _: False)
        assert len(streams) == 1 + count - (most < count * each)
        assert code == ("corrupt_image" if count == 36 and most == count * each else "")


def test_work_of_all_tiles_is_added_up(decoded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    each = 40 * 30 // 2 + 40 * 30 // 16
    monkeypatch.setattr(packets, "_MOST_WORK", 12 * each)
    rejected = list(ends(0, 100))[9]
    streams, code = decoded(lambda one: one == rejected)
    assert (len(streams), code) == (1 + 10 + 2, "")


def test_files_whose_headers_are_read_are_not_decoded(
    decoded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(packet_headers, "check", lambda *arguments: seen.append(arguments))
    assert decoded(lambda _: False) == ([], "")
    found = jpeg2000.inspect(TILES)
    assert seen == [(TILES, codestream.read(TILES, found))]


def test_other_bytes_after_the_last_packet_are_rejected() -> None:
    # GIVEN the data of a tile, and what is put after it
    data = encoded(noise(16, 16).convert("L"), "JPEG2000", no_jp2=True, num_resolutions=1)
    found = jpeg2000.inspect(data)
    (length,) = struct.unpack_from(">I", data, data.index(b"\xff\x90") + 6)
    for more in (MORE, MORE[:6]):
        other = packets._stream(data, found, [0], more=more, less=length - 14)
        assert not packets._reads(found, other, 0)
    assert packets._reads(found, packets._stream(data, found, [0], more=MORE), 0)
    assert packets._stream(data, found, [0]) == data
    packets.check(data, found)
