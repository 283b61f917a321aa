"""The counts of one window of captures, or of an evaluation set: what drift compares.

A sample is small whatever it stands for: label counts, a histogram of 1,000 confidence bins, and where the captures
carry them a histogram of familiarity and moments of image statistics. Samples add up.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitoring.aggregates.histograms import BINS, FAMILIARITY_BINS, bin_of, units
from monitoring.errors import MonitoringError

Counts = NDArray[np.int64]
SCHEMA = "dropsort-reference/1"


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
        """Plain types for JSON, as `read_reference` reads them."""
        return {
            "schema": SCHEMA,
            "labels": dict(self.labels),
            "confidence": self.confidence.tolist(),
            "familiarity": None if self.familiarity is None else self.familiarity.tolist(),
            "images": {name: [m.count, m.total, m.squares] for name, m in self.images.items()},
        }


class Reference(NamedTuple):
    """A reference as it is kept: counts, and for one made of captures the hour after them ("" for others)."""

    sample: Sample
    until: str = ""


def add(samples: Iterable[Sample]) -> Sample:
    """The sum of samples; an empty sample of none."""
    total = Sample()
    for sample in samples:
        total = total + sample
    return total


def read_reference(path: Path) -> Sample:
    """Read a reference from JSON: `Sample.to_json`, or a list of {"label", "confidence"[, "familiarity"]}.

    The list is how an evaluation's predictions look, one object per image.

    Raises
    ------
    MonitoringError
        If the file cannot be read or is neither.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise MonitoringError(f"{path}: cannot read this reference ({why}). Give a JSON file.") from error
    return kept_reference(found, str(path)).sample


def kept_reference(found: object, name: str) -> Reference:
    """A reference from decoded JSON, as `read_reference` takes it; a MonitoringError calls it by `name`."""
    try:
        return Reference(
            reference_from(found), str(found.get("until", "")) if isinstance(found, dict) else ""
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MonitoringError(
            f"{name}: not a reference ({error!r}). Give the reference.json of a model folder, what `dropsort evaluate"
            ' --reference` wrote, or a list of {"label": ..., "confidence": ...}, one per image.'
        ) from error


def reference_from(found: object) -> Sample:
    """A sample from decoded JSON, as `read_reference` takes it; KeyError, TypeError or ValueError if it is neither."""
    if isinstance(found, list):
        if not all(isinstance(row, dict) for row in found):
            raise ValueError("the list holds something that is no object")
        familiar = [float(row["familiarity"]) for row in found if row.get("familiarity") is not None]
        return Sample.of(
            (str(row["label"]) for row in found),
            [float(row["confidence"]) for row in found],
            familiar or None,
        )
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ValueError(f"no list, and no schema {SCHEMA!r}")
    confidence = np.asarray(found["confidence"], np.int64)
    familiarity = None if found.get("familiarity") is None else np.asarray(found["familiarity"], np.int64)
    if confidence.shape != (BINS,) or (confidence < 0).any():
        raise ValueError(f"confidence must be {BINS} counts")
    if familiarity is not None and (familiarity.shape != (FAMILIARITY_BINS,) or (familiarity < 0).any()):
        raise ValueError(f"familiarity must be {FAMILIARITY_BINS} counts")
    labels = {str(label): int(count) for label, count in dict(found["labels"]).items()}
    if sum(labels.values()) != confidence.sum():
        raise ValueError("the labels' counts and the confidences' do not add up to the same number")
    images = {
        str(k): Moments(int(n), float(s), float(q)) for k, (n, s, q) in dict(found.get("images", {})).items()
    }
    return Sample(labels, confidence, familiarity, images)


def _histogram(values: Iterable[float], bins: int) -> Counts:
    """Counts in equal bins of [0, 1]; 1 belongs to the last."""
    array = np.asarray(list(values), np.float64)
    if array.size and not ((array >= 0) & (array <= 1)).all():
        raise ValueError("confidence and familiarity must be in [0, 1]")
    return np.bincount(bin_of(units(array), bins), minlength=bins).astype(np.int64)
