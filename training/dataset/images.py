"""A labelled image and a dataset of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.inference import decode

MANIFEST = "manifest.csv"  # in a folder of images: label, part and what else is known of each file
NAMES = "surrogateescape"  # names of files in it may not be UTF-8
PARTS = ("train", "validation", "test")

Pixels = NDArray[np.uint8]  # [N, side, side, 3]
ClassNumbers = NDArray[np.int64]  # [N]


@dataclass(frozen=True)
class LabelledImage:
    """An image file with its label; `part` is "" before the split, `group` is the same number for near-duplicates."""

    path: Path
    label: str
    part: str = ""
    group: int = -1


@dataclass(frozen=True)
class Dataset:
    """Images, the labels in their fixed order (sorted by name), and the rejected files with the reason."""

    labels: list[str]
    images: list[LabelledImage]
    rejected: list[tuple[Path, str]] = field(default_factory=list)

    def part(self, name: str) -> list[LabelledImage]:
        """The images of one part."""
        return [image for image in self.images if image.part == name]

    def number(self, image: LabelledImage) -> int:
        """The class number of an image's label."""
        return self.labels.index(image.label)

    def numbers(self, images: Sequence[LabelledImage]) -> ClassNumbers:
        """The class numbers of several images' labels, [N]."""
        return np.array([self.number(image) for image in images], np.int64)

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of images by part and label."""
        found = Counter((image.part or "unassigned", image.label) for image in self.images)
        return {
            part: {label: found[part, label] for label in self.labels}
            for part in (*PARTS, "unassigned")
            if any(found[part, label] for label in self.labels)
        }


def load(images: Sequence[LabelledImage], side: int) -> Pixels:
    """The pixels of images, uint8 [N, side, side, 3], resized as the ONNX graph resizes them."""
    pixels = np.zeros((len(images), side, side, 3), np.uint8)
    for i, image in enumerate(images):
        decoded = Image.fromarray(decode(image.path.read_bytes()))
        pixels[i] = np.asarray(decoded.resize((side, side), Image.Resampling.BICUBIC))
    return pixels
