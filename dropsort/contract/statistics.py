"""Figures of a classifier's quality: intervals of proportions, AUROC, Brier score, expected calibration error (ECE).

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

    def shares(self) -> str:
        """In words: a 95 % interval of a share.

        Examples
        --------
        >>> Interval(0.9, 0.95).shares()
        '95 %: 90.0% to 95.0%'
        """
        return f"95 %: {self.low:.1%} to {self.high:.1%}"

    def points(self) -> str:
        """In words: a 95 % interval of a difference of shares, in percentage points.

        Examples
        --------
        >>> Interval(-0.01, 0.025).points()
        '95 %: -1.0 to +2.5'
        """
        return f"95 %: {100 * self.low:+.1f} to {100 * self.high:+.1f}"


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


class Stratum(NamedTuple):
    """A part of a population that a random sample was drawn from: its size, how many were drawn, how many of these succeeded."""

    size: int
    trials: int
    successes: int


class Estimate(NamedTuple):
    """An estimated proportion with its interval; `trials` is the effective number of independent trials behind it."""

    value: float
    interval: Interval
    trials: float


def stratified(strata: Iterable[Stratum], z: float = Z95) -> Estimate:
    """Proportion of successes in a finite population of strata that were sampled at different rates.

    The strata are weighted by their sizes. The interval is Wilson's for the effective number of trials: Kish's, as the
    weights differ, with the finite population correction. It supposes that the proportions of the strata are similar
    (days of one outcome, say); add unlike parts with `weighted_sum`.

    Parameters
    ----------
    strata
        Those without a trial add nothing but must be rare: merge them with a neighbour before.
    z
        Quantile of the normal distribution; by default that of a 95 % interval.

    Returns
    -------
    Estimate
        NaN and (0, 1) without trials; of a population that was drawn whole, the proportion itself at both ends.

    Examples
    --------
    >>> found = stratified([Stratum(10_000, 100, 99), Stratum(10_000, 100, 95)])
    >>> round(found.value, 3), [round(end, 3) for end in found.interval], round(found.trials)
    (0.97, [0.936, 0.986], 202)
    """
    drawn = [stratum for stratum in strata if stratum.trials]
    population = sum(stratum.size for stratum in drawn)
    if not drawn:
        return Estimate(math.nan, Interval(0.0, 1.0), 0.0)
    value = math.fsum(s.size / population * s.successes / s.trials for s in drawn)
    spread = math.fsum((s.size / population) ** 2 * (1 - s.trials / s.size) / s.trials for s in drawn)
    if spread <= 0:
        return Estimate(value, Interval(value, value), math.inf)
    trials = 1 / spread
    return Estimate(value, wilson(value * trials, trials, z), trials)


def weighted_sum(parts: Sequence[tuple[float, Estimate]]) -> tuple[float, Interval]:
    """A weighted sum of independent estimates, with the interval that their own intervals give (Zou and Donner's MOVER).

    Parameters
    ----------
    parts
        Weight, not negative, and estimate of each.

    Examples
    --------
    >>> half = Estimate(0.9, Interval(0.8, 0.95), 50)
    >>> value, interval = weighted_sum([(0.5, half), (0.5, half)])
    >>> round(value, 3), [round(end, 3) for end in interval]
    (0.9, [0.829, 0.935])
    """
    value = math.fsum(weight * part.value for weight, part in parts)
    below = math.sqrt(math.fsum((weight * (part.value - part.interval.low)) ** 2 for weight, part in parts))
    above = math.sqrt(math.fsum((weight * (part.interval.high - part.value)) ** 2 for weight, part in parts))
    return value, Interval(value - below, value + above)


def trials_for(share: float, half_width: float, z: float = Z95) -> int:
    """Trials after which half of Wilson's interval of a proportion near `share` is at most `half_width` long.

    Examples
    --------
    >>> trials_for(0.5, 0.01)
    9600
    """
    low, high = 0, math.ceil(z * z / (4 * half_width * half_width)) + 1
    while high - low > 1:
        middle = (low + high) // 2
        interval = wilson(share * middle, middle, z)
        low, high = (low, middle) if interval.high - interval.low <= 2 * half_width else (middle, high)
    return high


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p-value of McNemar's test: do two classifiers that saw the same images differ in accuracy?

    Parameters
    ----------
    gained, lost
        Images that only the second one has right, and that only the first one has right.

    Examples
    --------
    >>> round(mcnemar(8, 1), 6), mcnemar(0, 0)
    (0.039062, 1.0)
    """
    changed, fewer = gained + lost, min(gained, lost)
    whole = math.lgamma(changed + 1) - changed * math.log(2)
    tail = math.fsum(
        math.exp(whole - math.lgamma(i + 1) - math.lgamma(changed - i + 1)) for i in range(fewer + 1)
    )
    return min(1.0, 2 * tail)


def paired_difference(gained: float, lost: float, trials: float, z: float = Z95) -> Interval:
    """Interval of the difference of two proportions of the same trials (Bonett and Price's adjusted Wald interval).

    Parameters
    ----------
    gained, lost
        Trials in which only the second succeeded, and only the first.
    trials
        All of them.

    Returns
    -------
    Interval
        Of second minus first, within [-1, 1].

    Examples
    --------
    >>> [round(end, 3) for end in paired_difference(12, 2, 200)]
    [0.011, 0.088]
    """
    more, fewer = (gained + 1) / (trials + 2), (lost + 1) / (trials + 2)
    difference = more - fewer
    half = z * math.sqrt(max(0.0, more + fewer - difference**2) / (trials + 2))
    return Interval(max(-1.0, difference - half), min(1.0, difference + half))


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
