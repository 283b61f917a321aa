"""What CloudWatch counted: images of a month, invocations of any span."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from monitoring.cloudwatch.usage import counted, invocations

NOW = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        yield boto3.client("cloudwatch", region_name="us-east-1")


def put(cloudwatch: Any, name: str, at: datetime, count: float, stack: str = "s") -> None:
    dimensions = [{"Name": "Stack", "Value": stack}]
    row = {"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Values": [20.0], "Counts": [count]}
    cloudwatch.put_metric_data(Namespace="Dropsort", MetricData=[row])


def test_invocations_of_a_long_span_are_requested_in_parts(cloudwatch: Any) -> None:
    """GIVEN invocations over a quarter WHEN its hours are counted THEN each counts once, and no others."""
    end = NOW.replace(minute=0)
    start = end - timedelta(days=90)
    for at, count in (
        (start, 3),
        (end - timedelta(days=30), 5),
        (end - HOUR, 7),
        (end, 100),
        (start - HOUR, 100),
    ):
        put(cloudwatch, "EndpointLatency", at, count)
    put(cloudwatch, "EndpointLatency", end - HOUR, 100, stack="another")

    assert invocations(cloudwatch, "s", start, end) == 15
    assert invocations(cloudwatch, "s", end, end) == 0


def test_images_of_the_month_and_invocations_of_the_day(cloudwatch: Any) -> None:
    put(cloudwatch, "EndpointLatency", NOW - 2 * HOUR, 4)
    put(cloudwatch, "EndpointLatency", NOW - 30 * HOUR, 9)
    for name in ("Classified", "LowConfidence", "Failed"):
        dimensions = [{"Name": "Stack", "Value": "s"}]
        row = {"MetricName": name, "Dimensions": dimensions, "Timestamp": NOW - 30 * HOUR, "Value": 2.0}
        cloudwatch.put_metric_data(Namespace="Dropsort", MetricData=[row])

    assert counted(cloudwatch, "s", NOW) == (6, 4)


def test_invocations_are_those_of_the_24_hours_before_this_one(cloudwatch: Any) -> None:
    hour = NOW.replace(minute=0)
    for at, count in (
        (hour, 100), (hour - HOUR, 3), (hour - timedelta(days=1), 5), (hour - timedelta(days=1, minutes=1), 100),
    ):  # fmt: skip
        put(cloudwatch, "EndpointLatency", at, count)
    assert counted(cloudwatch, "s", NOW)[1] == 8


def test_each_request_has_a_span_and_no_more_points_than_cloudwatch_returns_at_once() -> None:
    requests: list[dict[str, Any]] = []

    def statistics(**given: Any) -> dict[str, Any]:
        requests.append(given)
        return {"Datapoints": []}

    client: Any = SimpleNamespace(get_metric_statistics=statistics)
    month = datetime(2026, 12, 1, tzinfo=UTC)
    # WHEN a month begins, and over a quarter
    assert counted(client, "s", month) == (0, 0)
    assert counted(client, "s", month + HOUR) == (0, 0)
    assert invocations(client, "s", month - timedelta(days=90), month) == 0
    assert len(requests) == 1 + 4 + 2
    day, hour = 86400, 3600  # invocations are counted by the hour, images by the day
    assert [given["Period"] for given in requests] == [hour, day, day, day, hour, hour, hour]
    for given in requests:
        span = given["EndTime"] - given["StartTime"]
        assert timedelta(0) < span <= timedelta(seconds=1440 * given["Period"])
