"""Alarms judged by their own rules: periods, datapoints to alarm, missing data, and recovery."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from monitoring.cloudwatch import alarms
from monitoring.cloudwatch.alarms import AlarmRule, judge, state
from monitoring.cloudwatch.widgets import WidgetMetric
from monitoring.errors import MonitoringError
from tests.unit.infra.template import TEMPLATE

NOW = datetime(2026, 11, 21, 9, 2, tzinfo=UTC)  # two minutes into a period of five


def points(*values: float | None) -> dict[float, float]:
    """Values of successive periods of five minutes, the last of which is the current one; None where there is none."""
    current = NOW.timestamp() // 300
    first = current - len(values) + 1
    return {(first + i) * 300: value for i, value in enumerate(values) if value is not None}


def rule(periods: int = 3, datapoints: int = 3, missing: str = "notBreaching") -> AlarmRule:
    return AlarmRule("GreaterThanOrEqualToThreshold", 100, 300, periods, datapoints, missing)


@pytest.mark.parametrize(
    ("of", "values", "expected"),
    [
        (rule(), [0, 0, 500], "OK"),  # one datapoint where three are required
        (rule(), [100, 100, 100], "ALARM"),
        (rule(), [100, 100, 100, None], "ALARM"),  # the current period has no value yet
        (rule(), [500, 500, 500, 0], "OK"),  # recovered
        (rule(), [500, None, 500], "OK"),
        (rule(missing="breaching"), [500, None, 500], "ALARM"),
        (rule(3, 1), [500, 0, 0], "ALARM"),
        (rule(3, 1), [500, 0, 0, 0], "OK"),
        (rule(3, 1), [], "OK"),
        (rule(3, 1, "missing"), [], "INSUFFICIENT_DATA"),
        (rule(3, 3, "ignore"), [0, None, 0], "former"),
    ],
)
def test_the_state_follows_from_the_last_periods(
    of: AlarmRule, values: list[float | None], expected: str
) -> None:
    assert judge(of, points(*values), NOW, "former") == expected


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        ("GreaterThanThreshold", 100, "OK"),
        ("GreaterThanOrEqualToThreshold", 100, "ALARM"),
        ("LessThanThreshold", 100, "OK"),
        ("LessThanOrEqualToThreshold", 100, "ALARM"),
    ],
)
def test_every_comparison(comparison: str, value: float, expected: str) -> None:
    assert judge(AlarmRule(comparison, 100, 300, 1, 1, "missing"), points(value), NOW) == expected


def test_the_first_burst_of_throttles_is_no_alarm_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN the template's alarm of throttles in a CloudWatch that went into alarm at the first burst, and stays there
    template: dict[str, Any] = TEMPLATE["Resources"]["ThrottlesAlarm"]["Properties"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("cloudwatch", region_name="us-east-1")
        dimensions = [{"Name": "FunctionName", "Value": "serialize"}]
        taken = ("Namespace", "MetricName", "Period", "Statistic", "ComparisonOperator", "Threshold")
        more = ("EvaluationPeriods", "TreatMissingData")
        settings = {name: template[name] for name in (*taken, *more)}
        client.put_metric_alarm(AlarmName="throttles", Dimensions=dimensions, **settings)
        client.set_alarm_state(AlarmName="throttles", StateValue="ALARM", StateReason="the emulator's")

        def judged(minutes_ago: tuple[int, ...]) -> str:
            for minutes in minutes_ago:
                datum = {
                    "MetricName": template["MetricName"],
                    "Dimensions": dimensions,
                    "Timestamp": NOW - timedelta(minutes=minutes),
                    "Value": 500.0,
                }
                client.put_metric_data(Namespace=template["Namespace"], MetricData=[datum])
            (alarm,) = client.describe_alarms(AlarmNames=["throttles"])["MetricAlarms"]
            return state(client, alarm, NOW)

        # THEN one burst is none, throttles of a quarter of an hour are one
        assert judged((5,)) == "OK"
        assert judged((10, 15)) == "ALARM"
        # AND the first whole period without any ends the alarm, which CloudWatch still has
        (alarm,) = client.describe_alarms(AlarmNames=["throttles"])["MetricAlarms"]
        assert alarm["StateValue"] == "ALARM"
        after = [state(client, alarm, NOW + timedelta(minutes=minutes)) for minutes in (2, 3, 60)]
        assert after == ["ALARM", "OK", "OK"]


def queries(**rows: dict[str, Any]) -> list[dict[str, Any]]:
    """The metrics of an alarm, as DescribeAlarms returns them."""
    return [{"Id": name, **row} for name, row in rows.items()]


def test_an_alarm_on_an_expression_and_on_some_of_its_periods(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("cloudwatch", region_name="us-east-1")

        def metric(name: str, *values: float) -> dict[str, Any]:
            """A metric with values of the last whole periods, the latest one first."""
            for number, value in enumerate(values, 1):
                at = NOW - timedelta(minutes=5 * number)
                client.put_metric_data(
                    Namespace="N", MetricData=[{"MetricName": name, "Timestamp": at, "Value": value}]
                )
            return {"Metric": {"Namespace": "N", "MetricName": name}, "Period": 300, "Stat": "Sum"}

        def judged(*values: float, whole: float = 10.0, **more: Any) -> str:
            name = f"low{len(values)}{sum(values)}"
            alarm: Any = {
                "StateValue": "former", "ComparisonOperator": "GreaterThanThreshold", "Threshold": 0.5, "EvaluationPeriods": 3,
                "Metrics": queries(
                    share={"Expression": "low / whole", "ReturnData": True},
                    low={"MetricStat": metric(name, *values), "ReturnData": False},
                    whole={"MetricStat": metric(f"{name}-whole", *[whole] * len(values)), "ReturnData": False},
                ),
            } | more  # fmt: skip
            return state(client, alarm, NOW)

        assert judged(6.0, 7.0, 8.0) == "ALARM"
        assert judged(6.0, 0.0, 9.0) == "OK"
        assert judged(6.5, 0.0, 9.0, DatapointsToAlarm=2) == "ALARM"
        # AND by default missing data is missing
        assert judged() == "INSUFFICIENT_DATA"
        assert judged(TreatMissingData="notBreaching") == "OK"


@pytest.mark.parametrize(
    ("given", "statistic"),
    [({"Statistic": "Sum"}, "Sum"), ({"ExtendedStatistic": "p90"}, "p90"), ({}, "Average"),
     ({"Statistic": "Sum", "ExtendedStatistic": "p90"}, "Sum")],
)  # fmt: skip
def test_the_metric_of_an_alarm(given: dict[str, Any], statistic: str) -> None:
    alarm: Any = {"Namespace": "N", "MetricName": "M", "Period": 60, **given}
    assert alarms._metrics(alarm) == (WidgetMetric("N", "M", (), statistic, 60),)
    alarm["Dimensions"] = [{"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}]
    assert alarms._metrics(alarm) == (WidgetMetric("N", "M", (("a", "1"), ("b", "2")), statistic, 60),)


def test_the_metrics_of_an_expression_come_before_it() -> None:
    metric = {"Namespace": "N", "MetricName": "M", "Dimensions": [{"Name": "a", "Value": "1"}]}
    alarm: Any = {
        "Metrics": queries(
            share={"Expression": "low / 2"},
            low={"MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}, "ReturnData": False},
            other={
                "MetricStat": {"Metric": {"Namespace": "N", "MetricName": "O"}, "Period": 300, "Stat": "p9"}
            },
        )
    }
    assert alarms._metrics(alarm) == (
        WidgetMetric("N", "M", (("a", "1"),), "Sum", 60, id="low", visible=False),
        WidgetMetric("N", "O", (), "p9", 300, id="other"),
        WidgetMetric(expression="low / 2", period=0, id="share"),
    )
    assert alarms._metrics({}) == ()


RULE = {"ComparisonOperator": "LessThanThreshold", "Threshold": 2.0, "EvaluationPeriods": 3, "Namespace": "N", "MetricName": "M",
        "Period": 300, "StateValue": "former"}  # fmt: skip


@pytest.mark.parametrize("without", ["ComparisonOperator", "Threshold", "MetricName"])
def test_an_alarm_that_cannot_be_judged_has_the_state_that_was_returned(without: str) -> None:
    alarm: Any = {name: value for name, value in RULE.items() if name != without}
    assert state(None, alarm, NOW) == "former"  # type: ignore[arg-type]
    alarm = RULE | {"ComparisonOperator": "LessThanLowerThreshold"}
    assert state(None, alarm, NOW) == "former"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, (3, "missing")), ({"DatapointsToAlarm": 2, "TreatMissingData": "ignore"}, (2, "ignore")),
        ({"DatapointsToAlarm": 0, "TreatMissingData": ""}, (3, "missing")),
    ],
)  # fmt: skip
def test_an_alarm_is_judged_by_its_rule_on_the_values_of_its_periods(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any], expected: tuple[int, str]
) -> None:
    drawn: list[Any] = []

    def lines(client: Any, widget: Any, begin: datetime, end: datetime) -> list[Any]:
        drawn.append((client, widget.metrics, begin, end))
        return [SimpleNamespace(points={1.0: 1.0}), SimpleNamespace(points={2.0: 2.0})]

    monkeypatch.setattr(alarms, "lines", lines)
    monkeypatch.setattr(alarms, "judge", lambda *given: given)
    alarm: Any = RULE | more
    rule, points_, now, former = state("client", alarm, NOW)  # type: ignore[arg-type]
    assert rule == AlarmRule("LessThanThreshold", 2.0, 300, 3, *expected)
    assert (points_, now, former) == ({2.0: 2.0}, NOW, "former")
    begin = NOW - timedelta(minutes=17)  # three periods before the current one
    assert drawn == [("client", (WidgetMetric("N", "M", (), "Average", 300),), begin, NOW)]
    monkeypatch.setattr(alarms, "lines", lambda *_: [])
    assert state("client", alarm, NOW)[1] == {}  # type: ignore[arg-type]

    def raising(*_: Any) -> None:
        raise MonitoringError("METRICS() is not computed")

    monkeypatch.setattr(alarms, "lines", raising)
    assert state("client", alarm, NOW) == "former"  # type: ignore[arg-type]


@pytest.mark.parametrize("periods", [(60, 300), (300, 60), (0, 300, 60)])
def test_the_periods_of_an_alarm_are_its_longest(
    monkeypatch: pytest.MonkeyPatch, periods: tuple[int, ...]
) -> None:
    metrics = tuple(WidgetMetric("N", "M", period=period) for period in periods)
    monkeypatch.setattr(alarms, "_metrics", lambda _: metrics)
    monkeypatch.setattr(alarms, "lines", lambda *_: [])
    monkeypatch.setattr(alarms, "judge", lambda rule, *_: rule)
    alarm: Any = RULE
    assert state(None, alarm, NOW).seconds == 300  # type: ignore[arg-type, attr-defined]
