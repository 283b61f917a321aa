"""Charts as PNGs, for slides and mails: the same descriptions as on the pages, drawn by matplotlib."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dropsort.pages.chart import Axis, Band, Bars, Chart, Dots, Line, Mark, Ranges, Rule, Texts
from dropsort.pages.html import PageError

HIGH, LOW, GREEN, INK, SOFT = "#0072b2", "#d55e00", "#009e73", "#16202b", "#5b6775"  # Okabe-Ito
SETTINGS: Any = {
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
    "text.parse_math": False,  # texts are not ours: nothing in them is mathematics
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
# By the styles of marks, as in the style sheet.
STYLES: dict[str, dict[str, Any]] = {
    "dot above": {"marker": "o", "ms": 2.5, "alpha": 0.6, "color": HIGH},
    "dot below": {"marker": "s", "ms": 3, "color": LOW},
    "differs": {"marker": "^", "ms": 9, "color": LOW, "mec": "white"},
    "diamond": {"marker": "D", "mfc": "white", "mec": INK},
    "point": {"color": HIGH, "alpha": 0.9},
    "median": {"color": HIGH},
    "before": {"color": INK, "ls": ":", "lw": 1.2},
    "ideal": {"color": SOFT, "ls": "--", "lw": 1.2},
    "threshold": {"color": INK, "ls": "--", "lw": 1.2},
    "change": {"color": INK, "ls": "-.", "lw": 1.2},
    "earlier": {"color": SOFT, "ls": ":", "lw": 1.2},
    "dot earlier": {"marker": "x", "ms": 3, "alpha": 0.6, "color": SOFT},
    "bar earlier": {"facecolor": "#c3cbd4"},
    "band": {"color": HIGH, "alpha": 0.15},
    "usual": {"color": GREEN, "alpha": 0.2},
    "high": {"color": HIGH},
    "low": {"facecolor": LOW, "hatch": "///", "edgecolor": "white"},
    "area": {"alpha": 0.75},
    "dot": {"marker": "o", "ms": 4},
}
_DASHES = ("-", (0, (7, 3)), (0, (2, 3)), (0, (9, 3, 2, 3)), (0, (4, 2)), (0, (1, 2)))
_SERIES = (HIGH, LOW, GREEN, "#e69f00", "#56b4e9", "#cc79a7")
STYLES |= {
    f"series{i}": {"color": color, "ls": dash}
    for i, (color, dash) in enumerate(zip(_SERIES, _DASHES, strict=True))
}
_DAY = 86400


def write_pngs(charts: Mapping[str, Chart | None], folder: Path) -> list[Path]:
    """Write charts into a folder, each by its name; the paths in the same order.

    Where there is no chart, a file of that name that an earlier report left is deleted.

    Raises
    ------
    PageError
        A file cannot be written.
    """
    # The object interface with the Agg canvas: no global state, no display, safe in threads.
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    written = []
    with matplotlib.rc_context(SETTINGS):
        for name, chart in charts.items():
            path = folder / f"{name}.png"
            try:
                if chart is None:
                    path.unlink(missing_ok=True)
                    continue
                figure = Figure(figsize=(8, 4.2))
                draw(chart, figure.add_subplot())
                with warnings.catch_warnings():
                    # A label in a script that the font lacks shows boxes; a warning for each letter helps nobody.
                    warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
                    FigureCanvasAgg(figure).print_figure(path, format="png")
            except OSError as error:
                raise PageError(f"{path}: cannot write the image ({error.strerror or error})") from error
            written.append(path)
    return written


def draw(chart: Chart, axes: Any) -> None:
    """Draw a chart on matplotlib axes."""
    second = axes.twinx() if chart.right else axes
    for mark in chart.marks:
        _mark(mark, chart, second if getattr(mark, "right", False) else axes)
    axes.set_title(chart.title)
    _axis(chart.x, axes, "x")
    _axis(chart.y, axes, "y")
    if chart.right:
        _axis(chart.right, second, "y")
        second.grid(visible=False)
        second.spines["right"].set_visible(True)
    handles = [h for a in dict.fromkeys((axes, second)) for h in a.get_legend_handles_labels()[0]]
    if handles:
        axes.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0, -0.2 if chart.x.title else -0.12),
            ncols=min(4, len(handles)),
            fontsize=9,
            borderaxespad=0.4,
        )


def _mark(mark: Mark, chart: Chart, axes: Any) -> None:
    style = _style(mark.style)
    if color := getattr(mark, "color", ""):
        style["color"] = color
    label = getattr(mark, "name", "") or None
    match mark:
        case Line():
            at, values = _columns(mark.points, 2)
            axes.plot(_x(at, chart.x), values, label=label, **style)
        case Band():
            at, low, high = _columns(mark.points, 3)
            axes.fill_between(_x(at, chart.x), low, high, lw=0, label=label, **style)
        case Dots() if mark.points:
            at, values = _columns([(p.x, p.y) for p in mark.points], 2)
            sizes = [p.radius for p in mark.points]
            if any(sizes):
                areas = [3 * size**2 for size in sizes]
                axes.scatter(_x(at, chart.x), values, areas, label=label, **style)
            else:
                axes.plot(_x(at, chart.x), values, label=label, **{**style, "ls": ""})
        case Bars() if mark.style != "track" and mark.bars:
            _bars(mark, chart, axes, label, style)
        case Ranges():
            low, high, at = _columns(mark.ranges, 3)
            half = (high - low) / 2
            axes.errorbar(low + half, at, xerr=half, fmt="none", ecolor=INK, capsize=4, label=label)
        case Rule(vertical=True):
            axes.axvline(_x(np.array(mark.value), chart.x), label=mark.name, **style)
        case Rule():
            begin = chart.x.low if mark.start is None else mark.start
            ends = _x(np.array([begin, chart.x.high]), chart.x)
            axes.plot(ends, [mark.value] * 2, label=mark.name, **style)
        case Texts():  # the values are part of the names, see _axis
            pass


def _style(name: str) -> dict[str, Any]:
    """A style, or those of its words together: "dot series1"."""
    parts = [STYLES[name]] if name in STYLES else [STYLES.get(word, {}) for word in name.split()]
    return {key: value for part in parts for key, value in part.items()}


def _bars(mark: Bars, chart: Chart, axes: Any, label: str | None, style: dict[str, Any]) -> None:
    x0, x1, y0, y1 = _columns([bar[:4] for bar in mark.bars], 4)
    left, right = _x(x0, chart.x), _x(x1, chart.x)
    if chart.y.rows:
        axes.barh((y0 + y1) / 2, right - left, 0.55, left=left, label=label, **style)
        return
    width = right - left
    span = _x(np.array([chart.x.low, chart.x.high]), chart.x)
    slim = np.minimum(width, np.ptp(span) / 6)  # a bar as wide as the chart says no more than a slim one
    left = left + (width - slim) / 2 + 0.07 * slim
    axes.bar(left, y1 - y0, slim * 0.86, bottom=y0, align="edge", lw=0, label=label, **style)


def _axis(axis: Axis, axes: Any, which: str) -> None:
    along = axes.xaxis if which == "x" else axes.yaxis
    if axis.rows:
        along.set_ticks(np.arange(len(axis.rows)), axis.rows)
        axes.set_ylim(len(axis.rows) - 0.4, -0.6)
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        return
    if axis.square_root:
        axes.set_yscale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
    low, high = _x(np.array([axis.low, axis.high]), axis)
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    along.set_ticks(_x(np.array([tick.value for tick in axis.ticks]), axis), [t.name for t in axis.ticks])
    along.set_label_text(axis.title)


def _x(values: Any, axis: Axis) -> Any:
    """Positions on an axis: matplotlib's dates are days."""
    return values / _DAY if axis.zone is not None else values


def _columns(rows: Any, count: int) -> Any:
    return np.array([[math.nan if v is None else v for v in row] for row in rows], float).reshape(-1, count).T
