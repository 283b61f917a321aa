"""A CloudWatch dashboard drawn without a console, as one HTML page.

    >>> write(fetch(client, body_of(client, "dropsort")), Path("dashboard.html"))  # doctest: +SKIP

The widgets stand where the body puts them on the grid of 24 columns. Every line has a dash pattern, every area a texture, and
both a name with a value, so that nothing hangs on colour.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from jinja2 import Environment

from dropsort.pages import html
from dropsort.pages.chart import (
    SERIES,
    Axis,
    Band,
    Chart,
    Dot,
    Dots,
    Hover,
    Line,
    number_axis,
    quantity,
    time_axis,
)
from dropsort.pages.formatting import period, short, to_minute
from monitoring.cloudwatch import widgets
from monitoring.cloudwatch.dashboard import Alarm, Dashboard, Panel

_HEX = re.compile(r"#[0-9a-fA-F]{3,8}")
_COLUMNS = 24
_LONE = 30  # up to so many points of a line are drawn as dots, too
_TEXTURES = 5
_NAME = 60  # characters of a name in a legend, or under a value; the whole one is shown under the mouse
_SHORTEST = 3600  # seconds that charts show at least


@dataclass(frozen=True)
class Card:
    """A widget as the page shows it."""

    title: str
    columns: int
    kind: str  # chart, values, alarms or text
    chart: Chart | None = None
    values: tuple[tuple[str, str, str], ...] = ()  # value, name, whole name
    alarms: tuple[tuple[str, str, str, str, str], ...] = ()  # class, sign, name, state, description
    text: str = ""


def write(dashboard: Dashboard, out: Path, *, title: str = "Dropsort dashboard", zone: tzinfo = UTC) -> Path:
    """Write the page of a dashboard.

    Parameters
    ----------
    out
        The page to write (``.html``), or a folder, which gets ``dashboard.html``.
    zone
        The time zone of the page.

    Raises
    ------
    PageError
        The page cannot be written.
    """
    page = html.page_file(out, "dashboard.html")
    html.save(page, render(dashboard, title=title, zone=zone))
    return page


def render(dashboard: Dashboard, *, title: str, zone: tzinfo = UTC, env: Environment | None = None) -> str:
    """The page of a dashboard."""
    begin = first_shown(dashboard)
    header = [period(dashboard.start, dashboard.end, zone)]
    if begin > dashboard.start.timestamp():
        header.append(f"Nothing was measured before {to_minute(datetime.fromtimestamp(begin, UTC), zone)}.")
    cards = [_card(panel, _Span(dashboard, begin, zone)) for panel in dashboard.panels]
    return html.render("dashboard.html", env=env, title=title, header=header, cards=cards, wide=True)


@dataclass(frozen=True)
class _Span:
    """The time that all charts show."""

    dashboard: Dashboard
    begin: float  # seconds
    zone: tzinfo

    @property
    def axis(self) -> Axis:
        """The time as an axis."""
        return time_axis(datetime.fromtimestamp(self.begin, UTC), self.dashboard.end, self.zone)

    def period_of(self, line: widgets.MetricLine) -> int:
        """Seconds of a line's points."""
        return widgets.period_of(line.metric, self.dashboard.start, self.dashboard.end)


def first_shown(dashboard: Dashboard) -> float:
    """Where all charts begin, in seconds: with the first value, if nothing was measured before.

    A service that is an hour old would else show slivers at the end of a day. A period's point stands at its beginning,
    which may lie before the span's.
    """
    found = [t for panel in dashboard.panels for line in panel.lines for t in line.points]
    if not found:
        return dashboard.start.timestamp()
    first = min(found)
    if first <= dashboard.start.timestamp() + _SHORTEST:
        return min(first, dashboard.start.timestamp())
    return max(dashboard.start.timestamp(), min(first, dashboard.end.timestamp() - _SHORTEST))


def _card(panel: Panel, span: _Span) -> Card:
    widget, lines = panel.widget, panel.lines
    columns = max(1, min(_COLUMNS, widget.width))
    if widget.kind == "alarm":
        return Card(widget.title, columns, "alarms", alarms=tuple(map(_alarm, panel.alarms)))
    if widget.kind != "metric":
        text = widget.text or f"a widget of the kind {widget.kind!r} is not drawn here"
        return Card(widget.title, columns, "text", text=text)
    if widget.view == "singleValue":
        values = tuple(
            (_value(line, _unit(panel, line)).removesuffix(" last"), short(line.label, _NAME), line.label)
            for line in lines
        )
        return Card(widget.title, columns, "values", values=values, text="" if values else "no data")
    if not any(line.points for line in lines):
        names = ", ".join(short(line.label, _NAME) for line in lines) or "nothing found"
        return Card(widget.title, columns, "text", text=f"no data: {names}")
    return Card(widget.title, columns, "chart", _chart(panel, span))


