"""What a chart shows, apart from how it is drawn: `dropsort.pages.svg` draws it for a page, `dropsort.pages.png` for slides.

    >>> chart = Chart("Squares", Axis(0, 3), Axis(0, 9), (Line(((0, 0), (1, 1), (2, 4)), "median", "squares"),))
    >>> chart.description()
    'squares: 3 values from 0 to 4, the last 4.'

Positions are values on the axes, never pixels. The style of a mark is a name: a class of the style sheet, and an entry of
`dropsort.pages.png.STYLES`. No chart says anything by colour alone: styles differ in shape, dash or hatch too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from dropsort.contract.text import number_of

SERIES = 6  # styles "series0" to "series5", for lines that have no meaning known here


class Tick(NamedTuple):
    """A value on an axis that is written out."""

    value: float
    name: str


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`."""

    low: float
    high: float
    ticks: tuple[Tick, ...] = ()
    title: str = ""
    square_root: bool = False  # scale; else linear
    zone: tzinfo | None = None  # of a time axis, whose values are seconds since the epoch
    rows: tuple[str, ...] = ()  # names of rows, of an axis of categories: row i is at i, the first on top


@dataclass(frozen=True)
class Line:
    """A line through (x, y); NaN interrupts it."""

    points: tuple[tuple[float, float], ...]
    style: str
    name: str = ""  # in the legend; "" is left out of it, here and below
    color: str = ""  # #rrggbb instead of the style's colour
    right: bool = False  # on the right axis


@dataclass(frozen=True)
class Band:
    """The area between two lines, (x, low, high); NaN interrupts it."""

    points: tuple[tuple[float, float, float], ...]
    style: str
    name: str = ""
    color: str = ""
    texture: int = 0  # number of a hatch on top, for bands that lie on each other; 0 is none


class Dot(NamedTuple):
    """A point with a size of its own (radius in pixels; 0 is the style's) and a hover text."""

    x: float
    y: float
    hover: str = ""
    radius: float = 0.0


@dataclass(frozen=True)
class Dots:
    """Points; those without a hover text are drawn as one path, however many they are."""

    points: tuple[Dot, ...]
    style: str
    name: str = ""
    color: str = ""
    right: bool = False


class Bar(NamedTuple):
    """A rectangle between values of both axes, with a hover text."""

    x0: float
    x1: float
    y0: float
    y1: float
    hover: str = ""


@dataclass(frozen=True)
class Bars:
    """Rectangles."""

    bars: tuple[Bar, ...]
    style: str
    name: str = ""


@dataclass(frozen=True)
class Ranges:
    """Horizontal intervals, (low, high, y)."""

    ranges: tuple[tuple[float, float, float], ...]
    style: str = "whisker"
    name: str = ""


@dataclass(frozen=True)
class Rule:
    """A line across the chart at a value, with its name at its end."""

    value: float
    name: str
    style: str = "threshold"
    vertical: bool = False
    start: float | None = None  # where a horizontal one begins; by default at the left end


@dataclass(frozen=True)
class Texts:
    """Texts of rows, (row, text), at the right end."""

    texts: tuple[tuple[int, str], ...]
    style: str = "name end"


class Hover(NamedTuple):
    """A hover text over the whole height, from x0 to x1: the values of the lines there."""

    x0: float
    x1: float
    text: str


Mark = Line | Band | Dots | Bars | Ranges | Rule | Texts


@dataclass(frozen=True)
class Chart:
    """One chart; marks are drawn in their order."""

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...] = ()
    about: str = ""
    hovers: tuple[Hover, ...] = ()
    right: Axis | None = None
    width: int = 560
    height: int = 280
    cursor: tuple[float, float] | None = None  # where a slider's cursor stands

    def named(self) -> list[Line | Band | Dots | Bars | Ranges]:
        """The marks that a legend lists."""
        return [m for m in self.marks if not isinstance(m, Rule | Texts) and m.name]

    def description(self) -> str:
        """What the chart shows and its marks hold, in words, for those who cannot see them."""
        parts = [self.about, *map(_described, self.marks)]
        return " ".join(part for part in parts if part)


def _described(mark: Mark) -> str:
    if isinstance(mark, Rule):
        return f"{mark.name}."
    if isinstance(mark, Line | Dots) and mark.name:
        values = [point[1] for point in mark.points if not math.isnan(point[1])]
        if not values:
            return f"{mark.name}: no values."
        count = number_of(len(values), "value")
        return f"{mark.name}: {count} from {min(values):.4g} to {max(values):.4g}, the last {values[-1]:.4g}."
    if isinstance(mark, Bars) and mark.name:
        return f"{mark.name}: {number_of(len(mark.bars), 'bar')}."
    return ""


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


