"""The charts of the page, as SVG: one function each, from `Report` to an element.

No chart says anything by colour alone: what is below the threshold is also hatched or square, what differs is also a
triangle, and every line has its name beside it.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np

from dropsort.pages.svg import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Chart, compact, nice_ticks, time_axis
from monitoring.aggregates.histograms import BINS
from monitoring.report_data import Report, label_rows, lowest_tenth, short

BARS = 50  # of the histogram, over [0, 1]


def confidence_over_time(report: Report) -> str:
    """Single confidences as dots, their median and the middle 80 %, and the threshold."""
    chart = _over_time(report, "Confidence over time", lowest_tenth(report), 1.0)
    chart.y_axis(*_tenths(chart.y0), "confidence")
    # In steps, so that a stretch of time shows between two without a capture, and an only one.
    steps = [(_seconds(moment), b) for b in report.buckets for moment in (b.start, b.end)]
    chart.band([(x, max(b.low, chart.y0), b.high) for x, b in steps], "band")
    above = report.dots[report.dots[:, 1] >= report.threshold]
    below = report.dots[report.dots[:, 1] < report.threshold]
    chart.dots([(x, y) for x, y in above.tolist()], "dot above")
    chart.dots([(x, y) for x, y in below.tolist()], "dot below")
    chart.line([(x, b.median) for x, b in steps], "median")
    chart.level(report.threshold, "threshold", f"threshold {report.threshold:g}")
    return chart.svg()


def above_and_below(report: Report) -> str:
    """Captures of each stretch of time, above and below the threshold, stacked."""
    tallest = max((b.count for b in report.buckets), default=0) or 1
    chart = _over_time(report, "Captures above and below the threshold", 0, tallest * 1.08)
    ticks = [t for t in nice_ticks(0, chart.y1) if t == int(t)]
    chart.y_axis(ticks, [compact(t) for t in ticks], "captures")
    for b in report.buckets:
        left, right = chart.x(_seconds(b.start)), chart.x(_seconds(b.end))
        gap = min(2.0, (right - left) * 0.15)
        if right - left > 90:  # a single bar as wide as the chart says no more than a slim one
            middle = (left + right) / 2
            left, right = middle - 45, middle + 45
        said = f"{_moment(b.start)}: {b.count - b.below} above, {b.below} below"
        base, split, top = chart.y(0), chart.y(b.below), chart.y(b.count)
        if b.below:
            chart.rect(left + gap / 2, split, right - left - gap, base - split, "low", said)
        if b.count > b.below:
            chart.rect(left + gap / 2, top, right - left - gap, split - top, "high", said)
    return chart.svg()


def histogram(report: Report) -> str:
    """How many captures at which confidence; what the reference would have given as an outline."""
    low = lowest_tenth(report)
    width = BINS // BARS
    counts = report.total.confidence.reshape(BARS, width).sum(axis=1)
    before = None
    if report.reference is not None and report.reference.count and report.total.count:
        share = report.total.count / report.reference.count
        before = report.reference.confidence.reshape(BARS, width).sum(axis=1) * share
    tallest = max(1.0, float(counts.max()), float(before.max()) if before is not None else 0)
    # A square-root scale where the few below the threshold would vanish beside the many above it.
    few = counts[: max(1, int(report.threshold * BARS))].max() < 0.08 * tallest
    scale = math.sqrt if few else float
    chart = Chart("Histogram of confidences", low, 1, 0, scale(tallest) * 1.05)
    ticks = _square_ticks(tallest) if few else nice_ticks(0, tallest)
    chart.y_axis(
        [scale(t) for t in ticks],
        [compact(t) for t in ticks],
        f"captures{', square-root scale' if few else ''}",
    )
    edge = round(report.threshold * BINS)
    for i, count in enumerate(counts.tolist()):
        start, end = i / BARS, (i + 1) / BARS
        if not count or end <= low:
            continue
        x, right = chart.x(start), chart.x(end)
        # The bar that the threshold cuts is stacked from its two parts.
        below = int(report.total.confidence[i * width : min(max(edge, i * width), (i + 1) * width)].sum())
        said = f"confidence {start:.2f} to {end:.2f}: {count}"
        if below:
            split = chart.y(scale(below))
            chart.rect(x + 0.5, split, right - x - 1, chart.y(0) - split, "low", said)
        if count > below:
            top = chart.y(scale(count))
            chart.rect(x + 0.5, top, right - x - 1, chart.y(scale(below)) - top, "high", said)
    if before is not None:
        outline = [
            (p, scale(v))
            for i, v in enumerate(before.tolist())
            for p in (i / BARS, (i + 1) / BARS)
            if p >= low
        ]
        chart.line(outline, "before")
    positions, names = _tenths(low)
    chart.x_axis(positions, names)
    chart.upright(report.threshold, "threshold", f"threshold {report.threshold:g}")
    return chart.svg()


def label_shares(report: Report) -> str:
    """Share of each label with its 95 % interval, and the reference's as a diamond."""
    rows = label_rows(report)
    chart = Chart("Label shares", 0, 1, 0, 1, height=TOP + BOTTOM + max(2, len(rows)) * 40, left=LEFT - 40)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    chart.x_axis(ticks, [f"{t:.0%}" for t in ticks])
    for i, (name, share, interval, before) in enumerate(rows):
        y = TOP + 40 * i
        was = f", {before:.1%} in the reference" if before is not None else ""
        said = f"{name}: {share:.1%} ({interval.low:.1%} to {interval.high:.1%}){was}"
        chart.text(
            chart.left, y + 10, short(name), "name"
        )  # apart from its share: it may run from right to left
        chart.text(chart.x(1), y + 10, f"{share:.1%}", "name end")
        chart.rect(chart.left, y + 16, chart.x(1) - chart.left, 14, "track")
        chart.rect(chart.left, y + 16, max(1.0, chart.x(share) - chart.left), 14, "high", said)
        low, high = chart.x(interval.low), chart.x(interval.high)
        chart.marks.append(
            f'<path class="whisker" d="M{low:.1f} {y + 23}H{high:.1f}M{low:.1f} {y + 18}v10M{high:.1f} {y + 18}v10"/>'
        )
        if before is not None:
            chart.marks.append(
                f'<path class="diamond" d="M{chart.x(before):.1f} {y + 14}l6 9l-6 9l-6 -9z"><title>reference</title></path>'
            )
    return chart.svg()


