"""Checks of labelled images before a training: contradicting labels, images that show nothing, likely label errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.dataset import near_duplicates
from training.dataset.images import LabelledImage
from training.inference import decode

DISTANCE = 4  # of 64 bits: so near that different labels are rather an error
SIDE = 128  # of the image that blur is measured on
DARK = 24.0  # mean luminance below which an image is dark, of 255
BLANK = 4.0  # standard deviation of the luminance below which it is blank
# Variance of the Laplacian below which it is blurred; of the 1,000 real images none is below 300
BLURRED = 150.0


@dataclass(frozen=True)
class Finding:
    """An image to check by eye before training, or that is left out of it: the kind of reason, and the reason in words."""

    path: Path
    kind: str  # contradiction, dark, blank, blurred, label, or one of `training.dataset.joining`
    why: str


def contradictions(images: Sequence[LabelledImage], known: Mapping[Path, int] | None = None) -> list[Finding]:
    """Near-duplicates with different labels.

    Parameters
    ----------
    known
        Perceptual hashes of all of the images, if they were computed already.
    """
    if known is None:
        known = {image.path: near_duplicates.perceptual_hash(image.path) for image in images}
    hashes = [known[image.path] for image in images]
    found = []
    for i, j in near_duplicates.near_pairs(hashes, DISTANCE):
        a, b = images[i], images[j]
        if a.label != b.label:
            found.append(
                Finding(
                    a.path, "contradiction", f"{a.label!r}, but the near-duplicate {b.path} is {b.label!r}"
                )
            )
    return found


def legibility(image: LabelledImage) -> Finding | None:
    """Whether an image is blank, dark or blurred; None if it is neither.

    Blur is the variance of the Laplacian of the luminance, of the image at 128 pixels.
    """
    small = Image.fromarray(decode(image.path.read_bytes())).convert("L")
    small.thumbnail((SIDE, SIDE))
    pixels = np.asarray(small, np.float64)
    mean, deviation = float(pixels.mean()), float(pixels.std())
    if deviation < BLANK:
        return Finding(
            image.path,
            "blank",
            f"its luminance differs by {deviation:.1f} of 255 only, at least {BLANK:.0f} expected",
        )
    if mean < DARK:
        return Finding(
            image.path, "dark", f"its mean luminance is {mean:.0f} of 255, at least {DARK:.0f} expected"
        )
    sharpness = _laplacian_variance(pixels)
    if sharpness < BLURRED:
        why = f"its sharpness (variance of the Laplacian) is {sharpness:.1f}, at least {BLURRED:.0f} expected"
        return Finding(image.path, "blurred", why)
    return None


def _laplacian_variance(pixels: NDArray[np.float64]) -> float:
    if min(pixels.shape) < 3:
        return float("inf")
    middle = pixels[1:-1, 1:-1]
    neighbours = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
    return float((neighbours - 4 * middle).var())


def label_errors(
    images: Sequence[LabelledImage], probabilities: NDArray[np.float64], labels: Sequence[str]
) -> list[Finding]:
    """Likely label errors by confident learning (Northcutt, Jiang and Chuang, 2021), the most certain first.

    An image is one if, of the labels that are at least as probable as they are on average for images with that label, the most
    probable one is not its own.

    Parameters
    ----------
    probabilities
        [N, K], of a model that was not trained on these images; a label that it does not know is never an error.
    labels
        Of the model, [K].
    """
    number = {label: k for k, label in enumerate(labels)}
    given = np.array([number.get(image.label, -1) for image in images], int)
    limits = np.array(
        [probabilities[given == k, k].mean() if (given == k).any() else np.inf for k in range(len(labels))]
    )
    found = []
    for image, mine, vector in zip(images, given.tolist(), probabilities, strict=True):
        confident = np.where(vector >= limits, vector, -1.0)
        best = int(confident.argmax())
        if mine >= 0 and confident[best] > 0 and best != mine:
            why = f"{image.label!r}, but the model predicts {labels[best]!r} ({vector[best]:.2f})"
            found.append((float(vector[best]), Finding(image.path, "label", why)))
    return [finding for _, finding in sorted(found, key=lambda pair: -pair[0])]
