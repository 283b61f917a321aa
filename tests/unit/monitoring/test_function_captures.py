"""Which captures a run of the hourly function reads and counts: again, late, in part, after an outage, of a sample."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitoring.drift.sample import Sample
from monitoring.function import observe
from monitoring.prices import ResourceUse, cost
from tests.unit.monitoring.test_function import NOW, SETTINGS, last_read_at, metrics_of, put_captures


def test_a_second_run_adds_nothing(aws: tuple[Any, Any]) -> None:
    """GIVEN captures that were read WHEN the function runs again THEN no capture counts twice."""
    s3, cloudwatch = aws
    put_captures(s3, NOW - timedelta(hours=2), 40)
    observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    lines, _ = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    assert metrics_of(lines)["Captured"] == 0
    assert metrics_of(lines)["Duplicates"] == 0


def test_a_backlog_is_read_run_by_run_and_alarms_nobody(
    aws: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN two and a half days of captures and runs without time WHEN they follow each other THEN all is read, and nothing alarms."""
    s3, cloudwatch = aws
    monkeypatch.setattr("monitoring.ingest.tasks.TASK_FILES", 6)  # that a run reads before it checks the time
    now = datetime.now(UTC)
    for i in range(3, 61, 3):
        put_captures(s3, now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=i), 72)
    common = {"Dimensions": [{"Name": "Stack", "Value": "dropsort"}], "Timestamp": now - timedelta(hours=3)}
    latency = {"MetricName": "EndpointLatency", "Values": [20.0], "Counts": [576.0], **common}
    cloudwatch.put_metric_data(Namespace="Dropsort", MetricData=[latency])

    captured, runs = 0.0, 0
    for _ in range(60):
        lines, response = observe(SETTINGS, now, s3=s3, cloudwatch=cloudwatch, seconds=0.0)
        values = metrics_of(lines)
        captured, runs = captured + values["Captured"], runs + 1
        assert response["alarms"] == []
        if values["Captured"] == 0:
            break
        assert not {"SilenceAlarm", "DriftAlarms", "CapturedShare"} & set(values)
        assert values["Behind"] == 1
    lines, response = observe(SETTINGS, now, s3=s3, cloudwatch=cloudwatch)

    assert runs == 5
    assert captured == 60 * 24
    assert response["complete"]
    assert response["day"]["reference_size"] >= 1000
    assert metrics_of(lines)["Behind"] == metrics_of(lines)["SilenceAlarm"] == 0
    assert metrics_of(lines)["CapturedShare"] == pytest.approx(1, abs=0.05)


