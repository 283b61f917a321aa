"""AV1: which tiles count as whole, with results of the decoder that a test sets, and which data is checked."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from PIL import Image

from handlers.imaging import av1, av1_tiles, dav1d, heif, tracks
from handlers.imaging.av1_tiles import Av1Tile, Layout
from handlers.rejections import NotUnderstood, Rejection
from tests.unit.handlers.test_imaging_av1_sequence import Fields, header, packed
from tests.unit.handlers.test_imaging_av1_tiles import fields

New = dict[int, bytes]


def tiled(contents: Sequence[bytes]) -> tuple[bytes, Layout]:
    """Tiles of 16 x 10, from left to right, each after two other bytes and before zeros that belong to it."""
    data, tiles = b"", []
    for number, content in enumerate(contents):
        begin = len(data) + 2
        data += b"\xee\xee" + content
        left = 16 * number + 5
        tiles.append(Av1Tile(begin, len(data), left, 7, left + 16, 17))
    return data, Layout([], {0: tiles[:1], 2: tiles[1:]}, 1)


class Decoder:
    """Calls of the decoder with other data of tiles; without any, each tile has its number as its checksum."""

    def __init__(self, decide: Callable[[New], list[int] | None]) -> None:
        self.decide = decide
        self.calls: list[New] = []

    def __call__(self, library: object, new: New, rectangles: Sequence[dav1d.Rectangle]) -> list[int] | None:
        assert library == "library"
        self.calls.append(new)
        assert rectangles == [(16 * number + 5, 7, 16 * number + 21, 17) for number in range(len(rectangles))]
        return self.decide(new)


def damaged(
    monkeypatch: pytest.MonkeyPatch, contents: Sequence[bytes], decide: Callable[[New], list[int] | None]
) -> tuple[bool, list[New]]:
    """Whether a tile ends elsewhere than its data, and what was decoded."""
    decoder = Decoder(decide)
    data, layout = tiled(contents)

    def replaced(given: bytes, of: Layout, new: New) -> New:
        assert (given, of) == (data, layout)
        return new

    monkeypatch.setattr(dav1d, "checksums", decoder)
    monkeypatch.setattr(av1_tiles, "replaced", replaced)
    return av1._Ends("library", data, layout).damaged(), decoder.calls


def differing(*cuts: New, count: int = 1) -> Callable[[New], list[int] | None]:
    """Other pixels of the tiles for which this is their data; None where a cut is empty."""

    def decide(new: New) -> list[int] | None:
        others = {
            number for number, content in new.items() if any(cut.get(number) == content for cut in cuts)
        }
        return [number + 100 * (number in others) for number in range(count)]

    return decide


def test_a_tile_whose_pixels_differ_without_its_end_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN data with zeros behind its last bit
    assert damaged(monkeypatch, [b"abcX\0\0"], differing({0: b"abc"})) == (False, [{0: b"abc"}, {}])
    # AND differ only without a byte more: fewer symbols may give the same pixels
    assert damaged(monkeypatch, [b"abcd"], differing({0: b"ab"})) == (False, [{0: b"abc"}, {}, {0: b"ab"}])
    assert damaged(monkeypatch, [b"abcd"], differing()) == (True, [{0: b"abc"}, {}, {0: b"ab"}])


def test_a_tile_that_cannot_be_decoded_without_its_end_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert damaged(monkeypatch, [b"abcd"], lambda new: None) == (False, [{0: b"abc"}])


@pytest.mark.parametrize(
    ("content", "calls"),
    [(b"a", []), (b"ab", [{0: b"a"}, {}]), (b"abc", [{0: b"ab"}, {}, {0: b"a"}])],
)
def test_a_tile_that_is_too_short_is_whole(
    content: bytes, calls: list[New], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert damaged(monkeypatch, [content], differing()) == (len(content) > 1, calls)


@pytest.mark.parametrize("contents", [[b""], [b"\0\0"], [b"abc", b"\0"], [b"", b"abc"]])
def test_a_tile_without_data_is_damaged(contents: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    assert damaged(monkeypatch, contents, differing()) == (True, [])


THREE = [b"abcd", b"efghijk", b"lmnop"]
CHANGED = {number: av1._changed(content) for number, content in enumerate(THREE)}


def test_all_tiles_are_changed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert damaged(monkeypatch, THREE, differing(CHANGED, count=3)) == (False, [CHANGED, {}])
    # AND those whose pixels are the same are cut off, the longest first
    one = differing({0: CHANGED[0]}, {1: b"efghij"}, {2: b"lmno"}, count=3)
    assert damaged(monkeypatch, THREE, one) == (False, [CHANGED, {}, {1: b"efghij"}, {2: b"lmno"}])
    only = differing({0: CHANGED[0], 2: CHANGED[2]}, count=3)
    assert damaged(monkeypatch, THREE, only) == (True, [CHANGED, {}, {1: b"efghij"}, {1: b"efghi"}])
    # AND all of them, if they do not decode
    whole = differing({0: b"abc"}, {1: b"efghij"}, {2: b"lmno"}, count=3)
    found = damaged(monkeypatch, THREE, lambda new: None if len(new) > 1 else whole(new))
    assert found == (False, [CHANGED, {1: b"efghij"}, {}, {2: b"lmno"}, {0: b"abc"}])


def test_if_the_whole_does_not_decode_the_tiles_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    found = damaged(monkeypatch, THREE, lambda new: [0, 1, 2] if new else None)
    assert found == (False, [CHANGED, {}])


@pytest.mark.parametrize(
    ("work", "least", "count"), [(480 * 3, 2, 3), (480 * 3 - 1, 2, 2), (480, 1, 1), (479, 2, 2), (0, 2, 2)]
)
def test_how_many_tiles_are_cut_off(
    work: int, least: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN tiles of 480 pixels together
    monkeypatch.setattr(av1, "_WORK", work)
    monkeypatch.setattr(av1, "_LEAST_CUTS", least)
    whole = differing({0: b"abc"}, {1: b"efghij"}, {2: b"lmno"}, count=3)
    _, calls = damaged(monkeypatch, THREE, whole)
    assert calls == [CHANGED, {}, {1: b"efghij"}, {2: b"lmno"}, {0: b"abc"}][: 2 + count]


def test_limits() -> None:
    assert (av1._WORK, av1._LEAST_CUTS, av1._MOST_PIXELS) == (8_000_000, 2, 40_000_000)


@pytest.mark.parametrize(
    ("content", "changed"),
    # The eight bits before the last that is 1, within the last four bytes
    [
        (0b1, 0b1111_1111),
        (0b1000_0000, 0b1000_0000),
        (0b0100_0000, 0b1100_0000),
        (0b0000_0001_0000_0001, 0b0000_0000_1111_1111),
        (0b1010_1010_1000_0000, 0b0101_0101_1000_0000),
        (0b0000_0001_0000_0000_1010_1010_1000_0000, 0b0000_0001_0000_0000_0101_0101_1000_0000),
        (0x12345601, 0x123457FF),
        (0x7F12345601, 0x7F123457FF),
        (0x7F12345680, 0x7F1234A980),
        (0x7F80000000, 0x7F80000000),
        (0x7F00800000, 0x7FFF800000),
    ],
)
def test_changed_bits(content: int, changed: int) -> None:
    size = max((content.bit_length() + 7) // 8, 1)
    found = av1._changed(content.to_bytes(size))
    assert found == changed.to_bytes(size) + b"\x55" * 64


def unit(kind: int, content: bytes) -> bytes:
    return bytes((kind << 3 | 2, len(content))) + content


SEQUENCE = unit(1, packed(header(tools=[(15, 4), (0, 1), (0, 1), (0, 1)]))[0])
FRAME: dict[str, Fields] = {"tiles": [(1, 1), (0, 1), (0, 1)], "deltas": [(0, 1)] * 4}
GRAIN = packed(fields({**FRAME, "grain": [(1, 1)]}))[0]
OTHER = unit(1, packed(header(colours=[(1, 1), (1, 1), (0, 1), (1, 1)]))[0])


def only(begin: int, end: int) -> Av1Tile:
    return Av1Tile(begin, end, 0, 0, 65536, 65536)


def test_where_tiles_are_not_known_the_last_is_taken() -> None:
    # GIVEN a header with film grain, and the tiles in units of their own
    with pytest.raises(NotUnderstood, match="film grain"):
        av1_tiles.layout(SEQUENCE + unit(6, GRAIN), 0, len(SEQUENCE + unit(6, GRAIN)))
    frame = unit(3, GRAIN)
    data = b"before" + SEQUENCE + frame + unit(4, b"tile") + unit(4, b"other") + unit(5, b"data") + b"behind"
    end = len(data) - 6
    found = av1._layout(data, 6, end)
    units = list(av1_tiles.units(data, 6, end))
    assert [one.kind for one in units] == [1, 3, 4, 4, 5]
    last = units[3]
    assert found == Layout(units, {3: [only(last.begin, last.end)]}, 0, (300, 200), 0b1100)
    # AND a unit of both, with several sequences
    data = SEQUENCE + OTHER + unit(6, GRAIN)
    units = list(av1_tiles.units(data, 0, len(data)))
    tile = only(units[2].begin, units[2].end)
    assert av1._layout(data, 0, len(data)) == Layout(units, {2: [tile]}, 0, (300, 200), 0b1100)
    # AND without a sequence
    data = unit(6, GRAIN)
    assert av1._layout(data, 0, len(data)) == Layout(
        list(av1_tiles.units(data, 0, len(data))), {0: [only(2, len(data))]}, 0, (0, 0), -1
    )


@pytest.mark.parametrize(
    "frames",
    [
        b"",
        unit(3, GRAIN),
        unit(4, b"tile"),
        unit(6, GRAIN) * 2,
        unit(3, GRAIN) * 2 + unit(4, b"tile"),
        unit(3, GRAIN) + unit(6, GRAIN),
        unit(5, GRAIN),
    ],
)
def test_data_of_several_frames_or_none_is_not_checked(frames: bytes) -> None:
    data = SEQUENCE + frames
    assert av1._layout(data, 0, len(data)) is None


def test_where_tiles_are_known() -> None:
    frame, size = packed(fields({**FRAME, "grain": [(0, 1)]}))
    frame, _ = packed([*fields({**FRAME, "grain": [(0, 1)]}), (0, -size % 8)])
    data = SEQUENCE + unit(6, frame + b"tile")
    units, end = list(av1_tiles.units(data, 0, len(data))), len(data)
    tile = Av1Tile(end - 4, end, 0, 0, 300, 200)
    assert av1._layout(data, 0, end) == Layout(units, {1: [tile]}, 0, (300, 200), 0b1100)


Extent = tuple[int, int, tuple[int, int], int]


class Checked:
    """`av1.check` with data that a test names; ``ends`` are the layouts whose ends were checked."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        extents: Iterable[Extent] = (),
        samples: Sequence[tuple[int, int, int]] = (),
        layouts: dict[int, Layout | None] | None = None,
        damage: Sequence[int] = (),
        library: str | None = "library",
    ) -> None:
        self.ends: list[int] = []

        def layout(data: bytes, begin: int, end: int) -> Layout | None:
            assert end == begin + 10
            return (layouts or {}).get(begin, Layout([], {}, begin))

        outer = self

        class Ends:
            def __init__(self, library: object, data: bytes, layout: Layout) -> None:
                assert library == "library"
                outer.ends.append(layout.size_bytes)
                self.begin = layout.size_bytes

            def damaged(self) -> bool:
                return self.begin in damage

        monkeypatch.setattr(dav1d, "library", lambda: library)
        monkeypatch.setattr(heif, "av1_extents", lambda data: iter(extents))
        monkeypatch.setattr(tracks, "first_samples", lambda data: iter(samples))
        monkeypatch.setattr(av1, "_layout", layout)
        monkeypatch.setattr(av1, "_Ends", Ends)

    def check(self, brand: bytes = b"avif", size: tuple[int, int] = (5, 5)) -> list[int]:
        image: Any = Image.new("1", (1, 1))
        image._size = size
        av1.check(struct.pack(">I4s4sI", 16, b"ftyp", brand, 7), image)
        return self.ends


