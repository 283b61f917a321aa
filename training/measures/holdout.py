"""What held-out pictures are for: which ones a fold leaves out, and the temperature that they ask for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.measures import metrics

_MISTAKES = 5  # fewer say nothing about being surer: without any, the best temperature would be zero


def folds(
    truth: NDArray[np.int64], groups: NDArray[np.int64], count: int, seed: int
) -> list[NDArray[np.bool_]]:
    """Which pictures each fold leaves out: every picture once, labels in proportion, near-duplicates together."""
    random = np.random.default_rng(seed)
    place = np.zeros(len(truth), int)
    for label in np.unique(truth):
        sizes = np.zeros(count, int)
        members = groups[truth == label]
        units = np.unique(members)
        for unit in units[random.permutation(len(units))]:
            fold = int(sizes.argmin())
            sizes[fold] += int((members == unit).sum())
            place[(truth == label) & (groups == unit)] = fold
    for unit, first in zip(
        *np.unique(groups, return_index=True), strict=True
    ):  # a group of several labels too
        place[groups == unit] = place[first]
    return [place == fold for fold in range(count)]


def calibrate(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> tuple[float, str]:
    """A temperature for the softmax, and in words why: 1 unless the likelihood of held-out pictures improves.

    Each half of the pictures is judged with the temperature that fits the other half.
    """
    half = np.arange(len(truth)) % 2 == 0
    before = metrics.log_loss(metrics.softmax(logits), truth)
    after = 0.0
    for part in (half, ~half):
        if not part.any() or part.all():
            return 1.0, "none: too few held-out pictures"
        temperature = metrics.fit_temperature(logits[~part], truth[~part])
        after += part.mean() * metrics.log_loss(metrics.softmax(logits[part], temperature), truth[part])
    mistakes = int((logits.argmax(1) != truth).sum())
    if mistakes < _MISTAKES and metrics.fit_temperature(logits, truth) < 1:
        return (
            1.0,
            f"none: {mistakes} mistakes among {len(truth)} held-out pictures cannot say how sure to be",
        )
    if after >= before:
        return 1.0, f"none: held-out log-loss would go from {before:.4f} to {after:.4f}"
    return metrics.fit_temperature(
        logits, truth
    ), f"temperature: held-out log-loss from {before:.4f} to {after:.4f}"
