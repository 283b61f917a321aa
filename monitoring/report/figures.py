"""What a report shows, computed once from an aggregate: plain numbers for the page's charts and for the PNGs.

However many captures there are, a report holds at most `BUCKETS` points in time and `DOTS` dots: time is
grouped into hours, days or weeks, and dots are drawn from the histograms, thinned evenly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from dropsort.contract.defaults import FAMILIARITY_THRESHOLD
from dropsort.contract.metrics import CONFIDENCE_WASSERSTEIN
from dropsort.contract.statistics import Interval, wilson
from monitoring.aggregates.cells import UNKNOWN, Aggregate, Cell
from monitoring.aggregates.histograms import BINS, quantile
from monitoring.aggregates.models import ModelPeriod, models, of_model
from monitoring.drift import statistics as st
from monitoring.drift.assess import assess
from monitoring.drift.sample import Sample
from monitoring.drift.signals import FEWEST
from monitoring.drift.windows import (
    HOUR,
    DriftCheck,
    check,
    first_reference,
    hourly,
    moment_of,
    sample,
    sample_of,
)
from monitoring.errors import MonitoringError

BUCKETS = 72
DOTS = 1500
EARLIER_DOTS = 500  # of earlier models
CHANGES = 6  # changes of the model that charts mark, the latest
LABELS = 12  # shown one by one; the rest together
STEPS = tuple(timedelta(hours=h) for h in (1, 3, 6, 12, 24, 72, 168, 336, 672, 2016, 8760))
DIFFERS = 0.001  # level of a single bucket in the chart of drift over time: marks, not alarms


@dataclass(frozen=True)
class TimeBucket:
    """A stretch of time; all but `earlier` is of the current model."""

    start: datetime
    end: datetime
    count: int
    below: int  # confidence below the threshold
    low: float  # 10th percentile of confidence; NaN, as the next two, without captures
    median: float
    high: float  # 90th percentile
    earlier: int = 0  # captures of earlier models
    earlier_median: float = math.nan


@dataclass(frozen=True)
class DriftPoint:
    """One bucket held against the reference."""

    at: datetime
    distance: float  # Wasserstein distance of confidences; NaN where there are too few captures
    usual: float  # 95th percentile of that without change
    differs: bool


@dataclass(frozen=True)
class Gap:
    """Hours without a capture between two with some."""

    start: datetime
    hours: int


@dataclass(frozen=True)
class Report:
    """Everything that a page shows, but the images.

    All figures but the chart over time are of the current model: those of two models are never added up.
    """

    threshold: float
    familiarity_threshold: float
    total: Sample
    buckets: tuple[TimeBucket, ...]
    dots: NDArray[np.float64]  # (n, 2): time in seconds since the epoch, confidence
    drift: tuple[DriftPoint, ...]
    reference: Sample | None
    reference_name: str
    check: DriftCheck | None
    gaps: tuple[Gap, ...]
    aggregate: Aggregate = field(repr=False)  # of the current model; its health is that of all captures
    invoked: int | None = None  # invocations that should have been captured
    hours: int = 0  # from the first capture to the last
    model_hours: int = 0  # from the current model's first capture to its last
    models: tuple[ModelPeriod, ...] = ()  # in the order in which they took over
    undated: int = 0  # predictions whose hour is unknown
    earlier_dots: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))

    @property
    def per_day(self) -> float:
        """Captures of the model a day, of a shorter time projected; NaN if no capture has a time."""
        return self.total.count * 24 / self.model_hours if self.model_hours else math.nan

    @property
    def earlier(self) -> int:
        """Captures of earlier models."""
        return sum(period.predictions for period in self.models[:-1])

    @property
    def changes(self) -> list[tuple[datetime, str]]:
        """When the model changed, and to which; changes of unknown hours left out."""
        found = [(moment_of(p.first), p.model) for p in self.models[1:] if p.first]
        return found[-CHANGES:]

    @property
    def unfamiliar(self) -> int | None:
        """Captures below the familiarity threshold; None if none has a familiarity."""
        if self.total.familiarity is None:
            return None
        cut = round(self.familiarity_threshold * len(self.total.familiarity))
        return int(self.total.familiarity[:cut].sum())


def build(
    aggregate: Aggregate,
    *,
    threshold: float,
    familiarity_threshold: float = FAMILIARITY_THRESHOLD,
    reference: Sample | None = None,
    reference_name: str = "the evaluation set",
    reference_model: str | None = None,
    since: str = "",
    invoked: int | None = None,
    now: datetime | None = None,
) -> Report:
    """Compute a report.

    Parameters
    ----------
    threshold, familiarity_threshold
        As the service's filter has them, in [0, 1].
    reference, reference_name
        What drift compares with, and what to call it; by default the first day of captures, once it holds enough.
    reference_model
        The model of the reference, if it is known: captures of another one are compared with their own first day instead.
    since
        Of a reference made of captures, the hour after them: nothing before it is compared.
    invoked
        Invocations in the same time that should have been captured, where known.
    now
        The moment of the check (aware); by default the end of the last hour with captures.

    Raises
    ------
    MonitoringError
        The threshold is not in [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise MonitoringError(f"a threshold is between 0 and 1, not {threshold}")
    periods = models(aggregate)
    model = periods[-1].model if periods else None
    part = of_model(aggregate, model)
    rest = _without(aggregate, model)
    if reference_model is not None and reference_model != model:
        reference, since = None, ""
    counts, own = hourly(aggregate), hourly(part)
    first, last = (min(counts), max(counts) + HOUR) if counts else (None, None)
    found = first_reference(part) if reference is None else None
    held = reference if reference is not None else (found.sample if found else None)
    begin = found.until if found else since  # nothing of the reference's own captures is compared with it
    samples, buckets = _timeline(part, rest, first, last, threshold) if first and last else ({}, ())
    return Report(
        threshold=threshold,
        familiarity_threshold=familiarity_threshold,
        total=sample(part),
        buckets=buckets,
        dots=_dots(part, DOTS),
        drift=_drift(
            samples, buckets, held, moment_of(begin) if begin else min(own, default=None), threshold
        ),
        reference=held,
        reference_name=reference_name if reference is not None else "the first day of captures",
        check=_check(part, now or last, counts, held, begin, threshold, familiarity_threshold),
        gaps=_gaps(counts),
        aggregate=part,
        invoked=invoked,
        hours=(last - first) // HOUR if first and last else 0,
        model_hours=(max(own) + HOUR - min(own)) // HOUR if own else 0,
        models=tuple(periods),
        undated=sum(cell.count for key, cell in aggregate.cells.items() if key.hour == UNKNOWN),
        earlier_dots=_dots(rest, EARLIER_DOTS),
    )


def _check(
    part: Aggregate,
    now: datetime | None,
    traffic: dict[datetime, int],
    reference: Sample | None,
    since: str,
    threshold: float,
    familiarity_threshold: float,
) -> DriftCheck | None:
    """The drift check of the current model; None without any captures."""
    if now is None:
        return None
    return check(
        part,
        now,
        threshold=threshold,
        familiarity_threshold=familiarity_threshold,
        reference=reference,
        since=since,
        traffic=traffic,
    )


def _timeline(
    part: Aggregate, rest: Aggregate, first: datetime, last: datetime, threshold: float
) -> tuple[dict[int, Sample], tuple[TimeBucket, ...]]:
    """Counts of the current model by number of the bucket, and the buckets, with what is known of all other models."""
    step = _step(first, last)
    samples, earlier = _bucket_samples(part, first, step), _bucket_samples(rest, first, step)
    return samples, _buckets(samples, earlier, first, last, step, threshold)


def _without(aggregate: Aggregate, model: str | None) -> Aggregate:
    """The cells of all other models."""
    rest = Aggregate()
    rest.cells = {key: cell for key, cell in aggregate.cells.items() if key.model != model}
    return rest


def _step(first: datetime, last: datetime) -> timedelta:
    return next((s for s in STEPS if (last - first) / s <= BUCKETS), STEPS[-1])


def _bucket_samples(aggregate: Aggregate, first: datetime, step: timedelta) -> dict[int, Sample]:
    """Counts by bucket number, from the first hour on."""
    cells: dict[int, list[tuple[str, Cell]]] = {}
    for key, cell in aggregate.cells.items():
        if key.hour != UNKNOWN:
            cells.setdefault((moment_of(key.hour) - first) // step, []).append((key.label, cell))
    return {number: sample_of(found) for number, found in cells.items()}


def _buckets(
    samples: dict[int, Sample],
    earlier: dict[int, Sample],
    first: datetime,
    last: datetime,
    step: timedelta,
    threshold: float,
) -> tuple[TimeBucket, ...]:
    found = []
    for i in range(math.ceil((last - first) / step)):
        part, other = samples.get(i, Sample()), earlier.get(i, Sample())
        low, median, high = (quantile(part.confidence, q) for q in (0.1, 0.5, 0.9))
        start, before = first + i * step, quantile(other.confidence, 0.5)
        found.append(
            TimeBucket(
                start, min(start + step, last), part.count, part.below(threshold), low, median, high, other.count, before
            )
        )  # fmt: skip
    return tuple(found)


def _dots(aggregate: Aggregate, most: int) -> NDArray[np.float64]:
    """Confidences one by one (to a thousandth), scattered over their hour, (n, 2); evenly thinned to `most`."""
    hours: dict[str, NDArray[np.int64]] = {}
    for key, cell in aggregate.cells.items():
        if key.hour != UNKNOWN:
            hours[key.hour] = hours.get(key.hour, np.zeros(BINS, np.int64)) + cell.bins()
    if not hours:
        return np.zeros((0, 2))
    names = sorted(hours)
    counts = np.array([hours[name] for name in names])  # (hours, BINS)
    cumulated = np.cumsum(counts.ravel())
    total = int(cumulated[-1])
    # The middle of each of `most` equal parts of all captures, in the order of time and confidence.
    ranks = (np.arange(min(total, most)) + 0.5) * total / min(total, most)
    cells = np.searchsorted(cumulated, ranks, side="right")
    scatter = np.random.default_rng(1).random(len(cells))
    begin = np.array([moment_of(name).timestamp() for name in names])
    return np.column_stack([begin[cells // BINS] + 3600 * scatter, (cells % BINS + 0.5) / BINS])


def _drift(
    samples: dict[int, Sample],
    buckets: Sequence[TimeBucket],
    reference: Sample | None,
    since: datetime | None,
    threshold: float,
) -> tuple[DriftPoint, ...]:
    """Each bucket after the reference against it."""
    if reference is None or since is None or reference.count < FEWEST:
        return ()
    points = []
    for i, bucket in enumerate(buckets):
        if bucket.start < since:
            continue
        part = samples.get(i, Sample())
        middle = bucket.start + (bucket.end - bucket.start) / 2
        if part.count < FEWEST:
            points.append(DriftPoint(middle, math.nan, math.nan, False))
            continue
        result = assess(reference, part, threshold=threshold, level=DIFFERS)
        usual = next(s.usual for s in result.signals if s.name == CONFIDENCE_WASSERSTEIN)
        distance = st.wasserstein(part.confidence, reference.confidence)
        points.append(DriftPoint(middle, distance, usual or 0.0, bool(result.alarms)))
    return tuple(points)


def _gaps(counts: dict[datetime, int]) -> tuple[Gap, ...]:
    """The longest gaps first."""
    hours = sorted(hour for hour, count in counts.items() if count)
    found = [Gap(a + HOUR, (b - a) // HOUR - 1) for a, b in itertools.pairwise(hours) if b - a > HOUR]
    return tuple(sorted(found, key=lambda gap: (-gap.hours, gap.start)))


def label_rows(report: Report) -> list[tuple[str, float, Interval, float | None]]:
    """Label, share, 95 % interval, share in the reference: the `LABELS` most frequent, then the rest together."""
    total, before = report.total, report.reference
    names = sorted(total.labels, key=lambda label: (-total.labels[label], label))
    groups = [(name, [name]) for name in names[:LABELS]]
    if names[LABELS:]:
        groups.append((f"{len(names) - LABELS} more", names[LABELS:]))
    rows = []
    for name, members in groups:
        count = sum(total.labels[m] for m in members)
        was = (
            sum(before.labels.get(m, 0) for m in members) / before.count if before and before.count else None
        )
        rows.append((name, count / max(1, total.count), wilson(count, total.count), was))
    return rows


def lowest_tenth(report: Report) -> float:
    """Where an axis of confidence begins, so that all of them and the threshold are on it."""
    found = np.flatnonzero(report.total.confidence)
    earlier = float(report.earlier_dots[:, 1].min()) if len(report.earlier_dots) else 0.5
    lowest = min(int(found[0]) / BINS if len(found) else 0.5, report.threshold - 0.05, earlier)
    return max(0.0, math.floor(lowest * 10) / 10)


def what_if(total: Sample, threshold: float) -> tuple[int, int, float]:
    """At another threshold: how many are classified, how many reviewed, and the expected accuracy of the former.

    The accuracy is the mean confidence of those above: an estimate that is as good as the calibration.
    """
    edge = max(0, round(threshold * BINS))
    above = total.confidence[edge:]
    count = int(above.sum())
    expected = float(above @ (np.arange(edge, BINS) + 0.5)) / BINS / count if count else math.nan
    return count, total.count - count, expected


def captured_share(report: Report) -> float | None:
    """Records as a share of the invocations that should have been captured; None where those are not known.

    There can be more records: invocations that gave no result, as those by which the backlog tests the endpoint, are not counted.
    """
    return min(1.0, report.aggregate.health.records / report.invoked) if report.invoked else None