TWO: list[Extent] = [(1, 10, (0, 0), -1), (2, 10, (0, 0), -1)]


def test_each_coded_image_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Checked(monkeypatch, TWO).check() == [1, 2]
    assert Checked(monkeypatch, TWO, library=None).check() == []
    assert Checked(monkeypatch, TWO, layouts={1: None}).check() == [2]
    for number in (1, 2):
        checked = Checked(monkeypatch, TWO, damage=[number])
        with pytest.raises(Rejection, match="does not end where its data does") as found:
            checked.check()
        assert found.value.code == "corrupt_image"
        assert checked.ends == [1, 2][:number]


def test_of_an_animation_the_tracks_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [(3, 10, 5), (4, 10, -1)]
    assert Checked(monkeypatch, TWO, samples).check(b"avis") == [3, 4]
    assert Checked(monkeypatch, TWO, samples).check(b"avif") == [1, 2]
    assert Checked(monkeypatch, TWO, []).check(b"avis") == [1, 2]
    # AND their configuration counts, not a size
    with pytest.raises(Rejection, match="another depth"):
        Checked(monkeypatch, TWO, samples, {3: Layout([], {}, 3, (9, 9), 6)}).check(b"avis")
    assert Checked(monkeypatch, TWO, samples, {3: Layout([], {}, 3, (9, 9), 5)}).check(b"avis") == [3, 4]


