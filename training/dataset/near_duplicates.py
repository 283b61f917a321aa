"""Near-duplicates: images that are nearly the same, found by a perceptual hash and by pixels, or named by a published list.

A split keeps them in one part. Accuracy on test images with a near-duplicate in training says little about new images, so
evaluation reports figures with and without them.
"""

from __future__ import annotations

import csv
import functools
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dropsort.contract import formats
from training.dataset.images import MANIFEST, NAMES, LabelledImage
from training.errors import TrainingError

# Of 64 bits. Of the CIFAR bikes 1 pair in 9,000 is as near, and most of those are near-duplicates.
DISTANCE = 10
# Of luminance. Of CIFAR's published duplicates with a near hash none is below 0.80; of drawn signs of different labels with a near
# hash, half are below 0.59.
CORRELATION = 0.8
_SIDE = 16
_LIST_COLUMNS = ("TestID", "TrainID")  # as in the published list of CIFAR's duplicates
_BLOCK = 2048
_BITS = np.array([bin(i).count("1") for i in range(256)], np.uint8)


def available() -> bool:
    """Whether imagehash is installed; it is a dependency of training, not of the service."""
    return importlib.util.find_spec("imagehash") is not None


def perceptual_hash(path: Path) -> int:
    """64-bit DCT hash of an image; 0 for one that cannot be read."""
    try:
        import imagehash
    except ImportError as error:
        raise TrainingError(
            "imagehash is not installed: it is in the extra train, pip install '.[train]' in the checkout"
        ) from error
    try:
        with Image.open(path, formats=formats.PILLOW) as image:
            return int(str(imagehash.phash(image.convert("RGB"))), 16)
    except Exception:  # any error was reported when the file was read
        return 0


def near_pairs(hashes: Sequence[int], distance: int = DISTANCE) -> Iterable[tuple[int, int]]:
    """Pairs (i, j), i < j, whose hashes differ in at most `distance` bits."""
    words = np.array(hashes, np.uint64).view(np.uint8).reshape(-1, 8)
    for start in range(0, len(words), _BLOCK):
        block = words[start : start + _BLOCK]
        for other in range(start, len(words), _BLOCK):
            against = words[other : other + _BLOCK]
            differing = sum(_BITS[block[:, byte, None] ^ against[None, :, byte]] for byte in range(8))
            for i, j in np.argwhere(differing <= distance):
                if start + i < other + j:
                    yield int(start + i), int(other + j)


def confirmed(paths: Sequence[Path], pairs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Those pairs whose pixels are alike too: small luminance images with a correlation of `CORRELATION` or more.

    The hash of an image of few shapes or little contrast has little information: images of different things may have near ones.
    """
    small = functools.cache(lambda i: _small(paths[i]))
    return ((i, j) for i, j in pairs if float(small(i) @ small(j)) >= CORRELATION)


def _small(path: Path) -> NDArray[np.float64]:
    """The luminance at 16 x 16 pixels, mean 0 and length 1; zeros for an image that is blank or cannot be read."""
    try:
        with Image.open(path, formats=formats.PILLOW) as image:
            small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    except Exception:  # any error was reported when the file was read
        return np.zeros(_SIDE * _SIDE)
    pixels: NDArray[np.float64] = np.asarray(small, np.float64).ravel()
    pixels -= pixels.mean()
    length = float(np.sqrt(pixels @ pixels))
    return pixels / length if length else pixels


def groups(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """A group number for each of `count` images: those joined by a chain of pairs have the same."""
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


def published(folder: Path) -> set[str]:
    """File names of test images in a published list of duplicates in `folder`, its parent or grandparent.

    The list (`*duplicates*.csv`) gives row numbers; `manifest.csv` in the same folder maps images to rows. Empty if
    there is no such pair of files. A pair of rows counts if both rows are in the manifest.
    """
    for location in (folder, folder.parent, folder.parent.parent):
        lists, manifest = sorted(location.glob("*duplicates*.csv")), location / MANIFEST
        if not lists or not manifest.is_file():
            continue
        with manifest.open(newline="", encoding="utf-8", errors=NAMES) as stream:
            rows = list(csv.DictReader(stream))
        column = next((name for name in (rows[0] if rows else ()) if name.endswith("_row")), None)
        if column is None:
            continue
        split_rows = {
            part: {r[column]: r["file"] for r in rows if r.get("split") == part} for part in ("train", "test")
        }
        with lists[0].open(encoding="utf-8") as stream:
            pairs = [
                [str(int(float(row[c]))) for c in _LIST_COLUMNS]
                for row in csv.DictReader(stream)
                if row.get(_LIST_COLUMNS[0])
            ]
        return {
            split_rows["test"][a] for a, b in pairs if a in split_rows["test"] and b in split_rows["train"]
        }
    return set()


def near_images(test: Sequence[LabelledImage], train: Sequence[LabelledImage]) -> set[Path]:
    """Paths of test images that nearly equal one of `train`, by hash and by pixels."""
    paths = [image.path for image in (*test, *train)]
    pairs = near_pairs([perceptual_hash(path) for path in paths])
    across = ((i, j) for i, j in pairs if i < len(test) <= j)
    return {paths[i] for i, _ in confirmed(paths, across)}


def near(test: Sequence[LabelledImage], train: Iterable[int]) -> set[Path]:
    """Paths of test images whose perceptual hash is near one of those in `train`: near-duplicates, and others (see `confirmed`)."""
    pairs = near_pairs([*(perceptual_hash(image.path) for image in test), *train])
    return {test[i].path for i, j in pairs if i < len(test) <= j}
