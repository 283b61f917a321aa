"""AVIF and HEIF: the boxes of a file, those that describe its items, and those of its tracks."""

from __future__ import annotations

import struct

import pytest

from handlers.imaging import heif, limits, tracks
from handlers.imaging.boxes import Boxes, inspect, walk
from handlers.rejections import Rejection
from tests.unit.handlers import sample_heif as sample
from tests.unit.handlers.sample_heif import Item, box, full, iprp, ispe, numbers

ONE = {1: Item(b"av01", b"0123", [ispe(64, 48)])}


def large(kind: bytes, content: bytes, more: int = 0) -> bytes:
    """A box with a size of eight bytes."""
    return struct.pack(">I4sQ", 1, kind, 16 + len(content) + more) + content


def walked(data: bytes, begin: int, end: int) -> list[tuple[bytes, int, int]]:
    return list(walk(data, begin, end, Boxes("AVIF")))


def test_each_box() -> None:
    first, second, third = box(b"abcd", b"content"), large(b"efgh", b"more"), box(b"ijkl")
    data = b"before" + first + second + third + b"after"
    at = 6 + len(first)
    end = at + len(second) + 8
    expected = [(b"abcd", 14, 21), (b"efgh", at + 16, at + 20), (b"ijkl", end, end)]
    assert walked(data, 6, len(data)) == walked(data, 6, end) == expected
    assert walked(data, 6, len(data) + 100) == walked(data, 6, end + 7) == expected
    # AND none without its size and kind
    assert walked(data, 6, end - 1) == expected[:2]
    assert walked(data[: end - 1], 6, end) == expected[:2]
    assert walked(data, at, at + 7) == []


@pytest.mark.parametrize(
    ("head", "more", "found"),
    [
        (b"\0\0\0\0free", 12, [(b"free", 8, 20)]),  # to the end
        (b"\0\0\0\0free", 0, [(b"free", 8, 8)]),
        (b"\0\0\0\x08free", 0, [(b"free", 8, 8)]),
        (b"\0\0\0\x07free", 12, []),
        (b"\0\0\0\2free", 12, []),
        (b"\0\0\0\1free" + numbers(8, 16), 0, [(b"free", 16, 16)]),
        (b"\0\0\0\1free" + numbers(8, 15), 9, []),
        (b"\0\0\0\1free" + numbers(8, 0), 9, [(b"free", 16, 25)]),
        (b"\0\0\0\1free" + numbers(7, 0), 0, []),  # without its size
        (b"\0\0\0\x99free", 3, [(b"free", 8, 0x99)]),  # it ends early
        (b"\0\0\0\1free" + numbers(8, 1 << 33), 3, [(b"free", 16, 1 << 33)]),
    ],
)
def test_sizes(head: bytes, more: int, found: list[tuple[bytes, int, int]]) -> None:
    data = head + bytes(more)
    assert walked(data, 0, len(data)) == found
    assert walked(b"xyz" + data, 3, 3 + len(data)) == [(kind, at + 3, end + 3) for kind, at, end in found]


def test_not_too_many_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 20)
    found = Boxes("AVIF")
    assert len(list(walk(box(b"free") * 12, 0, 96, found))) == 12
    assert (len(list(walk(box(b"free") * 8, 0, 64, found))), found.count) == (8, 20)
    with pytest.raises(Rejection, match="AVIF: it has more than 20 boxes") as rejected:
        list(walk(box(b"free"), 0, 8, found))
    assert rejected.value.code == "too_complex"


def test_not_too_many_boxes_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    items, moov = sample.file(ONE), TRACK
    assert heif.colour(items) is None
    assert list(tracks.first_samples(moov)) == [FIRST]
    monkeypatch.setattr(limits, "MAX_SEGMENTS", 9)
    with pytest.raises(Rejection, match="HEIF: it has more than 9 boxes"):
        heif.colour(items)
    with pytest.raises(Rejection, match="AVIF: it has more than 9 boxes"):
        list(tracks.first_samples(moov))


def table(*entries: tuple[bytes, bytes]) -> bytes:
    """A table of the samples of a track."""
    return box(b"stbl", *(full(kind, 0, content) for kind, content in entries))


def track(*boxes: bytes) -> bytes:
    return box(b"trak", box(b"tkhd", bytes(5)), box(b"mdia", box(b"minf", *boxes)))