def _alarm(alarm: Alarm) -> tuple[str, str, str, str, str]:
    kind, sign = {"OK": ("ok", "●"), "ALARM": ("bad", "▲")}.get(alarm.state, ("", "○"))
    state = alarm.state.lower().replace("_", " ") or "not there"
    return kind, sign, alarm.name, state, alarm.description if alarm.state == "ALARM" else ""


def _chart(panel: Panel, span: _Span) -> Chart:
    widget, lines = panel.widget, panel.lines
    stacks = (
        _stacked(lines)
        if widget.stacked
        else [{t: (0.0, v) for t, v in line.points.items()} for line in lines]
    )
    x = span.axis
    marks: list[Line | Band | Dots] = []
    for i, (line, stack) in enumerate(zip(lines, stacks, strict=True)):
        color = line.metric.color if _HEX.fullmatch(line.metric.color) else ""
        style, right = f"series{i % SERIES}", line.metric.right
        name = f"{short(line.label, _NAME)}{' (right axis)' if right else ''}: {_value(line, _unit(panel, line))}"
        points = sorted(stack.items())
        length = span.period_of(line)
        if widget.stacked:
            steps = _steps(points, length, x.high) if line.points else []
            marks.append(Band(tuple(steps), f"area {style}", name, color, texture=i % (_TEXTURES + 1)))
            continue
        if line.metric.stat == "Sum":
            marks.append(Line(_levels(points, length, x.high), style, name, color, right))
            continue
        marks.append(Line(tuple((t, v) for t, (_, v) in points), style, name, color, right))
        if len(points) <= _LONE:
            dots = tuple(Dot(t, v) for t, (_, v) in points)
            marks.append(Dots(dots, f"dot {style}", color=color, right=right))
    right_axis = any(line.metric.right for line in lines)
    return Chart(
        widget.title,
        x,
        _axis(panel, stacks, right=False),
        tuple(marks),
        hovers=_hovers(panel, span),
        right=_axis(panel, stacks, right=True) if right_axis else None,
        height=240,
        width=max(420, 46 * widget.width),
    )


def _axis(panel: Panel, stacks: list[dict[float, tuple[float, float]]], *, right: bool) -> Axis:
    """What the body says of an axis, else what the lines need, from zero on."""
    values = [
        v
        for line, stack in zip(panel.lines, stacks, strict=True)
        if line.metric.right == right
        for _, v in stack.values()
    ]
    given = panel.widget.axes.get("right" if right else "left", {})
    low = float(given.get("min", min([0.0, *values])))
    high = float(given.get("max", max([0.0, *values]) * 1.08))
    return number_axis(low, high if high > low else low + 1, str(given.get("label", "")), most=5)


def _hovers(panel: Panel, span: _Span) -> tuple[Hover, ...]:
    """The values of all lines at each of their moments."""
    times = sorted({t for line in panel.lines for t in line.points})
    length = min(span.period_of(line) for line in panel.lines if line.points)
    found = []
    for t in times:
        values = ", ".join(
            f"{line.label} {quantity(line.points[t], _unit(panel, line))}"
            for line in panel.lines
            if t in line.points
        )
        found.append(
            Hover(t, t + length, f"{to_minute(datetime.fromtimestamp(t, UTC), span.zone)}: {values}")
        )
    return tuple(found)


def _stacked(lines: tuple[widgets.MetricLine, ...]) -> list[dict[float, tuple[float, float]]]:
    """Each line's (from, to) on top of those before it; a line without a point at a moment counts as zero there."""
    times = sorted({t for line in lines for t in line.points})
    base = dict.fromkeys(times, 0.0)
    out = []
    for line in lines:
        top = {t: base[t] + line.points.get(t, 0.0) for t in times}
        out.append({t: (base[t], top[t]) for t in times})
        base = top
    return out


def _steps(
    points: list[tuple[float, tuple[float, float]]], length: float, end: float
) -> list[tuple[float, float, float]]:
    """A stack's (from, to) over the whole of each period; NaN between two that do not follow each other."""
    out: list[tuple[float, float, float]] = []
    for t, (low, high) in points:
        if out and t > out[-1][0]:
            out.append((t, math.nan, math.nan))
        out += [(t, low, high), (min(t + length, end), low, high)]
    return out


def _levels(
    points: list[tuple[float, tuple[float, float]]], length: float, end: float
) -> tuple[tuple[float, float], ...]:
    """A sum is that of a whole period: level over it, not a slope from one to the next."""
    return tuple((t, high) for t, _, high in _steps(points, length, end))


def _unit(panel: Panel, line: widgets.MetricLine) -> str:
    """The unit of a line: the name of its axis."""
    axis = panel.widget.axes.get("right" if line.metric.right else "left", {})
    return str(axis.get("label", ""))


def _value(line: widgets.MetricLine, unit: str) -> str:
    """The last value, or the sum where the metric is one; the label says which."""
    if not line.points:
        return "no data"
    if line.metric.stat == "Sum" and not line.metric.expression:
        return f"{quantity(sum(line.points.values()), unit)} in all"
    return f"{quantity(line.points[max(line.points)], unit)} last"
