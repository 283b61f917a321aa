"""The counts of one window of captures, or of an evaluation set: what drift compares.

A sample has the same small size for any number of captures: label counts, a histogram of 1,000 confidence bins, and where the captures
carry them a histogram of familiarity and moments of image statistics. Samples add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitoring.aggregates.histograms import BINS, FAMILIARITY_BINS, bin_of, units

Counts = NDArray[np.int64]
REFERENCE_SCHEMA = "dropsort-reference/1"


@dataclass(frozen=True)
class Moments:
    """Count, sum and sum of squares of a quantity."""

    count: int
    total: float
    squares: float

    @property
    def mean(self) -> float:
        """The mean; NaN of nothing."""
        return self.total / self.count if self.count else math.nan

    @property
    def deviation(self) -> float:
        """The standard deviation; 0 of fewer than two."""
        if self.count < 2:
            return 0.0
        return math.sqrt(max(0.0, self.squares - self.total * self.total / self.count) / (self.count - 1))

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)


def _no_counts() -> Counts:
    return np.zeros(BINS, np.int64)


@dataclass(frozen=True)
class Sample:
    """Counts of some inferences: by label (dict), by confidence bin (BINS,), by familiarity bin (FAMILIARITY_BINS,)."""

    labels: Mapping[str, int] = field(default_factory=dict)
    confidence: Counts = field(default_factory=_no_counts)
    familiarity: Counts | None = None
    images: Mapping[str, Moments] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Inferences in the sample."""
        return int(self.confidence.sum())

    @property
    def mean_confidence(self) -> float:
        """Mean confidence, to half a bin; NaN of nothing."""
        bins = len(self.confidence)
        return (
            float(self.confidence @ (np.arange(bins) + 0.5)) / bins / self.count if self.count else math.nan
        )

    def below(self, threshold: float) -> int:
        """Inferences with confidence below the threshold, which is rounded to a bin's edge."""
        return int(self.confidence[: max(0, round(threshold * len(self.confidence)))].sum())

    def __add__(self, other: Sample) -> Sample:
        labels = dict(self.labels)
        for label, count in other.labels.items():
            labels[label] = labels.get(label, 0) + count
        images = dict(self.images)
        for name, moments in other.images.items():
            images[name] = images[name] + moments if name in images else moments
        if self.familiarity is None or other.familiarity is None:
            familiarity = other.familiarity if self.familiarity is None else self.familiarity
        else:
            familiarity = self.familiarity + other.familiarity
        return Sample(labels, self.confidence + other.confidence, familiarity, images)

    @classmethod
    def of(
        cls, labels: Iterable[str], confidences: Iterable[float], familiarities: Iterable[float] | None = None
    ) -> Sample:
        """From predictions one by one: labels (n,), confidences (n,) in [0, 1], familiarities (n,) in [0, 1]."""
        counted: dict[str, int] = {}
        for label in labels:
            counted[label] = counted.get(label, 0) + 1
        familiar = None if familiarities is None else _histogram(familiarities, FAMILIARITY_BINS)
        return cls(counted, _histogram(confidences, BINS), familiar)

    def to_json(self) -> dict[str, object]:
        """Plain types for JSON, as `monitoring.drift.reference` reads them."""
        return {
            "schema": REFERENCE_SCHEMA,
            "labels": dict(self.labels),
            "confidence": self.confidence.tolist(),
            "familiarity": None if self.familiarity is None else self.familiarity.tolist(),
            "images": {name: [m.count, m.total, m.squares] for name, m in self.images.items()},
        }


def _histogram(values: Iterable[float], bins: int) -> Counts:
    """Counts in equal bins of [0, 1]; 1 belongs to the last."""
    array = np.asarray(list(values), np.float64)
    if array.size and not ((array >= 0) & (array <= 1)).all():
        raise ValueError("confidence and familiarity must be in [0, 1]")
    return np.bincount(bin_of(units(array), bins), minlength=bins).astype(np.int64)
