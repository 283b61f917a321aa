"""How good the predictions were, where somebody said what is right: captures joined with ground truth.

Ground truth is joined by inference id, else by event id, as SageMaker does it: a line's ``eventMetadata.eventId`` holds the
inference id if the capture has one. Accuracy, calibration (ECE, Brier), AUROC of confidence against correctness and the
confusion matrix, each with its number of pictures, accuracy with its interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from monitoring.drift.statistics import Interval, wilson

BINS = 15  # of the expected calibration error, equal in width


@dataclass(frozen=True)
class Outcome:
    """One prediction and what was right."""

    predicted: str
    confidence: float
    truth: str
    probabilities: Mapping[str, float] = field(default_factory=dict)  # of all labels, where known


@dataclass(frozen=True)
class Quality:
    """Measured quality; NaN where it cannot be said (AUROC without an error, everything without pictures)."""

    count: int
    correct: int
    accuracy: float
    accuracy_interval: Interval  # Wilson, 95 %
    ece: float  # expected calibration error of the predicted label's confidence
    brier: float  # of the whole vector where it is known for all, else of the predicted label alone
    brier_is_multiclass: bool
    auroc: float  # of confidence against correctness
    confusion: Mapping[str, Mapping[str, int]]  # truth to predicted to count
    unmatched: int = 0  # ground truth without a capture
    conflicting: int = 0  # inferences that were labelled more than once and differently; the last counts

    def to_json(self) -> dict[str, object]:
        """Plain types for JSON; None for NaN."""
        numbers = {k: getattr(self, k) for k in ("accuracy", "ece", "brier", "auroc")}
        return {
            "count": self.count,
            "correct": self.correct,
            **{k: None if math.isnan(v) else v for k, v in numbers.items()},
            "accuracy_interval": list(self.accuracy_interval),
            "brier_is_multiclass": self.brier_is_multiclass,
            "confusion": {truth: dict(row) for truth, row in self.confusion.items()},
            "unmatched": self.unmatched,
            "conflicting": self.conflicting,
        }


def measure(outcomes: Iterable[Outcome], *, unmatched: int = 0, conflicting: int = 0) -> Quality:
    """Measure predictions against the truth."""
    every = list(outcomes)
    n = len(every)
    right = np.array([o.predicted == o.truth for o in every], dtype=bool)
    confidence = np.array([o.confidence for o in every], dtype=np.float64)
    correct = int(right.sum())
    confusion: dict[str, dict[str, int]] = {}
    for o in every:
        row = confusion.setdefault(o.truth, {})
        row[o.predicted] = row.get(o.predicted, 0) + 1
    whole = n > 0 and all(o.probabilities for o in every)
    if whole:
        brier = float(np.mean([_brier(o) for o in every]))
    else:
        brier = float(np.mean((confidence - right) ** 2)) if n else math.nan
    return Quality(
        n,
        correct,
        correct / n if n else math.nan,
        wilson(correct, n),
        calibration_error(confidence, right),
        brier,
        whole,
        auroc(confidence, right),
        {truth: dict(sorted(row.items())) for truth, row in sorted(confusion.items())},
        unmatched,
        conflicting,
    )


def calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal bins, weighted by count.

    Parameters
    ----------
    confidence
        (n,) in [0, 1].
    right
        (n,) whether each was right.
    """
    values, hits = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if not len(values):
        return math.nan
    index = np.minimum(bins - 1, (values * bins).astype(np.int64))
    gaps = np.bincount(index, weights=values - hits, minlength=bins)
    return float(np.abs(gaps).sum() / len(values))


def auroc(score: ArrayLike, positive: ArrayLike) -> float:
    """Probability that a positive scores higher than a negative, ties counted half; NaN without either."""
    values, chosen = np.asarray(score, np.float64), np.asarray(positive, bool)
    n, m = int(chosen.sum()), int((~chosen).sum())
    if not n or not m:
        return math.nan
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[index]  # mean rank of equal values
    return float((ranks[chosen].sum() - n * (n + 1) / 2) / (n * m))


def _brier(o: Outcome) -> float:
    known = sum((p - (label == o.truth)) ** 2 for label, p in o.probabilities.items())
    return known + (1.0 if o.truth not in o.probabilities else 0.0)
