"""A dashboard drawn from a CloudWatch: the body's shorthand, metric math, searches, alarms."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as some
from moto import mock_aws

from dropsort.pages.dashboard import write
from monitoring.cloudwatch.dashboard import body_of, fetch
from monitoring.cloudwatch.expressions import evaluate
from monitoring.cloudwatch.widgets import lines, widgets
from monitoring.errors import MonitoringError

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
STACK = [{"Name": "Stack", "Value": "s"}]


class TestExpressions:
    """Metric math."""

    A, B = {0.0: 1.0, 60.0: 2.0, 120.0: 3.0}, {60.0: 4.0, 120.0: 0.0}

    @pytest.mark.parametrize(
        ("expression", "points"),
        [
            ("a + b", {60: 6, 120: 3}),
            ("a / b", {60: 0.5}),
            ("100 * a / (a + b)", {60: 100 / 3, 120: 100}),
            ("-a", {0: -1, 60: -2, 120: -3}),
            ("SUM([a, b])", {0: 1, 60: 6, 120: 3}),
            ("SUM(METRICS())", {0: 1, 60: 6, 120: 3}),
            ("AVG([a, b])", {0: 1, 60: 3, 120: 1.5}),
            ("MAX(METRICS('a'))", {0: 1, 60: 2, 120: 3}),
            ("a - MIN(a)", {0: 0, 60: 1, 120: 2}),
            ("FILL(b, 7)", {0: 7, 60: 4, 120: 0}),
            ("FILL(b, REPEAT)", {60: 4, 120: 0}),
            ("IF(a > 1, a, 0)", {0: 0, 60: 2, 120: 3}),
            ("IF(b, 1)", {60: 1}),
            ("RATE(a)", {60: 1 / 60, 120: 1 / 60}),
            ("RUNNING_SUM(a)", {0: 1, 60: 3, 120: 6}),
            ("a / PERIOD(a)", {0: 1 / 60, 60: 2 / 60, 120: 3 / 60}),
            ("CEIL(a / 2)", {0: 1, 60: 1, 120: 2}),
            ("ABS(0 - a)", {0: 1, 60: 2, 120: 3}),
            ("5", {0: 5, 60: 5, 120: 5}),
        ],
    )
    def test_as_cloudwatch_has_it(self, expression: str, points: dict[float, float]) -> None:
        """GIVEN two series with a hole WHEN an expression is computed THEN the points are CloudWatch's."""
        assert evaluate(expression, {"a": self.A, "b": self.B}, 60) == pytest.approx(points)

    @pytest.mark.parametrize(
        "expression",
        ["", "a +", "c", "ANOMALY_DETECTION_BAND(a)", "[a, b]", "__import__('os')", "a.b", "a if b else a", "lambda: 1", "'x'",
         "SUM([[a]])", "FILL(a, b)", "IF(METRICS(), 1, 2)", "(" * 3000 + "a" + ")" * 3000],
    )  # fmt: skip
    def test_what_is_not_supported_is_named(self, expression: str) -> None:
        """GIVEN something else WHEN computed THEN it is a clear error, and nothing is executed."""
        with pytest.raises(MonitoringError):
            evaluate(expression, {"a": self.A, "b": self.B}, 60)

    @given(some.dictionaries(some.integers(0, 9), some.floats(-1e9, 1e9), max_size=10))
    def test_a_sum_is_a_sum(self, points: dict[int, float]) -> None:
        """GIVEN any series WHEN it is added to itself and halved THEN it is itself."""
        series = {float(t): v for t, v in points.items()}

        assert evaluate("(a + a) / 2", {"a": series}, 60) == pytest.approx(series)


