"""Pictures that are nearly the same: found by a perceptual hash, put into one group, so that no split parts them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.errors import TrainingError

DISTANCE = (
    10  # of 64 bits; on the CIFAR bikes 1 pair in 9,000 is as near, and most of those are near-duplicates
)
_BLOCK = 2048
_BITS = np.array([bin(i).count("1") for i in range(256)], np.uint8)


def available() -> bool:
    """Whether the library of the perceptual hash is installed; it comes with training, not with the service."""
    return importlib.util.find_spec("imagehash") is not None


def perceptual_hash(path: Path) -> int:
    """64-bit DCT hash of a picture; 0 for one that cannot be read."""
    try:
        import imagehash
    except ImportError as error:
        raise TrainingError("imagehash is not installed: pip install 'dropsort[train]'") from error
    try:
        with Image.open(path) as image:
            return int(str(imagehash.phash(image.convert("RGB"))), 16)
    except Exception:  # whatever is wrong with it was reported when it was read
        return 0


def near_pairs(hashes: Sequence[int], distance: int = DISTANCE) -> Iterable[tuple[int, int]]:
    """Pairs (i, j), i < j, whose hashes differ in at most `distance` bits."""
    words = np.array(hashes, np.uint64).view(np.uint8).reshape(-1, 8)
    for start in range(0, len(words), _BLOCK):
        block = words[start : start + _BLOCK]
        for other in range(start, len(words), _BLOCK):
            differing = np.zeros((len(block), len(words[other : other + _BLOCK])), np.uint8)
            for byte in range(8):
                differing += _BITS[block[:, byte, None] ^ words[None, other : other + _BLOCK, byte]]
            for i, j in np.argwhere(differing <= distance):
                if start + i < other + j:
                    yield int(start + i), int(other + j)


def groups(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """A group number for each of `count` pictures: those that a chain of pairs joins have the same."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs:
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)
    return np.array([root(i) for i in range(count)], np.int64)
