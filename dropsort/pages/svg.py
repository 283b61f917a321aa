"""Charts as SVG: a `Chart` becomes a drawing of plain elements, which the templates write out.

Colours, dashes and hatches are classes of the style sheet, so that one chart serves light, dark and paper. Nothing is escaped
here: that is the template's part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dropsort.pages.chart import Axis, Band, Bars, Chart, Dot, Dots, Line, Mark, Ranges, Rule, Texts

LEFT, RIGHT, TOP, BOTTOM = 56, 14, 18, 36
RIGHT_AXIS, X_TITLE, ROW, ROWS_LEFT = 56, 18, 40, 16  # pixels more, for what only some charts have
BROAD = 800  # pixels from which on a chart needs larger text on a narrow screen
_STRONG = 10.5  # pixels of a letter of a rule's name, where the drawing is shrunk to a narrow screen
_LONE = 90.0  # pixels: a bar as wide as the chart says no more than a slim one


@dataclass(frozen=True)
class Element:
    """One element of a drawing; ``text`` is that of a text, else the hover text."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass(frozen=True)
class Drawing:
    """An SVG in pixels."""

    width: int
    height: int
    elements: list[Element] = field(default_factory=list)
    label: str = ""
    description: str = ""
    cursor: dict[str, str] = field(default_factory=dict)  # where the slider's cursor may move and stands

    @property
    def broad(self) -> bool:
        """Whether text must be larger where the drawing is shrunk to a narrow screen."""
        return self.width >= BROAD


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel, as short as it goes."""
    return f"{value:.1f}".removesuffix(".0")


class _PlotArea:
    """Values to pixels."""

    def __init__(self, chart: Chart) -> None:
        self.chart, rows = chart, len(chart.y.rows)
        self.width, self.left = chart.width, ROWS_LEFT if rows else LEFT
        self.right = self.width - (RIGHT_AXIS if chart.right else RIGHT)
        title = X_TITLE if chart.x.title else 0
        self.height = TOP + BOTTOM + max(2, rows) * ROW if rows else chart.height + title
        self.base = self.height - BOTTOM - title

    def x(self, value: float) -> float:
        return self.left + _share(self.chart.x, value) * (self.right - self.left)

    def y(self, value: float, right: bool = False) -> float:
        if self.chart.y.rows:
            return TOP + ROW * value + 23
        share = _share(self.axis(right), value)
        if not math.isnan(share):
            share = min(1.0, max(0.0, share))  # what is outside ends at the edge
        return self.base - share * (self.base - TOP)

    def axis(self, right: bool) -> Axis:
        """The y axis of a mark."""
        return self.chart.right if right and self.chart.right else self.chart.y

    def shows(self, dot: Dot, right: bool) -> bool:
        """Whether a point is on the chart."""
        axis = self.axis(right)
        return bool(axis.rows) or axis.low <= dot.y <= axis.high


def _share(axis: Axis, value: float) -> float:
    low, high = axis.low, axis.high
    if axis.square_root:
        low, high, value = math.sqrt(max(0.0, low)), math.sqrt(max(0.0, high)), math.sqrt(max(0.0, value))
    return (value - low) / ((high - low) or 1)


def draw(chart: Chart) -> Drawing:
    """A chart as a drawing."""
    area = _PlotArea(chart)
    elements = [*_y_axis(area), *_x_axis(area)]
    for mark in chart.marks:
        elements += _mark(mark, area)
    for hover in chart.hovers:
        x0, x1 = (min(max(area.x(x), area.left), area.right) for x in (hover.x0, hover.x1))
        if x1 > x0:
            elements.append(_rect(x0, TOP, x1 - x0, area.base - TOP, "hover", hover.text))
    cursor = {}
    if chart.cursor:
        x, y = area.x(chart.cursor[0]), area.y(chart.cursor[1])
        cursor = {
            "left": f"{area.left}", "right": f"{area.right}", "top": f"{TOP}", "bottom": f"{area.base}",
            "x": number(x), "y": number(y),
        }  # fmt: skip
    return Drawing(area.width, area.height, elements, chart.title, chart.description(), cursor)


def sample(mark: Mark) -> Drawing:
    """A mark as the legend shows it."""
    elements: list[Element] = []
    style, color = mark.style, getattr(mark, "color", "")
    if isinstance(mark, Bars):
        elements.append(_rect(0, 0, 18, 12, style))
    elif isinstance(mark, Band):
        elements += _area("M0 0H18V12H0Z", mark)
    elif isinstance(mark, Dots):
        path = {"diamond": "M9 0l5 6l-5 6l-5 -6z", "differs": "M9 1l6 10h-12z"}.get(style)
        elements.append(_path(path or "M9 6h.01", style if path else f"{style} big", color))
    elif isinstance(mark, Line | Ranges):
        elements.append(_path("M0 6H18", style, color))
    return Drawing(18, 12, elements)


def _y_axis(area: _PlotArea) -> Iterator[Element]:
    axis, other = area.chart.y, area.chart.right
    # Above its bar, and apart from its value: it may run from right to left
    for i, name in enumerate(axis.rows):
        yield _text(area.left, area.y(i) - 13, name, "name")
    for tick in axis.ticks:
        y = area.y(tick.value)
        yield _path(f"M{number(area.left)} {number(y)}H{number(area.right)}", "grid")
        yield _text(area.left - 8, y + 4, tick.name, "end")
    if axis.title:
        yield _text(area.left, TOP - 6, axis.title, "axis")
    for tick in other.ticks if other else ():
        yield _text(area.right + 8, area.y(tick.value, right=True) + 4, tick.name)
    if other:
        yield _text(area.right, TOP - 6, other.title or "right axis", "axis end")


def _x_axis(area: _PlotArea) -> Iterator[Element]:
    """Names below the axis; every second one gives way on a narrow screen."""
    axis, base = area.chart.x, area.base
    yield _path(f"M{number(area.left)} {number(base)}H{number(area.right)}", "base")
    for i, tick in enumerate(axis.ticks):
        x = area.x(tick.value)
        yield _path(f"M{number(x)} {number(base)}v4", "base")
        yield _text(x, base + 19, tick.name, "mid" if i % 2 == 0 else "mid wide")
    if axis.title:
        yield _text((area.left + area.right) / 2, area.height - 8, axis.title, "mid axis")


def _mark(mark: Mark, area: _PlotArea) -> Iterator[Element]:
    match mark:
        case Line():
            if path := _line([(area.x(x), area.y(y, mark.right)) for x, y in mark.points]):
                yield _path(path, mark.style, mark.color)
        case Band():
            for run in _runs(mark.points):
                up = [f"{number(area.x(x))} {number(area.y(high))}" for x, _, high in run]
                down = [f"{number(area.x(x))} {number(area.y(low))}" for x, low, _ in reversed(run)]
                yield from _area(f"M{'L'.join(up + down)}Z", mark)
        case Dots():
            # Strokes of hardly any length (none is lost in print) with round or square ends, all in one path.
            points = [p for p in mark.points if area.shows(p, mark.right)]
            plain = [p for p in points if not p.hover and not p.radius]
            path = "".join(f"M{number(area.x(p.x))} {number(area.y(p.y, mark.right))}h.01" for p in plain)
            if path:
                yield _path(path, mark.style, mark.color)
            for point in points:
                if point.hover or point.radius:
                    yield _dot(point, mark, area)
        case Bars():
            for bar in mark.bars:
                yield _bar(bar.x0, bar.x1, bar.y0, bar.y1, mark.style, bar.hover, area)
        case Ranges():
            for low, high, value in mark.ranges:
                a, b, y = number(area.x(low)), number(area.x(high)), area.y(value)
                ends = f"M{a} {number(y - 5)}v10M{b} {number(y - 5)}v10"
                yield _path(f"M{a} {number(y)}H{b}{ends}", mark.style)
        case Rule():
            yield from _rule(mark, area)
        case Texts():
            for row, text in mark.texts:
                yield _text(area.right, area.y(row) - 13, text, mark.style)


def _line(points: Sequence[tuple[float, float]]) -> str:
    path, pen = [], "M"
    for x, y in points:
        if math.isnan(y):
            pen = "M"
            continue
        path.append(f"{pen}{number(x)} {number(y)}")
        pen = "L"
    return "".join(path)


def _runs(points: Sequence[tuple[float, float, float]]) -> Iterator[list[tuple[float, float, float]]]:
    run: list[tuple[float, float, float]] = []
    for point in points:
        if math.isnan(point[1]) or math.isnan(point[2]):
            if run:
                yield run
            run = []
        else:
            run.append(point)
    if run:
        yield run


def _dot(point: Dot, mark: Dots, area: _PlotArea) -> Element:
    x, y = area.x(point.x), area.y(point.y, mark.right)
    if mark.style == "differs":
        return _path(f"M{number(x)} {number(y - 7)}l6.5 11h-13z", mark.style, mark.color, point.hover)
    if mark.style == "diamond":
        return _path(f"M{number(x)} {number(y - 9)}l6 9l-6 9l-6 -9z", mark.style, mark.color, point.hover)
    if point.radius:
        at = {"cx": number(x), "cy": number(y), "r": number(point.radius), "class": mark.style}
        return Element("circle", at, point.hover)
    return _path(f"M{number(x)} {number(y)}h.01", f"{mark.style} big", mark.color, point.hover)


def _bar(x0: float, x1: float, y0: float, y1: float, style: str, hover: str, area: _PlotArea) -> Element:
    left, right = area.x(x0), area.x(x1)
    if area.chart.y.rows:
        y = area.y((y0 + y1) / 2)
        return _rect(left, y - 7, max(1.0, right - left), 14, style, hover)
    gap = min(2.0, (right - left) * 0.15)
    if right - left > _LONE:
        middle = (left + right) / 2
        left, right = middle - _LONE / 2, middle + _LONE / 2
    top, bottom = area.y(y1), area.y(y0)
    return _rect(left + gap / 2, top, right - left - gap, bottom - top, style, hover)


def _rule(rule: Rule, area: _PlotArea) -> Iterator[Element]:
    if rule.vertical:
        x = area.x(rule.value)
        yield _path(f"M{number(x)} {TOP}V{number(area.base)}", rule.style)
        right = x > area.width / 2
        room = int((x - area.left if right else area.right - x) / _STRONG)
        name = rule.name if len(rule.name) < room else rule.name[: room - 2] + "…"
        yield _text(
            x - 6 if right else x + 6,
            TOP + (24 if area.width >= BROAD else 14),
            name,
            f"strong halo{' end' if right else ''}",
        )
    else:
        y = area.y(rule.value)
        begin = area.left if rule.start is None else area.x(rule.start)
        yield _path(f"M{number(begin)} {number(y)}H{number(area.right)}", rule.style)
        yield _text(area.right, y - 5, rule.name, "end strong halo")


def _area(path: str, band: Band) -> Iterator[Element]:
    yield _path(path, band.style, band.color)
    if band.texture:
        yield _path(path, f"texture{band.texture}")


def _path(d: str, style: str, color: str = "", hover: str = "") -> Element:
    attributes = {"d": d, "class": style}
    if color:
        attributes["style"] = f"--color:{color}"
    return Element("path", attributes, hover)


def _rect(x: float, y: float, width: float, height: float, style: str, hover: str = "") -> Element:
    at = {"x": number(x), "y": number(y), "width": number(width), "height": number(max(0.0, height))}
    return Element("rect", {**at, "class": style}, hover)


def _text(x: float, y: float, text: str, style: str = "") -> Element:
    attributes = {"x": number(x), "y": number(y)}
    return Element("text", {**attributes, "class": style} if style else attributes, text)