def test_the_shorthand_of_metrics() -> None:
    """GIVEN metrics with "." and "..." WHEN the body is read THEN each is written out, with its own options."""
    rows = [
        ["AWS/Lambda", "Errors", "FunctionName", "f", {"id": "e"}],
        ["...", "g", {"stat": "p99", "yAxis": "right"}],
        [".", "Throttles", ".", ".", {"period": 60}],
        [{"expression": "e + e", "visible": False}],
        ["..."],
    ]
    (widget,) = widgets({"widgets": [{"type": "metric", "properties": {"stat": "Sum", "metrics": rows}}]})

    found = [(m.namespace, m.name, m.dimensions, m.stat, m.period) for m in widget.metrics]
    assert found[0] == ("AWS/Lambda", "Errors", (("FunctionName", "f"),), "Sum", 300)
    assert found[1] == ("AWS/Lambda", "Errors", (("FunctionName", "g"),), "p99", 300)
    assert found[2] == ("AWS/Lambda", "Throttles", (("FunctionName", "g"),), "Sum", 60)
    assert found[4] == ("AWS/Lambda", "Throttles", (("FunctionName", "g"),), "Sum", 300)
    assert widget.metrics[1].right
    assert not widget.metrics[3].visible


@pytest.mark.parametrize(
    "body",
    [{}, {"widgets": 1}, {"widgets": [1]}, {"widgets": [{}]}, {"widgets": [{"type": "metric", "properties": {"metrics": [["A"]]}}]},
     {"widgets": [{"type": "metric", "properties": {"metrics": [[".", "."]]}}]}],
)  # fmt: skip
def test_what_is_no_body_is_named(body: dict[str, Any]) -> None:
    """GIVEN something that is not a dashboard body WHEN read THEN the error says what."""
    with pytest.raises(MonitoringError, match=r"dashboard"):
        widgets(body)


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A CloudWatch with an hour of metrics and an alarm."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("cloudwatch", region_name="us-east-1")
        for i in range(12):
            at = NOW - timedelta(minutes=60 - 5 * i)
            client.put_metric_data(
                Namespace="Dropsort",
                MetricData=[
                    {"MetricName": "Classified", "Dimensions": STACK, "Timestamp": at, "Value": 9.0},
                    {"MetricName": "LowConfidence", "Dimensions": STACK, "Timestamp": at, "Value": 1.0},
                    *(
                        {"MetricName": "Labelled", "Dimensions": [*STACK, {"Name": "Label", "Value": label}], "Timestamp": at, "Value": 5.0}
                        for label in ("bicycle", "<b>motor</b>")
                    ),
                ],
            )  # fmt: skip
        client.put_metric_alarm(
            AlarmName="s-drift", MetricName="DriftAlarms", Namespace="Dropsort", Period=60, EvaluationPeriods=1, Threshold=1,
            ComparisonOperator="GreaterThanThreshold", Statistic="Sum", AlarmDescription="Run <this>.",
        )  # fmt: skip
        client.set_alarm_state(AlarmName="s-drift", StateValue="OK", StateReason="judged here, not there")
        datum = {"MetricName": "DriftAlarms", "Timestamp": NOW - timedelta(seconds=30), "Value": 2.0}
        client.put_metric_data(Namespace="Dropsort", MetricData=[datum])
        yield client


SEARCH = "SEARCH('{Dropsort,Label,Stack} MetricName=\"Labelled\" Stack=\"s\"', 'Sum', 300)"
ARN = "arn:aws:cloudwatch:us-east-1:1:alarm:"


def _metric(title: str, *metrics: list[Any], **more: Any) -> dict[str, Any]:
    given = {"title": title, "stat": "Sum", "metrics": list(metrics), **more}
    return {"type": "metric", "width": 12, "properties": given}


BODY: dict[str, Any] = {
    "widgets": [
        _metric(
            "Images <i>",
            ["Dropsort", "Classified", "Stack", "s", {"label": "classified", "color": "#0072b2"}],
            [".", "LowConfidence", ".", ".", {"color": 'x" onload="y'}],
            stacked=True,
        ),
        _metric(
            "Rate",
            [{"expression": "100 * low / (low + sure)", "label": "low %", "id": "rate"}],
            ["Dropsort", "LowConfidence", "Stack", "s", {"id": "low", "visible": False}],
            [".", "Classified", ".", ".", {"id": "sure", "visible": False}],
        ),
        _metric("Labels", [{"expression": SEARCH, "label": "${PROP('Dim.Label')}"}]),
        _metric("Now", ["Dropsort", "Classified", "Stack", "s"], view="singleValue"),
        _metric("Nothing", ["Dropsort", "Failed", "Stack", "s"]),
        {"type": "alarm", "y": 12, "properties": {"alarms": [f"{ARN}s-drift", f"{ARN}s-gone"]}},
        {"type": "text", "y": 13, "properties": {"markdown": "<script>1</script>"}},
    ]
}