SAMPLES = [box(b"av01", bytes(78), box(b"av1C", bytes((0x81, 5, depth, 0)))) for depth in (0x54, 0x0C)]
STSD = (b"stsd", numbers(4, 2) + b"".join(SAMPLES))
SIZES, OFFSETS = (b"stsz", numbers(4, 0, 2, 0x111, 0x222)), (b"stco", numbers(4, 2, 0x01020304, 7))
TRACK = box(b"ftyp", b"avis") + box(b"moov", track(table(STSD, SIZES, OFFSETS)))
FIRST = (0x01020304, 0x111, 0x54)


def samples(*tables: bytes) -> list[tuple[int, int, int]]:
    return sorted(tracks.first_samples(box(b"free") + box(b"moov", *map(track, tables)) + box(b"mdat")))


def test_the_first_sample_of_each_track() -> None:
    assert list(tracks.first_samples(TRACK)) == [FIRST]
    other = table((b"stco", numbers(4, 1, 9)), (b"stsz", numbers(4, 5, 1, 0)))
    assert samples(table(OFFSETS, STSD, SIZES), other) == [(9, 5, -1), FIRST]
    # AND none of tables that are elsewhere, or of a track without them
    assert list(tracks.first_samples(table(STSD, SIZES, OFFSETS)[8:])) == []
    assert list(tracks.first_samples(box(b"moov", box(b"trak", box(b"else", table(SIZES, OFFSETS)))))) == []
    assert (
        list(
            tracks.first_samples(
                box(b"moov", track(full(b"stsz", 0, SIZES[1]), full(b"stco", 0, OFFSETS[1])))
            )
        )
        == []
    )
    assert samples(table(STSD, SIZES), table(STSD, OFFSETS), table(STSD)) == []


@pytest.mark.parametrize(
    ("sizes", "offsets", "found"),
    [
        (SIZES, (b"co64", numbers(4, 1) + numbers(8, 0x0102030405060708)), (0x0102030405060708, 0x111)),
        (SIZES, (b"co64", numbers(4, 1) + numbers(8, 5)), (5, 0x111)),
        (SIZES, (b"co64", numbers(4, 1) + numbers(7, 5)), None),
        (SIZES, (b"stco", numbers(4, 1, 5)), (5, 0x111)),
        (SIZES, (b"stco", numbers(4, 1) + numbers(3, 5)), None),
        ((b"stsz", numbers(4, 0x01020304, 1, 0x222)), OFFSETS, (FIRST[0], 0x01020304)),
        ((b"stsz", numbers(4, 0, 1, 0x01020304)), OFFSETS, (FIRST[0], 0x01020304)),
        ((b"stsz", numbers(4, 0, 1) + numbers(3, 9)), OFFSETS, None),
        ((b"stsz", numbers(4, 5, 1) + numbers(3, 9)), OFFSETS, None),
    ],
)
def test_samples(
    sizes: tuple[bytes, bytes], offsets: tuple[bytes, bytes], found: tuple[int, int] | None
) -> None:
    assert samples(table(STSD, sizes, offsets)) == ([(*found, 0x54)] if found else [])


def test_offsets_of_eight_bytes_count_before_those_of_four() -> None:
    wide = (b"co64", numbers(4, 1) + numbers(8, 5))
    assert samples(table(STSD, SIZES, OFFSETS, wide)) == [(5, *FIRST[1:])]


def test_of_offsets_of_eight_bytes_that_are_none_those_of_four_count() -> None:
    empty = box(b"co64")
    tables = box(b"stbl", *(full(kind, 0, content) for kind, content in (STSD, SIZES, OFFSETS)), empty)
    assert samples(tables) == [FIRST]


def meta(*boxes: bytes, width: int = 64, height: int = 48) -> bytes:
    return box(b"ftyp", b"avif") + full(b"meta", 0, *boxes, iprp([ispe(width, height)], {}))


