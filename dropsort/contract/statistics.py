"""Figures of a classifier's quality: Wilson interval, AUROC, Brier score, expected calibration error (ECE).

Training, monitoring and the pages use these definitions and no others, so that a figure of an evaluation and one of a
running service can be compared. Plain Python on sequences: 10,000 values take a few hundredths of a second. Arrays are
passed as ``array.tolist()``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

Z95 = 1.959963984540054  # two-sided 95 % of the normal distribution
CALIBRATION_BINS = 15  # of the ECE and the reliability diagram, of equal width


class Interval(NamedTuple):
    """Lower and upper end of a confidence interval."""

    low: float
    high: float


class CalibrationBin(NamedTuple):
    """Predictions of similar confidence: their mean confidence, share of them that is correct, number of them."""

    confidence: float
    accuracy: float
    size: int


def wilson(successes: float, trials: float, z: float = Z95) -> Interval:
    """Wilson score interval of a proportion, which stays within [0, 1] and holds for few trials too.

    Parameters
    ----------
    successes, trials
        Counts.
    z
        Quantile of the normal distribution; by default that of a 95 % interval.

    Returns
    -------
    Interval
        (0, 1) where there were no trials.

    Examples
    --------
    >>> [round(end, 3) for end in wilson(10, 10)]
    [0.722, 1.0]
    """
    if trials <= 0:
        return Interval(0.0, 1.0)
    share, slack = successes / trials, z * z / trials
    centre = (share + slack / 2) / (1 + slack)
    half = z / (1 + slack) * math.sqrt(share * (1 - share) / trials + slack / (4 * trials))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Area under the ROC curve: the probability that a positive scores above a negative, ties counted half.

    Parameters
    ----------
    positive, negative
        Scores of the two kinds, in any order.

    Returns
    -------
    float
        NaN if there is none of one kind.

    Examples
    --------
    >>> auroc([0.9, 0.5], [0.5, 0.1])
    0.875
    """
    n, m = len(positive), len(negative)
    if not n or not m:
        return math.nan
    ranked = sorted(
        itertools.chain(((float(s), True) for s in positive), ((float(s), False) for s in negative))
    )
    total, before = 0.0, 0
    for _, group in itertools.groupby(ranked, key=lambda scored: scored[0]):
        kinds = [is_positive for _, is_positive in group]
        total += (before + (len(kinds) + 1) / 2) * sum(kinds)  # the mean rank of equal scores
        before += len(kinds)
    return (total - n * (n + 1) / 2) / (n * m)


def brier(probabilities: Iterable[Sequence[float]], truth: Iterable[int | None]) -> float:
    """Brier score: mean squared distance of the probabilities from certainty in the truth, summed over classes, 0 to 2.

    Parameters
    ----------
    probabilities
        A vector over the classes for each prediction.
    truth
        The true class number of each; None for a class that the model does not know.

    Returns
    -------
    float
        NaN without predictions.

    Examples
    --------
    >>> brier([[1.0, 0.0], [1.0, 0.0]], [0, 1])
    1.0
    """
    total, count = 0.0, 0
    for vector, true in zip(probabilities, truth, strict=True):
        total += sum((float(p) - (number == true)) ** 2 for number, p in enumerate(vector)) + (true is None)
        count += 1
    return total / count if count else math.nan


def binary_brier(confidence: Iterable[float], correct: Iterable[bool]) -> float:
    """Brier score of the predicted class alone: mean squared distance of confidence from correctness, 0 to 1.

    For predictions of which only the confidence is known. NaN without predictions.
    """
    squares = [(float(c) - bool(hit)) ** 2 for c, hit in zip(confidence, correct, strict=True)]
    return math.fsum(squares) / len(squares) if squares else math.nan


def calibration_bins(
    confidence: Iterable[float], correct: Iterable[bool], bins: int = CALIBRATION_BINS
) -> list[CalibrationBin]:
    """Predictions in bins of equal width of confidence, in ascending order; empty bins are left out.

    Parameters
    ----------
    confidence
        In [0, 1]; bin i holds [i/bins, (i+1)/bins), the last one 1.0 too.
    correct
        Whether each prediction was right.
    """
    counts, hits, sums = [0] * bins, [0] * bins, [0.0] * bins
    for c, hit in zip(confidence, correct, strict=True):
        value = float(c)
        at = min(bins - 1, int(value * bins))
        counts[at] += 1
        hits[at] += bool(hit)
        sums[at] += value
    return [
        CalibrationBin(total / count, hit / count, count)
        for total, hit, count in zip(sums, hits, counts, strict=True)
        if count
    ]


def calibration_error(
    confidence: Iterable[float], correct: Iterable[bool], bins: int = CALIBRATION_BINS
) -> float:
    """Expected calibration error (ECE): mean gap between confidence and accuracy over `calibration_bins`, by count.

    Returns
    -------
    float
        In [0, 1]; NaN without predictions.

    Examples
    --------
    >>> round(calibration_error([0.6, 0.6, 0.9, 0.9], [True, False, True, True]), 3)
    0.1
    """
    found = calibration_bins(confidence, correct, bins)
    count = sum(b.size for b in found)
    return sum(b.size * abs(b.confidence - b.accuracy) for b in found) / count if count else math.nan
