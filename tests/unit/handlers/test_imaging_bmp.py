"""BMP with run lengths: whole files are read as they are, and damage in the lengths is found."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from PIL import Image

from tests.unit.handlers.sample_images import decoded, drawn, noise, prepare, rejection

WIDTH, HEIGHT = 61, 40
COLOURS = 16
IMAGE = Image.blend(drawn(WIDTH, HEIGHT), noise(WIDTH, HEIGHT), 0.2).quantize(COLOURS)
BYTES, HALVES = 1, 2  # kinds of compression: values of 8 bits and of 4


def rows(kind: int) -> list[bytes]:
    """Runs of each row, from the lowest: values as they are and runs of one, in turn."""
    found = []
    for y in range(HEIGHT - 1, -1, -1):
        values = IMAGE.crop((0, y, WIDTH, y + 1)).tobytes()
        parts = [values[at : at + 4] for at in range(0, WIDTH, 4)]
        runs = b""
        for number, part in enumerate(parts):
            if len(part) == 4 and number % 2:
                halves = bytes((part[0] << 4 | part[1], part[2] << 4 | part[3]))
                runs += b"\0\4" + (part if kind == BYTES else halves)
            else:
                runs += b"".join(bytes((1, value if kind == BYTES else value << 4)) for value in part)
        found.append(runs)
    return found


def bmp(kind: int, runs: bytes) -> bytes:
    """The file."""
    palette = IMAGE.getpalette() or []
    colours = b"".join(bytes((*palette[at : at + 3][::-1], 0)) for at in range(0, 3 * COLOURS, 3))
    begin = 54 + len(colours)
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 8 // kind, kind, len(runs), 0, 0, COLOURS, 0)
    return b"BM" + struct.pack("<IHHI", begin + len(runs), 0, 0, begin) + header + colours + runs


@pytest.fixture(params=[BYTES, HALVES], ids=["8 bits", "4 bits"])
def kind(request: pytest.FixtureRequest) -> int:
    value: int = request.param
    return value


ROW = b"\0\0"


@pytest.mark.parametrize("end", [b"\0\1", b"\0\0\0\1", b"\0\0", b"", b"\0\1trailing", b"\0\2\0\0\0\1"])
def test_whole_runs_are_read_whatever_their_end(kind: int, end: bytes) -> None:
    found = prepare(bmp(kind, ROW.join(rows(kind)) + end))
    assert decoded(found.data).tobytes() == IMAGE.convert("RGB").tobytes()


@pytest.mark.parametrize("row", [0, HEIGHT // 2, HEIGHT - 1])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda runs: b"\2" + runs[1:], "corrupt_image"),
        (lambda runs: runs + b"\1\0", "corrupt_image"),
        (lambda runs: runs[:-4], "truncated_image"),
        (lambda runs: b"", "truncated_image"),
        (lambda runs: runs[:20] + b"\0\2\4\0" + runs[20:], "truncated_image"),  # skips pixels
        (lambda runs: runs[:20] + b"\0\1", "truncated_image"),
    ],
    ids=["longer", "more", "shorter", "empty", "skipping", "ended"],
)
def test_rows_that_are_too_long_or_too_short(
    kind: int, row: int, change: Callable[[bytes], bytes], code: str
) -> None:
    runs = rows(kind)
    runs[row] = change(runs[row])
    assert rejection(bmp(kind, ROW.join(runs) + b"\0\1")).code == code


@pytest.mark.parametrize("missing", [1, HEIGHT // 2])
def test_rows_that_are_missing(kind: int, missing: int) -> None:
    runs = rows(kind)[:-missing]
    for end in (b"\0\1", b"\0\0\0\1", b""):
        assert rejection(bmp(kind, ROW.join(runs) + end)).code == "truncated_image"
