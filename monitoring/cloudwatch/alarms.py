"""The state of CloudWatch alarms, judged by their own rules: periods, datapoints to alarm, missing data.

An emulator's alarms may ignore the number of periods and never recover; so states are computed here from the metrics, in
the same way for every CloudWatch. Assumption: the last `EvaluationPeriods` periods count and none before them, while AWS
may use some older points where recent ones are missing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from monitoring.cloudwatch.expressions import Points
from monitoring.cloudwatch.widgets import Widget, WidgetMetric, lines
from monitoring.errors import MonitoringError

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import DimensionTypeDef, MetricAlarmTypeDef

_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
OK, ALARM, NO_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"


@dataclass(frozen=True)
class AlarmRule:
    """When an alarm is in alarm: in `datapoints` of the last `periods` of `seconds` each, the value breaches the threshold."""

    comparison: str
    threshold: float
    seconds: int
    periods: int
    datapoints: int
    missing: str  # notBreaching, breaching, ignore or missing


def judge(rule: AlarmRule, points: Points, now: datetime, former: str = NO_DATA) -> str:
    """The state of an alarm.

    Parameters
    ----------
    points
        Values by their time in seconds.
    now
        The time of the check (aware). The current period counts as soon as it has a value.
    former
        The state that remains where missing data is ignored.

    Returns
    -------
    str
        OK, ALARM or INSUFFICIENT_DATA.
    """
    current = int(now.timestamp() // rule.seconds)
    values = {int(time // rule.seconds): value for time, value in points.items()}
    last = current if current in values else current - 1
    recent = [values.get(last - back) for back in range(rule.periods)]
    there = [value for value in recent if value is not None]
    if not there and rule.missing == "missing":
        return NO_DATA
    if len(there) < rule.periods and rule.missing == "ignore":
        return former
    breaching = sum(_BREACHES[rule.comparison](value, rule.threshold) for value in there)
    if rule.missing == "breaching":
        breaching += rule.periods - len(there)
    return ALARM if breaching >= rule.datapoints else OK


def state(client: CloudWatchClient, alarm: MetricAlarmTypeDef, now: datetime) -> str:
    """The state of an alarm as DescribeAlarms returns it; the returned state where it cannot be judged here.

    That is an alarm on an anomaly band, or on an expression that `expressions` does not compute.
    """
    given = alarm["StateValue"]
    metrics = _metrics(alarm)
    if alarm.get("ComparisonOperator") not in _BREACHES or "Threshold" not in alarm or not metrics:
        return given
    periods = alarm["EvaluationPeriods"]
    rule = AlarmRule(
        comparison=alarm["ComparisonOperator"],
        threshold=alarm["Threshold"],
        seconds=max(metric.period for metric in metrics),
        periods=periods,
        datapoints=alarm.get("DatapointsToAlarm") or periods,
        missing=alarm.get("TreatMissingData") or "missing",
    )
    begin = (int(now.timestamp()) // rule.seconds - rule.periods) * rule.seconds
    widget = Widget("metric", 0, 0, 1, 1, "", metrics=metrics)
    try:
        drawn = lines(client, widget, datetime.fromtimestamp(begin, UTC), now)
    except MonitoringError:  # an expression that is not computed here
        return given
    return judge(rule, drawn[-1].points if drawn else {}, now, given)


def _metrics(alarm: MetricAlarmTypeDef) -> tuple[WidgetMetric, ...]:
    """The metric of an alarm, or those of its expression, of which only the last is visible."""
    if "MetricName" in alarm:
        statistic = alarm.get("Statistic") or alarm.get("ExtendedStatistic") or "Average"
        dimensions = alarm.get("Dimensions", [])
        return (
            WidgetMetric(
                alarm["Namespace"], alarm["MetricName"], _pairs(dimensions), str(statistic), alarm["Period"]
            ),
        )
    found = []
    for query in alarm.get("Metrics", []):
        visible = query.get("ReturnData", True)
        if "MetricStat" in query:
            metric, given = query["MetricStat"]["Metric"], query["MetricStat"]
            found.append(
                WidgetMetric(
                    metric["Namespace"],
                    metric["MetricName"],
                    _pairs(metric.get("Dimensions", [])),
                    given["Stat"],
                    given["Period"],
                    id=query["Id"],
                    visible=visible,
                )
            )
        else:
            found.append(
                WidgetMetric(id=query["Id"], expression=query["Expression"], period=0, visible=visible)
            )
    return tuple(sorted(found, key=lambda metric: bool(metric.expression)))


def _pairs(dimensions: Iterable[DimensionTypeDef]) -> tuple[tuple[str, str], ...]:
    return tuple((dimension["Name"], dimension["Value"]) for dimension in dimensions)
