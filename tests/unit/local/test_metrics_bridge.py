"""The bridge from log groups to CloudWatch, against moto's two services."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dropsort.local import metrics_bridge
from dropsort.local.metrics_bridge import OVERLAP_MS, MetricsBridge

GROUP = "/aws/lambda/dropsort-filter"


class Aws:
    """Log group and CloudWatch of a test."""

    def __init__(self) -> None:
        self.logs: Any = boto3.client("logs", "us-east-1")
        self.cloudwatch: Any = boto3.client("cloudwatch", "us-east-1")
        self.logs.create_log_group(logGroupName=GROUP)
        self.now = int(time.time() * 1000)

    def write(self, stream: str, *counts: int, ago_ms: int = 0) -> None:
        """Log a line for each count."""
        known = {
            item["logStreamName"] for item in self.logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
        }
        if stream not in known:
            self.logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        when = self.now - ago_ms
        events = [{"timestamp": when, "message": metric(count, when)} for count in counts]
        self.logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)

    def total(self) -> float:
        """Sum of all values that CloudWatch has got."""
        now = datetime.now(UTC)
        points = self.cloudwatch.get_metric_statistics(
            Namespace="Dropsort",
            MetricName="Classified",
            Dimensions=[{"Name": "Stack", "Value": "s"}],
            StartTime=now - timedelta(days=1),
            EndTime=now + timedelta(hours=1),
            Period=86400,
            Statistics=["Sum"],
        )["Datapoints"]
        return float(sum(point["Sum"] for point in points))


def metric(count: int, when: int) -> str:
    """A line with one metric."""
    directive = {"Namespace": "Dropsort", "Dimensions": [["Stack"]], "Metrics": [{"Name": "Classified"}]}
    return json.dumps(
        {"_aws": {"Timestamp": when, "CloudWatchMetrics": [directive]}, "Stack": "s", "Classified": count}
    )


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    """Moto's services."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield Aws()


def test_every_line_counts_once_however_often_it_is_read(aws: Aws) -> None:
    # GIVEN lines, two of them the same in stream, time and text
    bridge = MetricsBridge(aws.logs, aws.cloudwatch)
    aws.write("one", 1, 1, 5)
    aws.write("two", 1)
    # WHEN passes are made
    passes = [bridge.forward() for _ in range(3)]
    # THEN
    assert passes == [4, 0, 0]
    assert aws.total() == 8


def test_lines_that_appear_out_of_order_are_found(aws: Aws) -> None:
    # GIVEN a pass that has seen a line
    bridge = MetricsBridge(aws.logs, aws.cloudwatch)
    aws.write("one", 1)
    bridge.forward()
    # WHEN another stream gets a line of a second ago
    aws.write("two", 10, ago_ms=1000)
    bridge.forward()
    # THEN both count
    assert aws.total() == 11


def test_a_new_run_continues_where_the_last_one_stopped(aws: Aws, tmp_path: Path) -> None:
    # GIVEN a bridge that has forwarded, and lines that came after it
    aws.write("one", 1)
    MetricsBridge(aws.logs, aws.cloudwatch, tmp_path / "metrics.json").forward()
    aws.write("one", 10)
    # WHEN the next one starts
    assert MetricsBridge(aws.logs, aws.cloudwatch, tmp_path / "metrics.json").forward() == 1
    # THEN each counts once
    assert aws.total() == 11


@pytest.mark.parametrize("content", ["", "{", "[]", '{"g": 3}', '{"g": ["x", {}]}', '{"g": [1, {"k": 2}]}'])
def test_a_damaged_checkpoint_is_no_obstacle(aws: Aws, tmp_path: Path, content: str) -> None:
    checkpoint = tmp_path / "metrics.json"
    checkpoint.write_text(content)
    aws.write("one", 1)
    assert MetricsBridge(aws.logs, aws.cloudwatch, checkpoint).forward() == 1