def test_expressions_and_searches_are_computed_here(cloudwatch: Any) -> None:
    """GIVEN a CloudWatch WHEN the rate and the labels are requested THEN the numbers are right, whatever it supports itself."""
    found = widgets(BODY)

    (rate,) = lines(cloudwatch, found[1], NOW - timedelta(hours=1), NOW)
    labels = lines(cloudwatch, found[2], NOW - timedelta(hours=1), NOW)

    assert set(rate.points.values()) == {10.0}
    assert len(rate.points) == 12
    assert [line.label for line in labels] == ["<b>motor</b>", "bicycle"]
    assert all(sum(line.points.values()) == 60 for line in labels)


def test_the_page(cloudwatch: Any, tmp_path: Path) -> None:
    """GIVEN a body with every kind of widget WHEN drawn THEN all are there, alarms by state, and nothing is executed."""
    page = write(fetch(cloudwatch, BODY, start=NOW - timedelta(hours=1), end=NOW), tmp_path / "d.html")

    text = page.read_text(encoding="utf-8")
    assert "classified: 108 in all" in text
    assert "low %: 10" in text
    assert "no data: Failed" in text
    assert '<li class="bad"><b title="s-drift">▲ s-drift</b>' in text
    assert "Run &lt;this&gt;." in text
    assert "not there" in text
    assert "<script" not in text
    assert "&lt;b&gt;motor&lt;/b&gt;" in text
    assert "onload" not in text
    assert "default-src 'none'" in text


def test_a_stack_stands_over_its_periods_and_nothing_between(cloudwatch: Any, tmp_path: Path) -> None:
    """GIVEN two lone periods WHEN they are stacked THEN each is an area as wide as its period; who has no data has no mark."""
    for hours in (5, 2):
        at = NOW - timedelta(hours=hours)
        row = {"MetricName": "Lone", "Dimensions": STACK, "Timestamp": at, "Value": 4.0}
        cloudwatch.put_metric_data(Namespace="Dropsort", MetricData=[row])
    rows = [["Dropsort", "Lone", "Stack", "s"], [".", "Failed", ".", "."]]
    body = {"widgets": [_metric("Stack", *rows, stacked=True, period=3600)]}

    found = fetch(cloudwatch, body, start=NOW - timedelta(hours=6), end=NOW)
    page = write(found, tmp_path).read_text(encoding="utf-8")

    areas = re.findall(r'<path d="(M[\d.]+ [\d.]+L[^"]*Z)" class="area series0"', page)
    wide = []
    for area in areas:
        xs = [float(x) for x in re.findall(r"[ML]([\d.]+) ", area)]
        wide.append(max(xs) - min(xs))
    assert len(areas) == 2
    assert wide[0] == pytest.approx(wide[1], abs=0.2)
    assert 'class="dot' not in page


def test_the_body_comes_from_cloudwatch(cloudwatch: Any) -> None:
    """GIVEN a dashboard WHEN its body is requested THEN it is there; another name is a clear error."""
    cloudwatch.put_dashboard(DashboardName="s", DashboardBody=json.dumps(BODY))

    assert body_of(cloudwatch, "s") == BODY
    with pytest.raises(MonitoringError, match="'other'"):
        body_of(cloudwatch, "other")


def test_a_span_that_ends_before_it_begins(cloudwatch: Any) -> None:
    """GIVEN start after end WHEN drawn THEN the error says so."""
    with pytest.raises(MonitoringError, match="ends before"):
        fetch(cloudwatch, BODY, start=NOW, end=NOW)