def test_nothing_is_judged_on_captures_that_were_read_in_part(
    aws: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a day of other labels, then silence WHEN a part of the captures is read THEN neither is judged before the rest is."""
    s3, cloudwatch = aws
    monkeypatch.setattr("monitoring.ingest.tasks.TASK_FILES", 1)
    start = NOW.replace(minute=0)
    reference = Sample.of(["bicycle", "motorcycle"] * 500, [0.95] * 1000).to_json()
    s3.put_object(Bucket="images", Key="monitoring/reference.json", Body=json.dumps(reference))
    hours = [start - timedelta(hours=hour) for hour in range(7, 14 * 24)]
    traffic = {f"{hour:%Y-%m-%dT%H}:00:00Z": 60 for hour in hours}
    s3.put_object(Bucket="images", Key="monitoring/traffic.json", Body=json.dumps(traffic))
    for hour in (7, 8):
        put_captures(s3, start - timedelta(hours=hour), 200, share=0.98)

    lines, response = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch, seconds=0.0)

    assert metrics_of(lines)["Captured"] == 200
    assert metrics_of(lines)["Behind"] == 1
    assert not {"DriftAlarms", "SilentHours", "SilenceAlarm", "CapturedShare"} & set(metrics_of(lines))
    assert (response["complete"], response["read"], response["alarms"]) == (False, None, [])
    assert response["day"]["window_size"] == 0
    assert response["silence"] == "captures are still being read"

    lines, response = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    assert metrics_of(lines)["Captured"] == 200
    assert metrics_of(lines)["Behind"] == 0
    assert metrics_of(lines)["DriftAlarms"] >= 1
    assert (metrics_of(lines)["SilenceAlarm"], metrics_of(lines)["SilentHours"]) == (1, 6)
    assert response["complete"]
    assert response["day"]["window_size"] == 400
    assert any("of the captures" in alarm for alarm in response["alarms"])
    assert response["silence"] in response["alarms"]


@pytest.mark.parametrize(
    ("percent", "invoked", "share"), [(100, 50, 1.2), (50, 100, 1.2), (50, 99, None), (25, 400, 0.6)]
)
def test_the_captured_share_is_of_the_invocations_that_are_sampled(
    aws: tuple[Any, Any], percent: int, invoked: int, share: float | None
) -> None:
    """GIVEN an endpoint that captures a part of its invocations WHEN 60 were captured THEN they are a share of that part, from 50 on."""
    s3, cloudwatch = aws
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    put_captures(s3, hour, 60)
    common = {"Dimensions": [{"Name": "Stack", "Value": "dropsort"}], "Timestamp": hour}
    latency = {"MetricName": "EndpointLatency", "Values": [20.0], "Counts": [float(invoked)], **common}
    cloudwatch.put_metric_data(Namespace="Dropsort", MetricData=[latency])
    lines, _ = observe(replace(SETTINGS, capture_percent=percent), now, s3=s3, cloudwatch=cloudwatch)
    assert metrics_of(lines).get("CapturedShare") == (share and pytest.approx(share))


def test_what_came_while_the_function_was_down_is_read(aws: tuple[Any, Any]) -> None:
    """GIVEN a function that last read everything nine days ago WHEN it runs again THEN captures of those days count."""
    s3, cloudwatch = aws
    now = datetime.now(UTC)
    put_captures(s3, now - timedelta(days=9), 10)
    observe(SETTINGS, now, s3=s3, cloudwatch=cloudwatch)
    last_read_at(s3, now - timedelta(days=9))
    put_captures(s3, now - timedelta(days=6), 20)

    lines, _ = observe(SETTINGS, now, s3=s3, cloudwatch=cloudwatch)

    assert metrics_of(lines)["Captured"] == 20
    traffic = json.loads(s3.get_object(Bucket="images", Key="monitoring/traffic.json")["Body"].read())
    assert sum(traffic.values()) == 30


def test_late_files_are_found_for_hours_and_at_midnight_for_a_day(aws: tuple[Any, Any]) -> None:
    """GIVEN files that come two and twenty hours late WHEN checked by day and at midnight THEN each is found in its time."""
    s3, cloudwatch = aws
    now = datetime.now(UTC)
    midday, midnight = now.replace(hour=12), now.replace(hour=0)
    observe(SETTINGS, midday, s3=s3, cloudwatch=cloudwatch)
    put_captures(s3, now - timedelta(hours=2), 10)
    put_captures(s3, now - timedelta(hours=20), 20)

    found = [
        metrics_of(observe(SETTINGS, look, s3=s3, cloudwatch=cloudwatch)[0])["Captured"]
        for look in (midday, midnight)
    ]

    assert found == [10, 20]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"yesterday": "many"}'])
def test_damaged_traffic_is_made_again(aws: tuple[Any, Any], body: bytes) -> None:
    """GIVEN stored documents that are damaged but can be made again WHEN the function runs THEN it makes them again."""
    s3, cloudwatch = aws
    put_captures(s3, NOW - timedelta(hours=2), 40)
    observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)
    for name in ("traffic", "latest"):
        s3.put_object(Bucket="images", Key=f"monitoring/{name}.json", Body=body)

    observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    kept = json.loads(s3.get_object(Bucket="images", Key="monitoring/traffic.json")["Body"].read())
    assert list(kept.values()) == [40]


def test_the_endpoint_costs_from_its_first_capture_of_the_month_on(aws: tuple[Any, Any]) -> None:
    """GIVEN captures of two hours WHEN the function runs THEN instances cost that long, and in a new month since it began."""
    s3, cloudwatch = aws
    put_captures(s3, NOW - timedelta(hours=2), 40)  # in the hour from 7:00 on
    settings = replace(SETTINGS, instance_type="ml.m5.xlarge", instance_count=2)
    for now, hours in ((NOW, 2 + 5 / 60), (datetime(2026, 12, 1, 4, 30, tzinfo=UTC), 4.5)):
        lines, _ = observe(settings, now, s3=s3, cloudwatch=cloudwatch)
        per_hour = cost(0, ResourceUse(), endpoint_hours=1, instance="ml.m5.xlarge", instances=2)
        assert metrics_of(lines)["CostSoFar"] == pytest.approx(hours * per_hour)


def test_captures_are_held_against_invocations_and_cost_is_counted(aws: tuple[Any, Any]) -> None:
    """GIVEN what the handlers emit WHEN the function runs THEN captured share and cost come from it."""
    s3, cloudwatch = aws
    put_captures(s3, NOW - timedelta(hours=2), 40)
    dimensions = [{"Name": "Stack", "Value": "dropsort"}]
    common = {"Dimensions": dimensions, "Timestamp": NOW - timedelta(hours=2)}
    cloudwatch.put_metric_data(
        Namespace="Dropsort",
        MetricData=[
            {"MetricName": "EndpointLatency", "Values": [20.0], "Counts": [80.0], **common},
            {"MetricName": "Classified", "Value": 1000.0, **common},
        ],
    )

    lines, _ = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    assert metrics_of(lines)["CostSoFar"] == pytest.approx(cost(1000, ResourceUse()))
    standard, _ = observe(replace(SETTINGS, workflow_type="STANDARD"), NOW, s3=s3, cloudwatch=cloudwatch)
    assert metrics_of(standard)["CostSoFar"] == pytest.approx(cost(1000, ResourceUse(express=False)))
    assert metrics_of(lines)["CapturedShare"] == 0.5
    # AND of a sample fewer captures are expected: 50 of 80 invocations, below which a share means nothing
    for percent, share in ((62.5, 0.8), (62.4, None)):
        sampled = replace(SETTINGS, capture_percent=percent)
        lines, _ = observe(sampled, NOW, s3=s3, cloudwatch=cloudwatch)
        assert metrics_of(lines).get("CapturedShare") == share
