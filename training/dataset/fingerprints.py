"""Fingerprints of the images that a model was made from, stored in its folder, so that an evaluation recognises them.

An image is recognised by a digest of its decoded pixels, whatever its name and lossless format, and a near-duplicate by its
perceptual hash. Neither gives the image away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.dataset import near_duplicates
from training.dataset.images import LabelledImage
from training.errors import TrainingError
from training.inference import decode

FILE = "training-images.json"


class Fingerprints(NamedTuple):
    """Pixel digests and perceptual hashes of a model's images; both empty if they are not known."""

    pixels: frozenset[str] = frozenset()
    perceptual: tuple[int, ...] = ()


def pixel_digest(image: NDArray[np.uint8]) -> str:
    """64 bits of SHA-256 over size and pixels of a decoded image, uint8 [height, width, 3], in hexadecimal digits."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()[:16]


def write(folder: Path, images: Sequence[LabelledImage]) -> None:
    """Write the fingerprints of the images that were used to train a model or to choose its threshold."""
    pixels = sorted({pixel_digest(decode(image.path.read_bytes())) for image in images})
    perceptual: list[str] = []
    if near_duplicates.available():
        perceptual = sorted({f"{near_duplicates.perceptual_hash(image.path):016x}" for image in images})
    document = {"pixels": pixels, "perceptual": perceptual}
    (folder / FILE).write_text(json.dumps(document, indent=0) + "\n", encoding="utf-8")


def read(folder: Path) -> Fingerprints:
    """The fingerprints of a model folder; empty ones if it has none.

    Raises
    ------
    TrainingError
        The file is damaged.
    """
    path = Path(folder) / FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        pixels, perceptual = document["pixels"], document["perceptual"]
        return Fingerprints(frozenset(map(str, pixels)), tuple(int(text, 16) for text in perceptual))
    except FileNotFoundError:
        return Fingerprints()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(
            f"{path} is damaged ({error}): train the model again, or delete the file"
        ) from None
