"""Parts of buffers that read as one file, as Pillow reads it."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from handlers.imaging.spliced import SplicedFile, as_file, open_image
from tests.unit.handlers.sample_images import drawn, encoded

WHOLE = bytes(range(1, 31))


def parts(*lengths: int) -> list[bytes | memoryview]:
    """The bytes in parts of these lengths, every other one a slice of a buffer."""
    found: list[bytes | memoryview] = []
    begin = 0
    for number, length in enumerate(lengths):
        part = WHOLE[begin : begin + length]
        found.append(memoryview(part) if number % 2 else part)
        begin += length
    assert begin == len(WHOLE)
    return found


@pytest.mark.parametrize("lengths", [(30,), (10, 1, 0, 4, 15), (0, 29, 1), (1, 29, 0), (1,) * 30])
def test_it_reads_as_one_file(lengths: tuple[int, ...]) -> None:
    file, expected = SplicedFile(parts(*lengths)), io.BytesIO(WHOLE)
    assert file.readable()
    assert file.seekable()
    for begin in range(32):
        for size in (0, 1, 2, 9, 29, 30, 31, -1, -2, None):
            assert file.seek(begin) == expected.seek(begin) == begin
            assert file.read(size) == expected.read(size)
            assert file.tell() == expected.tell()
            assert file.read(1) == expected.read(1)


@pytest.mark.parametrize(
    ("offset", "whence", "position"),
    [
        (5, 0, 5),
        (5, 1, 12),
        (-2, 1, 5),
        (-7, 1, 0),
        (-8, 1, 0),
        (-5, 2, 25),
        (5, 2, 35),
        (-30, 2, 0),
        (-31, 2, 0),
        (-1, 0, 0),
        (0, 1, 7),
    ],
)
def test_positions(offset: int, whence: int, position: int) -> None:
    file = SplicedFile(parts(10, 20))
    assert (file.seek(7), file.tell()) == (7, 7)
    assert (file.seek(offset, whence), file.tell()) == (position, position)
    assert file.read(3) == WHOLE[position : position + 3]


def test_it_reads_to_its_end_by_default_and_counts_positions_from_its_beginning() -> None:
    file = SplicedFile(parts(10, 20))
    assert (file.read(), file.tell(), file.read()) == (WHOLE, 30, b"")
    assert (file.seek(28), file.read()) == (28, WHOLE[28:])


def test_large_parts_are_not_copied() -> None:
    half = bytes(8_000_000)
    for few, kind in (
        ([half, half[1:]], io.BytesIO),
        ([half, half], SplicedFile),
        ([WHOLE[:9], WHOLE[9:]], io.BytesIO),
    ):
        file = as_file(few)
        assert type(file) is kind
        assert file.seek(0, 2) == sum(map(len, few))
    assert as_file(parts(10, 20)).read() == WHOLE


@pytest.mark.parametrize("kind", [SplicedFile, as_file])
def test_pillow_reads_it(kind: type[SplicedFile]) -> None:
    data = encoded(drawn(), "PNG")
    image = open_image(kind([data[:20], memoryview(data)[20:]]), "PNG")
    assert image.tobytes() == drawn().tobytes()
    with pytest.raises(Image.UnidentifiedImageError):
        open_image(io.BytesIO(data), "JPEG")
