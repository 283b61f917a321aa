"""Logits of images by models that were not trained on them: each fold is left out once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.dataset.images import ClassNumbers, Pixels
from training.dataset.splitting import folds


class TrainedModel(Protocol):
    """What a training returns."""

    def logits(self, images: Pixels) -> NDArray[Any]:
        """Logits [N, K] of images [N, side, side, 3]."""


def out_of_fold(
    images: Pixels,
    truth: ClassNumbers,
    groups: NDArray[np.int64],
    *,
    count: int,
    seed: int,
    train: Callable[[int, Pixels, ClassNumbers], TrainedModel],
) -> NDArray[np.float32]:
    """Logits [N, K] of all images.

    Parameters
    ----------
    groups
        Of each image, [N]: near-duplicates have the same number and are left out together.
    count
        Number of folds.
    train
        Gets the number of the training, from 1, and the images and class numbers to train on.
    """
    left_out = list(folds(truth, groups, count, seed))
    parts = [
        train(number, images[~out], truth[~out]).logits(images[out]) for number, out in enumerate(left_out, 1)
    ]
    logits = np.zeros((len(images), parts[0].shape[1]), np.float32)
    for out, part in zip(left_out, parts, strict=True):
        logits[out] = part
    return logits