def percent_axis(top: float, title: str) -> Axis:
    """An axis of small shares, from 0 to `top`, written in percent."""
    axis = number_axis(0, 100 * top, title, most=5)
    ticks = tuple(t._replace(value=t.value / 100, name=f"{t.name}%") for t in axis.ticks)
    return Axis(0, top, ticks, title)


def compact(value: float) -> str:
    """A count in few characters: 950, 12k, 3.4M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.1f}".removesuffix(".0") + unit
    return f"{value:g}"


def tick_names(values: Sequence[float]) -> list[str]:
    """Values in few characters, all in the same unit with the same number of decimals: 0, 0.5k, 1.0k."""
    largest = max((abs(v) for v in values), default=0.0)
    limit, unit = next(((n, u) for n, u in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if largest >= n), (1.0, ""))
    scaled = [v / limit for v in values]
    decimals = next(
        (d for d in range(7) if all(math.isclose(round(v, d), v, abs_tol=1e-9) for v in scaled)), 7
    )
    return ["0" if not v else f"{v:.{decimals}f}{unit}" for v in scaled]


_TIMES = (("ms", 0.001), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("days", 86400.0))
_SIZES = (("B", 1.0), ("kB", 1e3), ("MB", 1e6), ("GB", 1e9))
# Units that values come in, with the units that they are written in.
_UNITS = {"ms": (0.001, _TIMES), "s": (1.0, _TIMES), "bytes": (1.0, _SIZES), "B": (1.0, _SIZES)}
_LEAST = 2  # of a minute, hour or day, before it is used; of the others, one is enough


def unit_of(largest: float, unit: str) -> tuple[str, float]:
    """The unit in which values up to `largest` are written, and how many of `unit` it is; another unit stays as it is.

    Examples
    --------
    >>> unit_of(60_000, "ms")
    ('s', 1000.0)
    """
    if unit not in _UNITS:
        return unit, 1.0
    base, units = _UNITS[unit]
    # Seconds and bytes take all prefixes from one on; 90 s are more usual than 1.5 min.
    fitting = [
        (name, size)
        for name, size in units
        if abs(largest) * base >= size * (_LEAST if units is _TIMES and size > 1 else 1)
    ]
    name, size = fitting[-1] if fitting else next((n, s) for n, s in units if s == base)
    return name, size / base


def quantity(value: float, unit: str = "") -> str:
    """A value for people, with its unit if that changes with the value; the names of lines have others, such as %.

    Examples
    --------
    >>> quantity(62_370, "ms"), quantity(62_370), quantity(350, "ms")
    ('62.4 s', '62,370', '350 ms')
    """
    name, size = unit_of(value, unit)
    scaled = value / size
    text = f"{scaled:,.0f}" if abs(scaled) >= 1000 else f"{scaled:.3g}"
    return f"{text} {name}" if unit in _UNITS else text


def number_axis(low: float, high: float, title: str = "", *, most: int = 6, whole: bool = False) -> Axis:
    """An axis with round ticks; ``whole`` leaves out fractions. A title that is a unit becomes the unit of the ticks."""
    title, size = unit_of(max(abs(low), abs(high)), title)
    values = [v for v in nice_ticks(low / size, high / size, most) if not whole or v == int(v)]
    ticks = tuple(Tick(v * size, name) for v, name in zip(values, tick_names(values), strict=True))
    return Axis(low, high, ticks, title)


def share_axis(title: str = "") -> Axis:
    """An axis from 0 to 100 %."""
    return Axis(0, 1, tuple(Tick(v, f"{v:.0%}") for v in (0, 0.25, 0.5, 0.75, 1)), title)


def time_axis(first: datetime, last: datetime, zone: tzinfo = UTC) -> Axis:
    """An axis over time: round moments of a time zone, at most about seven."""
    begin, end = first.astimezone(zone), last.astimezone(zone)
    moments, span = _moments(begin, end), last - first
    form = "%H:%M" if span <= timedelta(days=2) else "%d %b" if span <= timedelta(days=400) else "%b %Y"
    parts = any(m.hour or m.minute for m in moments)
    if span > timedelta(days=1) and parts:  # hours alone would not distinguish the days, nor days the hours
        names = [m.strftime("%H:%M" if m.hour or m.minute else "%d %b") for m in moments]
    else:
        names = [m.strftime(form) for m in moments]
    ticks = tuple(Tick(m.timestamp(), name) for m, name in zip(moments, names, strict=True))
    return Axis(first.timestamp(), last.timestamp(), ticks, zone=zone)


def _moments(first: datetime, last: datetime) -> list[datetime]:
    length = (last - first).total_seconds() / 60
    steps = (10, 30, 60, 180, 360, 720, 1440, 2880, 7200, 20160, 43200)
    step = timedelta(minutes=next((m for m in steps if length / m <= 6), max(43200, length // 6)))
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight + math.ceil((first - midnight) / step) * step
    return [start + i * step for i in range(int((last - start) / step) + 1)]