def test_sizes_and_items() -> None:
    assert Boxes("AVIF") == Boxes("AVIF", width=0, height=0, items=0, count=0)
    found = inspect(sample.file(ONE), "AVIF")
    assert (found.width, found.height, found.items, found.name) == (64, 48, 1, "AVIF")
    assert found.count == 13
    # The largest counts
    for sizes in (((5, 5), (3, 9), (6, 4)), ((3, 9), (6, 4)), ((3, 9), (9, 3)), ((3, 9), (1, 20))):
        found = inspect(sample.file({1: Item(b"av01", b"", [ispe(*size) for size in sizes])}), "AVIF")
        assert (found.width, found.height) == (3, 9)
    wide = inspect(meta(width=0x01020304, height=0x05060708), "AVIF")
    assert (wide.width, wide.height) == (0x01020304, 0x05060708)


@pytest.mark.parametrize(
    ("iinf", "items"),
    [
        (full(b"iinf", 0, numbers(2, 0x0203), b"\7\7"), 0x0203),
        (full(b"iinf", 1, numbers(4, 0x0203), b"\7\7"), 0x0203),
        (full(b"iinf", 0, numbers(2, 7)), 7),
        (full(b"iinf", 0, numbers(1, 7)), 0),
        (full(b"iinX", 0, numbers(2, 7)), 0),
        (full(b"iinf", 0, numbers(2, 4096)), 4096),
        (full(b"iinf", 0, numbers(2, 4097)), None),
        (full(b"iinf", 1, numbers(4, 0x01000001)), None),
    ],
)
def test_how_many_items(iinf: bytes, items: int | None) -> None:
    if items is None:
        with pytest.raises(Rejection, match="HEIF: it has more than 4096 items") as rejected:
            inspect(meta(iinf), "HEIF")
        assert rejected.value.code == "too_complex"
    else:
        assert inspect(meta(iinf), "HEIF").items == items


def test_without_a_size_it_is_truncated() -> None:
    whole, prop = meta(), ispe(64, 48)
    inspect(whole, "AVIF")
    others = [
        meta(width=0),
        meta(height=0),
        whole.replace(b"ispe", b"ispX"),
        whole.replace(b"ipco", b"ipcX"),
        whole.replace(b"iprp", b"iprX"),
        box(b"ftyp", b"avif") + box(b"meta", iprp([prop], {})[:4] + bytes(4) + iprp([prop], {})),
    ]
    for data in others:
        with pytest.raises(Rejection, match="no image with a size") as rejected:
            inspect(data, "AVIF")
        assert rejected.value.code == "truncated_image"
    # AND one that the file ends within
    for more, there in ((0, True), (-1, False)):
        data = box(b"ftyp", b"avif") + b"\0\0\0\0meta" + bytes(4) + b"\0\0\0\0iprp\0\0\0\0ipco" + ispe(64, 48)
        data = data[: len(data) + more]
        if there:
            assert inspect(data, "AVIF").width == 64
        else:
            with pytest.raises(Rejection, match="no image with a size"):
                inspect(data, "AVIF")


@pytest.mark.parametrize("kind", [b"ftyp", b"meta", b"mdat", b"moov", b"free", b"uuid"])
def test_boxes_that_go_on_beyond_the_file(kind: bytes) -> None:
    for more in (0, 1):
        last = numbers(4, 13 + more) + kind + bytes(4) + b"\1"
        if more and kind not in (b"free", b"uuid"):
            size = len(meta() + last)
            with pytest.raises(
                Rejection, match=f"{size + 1} bytes are declared, {size} are there"
            ) as rejected:
                inspect(meta() + last, "AVIF")
            assert rejected.value.code == "truncated_image"
        else:
            assert inspect(meta() + last, "AVIF").width == 64


@pytest.mark.parametrize(
    ("content", "kind", "whole"),
    [
        (b"\1" * 192 + bytes(64), b"mdat", True),
        (b"\1" * 193 + bytes(64), b"mdat", False),
        (b"\1" * 193 + bytes(64), b"free", True),
        (b"\1" * 300 + b"\2" + bytes(63), b"mdat", True),
        (b"\1" * 300 + bytes(63) + b"\2", b"mdat", True),
        (b"\1" * 300 + bytes(64), b"mdat", False),
        (b"\1" * 300 + b"X" * 64, b"mdat", True),
    ],
)
def test_zero_bytes_at_the_end_of_the_data(content: bytes, kind: bytes, whole: bool) -> None:
    data = box(kind, content) + meta()
    if whole:
        assert inspect(data, "AVIF").width == 64
    else:
        with pytest.raises(Rejection, match="zero bytes") as rejected:
            inspect(data, "AVIF")
        assert rejected.value.code == "truncated_image"
