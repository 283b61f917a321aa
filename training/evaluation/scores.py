"""Figures of a classifier: accuracy, calibration, ranking. Pure functions of arrays.

`probabilities` are [N, K], `truth` [N] class numbers, `confidence` [N] the largest probability of each image,
`correct` [N] whether the largest probability was that of the truth.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dropsort.contract.statistics import wilson

FloatArray = NDArray[np.floating]
Flags = NDArray[np.bool_]


class Share(NamedTuple):
    """A share with its 95 % confidence interval."""

    value: float
    low: float
    high: float
    of: int


def share(hits: int, of: int) -> Share:
    """Share with Wilson's 95 % interval; NaN of nothing."""
    return Share(hits / of if of else math.nan, *wilson(hits, of), of)


def log_loss(probabilities: FloatArray, truth: NDArray[np.integer]) -> float:
    """Mean negative log-likelihood, in nats, of the true classes [N] in the probabilities [N, K]."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-12)).mean())


def confusion(truth: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> list[list[int]]:
    """Counts by true class (rows) and predicted class (columns), [K, K], of class numbers [N]."""
    table = np.zeros((classes, classes), int)
    np.add.at(table, (truth, predicted), 1)
    return [[int(cell) for cell in row] for row in table]


def risk_coverage(confidence: FloatArray, correct: Flags) -> list[tuple[float, float]]:
    """(coverage, share of errors among the covered) with the most confident images first; equal confidences enter together.

    Both arguments are [N]; there is one pair for each distinct confidence.
    """
    order = np.argsort(-confidence)
    errors = np.cumsum(~correct[order])
    count = np.arange(1, len(order) + 1)
    last = (
        np.append(confidence[order][1:] != confidence[order][:-1], True) if len(order) else np.array([], bool)
    )
    return [(float(c / len(order)), float(e / c)) for c, e in zip(count[last], errors[last], strict=True)]


def fit_temperature(logits: FloatArray, truth: NDArray[np.integer]) -> float:
    """The temperature that gives held-out logits [N, K] the best likelihood: above 1 makes them less confident.

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


def softmax(logits: FloatArray, temperature: float = 1.0) -> NDArray[Any]:
    """Probabilities [N, K] of logits [N, K]."""
    scaled: NDArray[Any] = logits / temperature
    powers: NDArray[Any] = np.exp(scaled - scaled.max(1, keepdims=True))
    powers /= powers.sum(1, keepdims=True)
    return powers
