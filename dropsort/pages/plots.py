"""The report's plots as SVG, without a plotting library: every number in them can be read in the page's source."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 340, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 14, 12, 40


class _Frame:
    """Axes over the given ranges; `x` and `y` give positions in pixels."""

    def __init__(
        self, xs: tuple[float, float], ys: tuple[float, float], x_title: str, y_title: str, name: str
    ) -> None:
        self.xs, self.ys, self.titles, self.name = xs, ys, (x_title, y_title), name

    def x(self, value: float) -> float:
        return _LEFT + (value - self.xs[0]) / (self.xs[1] - self.xs[0]) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (value - self.ys[0]) / (self.ys[1] - self.ys[0]) * (HEIGHT - _TOP - _BOTTOM)

    def svg(self, inside: str, x_format: str = ".1f", y_format: str = ".2g") -> str:
        """The plot with axes, three ticks each, and titles."""
        ticks = []
        for value in np.linspace(*self.xs, 5):
            ticks.append(
                f"<text x='{self.x(value):.1f}' y='{HEIGHT - 22}' text-anchor='middle'>{value:{x_format}}</text>"
            )
        for value in np.linspace(*self.ys, 5):
            y = self.y(value)
            ticks.append(f"<line class='axis' x1='{_LEFT}' x2='{WIDTH - _RIGHT}' y1='{y:.1f}' y2='{y:.1f}'/>")
            ticks.append(f"<text x='{_LEFT - 5}' y='{y + 4:.1f}' text-anchor='end'>{value:{y_format}}</text>")
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        titles = (
            f"<text x='{middle}' y='{HEIGHT - 6}' text-anchor='middle'>{self.titles[0]}</text>"
            f"<text transform='translate(11 {HEIGHT / 2}) rotate(-90)' text-anchor='middle'>{self.titles[1]}</text>"
        )
        return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{self.name}'>{''.join(ticks)}{inside}{titles}</svg>"


def diagonal(points: Sequence[tuple[float, float, int]]) -> str:
    """Reliability diagram of (mean confidence, accuracy, pictures)."""
    low = 0.1 * math.floor(10 * min([0.5, *(min(x, y) for x, y, _ in points)]))
    frame = _Frame((low, 1), (low, 1), "mean confidence", "share right", "reliability diagram")
    total = max(1, sum(count for *_, count in points))
    dots = "".join(
        f"<circle class='dot' cx='{frame.x(x):.1f}' cy='{frame.y(y):.1f}' r='{3 + 9 * math.sqrt(n / total):.1f}'>"
        f"<title>{n} pictures: confidence {x:.3f}, right {y:.3f}</title></circle>"
        for x, y, n in points
    )
    ideal = (
        f"<line class='ideal' x1='{frame.x(low)}' y1='{frame.y(low)}' x2='{frame.x(1)}' y2='{frame.y(1)}'/>"
    )
    return frame.svg(ideal + dots, ".2f", ".2f")


def curve(points: Sequence[tuple[float, float]], mark: float) -> str:
    """Risk-coverage curve, an upright line at coverage `mark`."""
    top = max(0.01, max((risk for _, risk in points), default=0.01)) * 1.1
    frame = _Frame((0, 1), (0, top), "coverage", "errors among the answered", "risk-coverage curve")
    path = " ".join(f"{frame.x(c):.1f},{frame.y(r):.1f}" for c, r in points)
    line = f"<line class='mark' x1='{frame.x(mark):.1f}' x2='{frame.x(mark):.1f}' y1='{frame.y(0)}' y2='{frame.y(top)}'/>"
    return frame.svg(f"<polyline class='main' points='{path}'/>{line}", ".2f", ".3f")


def bars(edges: NDArray[np.float64], counts: NDArray[np.integer], mark: float) -> str:
    """Histogram, an upright line at `mark`."""
    frame = _Frame(
        (float(edges[0]), 1), (0, max(1, int(counts.max()))), "confidence", "pictures", "confidences"
    )
    boxes = "".join(
        f"<rect class='bar' x='{frame.x(a) + 0.5:.1f}' width='{max(0.5, frame.x(b) - frame.x(a) - 1):.1f}' "
        f"y='{frame.y(n):.1f}' height='{frame.y(0) - frame.y(n):.1f}'><title>{n} from {a:.2f} to {b:.2f}</title></rect>"
        for a, b, n in zip(edges, edges[1:], counts, strict=False)
    )
    line = f"<line class='mark' x1='{frame.x(mark):.1f}' x2='{frame.x(mark):.1f}' y1='{frame.y(0)}' y2='{_TOP}'/>"
    return frame.svg(boxes + line, ".2f", ".0f")
