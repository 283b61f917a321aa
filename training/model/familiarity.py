"""Familiarity: how near an image is, in feature space, to the images that the model was trained on.

The score of an image is its mean cosine similarity to its nearest training images, from the features of an
extractor that was not fine-tuned (ImageNet weights unchanged): fine-tuning discards what does not separate the classes,
and with it what separates them from anything else. Compared with the scores of genuine
images that were held out, the score becomes a conformal p-value, so a threshold of 0.01 rejects about 1 % of the
genuine images, whatever the classes are, if it was built from `ENOUGH` images. With fewer it rejects more: a p-value of n images is
a multiple of 1/n, and the weights of the features fit them better than others. No image of anything else is needed to build it.

Nearest neighbours on frozen features: Sun et al., "Out-of-distribution detection with deep nearest neighbors", 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.errors import TrainingError

Features = NDArray[np.float32]
NEIGHBOURS = 5
ENOUGH = 200  # images: built from 113, a threshold of 0.01 rejects 2.4 % of genuine images, up to 9.5 % (python -m benchmarks.familiarity)
_FLOOR = 0.05  # added to each feature's standard deviation


@dataclass(frozen=True)
class Familiarity:
    """What the graph carries.

    `weight` [width] of each feature, `basis` [rank, width], `references` [R, rank] of length about 1, and the scores of
    held-out genuine images, ascending.
    """

    weight: Features
    basis: Features
    references: Features
    neighbours: int
    held_out: Features

    def scores(self, features: Features) -> Features:
        """Mean cosine similarity of each feature vector [N, width] to its nearest references: [N]."""
        cosines = _unit(features * self.weight) @ self.basis.T @ self.references.T
        nearest: Features = np.sort(cosines, 1)[:, -self.neighbours :].mean(1)
        return nearest

    def p_values(self, features: Features) -> Features:
        """Share of held-out genuine images that are no more familiar than each of these: [N]."""
        share: Features = (self.scores(features)[:, None] >= self.held_out).mean(1)
        return share


def _unit(features: Features) -> Features:
    unit: Features = features / np.sqrt((features**2).sum(1, keepdims=True) + 1e-12)
    return unit


def build(
    features: Features,
    groups: NDArray[np.int64] | None = None,
    *,
    references: int = 1000,
    rank: int = 256,
    seed: int = 0,
) -> Familiarity:
    """From features [N, width] of genuine images.

    Features with a large variance among them weigh less. Held-out scores are by leaving
    one out: each image against all others, near-duplicates of it (the same number in `groups`) left out too. At most
    `references` images are stored, and their directions in at most `rank` dimensions, which changes no inner product
    noticeably and makes the model small.
    """
    if len(features) < 20:
        raise TrainingError(
            f"only {len(features)} images to build familiarity from: at least 20 are needed, better 200"
        )
    random = np.random.default_rng(seed)
    stored = np.sort(random.permutation(len(features))[:references])
    weight = (1 / (features.std(0) + _FLOOR)).astype(np.float32)
    unit = _unit(features * weight)
    neighbours = min(NEIGHBOURS, len(stored) - 1)
    _, _, basis = np.linalg.svd(unit[stored], full_matrices=False)
    basis = basis[:rank].astype(np.float32)
    known = (unit[stored] @ basis.T).astype(np.float32)
    cosines = unit @ basis.T @ known.T
    group = np.arange(len(features)) if groups is None else groups
    cosines[group[:, None] == group[stored][None]] = -1
    held_out = np.sort(np.sort(cosines, 1)[:, -neighbours:].mean(1))
    return Familiarity(weight, basis, known, neighbours, held_out.astype(np.float32))
