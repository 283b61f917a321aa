"""Deflate: data that is damaged, ends early, or goes on after its last row."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest

from handlers.imaging import deflate
from handlers.imaging.tiff import Tiff
from handlers.rejections import Rejection

CONTENT = random.Random(5).randbytes(1000)
WHOLE = zlib.compress(CONTENT)


def inflated(data: bytes, expected: int = 1000, split: int | None = None) -> int:
    """How many bytes it makes, of one part or of parts of some bytes."""
    part = memoryview(data)
    return deflate.inflated(
        [part[at : at + split] for at in range(0, len(part), split)] if split else [part], expected
    )


@pytest.mark.parametrize("split", [None, 1, 7, len(WHOLE) - 1])
def test_bytes_are_counted(split: int | None) -> None:
    assert inflated(WHOLE, split=split) == 1000
    assert inflated(WHOLE + b"anything", split=split) == 1000
    assert inflated(zlib.compress(b""), split=split) == 0
    # Fewer bytes are missing rows, and a matter of the format.
    for cut in (1, 4, 5, 500, len(WHOLE) - 2, len(WHOLE)):
        assert inflated(WHOLE[:-cut], split=split) <= 1000 - 100 * (cut > 400)
    assert inflated(WHOLE[:-4], split=split) == 1000


@pytest.mark.parametrize("at", [0, 1, len(WHOLE) - 1, len(WHOLE) - 4])
def test_damaged_bytes(at: int) -> None:
    with pytest.raises(zlib.error):
        inflated(WHOLE[:at] + bytes([WHOLE[at] ^ 0x10]) + WHOLE[at + 1 :])


@pytest.mark.parametrize("length", [100, 70_000])
def test_more_bytes_than_the_rows_take_end(length: int) -> None:
    # GIVEN a stream that ends THEN it may have twice as many bytes, and a megabyte more
    most = 2 * length + 2**20
    for size, split in ((length + 1, None), (most, None), (most, 100)):
        assert inflated(zlib.compress(bytes(size)), length, split) == size
    with pytest.raises(zlib.error, match=r"it goes on after the last row$"):
        inflated(zlib.compress(bytes(most + 1)), length)
    with pytest.raises(zlib.error, match=r"it goes on after the last row$"):
        inflated(zlib.compress(bytes(2 * most), 1)[:-4], length)


@pytest.mark.parametrize("length", [1000, 999, 1001])
def test_a_stream_that_does_not_end(length: int) -> None:
    data = zlib.compress(CONTENT)[:-4]
    if length < 1000:
        with pytest.raises(zlib.error, match="it goes on after the last row and does not end"):
            inflated(data, length)
    else:
        assert inflated(data, length) == 1000


def test_bytes_that_are_left_at_the_end_count() -> None:
    # GIVEN a run of zeros that does not end, of one byte more than are inflated at a time
    size = 2**20 + 1
    data = zlib.compress(bytes(size))[:-5]
    assert inflated(data, size) == size
    with pytest.raises(zlib.error, match="does not end"):
        inflated(data, size - 1)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    create, seen = zlib.decompressobj, []

    class Recorded:
        def __init__(self) -> None:
            self._inner = create()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def decompress(self, content: bytes, most: int = 0) -> bytes:
            found = self._inner.decompress(content, most)
            seen.append((len(content), len(found)))
            return found

    monkeypatch.setattr(zlib, "decompressobj", Recorded)
    data = zlib.compress(random.Random(7).randbytes(150_000) + bytes(3_000_000), 1)
    assert inflated(data, 3_150_000) == 3_150_000
    assert (max(read for read, _ in seen), max(made for _, made in seen)) == (2**16, 2**20)


def test_large_data_is_inflated_piece_by_piece() -> None:
    content = random.Random(6).randbytes(200_000) + bytes(5_000_000)
    data = zlib.compress(content, 1)
    assert inflated(data, len(content)) == len(content)
    assert inflated(data, len(content), 100_000) == len(content)


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("tiled", [False, True])
def test_strips_and_tiles(part: int, tiled: bool) -> None:
    # GIVEN two strips of 500 bytes, or two tiles
    streams = [zlib.compress(CONTENT[:500]), zlib.compress(CONTENT[500:])]
    place = {324 if tiled else 273: (3, 3 + len(streams[0])), 325 if tiled else 279: tuple(map(len, streams))}
    tags = {258: (8,), **place, **({322: (25,), 323: (20,)} if tiled else {278: (20,)})}
    page = Tiff(50, 20, tags) if tiled else Tiff(25, 40, tags)
    assert page.needed_parts == 2
    deflate.check(b"..." + b"".join(streams), page)
    # WHEN one is damaged, or goes on, THEN the file is corrupt
    for wrong in (
        streams[part][:-1] + bytes([streams[part][-1] ^ 1]),
        zlib.compress(bytes(501))[:-4].ljust(len(streams[part]), b"\0"),
    ):
        damaged = [wrong if number == part else stream for number, stream in enumerate(streams)]
        with pytest.raises(Rejection, match=r"TIFF: its compressed data is damaged \(.+\)") as found:
            deflate.check(b"..." + b"".join(damaged), page)
        assert found.value.code == "corrupt_image"


def test_compressions() -> None:
    assert {8, 32946} == deflate.COMPRESSIONS
