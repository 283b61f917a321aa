"""The report's charts as PNGs, for slides and mails: the same numbers as on the page, drawn by matplotlib."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np

from monitoring.aggregates.histograms import BINS
from monitoring.errors import MonitoringError
from monitoring.report_data import Report, label_rows, lowest_tenth, short

HIGH, LOW, INK, SOFT = "#0072b2", "#d55e00", "#16202b", "#5b6775"  # Okabe-Ito blue and vermillion
STYLE: Any = {
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.grid.axis": "y",
    "grid.color": "#dfe4ea",
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def write_pngs(report: Report, folder: Path) -> list[Path]:
    """Write every chart of a report that says something into a folder; the paths, in the order of the page.

    Raises
    ------
    MonitoringError
        A file cannot be written.
    """
    # The object interface with the Agg canvas: no global state, no display, safe in threads.
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    written = []
    with matplotlib.rc_context(STYLE):
        for name, draw in CHARTS.items():
            path = folder / f"{name}.png"
            if not _says_something(report, name):
                path.unlink(missing_ok=True)  # of an earlier report
                continue
            figure = Figure(figsize=(8, 4.2))
            draw(report, figure.add_subplot())
            try:
                with warnings.catch_warnings():
                    # A label in a script that the font lacks shows boxes; saying so for each letter helps nobody.
                    warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
                    FigureCanvasAgg(figure).print_figure(path, format="png")
            except OSError as error:
                raise MonitoringError(
                    f"{path}: cannot write the picture ({error.strerror or error})"
                ) from error
            written.append(path)
    return written


def _confidence(report: Report, axes: Any) -> None:
    seconds, values = report.dots[:, 0], report.dots[:, 1]
    days = seconds / 86400
    above = values >= report.threshold
    axes.plot(days[above], values[above], "o", ms=2.5, alpha=0.6, color=HIGH, label="above")
    axes.plot(days[~above], values[~above], "s", ms=3, color=LOW, label="below the threshold")
    at = [_days(moment) for b in report.buckets for moment in (b.start, b.end)]
    values = np.array([(b.low, b.median, b.high) for b in report.buckets]).reshape(-1, 3)
    low, median, high = np.repeat(values, 2, axis=0).T
    axes.fill_between(at, low, high, color=HIGH, alpha=0.15, lw=0)
    axes.plot(at, median, color=HIGH, label="median, middle 80 %")
    axes.axhline(report.threshold, color=INK, ls="--", lw=1.2, label=f"threshold {report.threshold:g}")
    axes.set(title="Confidence over time", ylabel="confidence", ylim=(lowest_tenth(report) - 0.005, 1.005))
    _dates(report, axes)
    _legend(axes, 4)


def _above_below(report: Report, axes: Any) -> None:
    left = np.array([_days(b.start) for b in report.buckets])
    width = np.array([(b.end - b.start).total_seconds() / 86400 for b in report.buckets])
    slim = np.minimum(width, width.sum() / 6)  # a bar as wide as the chart says no more than a slim one
    left, width = left + (width - slim) / 2, slim
    below = np.array([b.below for b in report.buckets])
    above = np.array([b.count - b.below for b in report.buckets])
    axes.bar(left, above, width * 0.86, bottom=below, align="edge", color=HIGH, label="above")
    axes.bar(
        left,
        below,
        width * 0.86,
        align="edge",
        color=LOW,
        hatch="///",
        edgecolor="white",
        lw=0,
        label="below",
    )
    axes.set(title=f"Captures above and below {report.threshold:g}", ylabel="captures")
    _dates(report, axes)
    _legend(axes, 2)


def _histogram(report: Report, axes: Any) -> None:
    counts = report.total.confidence
    edges = np.arange(0, BINS + 1, BINS // 50) / BINS
    middles = (np.arange(BINS) + 0.5) / BINS
    low = middles < report.threshold
    axes.hist([middles[low], middles[~low]], edges, weights=[counts[low], counts[~low]], stacked=True, color=[LOW, HIGH],
              label=["below", "above"])  # fmt: skip
    for patch in axes.containers[0] if axes.containers else ():
        patch.set(hatch="///", edgecolor="white", lw=0)
    if report.reference is not None and report.reference.count:
        before = report.reference.confidence.reshape(len(edges) - 1, -1).sum(axis=1)
        scaled = before * (report.total.count / report.reference.count)
        axes.stairs(scaled, edges, color=INK, ls=":", lw=1.2, label="reference, scaled")
    axes.axvline(report.threshold, color=INK, ls="--", lw=1.2, label=f"threshold {report.threshold:g}")
    found = np.flatnonzero(counts)
    axes.set(title="Histogram of confidences", xlabel="confidence", ylabel="captures")
    axes.set_xlim(lowest_tenth(report), 1)
    if counts.sum() and counts.max() > 50 * max(1, np.median(counts[found])):
        axes.set_yscale("function", functions=(np.sqrt, np.square))
        axes.set_ylabel("captures, square-root scale")
    _legend(axes, 4)


def _labels(report: Report, axes: Any) -> None:
    rows = label_rows(report)[::-1]
    at = np.arange(len(rows))
    shares = np.array([share for _, share, _, _ in rows])
    error = [[s - i.low for _, s, i, _ in rows], [i.high - s for _, s, i, _ in rows]]
    axes.barh(
        at,
        shares,
        0.55,
        color=HIGH,
        xerr=np.maximum(0, error),
        ecolor=INK,
        capsize=4,
        label="share, 95 % interval",
    )
    before = [(i, was) for i, (_, _, _, was) in enumerate(rows) if was is not None]
    if before:
        axes.plot(
            [w for _, w in before],
            [i for i, _ in before],
            "D",
            mfc="white",
            mec=INK,
            ls="",
            label="reference",
        )
    # Labels are not ours: nothing in them is mathematics.
    axes.set_yticks(at, [short(name, 28) for name, *_ in rows], parse_math=False)
    axes.set(title="Label shares", xlim=(0, 1))
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter("{x:.0%}")
    _legend(axes, 2)


def _drift(report: Report, axes: Any) -> None:
    points = [p for p in report.drift if not math.isnan(p.distance)]
    at = [_days(p.at) for p in points]
    half = (report.buckets[0].end - report.buckets[0].start).total_seconds() / 86400 / 2
    axes.fill_between(
        [x + side for x in at for side in (-half, half)],  # so that an only stretch shows
        0,
        np.repeat([p.usual for p in points], 2),
        color="#009e73",
        alpha=0.2,
        lw=0,
        label="usual without change (95 %)",
    )
    axes.plot(at, [p.distance for p in points], "o-", ms=4, color=HIGH, label="distance")
    found = [p for p in points if p.differs]
    axes.plot(
        [_days(p.at) for p in found],
        [p.distance for p in found],
        "^",
        ms=9,
        color=LOW,
        mec="white",
        label="differs (p ≤ 0.001)",
    )
    axes.set(title="Drift over time", ylabel="Wasserstein distance of confidences", ylim=(0, None))
    _dates(report, axes)
    _legend(axes, 3)


def _what_if(report: Report, axes: Any) -> None:
    total = max(1, report.total.count)
    share = 1 - np.concatenate([[0], np.cumsum(report.total.confidence)]) / total
    axes.plot(np.arange(BINS + 1) / BINS, share, color=HIGH)
    axes.axvline(report.threshold, color=INK, ls="--", lw=1.2, label=f"threshold {report.threshold:g}")
    axes.set(
        title="Coverage for every threshold",
        xlabel="threshold",
        ylabel="classified",
        xlim=(0, 1),
        ylim=(0, 1.02),
    )
    axes.yaxis.set_major_formatter("{x:.0%}")
    _legend(axes, 1)


CHARTS: dict[str, Callable[[Report, Any], None]] = {
    "confidence-over-time": _confidence,
    "above-and-below": _above_below,
    "histogram": _histogram,
    "label-shares": _labels,
    "drift-over-time": _drift,
    "threshold-what-if": _what_if,
}
OVER_TIME = ("confidence-over-time", "above-and-below")


def _says_something(report: Report, name: str) -> bool:
    if name == "drift-over-time":
        return not all(math.isnan(point.distance) for point in report.drift)
    return bool(report.buckets) if name in OVER_TIME else report.total.count > 0


def _days(moment: Any) -> float:
    """Days since the epoch, matplotlib's dates."""
    return float(moment.astimezone(UTC).timestamp()) / 86400


def _dates(report: Report, axes: Any) -> None:
    """The report's time on the x axis, however little of it has marks."""
    from matplotlib import dates

    axes.set_xlim(_days(report.buckets[0].start), _days(report.buckets[-1].end))

    axes.xaxis_date()
    find: Any = dates  # its classes have no annotations
    locator = find.AutoDateLocator(minticks=2, maxticks=dict.fromkeys(range(8), 12))
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(find.ConciseDateFormatter(locator))


def _legend(axes: Any, columns: int) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=columns, fontsize=9, borderaxespad=0.4)
