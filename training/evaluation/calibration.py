"""The temperature of the softmax, fitted on held-out images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.evaluation import scores

_MISTAKES = 5  # with fewer, no sharper softmax is justified: without any, the best temperature would be 0


def calibrate(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> tuple[float, str]:
    """A temperature for the softmax, and in words why: 1 unless the likelihood of held-out images improves.

    Each half of the images is scored with the temperature that fits the other half.
    """
    half = np.arange(len(truth)) % 2 == 0
    before = scores.log_loss(scores.softmax(logits), truth)
    after = 0.0
    for part in (half, ~half):
        if part.all():  # also of none
            return 1.0, "none: too few held-out images"
        temperature = scores.fit_temperature(logits[~part], truth[~part])
        after += part.mean() * scores.log_loss(scores.softmax(logits[part], temperature), truth[part])
    mistakes = int((logits.argmax(1) != truth).sum())
    if mistakes < _MISTAKES and scores.fit_temperature(logits, truth) < 1:
        return (
            1.0,
            f"none: {mistakes} mistakes among {len(truth)} held-out images are too few for a sharper softmax",
        )
    if after >= before:
        return 1.0, f"none: held-out log-loss would go from {before:.4f} to {after:.4f}"
    return scores.fit_temperature(
        logits, truth
    ), f"temperature: held-out log-loss from {before:.4f} to {after:.4f}"
