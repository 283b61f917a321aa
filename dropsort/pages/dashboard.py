"""A CloudWatch dashboard drawn without a console: body in, one HTML page out, from any CloudWatch.

    >>> render(boto3.client("cloudwatch"), body_of(client, "dropsort"), Path("dashboard.html"))  # doctest: +SKIP

The widgets stand where the body puts them on the grid of 24 columns. Every line has a dash pattern and a name with its last
value, so that nothing hangs on colour.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

from dropsort.pages.report import document, save
from dropsort.pages.svg import Chart, compact, nice_ticks, time_axis
from monitoring.cloudwatch.widgets import Line, Widget, lines, period_of, widgets
from monitoring.errors import MonitoringError

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7")  # Okabe-Ito
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")
_HEX = re.compile(r"#[0-9a-fA-F]{3,8}")
_STYLES = ("report.css", "dashboard.css")


def body_of(client: Any, name: str) -> dict[str, Any]:
    """The body of a dashboard, with a boto3 CloudWatch client.

    Raises
    ------
    MonitoringError
        There is none of that name, or it is no JSON.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = json.loads(client.get_dashboard(DashboardName=name)["DashboardBody"])
    except (ClientError, BotoCoreError) as error:
        raise MonitoringError(f"no dashboard {name!r} to be had: {error}") from error
    except ValueError as error:
        raise MonitoringError(f"the dashboard {name!r} has no JSON body ({error})") from error
    return dict(found) if isinstance(found, dict) else {}


def render(
    client: Any,
    body: dict[str, Any],
    out: Path,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    title: str = "Dropsort dashboard",
) -> Path:
    """Draw a dashboard.

    Parameters
    ----------
    client
        boto3 CloudWatch client: GetMetricData for plain metrics, ListMetrics and DescribeAlarms are all it has to know.
    body
        As PutDashboard takes it, decoded.
    out
        The page to write (``.html``), or a folder, which gets ``dashboard.html``.
    start, end
        The span (aware); by default the 24 hours up to now.

    Raises
    ------
    MonitoringError
        The body cannot be read, CloudWatch does not answer, or the page cannot be written.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    page = out if out.suffix.lower() in (".html", ".htm") else out / "dashboard.html"
    end = end or datetime.now(UTC)
    start = start or end - timedelta(days=1)
    if start >= end:
        raise MonitoringError(f"the span ends before it begins: {start.isoformat()} to {end.isoformat()}")
    cards = []
    try:
        for widget in sorted(widgets(body), key=lambda w: (w.y, w.x)):
            cards.append(_card(client, widget, start, end))
    except (ClientError, BotoCoreError) as error:
        raise MonitoringError(f"CloudWatch does not answer: {error}") from error
    span = f"{start.astimezone(UTC):%d %B %Y %H:%M} to {end.astimezone(UTC):%d %B %Y %H:%M} UTC"
    text = f'<main><header><h1>{escape(title)}</h1><p>{span}</p></header><div class="board">{"".join(cards)}</div></main>'
    style = "".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in _STYLES)
    save(page, document(title, style, text))
    return page


def _card(client: Any, widget: Widget, start: datetime, end: datetime) -> str:
    if widget.kind == "metric":
        drawn = lines(client, widget, start, end)
        body = _values(drawn) if widget.view == "singleValue" else _chart(widget, drawn, start, end)
    elif widget.kind == "alarm":
        body = _alarms(client, widget)
    else:
        body = f"<p>{escape(widget.text or f'a widget of the kind {widget.kind!r} is not drawn here')}</p>"
    heading = f"<h2>{escape(widget.title)}</h2>" if widget.title else ""
    return f'<section class="card" style="--w:{max(1, min(24, widget.width))}">{heading}{body}</section>'


def _values(drawn: list[Line]) -> str:
    return (
        "".join(f'<b class="value">{_said(line)}</b><span>{escape(line.label)}</span>' for line in drawn)
        or '<p class="none">no data</p>'
    )


def _chart(widget: Widget, drawn: list[Line], start: datetime, end: datetime) -> str:
    if not any(line.points for line in drawn):
        return f'<p class="none">no data: {escape(", ".join(line.label for line in drawn) or "nothing found")}</p>'
    stacks = (
        _stacked(drawn)
        if widget.stacked
        else [{t: (0.0, v) for t, v in line.points.items()} for line in drawn]
    )
    # A period's point stands at its beginning, which may lie before the span's.
    begin = min(start.timestamp(), min(t for line in drawn for t in line.points))
    low, high = _range(widget, drawn, stacks, right=False)
    chart = Chart(
        widget.title, begin, end.timestamp(), low, high, height=240, width=max(420, 46 * widget.width)
    )
    ticks = nice_ticks(chart.y0, chart.y1, 5)
    chart.y_axis(ticks, [compact(t) for t in ticks], str(widget.axes.get("left", {}).get("label", "")))
    time_axis(chart, datetime.fromtimestamp(begin, UTC), end)
    right = _range(widget, drawn, stacks, right=True)
    entries = []
    for i, (line, stack) in enumerate(zip(drawn, stacks, strict=True)):
        colour = line.metric.color if _HEX.fullmatch(line.metric.color) else COLOURS[i % len(COLOURS)]
        dash = DASHES[i % len(DASHES)]
        points = sorted(stack.items())
        if line.metric.right:
            low, high = right
            scale = (chart.y1 - chart.y0) / ((high - low) or 1)
            points = [(t, (a, chart.y0 + (v - low) * scale)) for t, (a, v) in points]
        style = f"stroke:{colour};stroke-dasharray:{dash}" if dash else f"stroke:{colour}"
        if widget.stacked:
            steps = _steps(points, period_of(line.metric, start, end), chart.x1) if line.points else []
            chart.band(steps, "area", f"fill:{colour};stroke:{colour}")
        elif len(points) > 1:
            chart.line([(t, v) for t, (_, v) in points], "", style)
        if not widget.stacked and len(points) <= 30:
            chart.dots([(t, v) for t, (_, v) in points], "dot", f"stroke:{colour}")
        axis = " (right axis)" if line.metric.right else ""
        mark = f'<svg viewBox="0 0 18 12"><path d="M0 6H18" style="{style}"/></svg>'
        entries.append(f"<li>{mark}{escape(line.label)}{axis}: {_said(line)}</li>")
    return chart.svg() + f'<ul class="legend">{"".join(entries)}</ul>'


def _range(
    widget: Widget, drawn: list[Line], stacks: list[dict[float, tuple[float, float]]], *, right: bool
) -> tuple[float, float]:
    """Lowest and highest value of an axis: what the body says, else what the lines need, from zero on."""
    values = [
        v
        for line, stack in zip(drawn, stacks, strict=True)
        if line.metric.right == right
        for _, v in stack.values()
    ]
    given = widget.axes.get("right" if right else "left", {})
    low = float(given.get("min", min([0.0, *values])))
    high = float(given.get("max", max([0.0, *values]) * 1.08))
    return low, high if high > low else low + 1


def _stacked(drawn: list[Line]) -> list[dict[float, tuple[float, float]]]:
    """Each line's (from, to) on top of those before it; a line without a point at a moment counts as zero there."""
    times = sorted({t for line in drawn for t in line.points})
    base = dict.fromkeys(times, 0.0)
    out = []
    for line in drawn:
        top = {t: base[t] + line.points.get(t, 0.0) for t in times}
        out.append({t: (base[t], top[t]) for t in times})
        base = top
    return out


