"""Has the model or the world changed? A window of captures held against a reference.

Every alarm stands on a test that is exact for small samples (Fisher's, or random relabelling), and on a change large
enough to matter. The level is set so that all signals and all looks of one day together give a false alarm on at most
one day in two hundred: a day is 24 hourly looks of three parts, two windows and silence, so each part gets 0.005 / 72, which
Holm's method shares among the signals of a window. One in a hundred is promised (``python -m bench.drift`` measures it);
the other half is for the luck of a reference, which is drawn once and stays. No assumption is made about how looks or
signals depend on each other. Observations are assumed independent: a hundred uploads of one picture are no hundred
observations (docs/drift.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from monitoring import statistics as st
from monitoring.sample import Moments, Sample

FALSE_ALARM_DAYS = 0.005  # share of days without any change that may alarm, all looks and signals together
LOOKS_A_DAY = 24
PARTS_OF_A_LOOK = 3  # the latest few hundred captures, the latest 24 hours, and silence
FEWEST_IMAGES = 200  # of an image statistic, whose test is not exact for small samples
UNKNOWN = st.Interval(0.0, 1.0)
FEWEST = 30  # below this a window is called too small, whatever it holds


@dataclass(frozen=True)
class Floors:
    """Changes smaller than these never alarm, however significant: with a million captures everything is."""

    label_share: float = 0.05
    low_confidence: float = 0.03
    wasserstein: float = 0.015
    jensen_shannon: float = 0.1
    familiarity: float = 0.05
    image: float = 0.25  # standard deviations of the reference


@dataclass(frozen=True)
class Signal:
    """One comparison: what was measured, and whether it is an alarm."""

    name: str
    value: float
    reference: float
    effect: float  # how far apart, in the signal's own units
    floor: float  # the smallest effect that alarms
    p: float
    adjusted: float = 1.0  # p after Holm's correction for the other signals of the window
    alarm: bool = False
    usual: float | None = None  # 95th percentile of the effect without any change, where it was simulated
    interval: st.Interval | None = None  # 95 % of the value (for a label: of its share)
    sentence: str = ""


@dataclass(frozen=True)
class Assessment:
    """What one look at one window found."""

    window_size: int
    reference_size: int
    level: float  # false-alarm probability of this assessment
    signals: tuple[Signal, ...] = ()
    shares: Mapping[str, tuple[float, st.Interval, float]] = field(default_factory=dict)
    estimated_accuracy: float = math.nan  # mean calibrated confidence: an estimate, not a measurement
    estimated_accuracy_interval: st.Interval = UNKNOWN
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


def level_of_a_window(looks_a_day: int = LOOKS_A_DAY, parts: int = PARTS_OF_A_LOOK) -> float:
    """The false-alarm probability that one part of one look may have."""
    return FALSE_ALARM_DAYS / (looks_a_day * parts)


def assess(
    reference: Sample,
    window: Sample,
    *,
    threshold: float = 0.93,
    familiarity_threshold: float = 0.02,
    level: float | None = None,
    floors: Floors | None = None,
) -> Assessment:
    """Hold a window of captures against a reference.

    Parameters
    ----------
    reference
        An earlier window, or the evaluation set.
    window
        The captures in question.
    threshold
        Confidence below which a result is low-confidence, in [0, 1].
    familiarity_threshold
        Familiarity below which a picture is taken for none of the classes.
    level
        Probability that this call alarms although nothing changed; by default that of one part of an
        hourly look.
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
        _label_signal(reference, window, floors),
        _low_confidence(reference, window, threshold, floors),
    ]
    signals += _confidence(reference, window, floors, level)
    signals += _familiarity(reference, window, familiarity_threshold, floors)
    signals += [
        _image(name, reference.images[name], moments, floors)
        for name, moments in sorted(window.images.items())
        if name in reference.images
    ]
    return replace(base, signals=holm(signals, level))


def label_shares(reference: Sample, window: Sample) -> dict[str, tuple[float, st.Interval, float]]:
    """By label: share in the window, its 95 % Wilson interval, share in the reference."""
    return {
        label: (
            window.labels.get(label, 0) / max(1, window.count),
            st.wilson(window.labels.get(label, 0), window.count),
            reference.labels.get(label, 0) / max(1, reference.count),
        )
        for label in sorted(set(window.labels) | set(reference.labels))
    }


def estimated_accuracy(window: Sample) -> tuple[float, st.Interval]:
    """Accuracy that calibrated confidences promise: their mean, with the 95 % interval of that many outcomes.

    An estimate, not a measurement: it holds as far as the calibration does, and drift is what ends it.
    """
    n = window.count
    if not n:
        return math.nan, UNKNOWN
    centres = (np.arange(len(window.confidence)) + 0.5) / len(window.confidence)
    mean = window.mean_confidence
    half = st.Z95 * math.sqrt(float(window.confidence @ (centres * (1 - centres)))) / n
    return mean, st.Interval(max(0.0, mean - half), min(1.0, mean + half))


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


