"""A dashboard body as CloudWatch takes it, read: widgets with their metrics written out, and their numbers fetched.

The shorthand of metric arrays ("." repeats the value above, "..." everything up to the rest) is resolved; SEARCH becomes a
listing of metrics, and expressions are computed here (`expressions`), so that any CloudWatch will do that has
GetMetricData for plain metrics, ListMetrics and DescribeAlarms.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from monitoring.cloudwatch.expressions import Points, evaluate
from monitoring.errors import MonitoringError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef, MetricStatTypeDef, MetricTypeDef

_SEARCH = re.compile(
    r"^\s*SEARCH\(\s*'(?P<query>.*)'\s*,\s*'(?P<stat>[^']+)'\s*(?:,\s*(?P<period>\d+)\s*)?\)\s*$", re.S
)
_SCHEMA = re.compile(r"^\s*\{(?P<schema>[^}]*)\}\s*(?P<terms>.*)$", re.S)
_TERM = re.compile(r'(?P<name>[\w.:-]+)\s*=\s*"(?P<value>[^"]*)"')


@dataclass(frozen=True)
class WidgetMetric:
    """One line of a widget: a metric, an expression or a search."""

    namespace: str = ""
    name: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    stat: str = "Average"
    period: int = 300
    id: str = ""
    label: str = ""
    color: str = ""
    expression: str = ""
    visible: bool = True
    right: bool = False  # on the right axis


@dataclass(frozen=True)
class Widget:
    """One widget: where it stands on the grid of 24 columns, and what it shows."""

    kind: str  # metric, alarm or text
    x: int
    y: int
    width: int
    height: int
    title: str
    view: str = "timeSeries"
    stacked: bool = False
    metrics: tuple[WidgetMetric, ...] = ()
    alarms: tuple[str, ...] = ()
    text: str = ""
    axes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricLine:
    """A metric with its points."""

    metric: WidgetMetric
    label: str
    points: Points


def widgets(body: Mapping[str, Any]) -> list[Widget]:
    """Read a dashboard body.

    Raises
    ------
    MonitoringError
        It is none; the message names the widget.
    """
    rows = body.get("widgets") if isinstance(body, Mapping) else None
    if not isinstance(rows, list):
        raise MonitoringError("not a dashboard body: it has no list of widgets")
    found = []
    for i, row in enumerate(rows):
        try:
            found.append(_widget(row))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise MonitoringError(f"widget {i} of the dashboard cannot be read ({error!r})") from None
    return found


def _widget(row: Mapping[str, Any]) -> Widget:
    given = row.get("properties", {})
    period = int(given.get("period", 300))
    stat = str(given.get("stat", "Average"))
    return Widget(
        kind=str(row["type"]),
        x=int(row.get("x", 0)),
        y=int(row.get("y", 0)),
        width=int(row.get("width", 6)),
        height=int(row.get("height", 6)),
        title=str(given.get("title", "")),
        view=str(given.get("view", "timeSeries")),
        stacked=bool(given.get("stacked", False)),
        metrics=tuple(_metrics(given.get("metrics", ()), stat, period)),
        alarms=tuple(str(arn).rpartition(":alarm:")[2] for arn in given.get("alarms", ())),
        text=str(given.get("markdown", "")),
        axes=given.get("yAxis", {}),
    )


def _metrics(rows: Iterable[Sequence[Any]], stat: str, period: int) -> Iterable[WidgetMetric]:
    previous: list[str] = []
    for row in rows:
        options = row[-1] if isinstance(row[-1], Mapping) else {}
        words = [str(word) for word in (row[:-1] if isinstance(row[-1], Mapping) else row)]
        if "..." in words:
            at = words.index("...")
            words[at : at + 1] = previous[at : len(previous) - (len(words) - at - 1)]
        words = [previous[i] if word == "." else word for i, word in enumerate(words)]
        if words:
            previous = words
            if len(words) < 2 or len(words) % 2:
                raise ValueError(f"{words} is not a namespace, name and pairs of dimensions")
        yield WidgetMetric(
            namespace=words[0] if words else "",
            name=words[1] if words else "",
            dimensions=tuple(zip(words[2::2], words[3::2], strict=True)),
            stat=str(options.get("stat", stat)),
            period=int(options.get("period", period)),
            id=str(options.get("id", "")),
            label=str(options.get("label", "")),
            color=str(options.get("color", "")),
            expression=str(options.get("expression", "")),
            visible=options.get("visible", True) is not False,
            right=options.get("yAxis") == "right",
        )


def lines(client: CloudWatchClient, widget: Widget, start: datetime, end: datetime) -> list[MetricLine]:
    """The visible lines of a widget with their points, in its order; a search gives a line for each metric found.

    Parameters
    ----------
    client
        boto3 CloudWatch client.
    start, end
        The span (aware).
    """
    searched: list[WidgetMetric] = []
    for metric in widget.metrics:
        found = _SEARCH.match(metric.expression)
        searched += _search(client, metric, found) if found else [metric]
    plain = [m for m in searched if not m.expression]
    values = dict(zip(map(id, plain), fetch(client, plain, start, end), strict=True))
    known = {m.id: values[id(m)] for m in plain if m.id}
    period = max((m.period for m in plain), default=300)
    times = {t for series in values.values() for t in series}
    drawn = []
    for metric in searched:
        points = (
            values[id(metric)]
            if not metric.expression
            else evaluate(metric.expression, known, period, sorted(times))
        )
        if metric.expression and metric.id:
            known[metric.id] = points
        if metric.visible:
            drawn.append(MetricLine(metric, metric.label or metric.id or metric.name, points))
    return drawn


def fetch(
    client: CloudWatchClient, metrics: Sequence[WidgetMetric], start: datetime, end: datetime
) -> list[Points]:
    """Points of plain metrics by GetMetricData, 100 to a request; no more points than CloudWatch returns at once."""
    out: list[Points] = [{} for _ in metrics]
    for first in range(0, len(metrics), 100):
        queries = [_query(f"q{i}", m, start, end) for i, m in enumerate(metrics[first : first + 100])]
        pages = client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries, StartTime=start, EndTime=end, ScanBy="TimestampAscending"
        )
        for result in (result for page in pages for result in page["MetricDataResults"]):
            points = zip(result["Timestamps"], result["Values"], strict=True)
            out[first + int(result["Id"][1:])].update((t.timestamp(), float(v)) for t, v in points)
    return [dict(sorted(series.items())) for series in out]


def period_of(metric: WidgetMetric, start: datetime, end: datetime) -> int:
    """Seconds of a point: in a wide span multiples of the widget's period, so that a line has at most about 1,400."""
    return metric.period * max(1, math.ceil((end - start).total_seconds() / 1400 / metric.period))


