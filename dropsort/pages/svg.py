"""A little SVG: scales, ticks and marks for the charts of a page that carries no library.

Colours are classes, not values, so that one style sheet serves light, dark and paper. Text is escaped here, once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape

WIDTH, HEIGHT = 560, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 18, 36


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel, as short as it goes."""
    return f"{value:.1f}".removesuffix(".0")


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values within [low, high], at most about ``most`` of them."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    raw = span / most
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def compact(value: float) -> str:
    """A count in few characters: 950, 12k, 3.4M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.1f}".removesuffix(".0") + unit
    return f"{value:g}"


@dataclass
class Chart:
    """One chart: x in [x0, x1], y in [y0, y1], marks in the order they are added.

    ``label`` is read out by screen readers; it should say what the chart shows, in a sentence.
    """

    label: str
    x0: float
    x1: float
    y0: float
    y1: float
    height: int = HEIGHT
    width: int = WIDTH
    left: int = LEFT
    marks: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        """Pixels of an x value."""
        return self.left + (value - self.x0) / ((self.x1 - self.x0) or 1) * (self.width - self.left - RIGHT)

    def y(self, value: float) -> float:
        """Pixels of a y value."""
        return (
            self.height
            - BOTTOM
            - (value - self.y0) / ((self.y1 - self.y0) or 1) * (self.height - BOTTOM - TOP)
        )

    def text(self, x: float, y: float, said: str, kind: str = "") -> None:
        """Text at pixels."""
        self.marks.append(
            f'<text x="{number(x)}" y="{number(y)}"{_class(kind)}>{escape(said, quote=True)}</text>'
        )

    def y_axis(self, ticks: Sequence[float], names: Sequence[str], title: str) -> None:
        """Grid lines with their values, and what they are, above the axis."""
        for tick, name in zip(ticks, names, strict=True):
            y = self.y(tick)
            self.marks.append(f'<path class="grid" d="M{self.left} {number(y)}H{self.width - RIGHT}"/>')
            self.text(self.left - 8, y + 4, name, "end")
        self.text(self.left, TOP - 6, title, "axis")

    def x_axis(self, ticks: Sequence[float], names: Sequence[str]) -> None:
        """Names below the axis; every second one gives way on a narrow screen."""
        base = self.height - BOTTOM
        self.marks.append(f'<path class="base" d="M{self.left} {base}H{self.width - RIGHT}"/>')
        # The last stays on a narrow screen if the first does not collide with it.
        for i, (tick, name) in enumerate(zip(ticks, names, strict=True)):
            x = self.x(tick)
            self.marks.append(f'<path class="base" d="M{number(x)} {base}v4"/>')
            self.text(x, base + 19, name, "mid" if i % 2 == 0 else "mid wide")

    def rect(self, x: float, y: float, w: float, h: float, kind: str, said: str = "") -> None:
        """A bar at pixels, with an optional tooltip."""
        tip = f"<title>{escape(said)}</title>" if said else ""
        self.marks.append(
            f'<rect x="{number(x)}" y="{number(y)}" width="{number(w)}" height="{number(max(0, h))}"'
            f"{_class(kind)}>{tip}</rect>"
        )

    def line(self, points: Iterable[tuple[float, float]], kind: str, style: str = "") -> None:
        """A line through values; NaN interrupts it. ``style`` must not come from outside, here and below."""
        path, pen = [], "M"
        for x, y in points:
            if math.isnan(y):
                pen = "M"
                continue
            path.append(f"{pen}{number(self.x(x))} {number(self.y(y))}")
            pen = "L"
        if path:
            self.marks.append(f'<path d="{"".join(path)}"{_class(kind, style)}/>')

    def band(self, points: Sequence[tuple[float, float, float]], kind: str, style: str = "") -> None:
        """The area between two lines: (x, low, high)."""
        run: list[tuple[float, float, float]] = []
        for point in [*points, (0.0, math.nan, math.nan)]:
            if not (math.isnan(point[1]) or math.isnan(point[2])):
                run.append(point)
                continue
            if run:
                up = [f"{number(self.x(x))} {number(self.y(high))}" for x, _, high in run]
                down = [f"{number(self.x(x))} {number(self.y(low))}" for x, low, _ in reversed(run)]
                self.marks.append(f'<path d="M{"L".join(up + down)}Z"{_class(kind, style)}/>')
            run = []

    def dots(self, points: Iterable[tuple[float, float]], kind: str, style: str = "") -> None:
        """Many dots in one path: a stroke of hardly any length (none is lost in print) with round or square ends."""
        path = "".join(f"M{number(self.x(x))} {number(self.y(y))}h.01" for x, y in points)
        if path:
            self.marks.append(f'<path d="{path}"{_class(kind, style)}/>')

    def level(self, value: float, kind: str, said: str) -> None:
        """A horizontal line across the chart, with its name at the right end."""
        y = self.y(value)
        self.marks.append(f'<path d="M{self.left} {number(y)}H{self.width - RIGHT}"{_class(kind)}/>')
        self.text(self.width - RIGHT, y - 5, said, "end strong halo")

    def upright(self, value: float, kind: str, said: str) -> None:
        """A vertical line across the chart, with its name at its top."""
        x = self.x(value)
        self.marks.append(f'<path d="M{number(x)} {TOP}V{self.height - BOTTOM}"{_class(kind)}/>')
        right = x > self.width / 2
        self.text(x - 6 if right else x + 6, TOP + 12, said, f"strong halo{' end' if right else ''}")

    def svg(self) -> str:
        """The finished element."""
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{escape(self.label, quote=True)}">'
            f"{''.join(self.marks)}</svg>"
        )


def time_axis(chart: Chart, first: datetime, last: datetime) -> None:
    """The x axis of a chart over time, in UTC: round moments, at most about seven."""
    moments = _moments(first.astimezone(UTC), last.astimezone(UTC))
    span = last - first
    form = "%H:%M" if span <= timedelta(days=2) else "%d %b" if span <= timedelta(days=400) else "%b %Y"
    if timedelta(days=1) < span <= timedelta(days=2):  # hours alone would not tell one day from the other
        names = [m.strftime("%H:%M" if m.hour or m.minute else "%d %b") for m in moments]
    else:
        names = [m.strftime(form) for m in moments]
    chart.x_axis([m.timestamp() for m in moments], names)


def _moments(first: datetime, last: datetime) -> list[datetime]:
    length = (last - first).total_seconds() / 60
    steps = (10, 30, 60, 180, 360, 720, 1440, 2880, 7200, 20160, 43200)
    step = timedelta(minutes=next((m for m in steps if length / m <= 6), max(43200, length // 6)))
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight + math.ceil((first - midnight) / step) * step
    return [start + i * step for i in range(int((last - start) / step) + 1)]


def _class(kind: str, style: str = "") -> str:
    return (f' class="{kind}"' if kind else "") + (f' style="{style}"' if style else "")