def _steps(
    points: list[tuple[float, tuple[float, float]]], period: float, end: float
) -> list[tuple[float, float, float]]:
    """A stack's (from, to) over the whole of each period; NaN between two that do not follow each other."""
    out: list[tuple[float, float, float]] = []
    for t, (low, high) in points:
        if out and t > out[-1][0]:
            out.append((t, math.nan, math.nan))
        out += [(t, low, high), (min(t + period, end), low, high)]
    return out


def _said(line: Line) -> str:
    """The last value in words, or the sum where the metric is one."""
    if not line.points:
        return "no data"
    total = line.metric.stat == "Sum" and not line.metric.expression
    value = sum(line.points.values()) if total else line.points[max(line.points)]
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}") + (" in all" if total else "")


def _alarms(client: Any, widget: Widget) -> str:
    found = {}
    for i in range(0, len(widget.alarms), 100):
        for alarm in client.describe_alarms(AlarmNames=list(widget.alarms[i : i + 100]))["MetricAlarms"]:
            found[alarm["AlarmName"]] = alarm["StateValue"], alarm.get("AlarmDescription") or ""
    items = []
    for name in widget.alarms:
        state, about = found.get(name, ("not there", ""))
        kind, sign = {"OK": ("ok", "●"), "ALARM": ("bad", "▲")}.get(state, ("", "○"))
        items.append(
            f'<li class="{kind}">{sign} {escape(name)}<span>{escape(state.lower().replace("_", " "))}</span>'
            f"{f'<span>{escape(about)}</span>' if state == 'ALARM' else ''}</li>"
        )
    return f'<ul class="alarms">{"".join(items)}</ul>'
