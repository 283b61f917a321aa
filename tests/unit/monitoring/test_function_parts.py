"""Parts of the monitoring function, each alone: the time, the drift check that it requests, shares, and what it stores and compares."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from monitoring import function, history
from monitoring.aggregates.cells import Aggregate, Cell, CellKey, Series, Volume
from monitoring.drift.reference import Reference
from monitoring.drift.sample import Sample
from monitoring.errors import MonitoringError
from monitoring.settings import MonitoringSettings

NOW = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
SETTINGS = MonitoringSettings("s", "images", threshold=0.8, familiarity_threshold=0.1, capture_percent=50.0)


def test_spans_are_those_of_the_documentation() -> None:
    hour = timedelta(hours=1)
    assert (6 * hour, 24 * hour, 50) == (
        function.LATE,
        function.LATE_AT_MIDNIGHT,
        function.FEWEST_INVOCATIONS,
    )
    assert timedelta(days=30) == history.TRAFFIC


@pytest.mark.parametrize(
    "given", ["2026-11-21T09:05:00Z", "2026-11-21T10:05:00+01:00", "2026-11-21T04:05:00-05:00"]
)
def test_the_time_of_the_event_is_that_of_the_check(given: str) -> None:
    found = function._now({"time": given})
    assert (found, found.tzinfo) == (NOW, UTC)


@pytest.mark.parametrize("event", [{}, {"time": ""}, {"time": None}, [], None])
def test_without_a_time_it_is_now(event: Any) -> None:
    before = datetime.now(UTC)
    found = function._now(event)
    assert before <= found <= datetime.now(UTC)
    assert found.tzinfo == UTC


def test_a_time_that_is_none_is_named() -> None:
    with pytest.raises(
        MonitoringError, match="the event's time is none: 'noon'; leave it out, or write 2026-11-21T09:05:00Z"
    ):
        function._now({"time": "noon"})


@pytest.mark.parametrize("reference", [None, Reference(Sample.of("a", [0.9]), "2026-11-20T00:00:00Z", "m")])
def test_drift_is_checked_with_the_settings_and_the_reference(
    monkeypatch: pytest.MonkeyPatch, reference: Reference | None
) -> None:
    monkeypatch.setattr(function, "check", lambda *given, **options: (given, options))
    day, traffic = Aggregate(), {NOW: 7}
    (given, options) = function._check(SETTINGS, NOW, day, reference, traffic)  # type: ignore[misc]
    assert given == (day, NOW)
    sample = options.pop("reference")
    assert options == {
        "threshold": 0.8, "familiarity_threshold": 0.1, "since": reference.until if reference else "", "traffic": traffic
    }  # fmt: skip
    assert sample is reference.sample if reference else sample.count == 0


def test_a_run_that_left_captures_has_no_values_of_alarms() -> None:
    assert function._completeness(True) == {"Behind": 0}
    found = function._completeness(False)
    assert {name: value for name, value in found.items() if not math.isnan(value)} == {"Behind": 1}
    assert found.keys() == {"Behind", "DriftAlarms", "SilentHours", "SilenceAlarm"}


@pytest.mark.parametrize(("invoked", "share"), [(0, None), (99, None), (100, 0.6), (120, 0.5)])
def test_the_captured_share_is_of_what_should_be_captured(invoked: int, share: float | None) -> None:
    day = Aggregate()
    for number, variant in enumerate("ab", 1):
        day.volumes[Series("2026-11-21T08:00:00Z", "e", variant)] = Volume(records=10 * number)
    found = function._captured_share(SETTINGS, day, invoked)
    assert found == ({} if share is None else {"CapturedShare": share})


def test_the_shares_of_labels_are_of_all_predictions() -> None:
    assert function._shares(Aggregate()) == {}
    day = Aggregate()
    for label, count in (("a", 3), ("b", 1)):
        day.cells[CellKey("2026-11-21T08:00:00Z", "e", "v", label, "m")] = Cell(
            count=count, histogram={99: count}
        )
    assert function._shares(day) == {"a": 0.75, "b": 0.25}


@pytest.mark.parametrize(
    ("traffic", "hours"),
    [
        ({}, 0.0), ({NOW - timedelta(hours=2): 1, NOW: 1}, 2.0), ({datetime(2026, 10, 3, tzinfo=UTC): 1}, 20 * 24 + 9 + 5 / 60),
        ({NOW + timedelta(hours=1): 1}, 0.0),
    ],
)  # fmt: skip
def test_the_endpoint_costs_since_the_first_capture_of_the_month(
    monkeypatch: pytest.MonkeyPatch, traffic: dict[datetime, int], hours: float
) -> None:
    monkeypatch.setattr(function, "cost", lambda *given, **options: (given, options))
    settings = MonitoringSettings("s", "b", workflow_type="STANDARD", instance_type="ml.x", instance_count=3)
    (images, use), options = function._cost(settings, 7, traffic, NOW)  # type: ignore[misc]
    assert (images, use.express) == (7, False)
    assert options == {"endpoint_hours": pytest.approx(hours), "instance": "ml.x", "instances": 3}
    (_, use), _ = function._cost(SETTINGS, 7, traffic, NOW)  # type: ignore[misc]
    assert use.express is True


@pytest.mark.parametrize(
    ("read", "hour", "known", "days"),
    [
        (None, 9, True, None), (timedelta(hours=1), 9, True, 7 / 24), (timedelta(hours=1), 0, True, 25 / 24),
        (timedelta(days=2), 9, True, 2.25), (timedelta(hours=1), 9, False, None),
    ],
)  # fmt: skip
def test_captures_are_listed_back_to_the_last_run_and_as_far_as_files_are_late(
    monkeypatch: pytest.MonkeyPatch,
    aws: tuple[Any, Any],
    read: timedelta | None,
    hour: int,
    known: bool,
    days: float | None,
) -> None:
    listed: list[Any] = []
    summary = SimpleNamespace(hours=[], complete=False, files_read=3, health=function.Health())

    def run(*given: Any, **options: Any) -> Any:
        listed.append((given, options))
        return summary

    until = None if read is None else datetime.now(UTC) - read
    monkeypatch.setattr(function, "run", run)
    monkeypatch.setattr(function.History, "read_until", lambda _: until)
    monkeypatch.setattr(function, "_health", lambda _: function.Health() if known else None)
    _, response = function.observe(
        SETTINGS, NOW.replace(hour=hour), s3=aws[0], cloudwatch=aws[1], seconds=10.0
    )
    (((captures, state), options),) = listed
    assert (captures, state.rstrip("/")) == ("s3://images/captures", "s3://images/monitoring")
    found = options.pop("days")
    assert found == (None if days is None else pytest.approx(days, abs=1e-3))
    assert options == {"labels": None, "processes": 1, "seconds": 6.0}
    assert response["read"] == (until.isoformat() if until and known else None)
    assert (response["complete"], response["files_read"], response["silence"]) == (
        False, 3, "captures are still being read"
    )  # fmt: skip


def test_metrics_are_of_the_captures_of_the_current_model(
    monkeypatch: pytest.MonkeyPatch, aws: tuple[Any, Any]
) -> None:
    day, given = Aggregate(), list[Any]()
    for model, count in (("one", 3), ("two", 4)):
        day.cells[CellKey("2026-11-21T08:00:00Z", "e", "v", model, model)] = Cell(count=count)
    summary = SimpleNamespace(
        hours=["2026-11-21T08:00:00Z"], complete=True, files_read=1, health=function.Health()
    )
    found = SimpleNamespace(
        model="two",
        alarms=[],
        day=SimpleNamespace(to_json=dict),
        silence=SimpleNamespace(sentence="no silence"),
    )
    monkeypatch.setattr(function, "run", lambda *_, **__: summary)
    monkeypatch.setattr(function, "load", lambda *_, **span: given.append(span) or day)
    monkeypatch.setattr(function, "check", lambda *_, **__: found)
    monkeypatch.setattr(function.History, "traffic", lambda *_: {})
    monkeypatch.setattr(function.History, "reference", lambda *_: None)
    monkeypatch.setattr(function, "metric_values", lambda *values: given.append(values) or {})
    _, response = function.observe(SETTINGS, NOW, s3=aws[0], cloudwatch=aws[1])
    span, (settings, health, before, current, checked) = given
    assert span == {"start": "2026-11-20T09:00:00Z", "end": "2026-11-21T09:00:00Z"}
    assert [(key.label, cell.count) for key, cell in current.cells.items()] == [("two", 4)]
    assert (settings, health, before, checked) == (SETTINGS, summary.health, function.Health(), found)
    assert (response["complete"], response["silence"], response["model"]) == (True, "no silence", "two")