@pytest.mark.parametrize(
    ("size", "count"), [((8000, 5000), 2), ((40_000_001, 1), 0), ((1, 40_000_001), 0), ((4000, 4000), 2)]
)
def test_large_images_are_not_checked(
    size: tuple[int, int], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(Checked(monkeypatch, TWO).check(size=size)) == count


@pytest.mark.parametrize(
    ("declared", "coded", "words"),
    [
        (((30, 20), -1), ((30, 20), 5), ""),
        (((30, 20), -1), ((0, 0), 5), ""),
        (((0, 0), -1), ((30, 20), 5), ""),
        (((30, 0), -1), ((30, 20), 5), r" AVIF: its data has another number of pixels than its header\.$"),
        (((0, 20), -1), ((30, 20), 5), r" AVIF: its data has another number of pixels than its header\.$"),
        (((31, 20), -1), ((30, 20), 5), r" AVIF: its data has another number of pixels than its header\.$"),
        (((30, 21), -1), ((30, 20), 5), r" AVIF: its data has another number of pixels than its header\.$"),
        (((30, 20), -1), ((30, 0), 5), r" AVIF: its data has another number of pixels than its header\.$"),
        (((0, 0), 5), ((30, 20), 5), ""),
        (((0, 0), 5), ((30, 20), -1), ""),
        (((0, 0), 0), ((30, 20), 0), ""),
        (((0, 0), 4), ((30, 20), 5), r" AVIF: its data has another depth or sampling than its header\.$"),
        (((0, 0), 5), ((30, 20), 4), "another depth or sampling"),
        (((0, 0), 0), ((30, 20), 4), "another depth or sampling"),
    ],
)
def test_what_the_header_declares(
    declared: tuple[tuple[int, int], int],
    coded: tuple[tuple[int, int], int],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked = Checked(monkeypatch, [(1, 10, *declared), *TWO[1:]], layouts={1: Layout([], {}, 1, *coded)})
    if not words:
        assert checked.check() == [1, 2]
        return
    with pytest.raises(Rejection, match=words) as found:
        checked.check()
    assert (found.value.code, checked.ends) == ("corrupt_image", [])


def test_what_is_not_understood_is_left_to_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def extents() -> Iterable[Extent]:
        yield TWO[0]
        raise NotUnderstood("a form")

    assert Checked(monkeypatch, extents()).check() == [1]