def _query(name: str, metric: WidgetMetric, start: datetime, end: datetime) -> MetricDataQueryTypeDef:
    wanted: MetricTypeDef = {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": [{"Name": k, "Value": v} for k, v in metric.dimensions],
    }
    statistic: MetricStatTypeDef = {
        "Metric": wanted,
        "Period": period_of(metric, start, end),
        "Stat": metric.stat,
    }
    return {"Id": name, "MetricStat": statistic, "ReturnData": True}


def _search(client: CloudWatchClient, metric: WidgetMetric, found: re.Match[str]) -> list[WidgetMetric]:
    """Metrics of a SEARCH with a schema, ``{Namespace,Dim1,Dim2} MetricName="..." Dim1="..."``, sorted."""
    schema = _SCHEMA.match(found["query"].replace('\\"', '"'))
    if not schema:
        raise MonitoringError(f"only a search with a schema is supported: {metric.expression!r}")
    namespace, *dimensions = [part.strip().strip('"') for part in schema["schema"].split(",")]
    terms = {term["name"]: term["value"] for term in _TERM.finditer(schema["terms"])}
    name = terms.pop("MetricName", "")
    paginator = client.get_paginator("list_metrics")
    pages = (
        paginator.paginate(Namespace=namespace, MetricName=name)
        if name
        else paginator.paginate(Namespace=namespace)
    )
    out = []
    for page in pages:
        for one in page["Metrics"]:
            has = {d["Name"]: d["Value"] for d in one["Dimensions"]}
            if set(has) == set(dimensions) and all(has.get(k) == v for k, v in terms.items()):
                label = metric.label
                for key, value in has.items():
                    label = label.replace(f"${{PROP('Dim.{key}')}}", value)
                pairs = tuple((d["Name"], d["Value"]) for d in one["Dimensions"])
                out.append(
                    replace(
                        metric,
                        namespace=namespace,
                        name=one["MetricName"],
                        dimensions=pairs,
                        stat=found["stat"],
                        period=int(found["period"] or metric.period),
                        id="",
                        label=label or " ".join(v for k, v in pairs if k not in terms),
                        expression="",
                    )
                )
    return sorted(set(out), key=lambda m: m.dimensions)