def test_what_cloudwatch_rejects_is_forwarded_later(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a CloudWatch that fails once
    bridge = MetricsBridge(aws.logs, aws.cloudwatch)
    aws.write("one", 3)
    put, failures = aws.cloudwatch.put_metric_data, iter([True])

    def sometimes(**request: Any) -> Any:
        if next(failures, False):
            raise ConnectionError("gone")
        return put(**request)

    monkeypatch.setattr(aws.cloudwatch, "put_metric_data", sometimes)
    # WHEN it is tried again
    with pytest.raises(ConnectionError):
        bridge.forward()
    bridge.forward()
    # THEN nothing is lost
    assert aws.total() == 3


def test_the_end_forwards_what_is_left(aws: Aws) -> None:
    bridge = MetricsBridge(aws.logs, aws.cloudwatch)
    bridge.start()
    aws.write("one", 4)
    bridge.stop()
    assert aws.total() == 4


def test_the_end_forwards_nothing_where_all_is_to_end_at_once(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_bridge, "INTERVAL_SECONDS", 600.0)
    bridge = MetricsBridge(aws.logs, aws.cloudwatch)
    bridge.start()
    aws.write("one", 4)
    bridge.stop(forward=False)
    assert aws.total() == 0


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_an_event_at_the_edge_of_the_overlap_counts_once(aws: Aws, step: int) -> None:
    bridge = MetricsBridge(aws.logs, aws.cloudwatch)
    # GIVEN an event that is as old as the overlap, or a millisecond to either side
    aws.write("one", 1, ago_ms=OVERLAP_MS + step)
    aws.write("one", 2)
    assert bridge.forward() == 2
    # WHEN the same events are read again THEN none is forwarded twice
    assert bridge.forward() == 0
    assert aws.total() == 3


class WithoutTokens:
    """Logs as the embedded AWS has them: a full page names no token, and the next one begins with its last time."""

    def __init__(self, logs: Any) -> None:
        self.logs = logs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.logs, name)

    def filter_log_events(self, **request: Any) -> Any:
        page = self.logs.filter_log_events(**request)
        page.pop("nextToken", None)
        return page


def test_lines_that_two_pages_have_in_common_count_once(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_bridge, "PAGE", 4)
    logs: Any = WithoutTokens(aws.logs)
    for age in range(10, 0, -1):
        aws.write("one", 1, ago_ms=age)
    bridge = MetricsBridge(logs, aws.cloudwatch)
    assert [bridge.forward(), bridge.forward()] == [10, 0]
    assert aws.total() == 10


def test_memory_stays_flat(aws: Aws) -> None:
    # GIVEN a bridge that has seen many lines
    bridge = MetricsBridge(aws.logs, aws.cloudwatch)
    for age in range(60_000, 0, -10_000):
        aws.write("one", *range(200), ago_ms=age)
        bridge.forward()
    # THEN it knows only those that a later pass could see again
    assert len(bridge._marks[GROUP].known) == 200


@pytest.mark.parametrize(
    ("took", "pause"), [(0.0, 2.0), (0.1, 2.0), (0.11, 2.2), (0.5, 10.0), (0.6, 10.0), (60.0, 10.0)]
)
def test_a_pass_that_takes_long_is_made_less_often_within_limits(
    monkeypatch: pytest.MonkeyPatch, took: float, pause: float
) -> None:
    bridge, moments, pauses = MetricsBridge(None, None), iter([100.0, 100.0 + took]), list[float]()  # type: ignore[arg-type]
    monkeypatch.setattr(metrics_bridge, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    monkeypatch.setattr(
        bridge, "_stop", SimpleNamespace(wait=lambda seconds: pauses.append(seconds) or len(pauses) == 2)
    )
    bridge._run()
    assert pauses == [2.0, pytest.approx(pause)]


def test_what_was_forwarded_is_recorded_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = MetricsBridge(None, None, tmp_path / "metrics.json")  # type: ignore[arg-type]
    bridge._marks = {"group": metrics_bridge.ReadPosition(5, {"a": (5, 1)})}
    bridge._write()
    monkeypatch.setattr("os.replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bridge._write()
    assert metrics_bridge._read(tmp_path / "metrics.json") == bridge._marks


def test_a_listing_has_the_pages_of_the_api() -> None:
    """CloudWatch Logs returns at most ten thousand events at once: a page of fewer without a token is the last."""
    assert metrics_bridge.PAGE == 10_000
