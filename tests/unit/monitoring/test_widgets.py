"""Widgets and metric math, value by value: each operator, each default of a body, and what is requested of CloudWatch."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from monitoring.cloudwatch import dashboard, widgets
from monitoring.cloudwatch.expressions import evaluate
from monitoring.cloudwatch.widgets import MetricLine, Widget, WidgetMetric
from monitoring.errors import MonitoringError

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
KNOWN = {
    "a": {0.0: 1.0, 60.0: 2.0, 120.0: 3.0},
    "b": {0.0: 2.0, 60.0: 2.0, 120.0: 2.0},
    "c": {60.0: 4.0},
    "n": {},
}


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("a - b", [-1, 0, 1]), ("a * b", [2, 4, 6]), ("a ** 2", [1, 4, 9]), ("a > b", [0, 0, 1]), ("a >= b", [0, 1, 1]),
        ("a < b", [1, 0, 0]), ("a <= b", [1, 1, 0]), ("a == b", [0, 1, 0]), ("a != b", [1, 0, 1]), ("+a", [1, 2, 3]),
        ("MIN([a, b])", [1, 2, 2]), ("MAX([a, b])", [2, 2, 3]), ("max(a)", [3, 3, 3]), ("FLOOR(a / 2)", [0, 1, 1]),
        ("ABS(a - b)", [1, 0, 1]), ("SUM(METRICS('a'))", [1, 2, 3]), ("SUM(METRICS('c') * 2)", [None, 8, None]),
        ("SUM(2 * METRICS('c'))", [None, 8, None]), ("SUM(FILL(METRICS('c'), 5))", [5, 4, 5]), ("FILL(c, REPEAT)", [None, 4, 4]),
        ("FILL(7, 5)", [7, 7, 7]), ("IF(a > 1, 5)", [None, 5, 5]), ("IF(a > 2, b, c)", [None, 4, 2]), ("IF(0, 1, 2)", [2, 2, 2]),
        ("2 * 3 - 1", [5, 5, 5]), ("RATE(b)", [None, 0, 0]), ("SUM([c, 1])", [1, 5, 1]), ("AVG(n)", []), ("SUM(7)", []),
        ("RUNNING_SUM(1)", [1, 2, 3]), ("a / (b - 2)", []), ("10.0 ** 400 * a", []), ("(0 - a) ** 0.5", []), ("-5", [-5, -5, -5]),
        ("PERIOD(a) + 0.5", [60.5, 60.5, 60.5]),
    ],
)  # fmt: skip
def test_an_expression_has_the_points_of_cloudwatch(expression: str, values: list[float | None]) -> None:
    found = evaluate(expression, KNOWN, 60)
    assert {at: value for at, value in found.items() if not math.isnan(value)} == {
        60.0 * number: value for number, value in enumerate(values) if value is not None
    }


def test_moments_that_are_given_are_filled() -> None:
    assert evaluate("FILL(c, 0)", KNOWN, 60, [120.0, 60.0]) == {60.0: 4.0, 120.0: 0.0}
    assert list(evaluate("1", KNOWN, 60, [120.0, 60.0])) == [60.0, 120.0]


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("a +", "not an expression of metric math: 'a +'"), ("d", "'d': no metric has the id 'd'"),
        ("METRICS()", "gives several series where one is wanted: 'METRICS()'"), ("a < b < c", "'a < b < c': is not supported"),
        ("SUM(a, b)", "'SUM(a, b)': SUM with 2 arguments is not supported"), ("RATE()", "'RATE()': RATE with 0 arguments is not supported"),
        ("ABS(a, b)", "'ABS(a, b)': ABS with 2 arguments is not supported"), ("not a", "'not a': is not supported"),
        ("IF(a)", "'IF(a)': IF with 1 arguments is not supported"), ("a.b(c)", "'a.b(c)': is not supported"),
        ("IF(1, 2, METRICS())", "'IF(1, 2, METRICS())': IF takes single series"), ("a % b", "'a % b': is not supported"),
        ("FILL(a, b)", "'FILL(a, b)': FILL takes a number or REPEAT"), ("FILL(a)", "'FILL(a)': FILL with 1 arguments is not supported"),
        ("RATE([a])", "'RATE([a])': a list stands where one series is wanted"), ("a in b", "'a in b': is not supported"),
        ("PERIOD()", "'PERIOD()': PERIOD with 0 arguments is not supported"), ("'x'", "\"'x'\": is not supported"),
        ("RUNNING_SUM()", "'RUNNING_SUM()': RUNNING_SUM with 0 arguments is not supported"),
    ],
)  # fmt: skip
def test_what_is_not_computed_is_named(expression: str, why: str) -> None:
    with pytest.raises(MonitoringError) as error:
        evaluate(expression, KNOWN, 60)
    assert str(error.value) == why


def test_a_widget_has_the_defaults_of_cloudwatch_and_each_of_its_own_values() -> None:
    (plain,) = widgets.widgets({"widgets": [{"type": "metric"}]})
    assert plain == Widget("metric", 0, 0, 6, 6, "")
    rows = [
        ["N", "M", {"id": "i", "label": "l", "color": "#123456", "yAxis": "left", "visible": True}],
        [{"expression": "i"}],
        ["N", "O"],
    ]
    given = {
        "title": "t", "view": "bar", "stacked": True, "metrics": rows, "alarms": ["arn:x:alarm:one", "two"], "markdown": "text",
        "yAxis": {"left": {"min": 0}},
    }  # fmt: skip
    (full,) = widgets.widgets(
        {"widgets": [{"type": "text", "x": 1, "y": 2, "width": 3, "height": 4, "properties": given}]}
    )
    metrics = (
        WidgetMetric("N", "M", id="i", label="l", color="#123456"), WidgetMetric(expression="i"), WidgetMetric("N", "O"),
    )  # fmt: skip
    assert full == Widget(
        "text", 1, 2, 3, 4, "t", "bar", True, metrics, ("one", "two"), "text", {"left": {"min": 0}}
    )
    assert (plain.view, plain.stacked, metrics[2].stat, metrics[2].period) == (
        "timeSeries",
        False,
        "Average",
        300,
    )


@pytest.mark.parametrize("row", [["A"], ["A", "B", "C"], ["...", "A"], ["A", "B", "."]])
def test_a_metric_that_is_none_is_named_with_its_widget(row: list[str]) -> None:
    body = {"widgets": [{"type": "text"}, {"type": "metric", "properties": {"metrics": [row]}}]}
    with pytest.raises(MonitoringError, match=r"^widget 1 of the dashboard cannot be read"):
        widgets.widgets(body)


def client_of(*metrics: dict[str, Any], values: dict[str, float] | None = None) -> Any:
    """A CloudWatch that lists these metrics, in two pages, and returns a value of each name; `client.requests` has the requests."""
    requests: list[Any] = []

    def paginate(**given: Any) -> Any:
        requests.append(given)
        if "MetricDataQueries" not in given:
            return [{"Metrics": list(metrics[:1])}, {"Metrics": list(metrics[1:])}]
        results = [
            {"Id": one["Id"], "Timestamps": [NOW, NOW - HOUR], "Values": [(values or {})[name], 1]}
            for one in given["MetricDataQueries"]
            if (name := one["MetricStat"]["Metric"]["MetricName"]) in (values or {})
        ]
        return [{"MetricDataResults": results[:1]}, {"MetricDataResults": results[1:]}]

    return SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=paginate), requests=requests)


def test_lines_are_the_visible_ones_with_their_points_and_the_first_of_three_names() -> None:
    client = client_of(values={"M": 3, "O": 5})
    shown = (
        WidgetMetric("N", "M", (("d", "1"),), "Sum", id="m", label="label"), WidgetMetric("N", "O", id="o", visible=False, period=60),
        WidgetMetric(expression="m + o", id="both"), WidgetMetric(expression="both * PERIOD(m)", label="product"),
        WidgetMetric("N", "P"), WidgetMetric("N", "O"),
    )  # fmt: skip
    found = widgets.lines(client, Widget("metric", 0, 0, 1, 1, "", metrics=shown), NOW - HOUR, NOW)
    begin, end = (NOW - HOUR).timestamp(), NOW.timestamp()
    assert [(line.label, line.points) for line in found] == [
        ("label", {begin: 1, end: 3}), ("both", {begin: 2, end: 8}), ("product", {begin: 600, end: 2400}), ("P", {}),
        ("O", {begin: 1, end: 5}),
    ]  # fmt: skip
    assert found[0] == MetricLine(shown[0], "label", {begin: 1.0, end: 3.0})
    (request,) = client.requests
    assert (request["StartTime"], request["EndTime"], request["ScanBy"]) == (
        NOW - HOUR,
        NOW,
        "TimestampAscending",
    )
    assert request["MetricDataQueries"][0] == {
        "Id": "q0", "ReturnData": True,
        "MetricStat": {
            "Metric": {"Namespace": "N", "MetricName": "M", "Dimensions": [{"Name": "d", "Value": "1"}]}, "Period": 300, "Stat": "Sum",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("count", "requests"), [(0, []), (1, [1]), (100, [100]), (101, [100, 1]), (201, [100, 100, 1])]
)
def test_a_hundred_metrics_are_requested_at_once(count: int, requests: list[int]) -> None:
    names = [f"M{number}" for number in range(count)]
    client = client_of(values={name: number + 2 for number, name in enumerate(names)})
    found = widgets.fetch(client, [WidgetMetric("N", name) for name in names], NOW - HOUR, NOW)
    assert [points[NOW.timestamp()] for points in found] == [number + 2 for number in range(count)]
    assert all(list(points) == sorted(points) for points in found)
    assert [len(one["MetricDataQueries"]) for one in client.requests] == requests


@pytest.mark.parametrize(
    ("period", "seconds", "expected"),
    [
        (300, 60, 300),
        (300, 1400 * 300, 300),
        (300, 1400 * 300 + 1, 600),
        (60, 1400 * 180, 180),
        (60, 1400 * 180 + 1, 240),
    ],
)
def test_a_line_has_no_more_points_than_cloudwatch_returns_at_once(
    period: int, seconds: int, expected: int
) -> None:
    assert widgets.period_of(WidgetMetric(period=period), NOW - timedelta(seconds=seconds), NOW) == expected


def listed(name: str, **dimensions: str) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }


def test_a_search_takes_metrics_with_its_dimensions_and_values_alone() -> None:
    client = client_of(
        listed("M", Label="b", Stack="s"), listed("M", Stack="s"), listed("M", Label="a", Stack="s"), listed("M", Label="a", Stack="x"),
        listed("M", Label="c", Stack="s", More="1"), values={"M": 3},
    )  # fmt: skip
    widget = Widget("metric", 0, 0, 1, 1, "", metrics=(
        WidgetMetric(expression=""" SEARCH( '{ \\"N\\" , Label,Stack} MetricName="M" Stack = "s"' , 'p9', 60 ) """, id="i"),
    ))  # fmt: skip
    found = widgets.lines(client, widget, NOW - HOUR, NOW)
    assert [line.metric for line in found] == [
        WidgetMetric("N", "M", (("Label", label), ("Stack", "s")), "p9", 60, label=label) for label in "ab"
    ]
    assert client.requests[0] == {"Namespace": "N", "MetricName": "M"}
    # AND without a name, a value or a period of its own
    text = "SEARCH('{N,Label,Stack}', 'Sum')"
    metric = WidgetMetric(expression=text, label="${PROP('Dim.Label')} of ${PROP('Dim.Stack')}", period=120)
    found = widgets.lines(client, Widget("metric", 0, 0, 1, 1, "", metrics=(metric,)), NOW - HOUR, NOW)
    assert [(line.label, line.metric.period) for line in found] == [
        ("a of s", 120),
        ("a of x", 120),
        ("b of s", 120),
    ]
    assert client.requests[2] == {"Namespace": "N"}
    bare = WidgetMetric(expression="SEARCH('M', 'Sum')")
    with pytest.raises(
        MonitoringError, match=r"only a search with a schema is supported: \"SEARCH\('M', 'Sum'\)\""
    ):
        widgets.lines(client, Widget("metric", 0, 0, 1, 1, "", metrics=(bare,)), NOW - HOUR, NOW)


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "x"}}, "GetMetricData"),
        EndpointConnectionError(endpoint_url="https://x"),
    ],
)
def test_a_cloudwatch_that_does_not_respond_is_an_error(error: Exception) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise error

    client: Any = SimpleNamespace(get_paginator=failing, get_dashboard=failing)
    body = {"widgets": [{"type": "metric", "properties": {"metrics": [["N", "M"]]}}]}
    with pytest.raises(MonitoringError) as found:
        dashboard.fetch(client, body)
    assert str(found.value) == f"CloudWatch does not respond: {error}"
    with pytest.raises(MonitoringError) as found:
        dashboard.body_of(client, "d")
    assert str(found.value) == f"the dashboard 'd' cannot be read: {error}"


@pytest.mark.parametrize(("text", "body"), [('{"a": 1}', {"a": 1}), ("[]", {}), ("{", None)])
def test_a_body_is_an_object(text: str, body: dict[str, Any] | None) -> None:
    client: Any = SimpleNamespace(get_dashboard=lambda DashboardName: {"DashboardBody": text})
    if body is not None:
        assert dashboard.body_of(client, "d") == body
    else:
        with pytest.raises(MonitoringError, match=r"^the dashboard 'd' has no JSON body "):
            dashboard.body_of(client, "d")


def test_widgets_are_shown_in_their_order_with_what_their_kind_has() -> None:
    requested: list[int] = []

    def described(AlarmNames: list[str]) -> Any:
        requested.append(len(AlarmNames))
        return {
            "MetricAlarms": [{"AlarmName": name, "StateValue": "OK"} for name in AlarmNames if name != "5"]
        }

    client = client_of(values={"M": 3})
    client.describe_alarms = described
    properties = {"metrics": [["N", "M"]], "alarms": [str(number) for number in range(201)]}
    places = (("text", 0, 2), ("alarm", 6, 1), ("metric", 0, 1), ("metric", 9, 0))
    body = {"widgets": [{"type": kind, "x": x, "y": y, "properties": properties} for kind, x, y in places]}
    before = datetime.now(UTC)
    found = dashboard.fetch(client, body)
    assert found.end - found.start == timedelta(days=1)
    assert before <= found.end <= datetime.now(UTC)
    assert [(one.widget.kind, len(one.lines), len(one.alarms)) for one in found.panels] == [
        ("metric", 1, 0), ("metric", 1, 0), ("alarm", 0, 201), ("text", 0, 0)
    ]  # fmt: skip
    assert requested == [100, 100, 1]
    assert [(one.name, one.state, one.description) for one in found.panels[2].alarms[4:6]] == [
        ("4", "OK", ""),
        ("5", "", ""),
    ]
