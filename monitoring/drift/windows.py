"""A drift check of captures: which hours are the windows, which are the reference, and what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from dropsort.contract.defaults import FAMILIARITY_THRESHOLD
from monitoring.aggregates.cells import IMAGE_STATISTICS, IMAGE_UNITS, UNKNOWN, Aggregate, Cell
from monitoring.aggregates.histograms import BINS, FAMILIARITY_BINS
from monitoring.aggregates.models import current_model, of_model
from monitoring.drift.assess import Assessment, assess, level_of_a_window
from monitoring.drift.reference import Reference
from monitoring.drift.sample import Moments, Sample
from monitoring.drift.silence import Silence, silence

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)
RECENT = 300  # captures of the recent window: few enough to be fresh, enough to see a change of 15 points
REFERENCE = 1000  # captures that the first hours must hold to serve as the reference
REFERENCE_SPAN = DAY  # ... and the shortest time they must span: a reference of one morning has no evening


@dataclass(frozen=True)
class DriftCheck:
    """Result of one check: the recent window, the day, and silence."""

    at: datetime
    day: Assessment
    recent: Assessment | None  # None where it is the same as the day
    recent_hours: int
    silence: Silence
    model: str | None = None  # whose captures were checked; None without captures

    @property
    def alarms(self) -> list[str]:
        """A sentence for every alarm; a signal that alarms in both windows once."""
        found = {s.name: s.sentence for a in (self.day, self.recent) if a for s in a.alarms}
        return [*found.values(), *([self.silence.sentence] if self.silence.alarm else [])]


def hour_of(moment: datetime) -> str:
    """The key of the hour that a moment (aware) falls in: ``2026-11-21T09:00:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:00:00Z")


def moment_of(hour: str) -> datetime:
    """The beginning of an hour, aware."""
    return datetime.fromisoformat(hour)


def sample(aggregate: Aggregate, start: str | None = None, end: str | None = None) -> Sample:
    """Counts of the hours in [start, end); without bounds of everything, hours unknown too."""
    return sample_of(
        (key.label, cell)
        for key, cell in aggregate.cells.items()
        if (start is None or (key.hour != UNKNOWN and key.hour >= start))
        and (end is None or (key.hour != UNKNOWN and key.hour < end))
    )


def sample_of(cells: Iterable[tuple[str, Cell]]) -> Sample:
    """The sum of cells, each with its label."""
    labels: dict[str, int] = {}
    confidence, familiarity = np.zeros(BINS, np.int64), np.zeros(FAMILIARITY_BINS, np.int64)
    images, sums, squares = 0, [0] * len(IMAGE_STATISTICS), [0] * len(IMAGE_STATISTICS)
    for label, cell in cells:
        labels[label] = labels.get(label, 0) + cell.count
        for bin_, count in cell.histogram.items():
            confidence[bin_] += count
        for bin_, count in cell.familiarity_histogram.items():
            familiarity[bin_] += count
        if cell.images:
            images += cell.images
            sums = [a + b for a, b in zip(sums, cell.image_sums, strict=True)]
            squares = [a + b for a, b in zip(squares, cell.image_squares, strict=True)]
    moments = {
        name: Moments(images, total / unit, square / unit**2)
        for name, unit, total, square in zip(IMAGE_STATISTICS, IMAGE_UNITS, sums, squares, strict=True)
        if images
    }
    return Sample(labels, confidence, familiarity if familiarity.any() else None, moments)


def hourly(aggregate: Aggregate) -> dict[datetime, int]:
    """Capture records by the hour of inference; hours unknown left out."""
    counts: dict[datetime, int] = {}
    for series, volume in aggregate.volumes.items():
        if series.hour != UNKNOWN:
            at = moment_of(series.hour)
            counts[at] = counts.get(at, 0) + volume.records
    return counts


def first_reference(aggregate: Aggregate) -> Reference | None:
    """A reference made of the earliest hours of captures of one model; None while there are too few captures.

    At least `REFERENCE` captures over at least `REFERENCE_SPAN`.
    """
    hours = aggregate.hours()
    if not hours:
        return None
    counts, total = hourly(aggregate), 0
    begin = moment_of(hours[0])
    for hour in hours:
        at = moment_of(hour)
        total += counts[at]
        if total >= REFERENCE and at + HOUR - begin >= REFERENCE_SPAN:
            end = hour_of(at + HOUR)
            return Reference(sample(aggregate, hours[0], end), end, current_model(aggregate))
    return None


def check(
    aggregate: Aggregate,
    now: datetime,
    *,
    threshold: float,
    familiarity_threshold: float = FAMILIARITY_THRESHOLD,
    reference: Sample | None = None,
    since: str = "",
    traffic: Mapping[datetime, int] | None = None,
    level: float | None = None,
) -> DriftCheck:
    """Check the complete hours before ``now``, of the current model's captures alone; silence is that of all.

    Parameters
    ----------
    reference
        What to compare with, such as the evaluation set; by default the first day of captures (`first_reference`),
        and then the windows begin after it.
    since
        The windows begin no earlier than this hour; for a reference that was made of captures, the hour after it.
    traffic
        Captures by hour, for silence, where the aggregate holds less than the last weeks.
    level
        Probability of a false alarm of each of the check's three parts; by default that of an hourly check.
    """
    level = level_of_a_window() if level is None else level
    end = hour_of(now)
    start = hour_of(now - DAY)
    model = current_model(aggregate)
    part = of_model(aggregate, model)
    if reference is None:
        found = first_reference(part)
        reference, since = (found.sample, found.until) if found else (Sample(), end)
    start = max(start, since)
    counts = hourly(part)
    hours, captures, at = 0, 0, moment_of(end)
    while captures < RECENT and at - HOUR >= moment_of(start):
        at, hours = at - HOUR, hours + 1
        captures += counts.get(at, 0)

    def since_hour(begin: str) -> Assessment:
        window = sample(part, begin, end)
        return assess(
            reference, window, threshold=threshold, familiarity_threshold=familiarity_threshold, level=level
        )

    day = since_hour(start)
    recent = since_hour(hour_of(at)) if hour_of(at) > start else None
    return DriftCheck(now, day, recent, hours, silence(traffic or hourly(aggregate), now, level=level), model)
