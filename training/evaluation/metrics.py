"""Figures of a classifier: accuracy, calibration, ranking. Pure functions of arrays.

`probabilities` are [N, K], `truth` [N] class numbers, `confidence` [N] the largest probability of each image,
`correct` [N] whether the largest probability was that of the truth.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Flags = NDArray[np.bool_]


class Share(NamedTuple):
    """A share with its 95 % confidence interval."""

    value: float
    low: float
    high: float
    of: int


def wilson(hits: int, of: int, z: float = 1.959964) -> Share:
    """Share with Wilson's score interval, which stays within 0 and 1 and is accurate for few images too."""
    if of == 0:
        return Share(math.nan, 0.0, 1.0, 0)
    share, scale = hits / of, 1 + z * z / of
    middle = (share + z * z / (2 * of)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return Share(share, max(0.0, middle - half), min(1.0, middle + half), of)


class Bin(NamedTuple):
    """Images of similar confidence: mean confidence, share of them that were right, and how many."""

    confidence: float
    accuracy: float
    images: int


def reliability(confidence: Array, correct: Flags, bins: int = 10) -> list[Bin]:
    """Images in bins of equal width of confidence, empty bins left out."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        Bin(float(confidence[place == b].mean()), float(correct[place == b].mean()), int((place == b).sum()))
        for b in range(bins)
        if (place == b).any()
    ]


def ece(confidence: Array, correct: Flags, bins: int = 10) -> float:
    """Expected calibration error: mean distance of accuracy from mean confidence over bins of equal width."""
    total = max(1, len(confidence))
    return sum(
        b.images / total * abs(b.confidence - b.accuracy) for b in reliability(confidence, correct, bins)
    )


def brier(probabilities: Array, truth: NDArray[np.integer]) -> float:
    """Mean squared distance of the probabilities from certainty in the truth, summed over classes: 0 to 2."""
    return float(((probabilities - np.eye(probabilities.shape[1])[truth]) ** 2).sum(1).mean())


def log_loss(probabilities: Array, truth: NDArray[np.integer]) -> float:
    """Mean negative log-likelihood of the truth, in nats."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-12)).mean())


def auroc(positive: Array, negative: Array) -> float:
    """Probability that a positive scores above a negative, ties counted half; NaN if there is none of one kind."""
    if not len(positive) or not len(negative):
        return math.nan
    _, inverse, counts = np.unique(
        np.concatenate([positive, negative]), return_inverse=True, return_counts=True
    )
    rank = np.cumsum(counts) - (counts - 1) / 2  # mean rank of equal values
    total = rank[inverse][: len(positive)].sum()
    return float((total - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative)))


def confusion(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> list[list[int]]:
    """Counts by true class (rows) and predicted class (columns)."""
    table = np.zeros((classes, classes), int)
    np.add.at(table, (truth, predicted), 1)
    return [[int(cell) for cell in row] for row in table]


def risk_coverage(confidence: Array, correct: Flags) -> list[tuple[float, float]]:
    """(coverage, share of errors among the covered) with the surest images first; equal confidences enter together."""
    order = np.argsort(-confidence, kind="stable")
    errors = np.cumsum(~correct[order])
    count = np.arange(1, len(order) + 1)
    last = (
        np.append(confidence[order][1:] != confidence[order][:-1], True) if len(order) else np.array([], bool)
    )
    return [(float(c / len(order)), float(e / c)) for c, e in zip(count[last], errors[last], strict=True)]


def fit_temperature(logits: Array, truth: NDArray[np.integer]) -> float:
    """The temperature that gives held-out logits [N, K] the best likelihood: above 1 makes them less sure.

    The loss is convex in the inverse temperature: a golden-section search over 0.1 to 10 on a log scale finds it.
    """

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        scaled = scaled - scaled.max(1, keepdims=True)
        return float((np.log(np.exp(scaled).sum(1)) - scaled[np.arange(len(truth)), truth]).mean())

    low, high, golden = math.log(0.1), math.log(10), (math.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return math.exp((low + high) / 2)


def softmax(logits: Array, temperature: float = 1.0) -> NDArray[Any]:
    """Probabilities [N, K] of logits [N, K]."""
    scaled: NDArray[Any] = logits / temperature
    powers: NDArray[Any] = np.exp(scaled - scaled.max(1, keepdims=True))
    powers /= powers.sum(1, keepdims=True)
    return powers
