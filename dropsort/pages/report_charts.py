"""The charts of the monitoring report: from a `Report` to descriptions that `svg` and `png` draw."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

import numpy as np

from dropsort.contract.text import number_of
from dropsort.pages.chart import (
    Axis,
    Band,
    Bar,
    Bars,
    Chart,
    Dot,
    Dots,
    Hover,
    Line,
    Ranges,
    Rule,
    Texts,
    Tick,
    compact,
    number_axis,
    share_axis,
    time_axis,
)
from dropsort.pages.formatting import short, to_minute
from monitoring.aggregates.histograms import BINS
from monitoring.report.figures import Report, TimeBucket, label_rows, lowest_tenth

BARS = 50  # of the histogram, over [0, 1]
_WIDTH = BINS // BARS


def charts(report: Report, zone: tzinfo = UTC) -> dict[str, Chart | None]:
    """Every chart of a report by its name, in the order of the page; None for one that would be empty."""
    found: dict[str, Chart | None] = {}
    for name, describe in _CHARTS.items():
        found[name] = describe(report, zone) if _has_data(report, name) else None
    return found


def _has_data(report: Report, name: str) -> bool:
    if name == "drift-over-time":
        return not all(math.isnan(point.distance) for point in report.drift)
    over_time = name in ("confidence-over-time", "above-and-below")
    return report.total.count > 0 and (bool(report.buckets) or not over_time)


def _confidence_over_time(report: Report, zone: tzinfo) -> Chart:
    low = lowest_tenth(report)
    # In steps, so that a stretch of time shows between two without a capture, and an only one.
    steps = [(at.timestamp(), b) for b in report.buckets for at in (b.start, b.end)]
    dots = [Dot(x, y) for x, y in report.dots.tolist()]
    earlier = tuple(Dot(x, y) for x, y in report.earlier_dots.tolist())
    changed = _changes(report)
    return Chart(
        "Confidence over time",
        _time(report, zone),
        number_axis(low, 1.0, "confidence"),
        (
            Band(tuple((x, max(b.low, low), b.high) for x, b in steps), "band", "middle 80 %"),
            *([Dots(earlier, "dot earlier", "earlier models")] if earlier else []),
            Dots(tuple(d for d in dots if d.y >= report.threshold), "dot above", "above"),
            Dots(tuple(d for d in dots if d.y < report.threshold), "dot below", "below the threshold"),
            *(
                [Line(tuple((x, b.earlier_median) for x, b in steps), "earlier", "median of earlier models")]
                if earlier
                else []
            ),
            Line(tuple((x, b.median) for x, b in steps), "median", "median"),
            *changed,
            Rule(
                report.threshold,
                f"threshold {report.threshold:g}",
                start=changed[-1].value if changed else None,
            ),
        ),
        "Each dot is a capture, somewhere within its hour; thinned evenly where there are many.",
        tuple(
            Hover(
                b.start.timestamp(),
                b.end.timestamp(),
                f"{_span(b, zone)}: {_values(b)}",
            )
            for b in report.buckets
            if b.count or b.earlier
        ),
    )


def _values(b: TimeBucket) -> str:
    parts = []
    if b.count:
        parts.append(
            f"median {b.median:.3f}, middle 80 % {b.low:.3f} to {b.high:.3f}; "
            f"{number_of(b.count, 'capture')}, {b.below:,} below the threshold"
        )
    if b.earlier:
        parts.append(f"{number_of(b.earlier, 'capture')} of earlier models, median {b.earlier_median:.3f}")
    return "; ".join(parts)


def _changes(report: Report) -> list[Rule]:
    """Where the model changed."""
    return [
        Rule(
            at.timestamp(), f"model {short(name, 24)}" if name else "model without a version", "change", True
        )
        for at, name in report.changes
    ]


def _above_and_below(report: Report, zone: tzinfo) -> Chart:
    tallest = max((b.count + b.earlier for b in report.buckets), default=0) or 1
    below, above, earlier = [], [], []
    for b in report.buckets:
        hover = f"{_span(b, zone)}: {b.count - b.below:,} above, {b.below:,} below"
        start, end = b.start.timestamp(), b.end.timestamp()
        if b.below:
            below.append(Bar(start, end, 0, b.below, hover))
        if b.count > b.below:
            above.append(Bar(start, end, b.below, b.count, hover))
        if b.earlier:
            words = f"{_span(b, zone)}: {b.earlier:,} of earlier models"
            earlier.append(Bar(start, end, b.count, b.count + b.earlier, words))
    return Chart(
        "Above and below the threshold",
        _time(report, zone),
        number_axis(0, tallest * 1.08, "captures", whole=True),
        (
            *([Bars(tuple(earlier), "bar earlier", "earlier models")] if earlier else []),
            Bars(tuple(above), "high", "above"),
            Bars(tuple(below), "low", "below"),
            *_changes(report),
        ),
        f"Captures with confidence of at least {report.threshold:g}, and less.",
    )


def _histogram(report: Report, zone: tzinfo) -> Chart:
    low = lowest_tenth(report)
    counts = report.total.confidence.reshape(BARS, _WIDTH).sum(axis=1)
    before = None
    if report.reference is not None and report.reference.count:
        share = report.total.count / report.reference.count
        before = report.reference.confidence.reshape(BARS, _WIDTH).sum(axis=1) * share
    tallest = max(1.0, float(counts.max()), float(before.max()) if before is not None else 0)
    # A square-root scale where the few below the threshold would vanish next to the many above it.
    few = bool(counts[: max(1, int(report.threshold * BARS))].max() < 0.08 * tallest)
    if few:
        values = _square_ticks(tallest)
        names = map(Tick, values, map(compact, values))
        y = Axis(0, tallest * 1.1, tuple(names), "captures, square-root scale", square_root=True)
    else:
        y = number_axis(0, tallest * 1.05, "captures")
    edge = round(report.threshold * BINS)
    under, over = [], []
    for i, count in enumerate(counts.tolist()):
        start, end = i / BARS, (i + 1) / BARS
        if not count or end <= low:
            continue
        # The bar that the threshold cuts is stacked from its two parts.
        cut = min(max(edge, i * _WIDTH), (i + 1) * _WIDTH)
        below = int(report.total.confidence[i * _WIDTH : cut].sum())
        hover = f"confidence {start:.2f} to {end:.2f}: {number_of(count, 'capture')}"
        if below:
            under.append(Bar(start, end, 0, below, hover))
        if count > below:
            over.append(Bar(start, end, below, count, hover))
    marks: list[Bars | Line | Rule] = [Bars(tuple(over), "high", "above"), Bars(tuple(under), "low", "below")]
    if before is not None:
        outline = [
            (p, v) for i, v in enumerate(before.tolist()) for p in (i / BARS, (i + 1) / BARS) if p >= low
        ]
        marks.append(Line(tuple(outline), "before", "reference, scaled"))
    marks.append(Rule(report.threshold, f"threshold {report.threshold:g}", vertical=True))
    x = number_axis(low, 1.0)
    return Chart("Histogram of confidences", x, y, tuple(marks), "How confident the model was.")


def _label_shares(report: Report, zone: tzinfo) -> Chart:
    rows = label_rows(report)
    bars, ranges, diamonds = [], [], []
    for i, (name, share, interval, before) in enumerate(rows):
        was = f", {before:.1%} in the reference" if before is not None else ""
        hover = f"{name}: {share:.1%} ({interval.low:.1%} to {interval.high:.1%}){was}"
        bars.append(Bar(0, share, i - 0.3, i + 0.3, hover))
        ranges.append((interval.low, interval.high, float(i)))
        if before is not None:
            diamonds.append(Dot(before, i, f"{name}: {before:.1%} in the reference"))
    track = tuple(Bar(0, 1, i - 0.3, i + 0.3) for i in range(len(rows)))
    return Chart(
        "Label shares",
        share_axis(),
        Axis(0, 1, rows=tuple(short(name) for name, *_ in rows)),
        (
            Bars(track, "track"),
            Bars(tuple(bars), "high", "share"),
            Ranges(tuple(ranges)),
            *([Dots(tuple(diamonds), "diamond", "reference")] if diamonds else []),
            Texts(tuple((i, f"{share:.1%}") for i, (_, share, _, _) in enumerate(rows))),
        ),
        "With 95 % intervals.",
    )


def _drift_over_time(report: Report, zone: tzinfo) -> Chart:
    points = report.drift
    seen = [v for p in points for v in (p.distance, p.usual) if not math.isnan(v)]
    half = (report.buckets[0].end - report.buckets[0].start).total_seconds() / 2
    axis = _time(report, zone)
    sides = [(min(p.at.timestamp() + side, axis.high), p) for p in points for side in (-half, half)]
    same: list[Dot] = []
    other: list[Dot] = []
    for p in points:
        if not math.isnan(p.distance):
            hover = f"{to_minute(p.at, zone)}: {p.distance:.4f}, usual up to {p.usual:.4f}"
            dot = Dot(p.at.timestamp(), p.distance, hover + (", a signal differs" if p.differs else ""))
            (other if p.differs else same).append(dot)
    return Chart(
        "Drift over time",
        axis,
        number_axis(0, max(0.02, *seen) * 1.15, "Wasserstein distance of confidences"),
        (
            Band(tuple((x, 0.0, p.usual) for x, p in sides), "usual", "usual without change (95 %)"),
            Line(tuple((p.at.timestamp(), p.distance) for p in points), "median", "distance"),
            Dots(tuple(same), "dot above"),
            Dots(tuple(other), "differs", "a signal differs (p ≤ 0.001)"),
            *_changes(report),
        ),
        f"How far confidences moved from {report.reference_name}, on average. Without any change one point in 20 lies above the "
        "usual: the verdict is that of all signals, its p corrected for their number. A triangle is for any of these signals.",
    )


def _coverage(report: Report, zone: tzinfo) -> Chart:
    total = max(1, report.total.count)
    share = 1 - np.concatenate([[0], np.cumsum(report.total.confidence)]) / total
    curve = [(i / BINS, float(share[i])) for i in range(0, BINS + 1, 4)]
    here = (report.threshold, float(share[round(report.threshold * BINS)]))
    hovers = [(i / BINS, float(share[i])) for i in range(0, BINS + 1, 20)]
    return Chart(
        "Coverage for every threshold",
        number_axis(0, 1.0),
        share_axis("classified"),
        (Band(tuple((x, 0.0, y) for x, y in curve), "band"), Line(tuple(curve), "median")),
        about="Share of captures that would be classified.",
        hovers=tuple(Hover(x - 0.01, x + 0.01, f"threshold {x:.2f}: {y:.1%} classified") for x, y in hovers),
        cursor=here,
    )


_CHARTS: dict[str, Callable[[Report, tzinfo], Chart]] = {
    "confidence-over-time": _confidence_over_time,
    "above-and-below": _above_and_below,
    "histogram": _histogram,
    "label-shares": _label_shares,
    "drift-over-time": _drift_over_time,
    "threshold-what-if": _coverage,
}


def _time(report: Report, zone: tzinfo) -> Axis:
    """The report's time as the x axis."""
    return time_axis(report.buckets[0].start, report.buckets[-1].end, zone)


def _span(bucket: TimeBucket, zone: tzinfo) -> str:
    end: datetime = bucket.end.astimezone(zone)
    same = end.date() == bucket.start.astimezone(zone).date()
    return f"{to_minute(bucket.start, zone)} to {end.strftime('%H:%M' if same else '%Y-%m-%d %H:%M')}"


def _square_ticks(tallest: float) -> list[float]:
    """Round counts that lie about evenly on a square-root scale."""
    ticks = [0.0]
    for i in range(1, 5):
        raw = tallest * (i / 4) ** 2
        power = 10 ** math.floor(math.log10(raw)) if raw >= 1 else 1
        step = power * (0.2 if raw < 2 * power else 0.5 if raw < 5 * power else 1) if raw >= 10 else 1
        tick = float(max(1, int(raw / step) * step))
        if tick > ticks[-1]:
            ticks.append(tick)
    return ticks