def _label_signal(reference: Sample, window: Sample, floors: Floors) -> Signal:
    """The label whose share changed most surely; Bonferroni over labels (two labels are one comparison)."""
    labels = sorted(set(window.labels) | set(reference.labels))
    comparisons = len(labels) if len(labels) > 2 else 1
    best, least = labels[0], math.inf
    for label in labels:
        p = st.fisher_exact(
            window.labels.get(label, 0), window.count, reference.labels.get(label, 0), reference.count
        )
        if p < least:
            best, least = label, p
    k, k_0 = window.labels.get(best, 0), reference.labels.get(best, 0)
    share, before = k / window.count, k_0 / reference.count
    return Signal(
        "LabelShares",
        share,
        before,
        abs(share - before),
        floors.label_share,
        min(1.0, least * comparisons),
        interval=st.wilson(k, window.count),
        sentence=f"{best}: {share:.1%} of the captures, {before:.1%} in the reference",
    )


def _low_confidence(reference: Sample, window: Sample, threshold: float, floors: Floors) -> Signal:
    k, k_0 = window.below(threshold), reference.below(threshold)
    share, before = k / window.count, k_0 / reference.count
    return Signal(
        "LowConfidenceRate",
        share,
        before,
        abs(share - before),
        floors.low_confidence,
        st.fisher_exact(k, window.count, k_0, reference.count),
        interval=st.wilson(k, window.count),
        sentence=f"{share:.1%} below the threshold {threshold:g}, {before:.1%} in the reference",
    )


def _draws(level: float) -> int:
    """Relabellings enough for the smallest p that a corrected level asks for: a window has ten signals at most."""
    return math.ceil(10 / level)


def _confidence(reference: Sample, window: Sample, floors: Floors, level: float) -> list[Signal]:
    a, b = window.confidence, reference.confidence
    groups = st.coarse_bins(a + b)
    pool = np.bincount(groups, weights=a + b)
    bins = len(a)
    positions = np.bincount(groups, weights=(a + b) * (np.arange(bins) + 0.5) / bins) / np.maximum(pool, 1)
    # An empty group has no mean; a position between its neighbours keeps the order and weighs nothing.
    positions = np.maximum.accumulate(positions)
    test = st.permutation_test(st.regroup(a, groups), st.regroup(b, groups), positions, draws=_draws(level))
    moved = st.wasserstein(a, b)
    apart = st.jensen_shannon(st.regroup(a, groups), st.regroup(b, groups))
    means = window.mean_confidence, reference.mean_confidence
    text = f"mean confidence {means[0]:.3f}, {means[1]:.3f} in the reference"
    return [
        Signal(
            "ConfidenceWasserstein",
            *means,
            moved,
            floors.wasserstein,
            test.p_wasserstein,
            usual=test.usual_wasserstein,
            sentence=f"{text}; confidences moved by {moved:.3f} on average",
        ),
        Signal(
            "ConfidenceJensenShannon",
            *means,
            apart,
            floors.jensen_shannon,
            test.p_jensen_shannon,
            usual=test.usual_jensen_shannon,
            sentence=f"{text}; Jensen-Shannon distance {apart:.3f}",
        ),
    ]


def _familiarity(reference: Sample, window: Sample, threshold: float, floors: Floors) -> list[Signal]:
    a, b = window.familiarity, reference.familiarity
    if a is None or b is None or a.sum() < FEWEST or b.sum() < FEWEST:
        return []
    cut = round(threshold * len(a))
    n, n_0 = int(a.sum()), int(b.sum())
    k, k_0 = int(a[:cut].sum()), int(b[:cut].sum())
    share, before = k / n, k_0 / n_0
    return [
        Signal(
            "UnfamiliarRate",
            share,
            before,
            abs(share - before),
            floors.familiarity,
            st.fisher_exact(k, n, k_0, n_0),
            interval=st.wilson(k, n),
            sentence=f"{share:.1%} look like none of the classes, {before:.1%} in the reference",
        )
    ]


def _image(name: str, before: Moments, now: Moments, floors: Floors) -> Signal:
    """Welch's test of a mean, normal tail: only for large windows, where skewness no longer matters."""
    moved = abs(now.mean - before.mean)
    error = math.hypot(
        now.deviation / math.sqrt(max(1, now.count)), before.deviation / math.sqrt(max(1, before.count))
    )
    if min(now.count, before.count) < FEWEST_IMAGES or not moved:
        p = 1.0
    else:
        # Without any spread in either, as of pictures of one width, every picture is another.
        p = math.erfc(moved / error / math.sqrt(2)) if error else 0.0
    effect = moved / before.deviation if before.deviation else (math.inf if moved else 0.0)
    return Signal(
        f"Image{name.title()}",
        now.mean,
        before.mean,
        effect,
        floors.image,
        p,
        sentence=f"mean {name} {now.mean:.4g}, {before.mean:.4g} in the reference",
    )