def drift_over_time(report: Report) -> str:
    """Distance of each stretch's confidences from the reference's, over what is usual without any change."""
    points = report.drift
    seen = [v for p in points for v in (p.distance, p.usual) if not math.isnan(v)]
    chart = _over_time(report, "Drift over time", 0, max(0.02, *seen) * 1.15 if seen else 0.02)
    ticks = nice_ticks(0, chart.y1)
    chart.y_axis(ticks, [f"{t:g}" for t in ticks], "Wasserstein distance of confidences")
    half = (report.buckets[0].end - report.buckets[0].start).total_seconds() / 2 if points else 0
    sides = [(_seconds(p.at) + side, p) for p in points for side in (-half, half)]
    chart.band([(min(x, chart.x1), 0.0, p.usual) for x, p in sides], "usual")
    chart.line([(_seconds(p.at), p.distance) for p in points], "median")
    for p in points:
        if math.isnan(p.distance):
            continue
        x, y = chart.x(_seconds(p.at)), chart.y(p.distance)
        shape = f"M{x:.1f} {y - 7:.1f}l6.5 11h-13z" if p.differs else f"M{x:.1f} {y:.1f}h.01"
        said = (
            f"{_moment(p.at)}: {p.distance:.4f}, usual up to {p.usual:.4f}{', differs' if p.differs else ''}"
        )
        kind = "differs" if p.differs else "dot above big"
        chart.marks.append(f'<path class="{kind}" d="{shape}"><title>{said}</title></path>')
    return chart.svg()


def coverage(report: Report) -> str:
    """Share of captures that would be classified, for every threshold; a cursor that the slider moves."""
    chart = Chart("Coverage for every threshold", 0, 1, 0, 1)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    chart.y_axis(ticks, [f"{t:.0%}" for t in ticks], "classified")
    chart.x_axis(*_tenths(0))
    total = max(1, report.total.count)
    counts = report.total.confidence
    share = 1 - np.concatenate([[0], np.cumsum(counts)]) / total
    steps = np.arange(0, BINS + 1, 4)
    curve = [(i / BINS, float(share[i])) for i in steps.tolist()]
    chart.band([(x, 0.0, y) for x, y in curve], "band")
    chart.line(curve, "median")
    x, y = chart.x(report.threshold), chart.y(float(share[round(report.threshold * BINS)]))
    chart.marks.append(
        f'<g id="cursor" data-left="{chart.left}" data-right="{WIDTH - RIGHT}" data-top="{TOP}" '
        f'data-bottom="{chart.height - BOTTOM}"><path class="threshold" d="M{x:.1f} {TOP}V{chart.height - BOTTOM}"/>'
        f'<circle class="knob" cx="{x:.1f}" cy="{y:.1f}" r="6"/></g>'
    )
    return chart.svg()


def _over_time(report: Report, label: str, low: float, high: float) -> Chart:
    """A chart with the report's time on its x axis."""
    if report.buckets:
        first, last = report.buckets[0].start, report.buckets[-1].end
    else:
        first = datetime(2000, 1, 1, tzinfo=UTC)
        last = first + timedelta(hours=1)
    chart = Chart(label, _seconds(first), _seconds(last), low, high)
    time_axis(chart, first, last)
    return chart


def _tenths(low: float) -> tuple[list[float], list[str]]:
    ticks = nice_ticks(low, 1.0)
    return ticks, [f"{t:g}" for t in ticks]


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


def _seconds(moment: datetime) -> float:
    return moment.timestamp()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
