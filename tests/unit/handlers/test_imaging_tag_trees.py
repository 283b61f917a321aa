"""JPEG 2000: the tag trees of packet headers, read as ISO/IEC 15444-1, B.10.2, has them written."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from handlers.imaging import packet_headers
from tests.unit.handlers.sample_jpeg2000 import packed


class Tree:
    """A tag tree as B.10.2 writes it."""

    def __init__(self, wide: int, high: int, values: Sequence[int]) -> None:
        self.levels: list[tuple[int, list[int]]] = [(wide, list(values))]
        while len(values) > 1:
            across, down = (wide + 1) // 2, (high + 1) // 2
            values = [
                min(self.levels[-1][1][y * wide + x] for y in (2 * row, 2 * row + 1) for x in (2 * column,
                2 * column + 1) if y < high and x < wide)
                for row in range(down) for column in range(across)
            ]  # fmt: skip
            wide, high = across, down
            self.levels.append((wide, values))
        self.known: dict[tuple[int, int], int] = {}
        self.final: set[tuple[int, int]] = set()

    def bits(self, across: int, down: int, below: int) -> str:
        """Bits that say whether a value is below this, as far as they were not written yet."""
        found, least = "", 0
        for level in range(len(self.levels) - 1, -1, -1):
            wide, values = self.levels[level]
            number = (down >> level) * wide + (across >> level)
            node = level, number
            least = max(least, self.known.get(node, 0))
            while least < below and node not in self.final:
                if least == values[number]:
                    found += "1"
                    self.final.add(node)
                else:
                    found += "0"
                    least += 1
            self.known[node] = least
        return found


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 3), (2, 2), (3, 2), (5, 7), (9, 1), (4, 4)])
def test_tag_trees(shape: tuple[int, int]) -> None:
    wide, high = shape
    draw = random.Random(wide * 10 + high)
    for most in (0, 1, 5):
        values = [draw.randrange(most + 1) for _ in range(wide * high)]
        written, read = Tree(wide, high, values), packet_headers._TagTree(wide, high)
        # GIVEN values that are read layer by layer, from any place
        leaves = [
            (x, y, below)
            for below in range(1, most + 2)
            for x, y in draw.sample([(x, y) for y in range(high) for x in range(wide)], wide * high)
        ]
        bits = [written.bits(*leaf) for leaf in leaves]
        source = packet_headers._HeaderBits(packed("".join(bits) or "0"), 0)
        for x, y, below in leaves:
            assert read.read(source, x, y, below) == min(values[y * wide + x], below)
        assert source.at == len(source.data) - (not "".join(bits))
        assert all(read.read(source, x, y, most + 1) == values[y * wide + x] for x, y, _ in leaves)
