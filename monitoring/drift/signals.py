"""The signals of drift, one function each: what is compared, by which test, and in words.

Each gives the p-value of its own test; `monitoring.drift.assess` corrects for their number and decides what is an alarm. A signal that is
a metric too has the metric's name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dropsort.contract import metrics
from dropsort.contract.statistics import Interval, wilson
from monitoring.drift import statistics as st
from monitoring.drift.sample import Moments, Sample

LABEL_SHARES = "LabelShares"  # name of the signal
FEWEST = 30  # captures below which a window is too small for any statement
FEWEST_IMAGES = 200  # of an image statistic, whose test is not exact for small samples


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
    interval: Interval | None = None  # 95 % of the value (for a label: of its share)
    sentence: str = ""


def label_signal(reference: Sample, window: Sample, floors: Floors) -> Signal:
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
        LABEL_SHARES,
        share,
        before,
        abs(share - before),
        floors.label_share,
        min(1.0, least * comparisons),
        interval=wilson(k, window.count),
        sentence=f"{best}: {share:.1%} of the captures, {before:.1%} in the reference",
    )


def low_confidence(reference: Sample, window: Sample, threshold: float, floors: Floors) -> Signal:
    """The share below the threshold, by Fisher's test."""
    k, k_0 = window.below(threshold), reference.below(threshold)
    share, before = k / window.count, k_0 / reference.count
    return Signal(
        metrics.LOW_CONFIDENCE_RATE,
        share,
        before,
        abs(share - before),
        floors.low_confidence,
        st.fisher_exact(k, window.count, k_0, reference.count),
        interval=wilson(k, window.count),
        sentence=f"{share:.1%} below the threshold {threshold:g}, {before:.1%} in the reference",
    )


def _draws(level: float) -> int:
    """Relabellings enough for the smallest p that a corrected level requires: a window has ten signals at most."""
    return math.ceil(10 / level)


def confidence(reference: Sample, window: Sample, floors: Floors, level: float) -> list[Signal]:
    """Wasserstein and Jensen-Shannon distance of the confidence histograms, by random relabelling."""
    a, b = window.confidence, reference.confidence
    groups = st.coarse_bins(a + b)
    pool = np.bincount(groups, weights=a + b)
    bins = len(a)
    positions = np.bincount(groups, weights=(a + b) * np.arange(bins) / bins) / np.maximum(pool, 1)
    # An empty group has no mean; a position between its neighbours keeps the order and weighs nothing.
    positions = np.maximum.accumulate(positions)
    test = st.permutation_test(st.regroup(a, groups), st.regroup(b, groups), positions, draws=_draws(level))
    moved = st.wasserstein(a, b)
    apart = st.jensen_shannon(st.regroup(a, groups), st.regroup(b, groups))
    means = window.mean_confidence, reference.mean_confidence
    text = f"mean confidence {means[0]:.3f}, {means[1]:.3f} in the reference"
    return [
        Signal(
            metrics.CONFIDENCE_WASSERSTEIN,
            *means,
            moved,
            floors.wasserstein,
            test.p_wasserstein,
            usual=test.usual_wasserstein,
            sentence=f"{text}; confidences moved by {moved:.3f} on average",
        ),
        Signal(
            metrics.CONFIDENCE_JENSEN_SHANNON,
            *means,
            apart,
            floors.jensen_shannon,
            test.p_jensen_shannon,
            usual=test.usual_jensen_shannon,
            sentence=f"{text}; Jensen-Shannon distance {apart:.3f}",
        ),
    ]


def unfamiliar(reference: Sample, window: Sample, threshold: float, floors: Floors) -> list[Signal]:
    """The share of images that are unlike the training images, by Fisher's test; no signal without familiarities."""
    a, b = window.familiarity, reference.familiarity
    if a is None or b is None or a.sum() < FEWEST or b.sum() < FEWEST:
        return []
    cut = round(threshold * len(a))
    n, n_0 = int(a.sum()), int(b.sum())
    k, k_0 = int(a[:cut].sum()), int(b[:cut].sum())
    share, before = k / n, k_0 / n_0
    return [
        Signal(
            metrics.UNFAMILIAR_RATE,
            share,
            before,
            abs(share - before),
            floors.familiarity,
            st.fisher_exact(k, n, k_0, n_0),
            interval=wilson(k, n),
            sentence=f"{share:.1%} are unfamiliar, {before:.1%} in the reference",
        )
    ]


def image(name: str, before: Moments, now: Moments, floors: Floors) -> Signal:
    """Welch's test of a mean, normal tail: only for large windows, where skewness no longer matters."""
    moved = abs(now.mean - before.mean)
    if min(now.count, before.count) < FEWEST_IMAGES or not moved:
        p = 1.0
    else:
        error = math.hypot(now.deviation / math.sqrt(now.count), before.deviation / math.sqrt(before.count))
        # Without any spread in either, as of images of one width, every difference is significant.
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
