"""Which metrics the dashboard and the alarms request from CloudWatch: read from the template, or from what was deployed of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from monitoring.cloudwatch.widgets import widgets
from tests.unit.infra.template import RESOURCES, of_type, resolve

SEARCH = re.compile(r"SEARCH\('\{([\w,]+)\} (.+?)', '(\w+)', (\d+)\)")


@dataclass(frozen=True)
class RequestedMetric:
    """One series as it is requested from CloudWatch: data under other dimensions, fewer or more, are another series."""

    where: str
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]
    stat: str
    period: int

    def __str__(self) -> str:
        return f"{self.where}-{self.name}-{self.stat}"


def of_dashboard(body: Mapping[str, Any]) -> Iterator[RequestedMetric]:
    """The plain metrics of a dashboard's widgets, those too that only expressions use."""
    for widget in widgets(body):
        for metric in widget.metrics:
            if not metric.expression:
                yield RequestedMetric(
                    widget.title,
                    metric.namespace,
                    metric.name,
                    frozenset(metric.dimensions),
                    metric.stat,
                    metric.period,
                )


def of_alarm(alarm: Mapping[str, Any]) -> Iterator[RequestedMetric]:
    """The metrics of an alarm, as a template's properties or as DescribeAlarms has it."""
    rows = [row["MetricStat"] for row in alarm.get("Metrics", ()) if "MetricStat" in row]
    if "MetricName" in alarm:
        # The embedded AWS has "Average" in addition to a percentile
        stat = alarm.get("ExtendedStatistic") or alarm["Statistic"]
        rows.append({"Metric": alarm, "Stat": stat, "Period": alarm["Period"]})
    for row in rows:
        metric = row["Metric"]
        yield RequestedMetric(
            str(alarm["AlarmName"]),
            metric["Namespace"],
            metric["MetricName"],
            frozenset((item["Name"], item["Value"]) for item in metric.get("Dimensions", ())),
            row["Stat"],
            int(row["Period"]),
        )


def expressions(alarm: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Metric math of an alarm, each with the ids of its other metrics."""
    rows = alarm.get("Metrics", ())
    ids = [row["Id"] for row in rows if "MetricStat" in row]
    return [(row["Expression"], ids) for row in rows if "Expression" in row]


def searches(body: Mapping[str, Any]) -> list[tuple[str, frozenset[str], dict[str, str], str]]:
    """Every SEARCH of a dashboard: namespace, names of the dimensions, what they and the name must be, statistic."""
    found = []
    for widget in widgets(body):
        for metric in widget.metrics:
            if "SEARCH" in metric.expression:
                matched = SEARCH.fullmatch(metric.expression)
                assert matched, f"{widget.title}: not understood: {metric.expression}"
                namespace, *dimensions = matched[1].split(",")
                terms = dict(re.findall(r'(\w+)="([^"]*)"', matched[2]))
                found.append((namespace, frozenset(dimensions), terms, matched[3]))
    return found


def dashboard(**conditions: bool) -> dict[str, Any]:
    """The dashboard's body as CloudWatch gets it; references to resources are their names in the template."""
    body: dict[str, Any] = json.loads(
        resolve(RESOURCES["Dashboard"]["Properties"]["DashboardBody"], **conditions)
    )
    return body


def alarms(**conditions: bool) -> dict[str, dict[str, Any]]:
    """The alarms that the template creates, their properties by their names in the template."""
    return {
        name: resolve(alarm["Properties"], **conditions)
        for name, alarm in of_type("AWS::CloudWatch::Alarm").items()
        if conditions.get(alarm.get("Condition", ""), True)
    }


def everything(**conditions: bool) -> list[RequestedMetric]:
    """Every metric that the dashboard and the alarms request."""
    found = list(of_dashboard(dashboard(**conditions)))
    for alarm in alarms(**conditions).values():
        found += of_alarm(alarm)
    return list(dict.fromkeys(found))
