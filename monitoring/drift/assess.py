"""Compares a window of captures with a reference: has the model or its input changed?

Every alarm is based on a test that is exact for small samples (Fisher's, or random relabelling), and on a change large
enough to matter. The level is set so that all signals and all checks of one day together give a false alarm on at most
one day in two hundred: a day is 24 hourly checks of three parts, two windows and silence, so each part gets 0.005 / 72, which
Holm's method divides among the signals of a window. One in a hundred is the limit (``python -m benchmarks.drift`` measures it);
the other half is for the error of the reference, which is sampled once. No assumption is made about how checks or signals
depend on each other. Observations are assumed independent: a hundred uploads of one image are not a hundred observations
 (docs/concepts/drift.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from dropsort.contract.defaults import FAMILIARITY_THRESHOLD, THRESHOLD
from dropsort.contract.statistics import Z95, Interval, wilson
from monitoring.drift import signals as signals_of
from monitoring.drift.sample import Sample
from monitoring.drift.signals import FEWEST, Floors, Signal

FALSE_ALARM_DAYS = 0.005  # share of days without any change that may alarm, all checks and signals together
CHECKS_PER_DAY = 24
PARTS_OF_A_CHECK = 3  # the latest few hundred captures, the latest 24 hours, and silence
UNKNOWN = Interval(0.0, 1.0)


@dataclass(frozen=True)
class Assessment:
    """Result of one comparison of one window."""

    window_size: int
    reference_size: int
    level: float  # false-alarm probability of this assessment
    signals: tuple[Signal, ...] = ()
    shares: Mapping[str, tuple[float, Interval, float]] = field(default_factory=dict)
    estimated_accuracy: float = math.nan  # mean calibrated confidence: an estimate, not a measurement
    estimated_accuracy_interval: Interval = UNKNOWN
    note: str = ""  # why there are no signals

    @property
    def alarms(self) -> tuple[Signal, ...]:
        """The signals that alarm, strongest first."""
        return tuple(sorted((s for s in self.signals if s.alarm), key=lambda s: s.p))

    def to_json(self) -> dict[str, object]:
        """Plain types for JSON; the estimate is named as one."""
        return {
            "window_size": self.window_size,
            "reference_size": self.reference_size,
            "level": self.level,
            "note": self.note,
            "alarms": [s.name for s in self.alarms],
            "estimated_accuracy": None if math.isnan(self.estimated_accuracy) else self.estimated_accuracy,
            "estimated_accuracy_interval": list(self.estimated_accuracy_interval),
            "label_shares": {
                label: {"share": share, "interval": list(interval), "reference": before}
                for label, (share, interval, before) in self.shares.items()
            },
            "signals": [
                {
                    "name": s.name,
                    "value": s.value,
                    "reference": s.reference,
                    "effect": s.effect,
                    "floor": s.floor,
                    "usual": s.usual,
                    "p": s.p,
                    "adjusted_p": s.adjusted,
                    "alarm": s.alarm,
                    "sentence": s.sentence,
                }
                for s in self.signals
            ],
        }


def level_of_a_window(checks_per_day: int = CHECKS_PER_DAY, parts: int = PARTS_OF_A_CHECK) -> float:
    """The false-alarm probability that one part of one check may have."""
    return FALSE_ALARM_DAYS / (checks_per_day * parts)


def assess(
    reference: Sample,
    window: Sample,
    *,
    threshold: float = THRESHOLD,
    familiarity_threshold: float = FAMILIARITY_THRESHOLD,
    level: float | None = None,
    floors: Floors | None = None,
) -> Assessment:
    """Compare a window of captures with a reference.

    Parameters
    ----------
    reference
        An earlier window, or the evaluation set.
    window
        The captures in question.
    threshold
        Confidence below which a result is low-confidence, in [0, 1].
    familiarity_threshold
        Familiarity below which an image counts as none of the classes.
    level
        Probability that this call alarms although nothing changed; by default that of one part of an
        hourly check.
    """
    level = level_of_a_window() if level is None else level
    floors = floors or Floors()
    n, n_0 = window.count, reference.count
    accuracy, interval = estimated_accuracy(window)
    base = Assessment(n, n_0, level, (), label_shares(reference, window), accuracy, interval)
    if n < FEWEST or n_0 < FEWEST:
        few = f"{n} captures here, {n_0} in the reference: too few to say anything (needs {FEWEST} in each)"
        return replace(base, note=few)
    signals = [
        signals_of.label_signal(reference, window, floors),
        signals_of.low_confidence(reference, window, threshold, floors),
    ]
    signals += signals_of.confidence(reference, window, floors, level)
    signals += signals_of.unfamiliar(reference, window, familiarity_threshold, floors)
    signals += [
        signals_of.image(name, reference.images[name], moments, floors)
        for name, moments in sorted(window.images.items())
        if name in reference.images
    ]
    return replace(base, signals=holm(signals, level))


def label_shares(reference: Sample, window: Sample) -> dict[str, tuple[float, Interval, float]]:
    """By label: share in the window, its 95 % Wilson interval, share in the reference."""
    return {
        label: (
            window.labels.get(label, 0) / max(1, window.count),
            wilson(window.labels.get(label, 0), window.count),
            reference.labels.get(label, 0) / max(1, reference.count),
        )
        for label in sorted(set(window.labels) | set(reference.labels))
    }


def estimated_accuracy(window: Sample) -> tuple[float, Interval]:
    """Accuracy estimated from calibrated confidences: their mean, with the 95 % interval of that many outcomes.

    An estimate, not a measurement: it is valid as long as the calibration is, which drift may invalidate.
    """
    n = window.count
    if not n:
        return math.nan, UNKNOWN
    centres = (np.arange(len(window.confidence)) + 0.5) / len(window.confidence)
    mean = window.mean_confidence
    half = Z95 * math.sqrt(float(window.confidence @ (centres * (1 - centres)))) / n
    return mean, Interval(max(0.0, mean - half), min(1.0, mean + half))


def holm(signals: list[Signal], level: float) -> tuple[Signal, ...]:
    """Holm's step-down correction; a signal alarms if its adjusted p ≤ level and its effect reaches its floor."""
    adjusted, running = {}, 0.0
    for rank, index in enumerate(sorted(range(len(signals)), key=lambda i: signals[i].p)):
        running = max(running, min(1.0, signals[index].p * (len(signals) - rank)))
        adjusted[index] = running
    return tuple(
        replace(s, adjusted=adjusted[i], alarm=adjusted[i] <= level and s.effect >= s.floor)
        for i, s in enumerate(signals)
    )
