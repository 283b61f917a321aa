"""JPEG 2000: sizes at which it can be decoded, and decoding at a fraction of the size."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from handlers.imaging import jpeg2000
from handlers.imaging.jpeg2000 import Jpeg2000
from handlers.rejections import Rejection
from tests.unit.handlers.sample_images import encoded, noise

GREY = [(1, 1)]
PLAIN = (0, 40, 0, 40)


@pytest.mark.parametrize(
    ("across", "down", "steps", "sizes"),
    [
        (PLAIN, (0, 30, 0, 30), GREY, [(40, 30), (20, 15), (10, 8), (5, 4), (3, 2), (2, 1), (1, 1), (1, 1)]),
        ((1, 40, 0, 40), (0, 30, 0, 30), GREY, [(39, 30), (19, 15), (9, 8), (4, 4), (2, 2), (1, 1), None]),
        ((2, 40, 0, 40), (0, 30, 0, 30), GREY, [(38, 30), None]), ((0, 40, 0, 40), (3, 30, 0, 30), GREY, [(40, 27), None]),
        ((0, 70, 0, 35), PLAIN, GREY, [(70, 40), (35, 20), (18, 10), (9, 5), (5, 3), (3, 2), (2, 1), None]),
        (PLAIN, (0, 70, 0, 69), GREY, [(40, 70), None]),
        ((0, 70, 0, 68), PLAIN, GREY, [(70, 40), (35, 20), (18, 10), None]),
        ((1, 9, 0, 5), PLAIN, GREY, [(8, 40), (4, 20), (2, 10), None]),
        ((0, 16, 0, 16), (0, 16, 0, 16), [(1, 1), (2, 2), (2, 2)], [(16, 16), (8, 8), (4, 4), (2, 2), None]),
        ((0, 15, 0, 16), (0, 16, 0, 16), [(1, 1), (2, 1), (2, 1)], [None]), ((0, 16, 0, 16), (0, 15, 0, 16), [(1, 1), (1, 2),
        (2, 1)], [None]),
        ((0, 18, 0, 18), (0, 16, 0, 16), [(1, 1), (2, 1), (1, 1)], [(18, 16), None]),
        ((0, 24, 0, 9), (0, 16, 0, 16), [(1, 1), (3, 1), (1, 1)], [(24, 16), None]), ((0, 24, 0, 8), PLAIN, [(1, 1), (3, 1),
        (1, 1)], [None]),
        ((0, 24, 0, 24), PLAIN, [(1, 1), (3, 1), (1, 4)], [(24, 40), (12, 20), None]),
    ],
)  # fmt: skip
def test_sizes_at_a_fraction(
    across: tuple[int, ...], down: tuple[int, ...], steps: list[tuple[int, int]], sizes: list[Any]
) -> None:
    found = Jpeg2000(axes=(across, down), samples=steps)  # type: ignore[arg-type]  # four integers each
    assert [found.size_at(level) for level in range(len(sizes))] == sizes
    turned = Jpeg2000(axes=(down, across), samples=[(y, x) for x, y in steps])  # type: ignore[arg-type]
    assert [turned.size_at(level) for level in range(len(sizes))] == [one and one[::-1] for one in sizes]


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("no_jp2", [False, True])
def test_decoding_at_a_fraction(level: int, no_jp2: bool) -> None:
    image = noise(45, 30)
    data = encoded(image, "JPEG2000", no_jp2=no_jp2, num_resolutions=3)
    found = jpeg2000.inspect(data)
    assert found.resolutions == 2
    decoded = jpeg2000.load(data, found, level)
    assert decoded.size == (-(-45 >> level), -(-30 >> level))
    whole: Any = Image.open(io.BytesIO(data))
    whole.load()
    if not level:
        assert decoded.tobytes() == whole.tobytes() == image.tobytes()
    # Of sides that can be halved as often, Pillow decodes the same by itself.
    for options in ({}, {"tile_size": (16, 16)}, {"irreversible": True, "quality_layers": [20, 1]}):
        data = encoded(noise(48, 32), "JPEG2000", no_jp2=no_jp2, num_resolutions=3, **options)
        reduced: Any = Image.open(io.BytesIO(data))
        reduced.reduce = level
        reduced.load()
        assert jpeg2000.load(data, jpeg2000.inspect(data), level).tobytes() == reduced.tobytes()
    with pytest.raises(OSError):
        jpeg2000.load(data, jpeg2000.inspect(data), 3)


def test_a_size_that_its_boxes_contradict() -> None:
    data = encoded(noise(45, 30), "JPEG2000")
    at = data.index(b"ihdr") + 4
    found = jpeg2000.inspect(data)
    for place in (at + 3, at + 7):
        wrong = data[:place] + bytes([data[place] + 1]) + data[place + 1 :]
        with pytest.raises(Rejection, match="JPEG2000: its headers contradict each other") as rejected:
            jpeg2000.load(wrong, found, 0)
        assert rejected.value.code == "corrupt_image"
