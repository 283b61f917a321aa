"""Embedded metric format, line by line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from dropsort.local.emf_parser import MetricDatum, parse, requests


def line(metrics: list[Any], dimensions: Any, **members: Any) -> str:
    """A line with one directive."""
    directive = {"Namespace": "Dropsort", "Dimensions": dimensions, "Metrics": metrics}
    return json.dumps({"_aws": {"Timestamp": 1_700_000_000_123, "CloudWatchMetrics": [directive]}, **members})


def test_each_set_of_dimensions_gives_a_datum() -> None:
    # GIVEN a line with two sets, as the handlers print it
    text = line(
        [{"Name": "Labelled", "Unit": "Count"}],
        [["Stack"], ["Stack", "Label"]],
        Stack="s",
        Label="l",
        Labelled=[1.0],
    )
    # THEN both are there
    assert parse(text) == [
        MetricDatum("Dropsort", "Labelled", (("Stack", "s"),), 1_700_000_000_123, (1.0,), "Count"),
        MetricDatum(
            "Dropsort", "Labelled", (("Stack", "s"), ("Label", "l")), 1_700_000_000_123, (1.0,), "Count"
        ),
    ]


def test_numbers_lists_units_and_resolution() -> None:
    # GIVEN a plain number, a list, a high resolution, and nothing but the name
    metrics = [
        {"Name": "a", "Unit": "Milliseconds", "StorageResolution": 1},
        {"Name": "b", "StorageResolution": 60},
    ]
    # WHEN there are no dimensions at all
    found = parse(line(metrics, [[]], a=2, b=[1, 2.5, 1]))
    # THEN
    assert [(item.name, item.values, item.unit, item.resolution) for item in found] == [
        ("a", (2.0,), "Milliseconds", 1),
        ("b", (1.0, 2.5, 1.0), "None", 60),
    ]


def test_several_directives_and_namespaces() -> None:
    header = [{"Namespace": name, "Dimensions": [[]], "Metrics": [{"Name": "m"}]} for name in ("A", "B")]
    found = parse(json.dumps({"_aws": {"Timestamp": 5, "CloudWatchMetrics": header}, "m": 1}))
    assert [(item.namespace, item.timestamp) for item in found] == [("A", 5), ("B", 5)]


def test_a_line_without_a_time_has_that_of_its_event() -> None:
    text = json.dumps(
        {
            "_aws": {
                "CloudWatchMetrics": [{"Namespace": "A", "Dimensions": [[]], "Metrics": [{"Name": "m"}]}]
            },
            "m": 1,
        }
    )
    assert parse(text, logged=77)[0].timestamp == 77


@pytest.mark.parametrize(
    "text",
    [
        "",
        "START RequestId: 1",
        '{"level": "INFO"}',
        '"CloudWatchMetrics"',
        '["CloudWatchMetrics"]',
        '{"_aws": {"CloudWatchMetrics": 3}}',
        '{"_aws": {"CloudWatchMetrics": [3, {}, {"Namespace": 1}]}}',
        '{"_aws": {"CloudWatchMetrics": [{"Namespace": "A", "Dimensions": [[]], "Metrics": [{"Name": "m"}]}',
        "[" * 100_000 + '"CloudWatchMetrics"',
    ],
)
def test_lines_without_metrics_give_none(text: str) -> None:
    assert parse(text) == []


@pytest.mark.parametrize(
    "value", ["1", None, True, {}, [], ["x"], float("nan"), float("inf"), 10**400, [True]]
)
def test_what_is_no_number_is_left_out(value: Any) -> None:
    assert parse(line([{"Name": "m"}], [[]], m=value)) == []


@pytest.mark.parametrize("dimensions", [["Stack"], [["Missing"]], [["m"]], [[3]], [["d"] * 31]])
def test_a_set_of_dimensions_that_the_line_lacks_is_left_out(dimensions: Any) -> None:
    assert parse(line([{"Name": "m"}], dimensions, m=1, d="x")) == []


NAMES = st.sampled_from(["Namespace", "Dimensions", "Metrics", "Name", "Unit", "m"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
)


@given(ANYTHING)
def test_any_directive_is_survived(directive: Any) -> None:
    for datum in parse(json.dumps({"_aws": {"CloudWatchMetrics": directive}, "m": 1})):
        assert datum.values


def test_requests_keep_the_apis_limits_and_lose_nothing() -> None:
    # GIVEN more values and data than one request takes
    data = [MetricDatum("A", "many", (), 1000, tuple(map(float, range(400))))]
    data += [MetricDatum("B", f"m{number}", (("Stack", "s"),), 1000, (1.0,)) for number in range(2300)]
    # WHEN they are made into requests
    made = list(requests(data))
    # THEN each is valid for the API
    shape = (
        botocore.session.get_session()
        .get_service_model("cloudwatch")
        .operation_model("PutMetricData")
        .input_shape
    )
    for request in made:
        assert not ParamValidator().validate(request, shape).has_errors()
        assert len(request["MetricData"]) <= 1000
        assert all(len(entry.get("Values", [])) <= 150 for entry in request["MetricData"])
    # AND everything is in them once
    entries = [entry for request in made for entry in request["MetricData"]]
    assert sum(len(entry.get("Values", [0])) for entry in entries) == 400 + 2300
    assert entries[0]["Timestamp"] == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
