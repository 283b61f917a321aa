"""When the service on one machine runs the backlog function, and with what event."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.local import automatic_redrive
from dropsort.local.automatic_redrive import AutomaticRedrive

OUTPUTS = {"StateMachineArn": "workflow", "BacklogStateMachineArn": "backlog", "BacklogFunction": "function"}


class Service:
    """Lambda, Step Functions and S3 of a service: what runs, what the function returns, what was requested of both."""

    def __init__(self) -> None:
        self.running: dict[str, list[datetime]] = {"workflow": [], "backlog": []}
        self.returned: dict[str, Any] = {"started": 0, "without_result": 0}
        self.error: dict[str, str] | None = None
        self.events: list[dict[str, float]] = []
        self.stopped: list[str] = []
        self.deleted: list[str] = []
        self.reported: list[str] = []
        self.redrive = AutomaticRedrive(self, self, self, "bucket", OUTPUTS, self.reported.append)

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        assert FunctionName == "function"
        self.events.append(json.loads(Payload))
        body = {"Payload": io.BytesIO(json.dumps(self.error or self.returned).encode())}
        return body | ({"FunctionError": "Unhandled"} if self.error else {})

    def list_executions(self, *, stateMachineArn: str, **_: Any) -> dict[str, Any]:
        return {
            "executions": [
                {"startDate": at, "executionArn": f"{stateMachineArn}-{number}"}
                for number, at in enumerate(self.running[stateMachineArn])
            ]
        }

    def stop_execution(self, *, executionArn: str) -> None:
        self.stopped.append(executionArn)

    def delete_object(self, *, Bucket: str, Key: str) -> None:
        assert Bucket == "bucket"
        self.deleted.append(Key)


@pytest.fixture
def service() -> Service:
    return Service()


def test_after_a_start_everything_of_the_previous_run_is_started(service: Service) -> None:
    # GIVEN a run of the backlog that was in progress when the previous run of the service was killed
    service.running["backlog"] = [datetime.now(UTC)]
    service.running["workflow"] = [datetime.now(UTC)]
    service.returned = {"started": 3, "without_result": 3}
    assert service.redrive.check(everything=True) == 3
    assert service.events == [{"interval_seconds": 0, "min_age_seconds": 0}]
    assert service.stopped == ["backlog-0"]
    # AND one that was announced and lost with it does not count as in progress
    assert service.deleted == ["backlog/current.json"]


def test_what_an_execution_still_works_on_is_left_to_the_functions_own_time(service: Service) -> None:
    service.running["workflow"] = [datetime.now(UTC)]
    service.redrive.check()
    assert "min_age_seconds" not in service.events[-1]
    # AND an execution that would have ended on AWS does not count
    service.running["workflow"] = [datetime.now(UTC) - 2 * timedelta(minutes=5)]
    service.redrive.check()
    assert service.events[-1]["min_age_seconds"] == automatic_redrive.MIN_AGE_SECONDS
    assert service.stopped == service.deleted == []


def test_what_is_started_in_vain_is_started_less_and_less_often(service: Service) -> None:
    service.returned = {"started": 2, "without_result": 2}
    for _ in range(8):
        service.redrive.check()
    found = [event["interval_seconds"] for event in service.events]
    assert found[:4] == [30, 30, 60, 120]
    assert found[-1] == automatic_redrive.LONGEST_INTERVAL_SECONDS
    # WHEN something changes THEN it is as often as at first
    service.returned = {"started": 1, "without_result": 1}
    service.redrive.check()
    service.redrive.check()
    assert service.events[-1]["interval_seconds"] == automatic_redrive.INTERVAL_SECONDS


def test_a_function_that_fails_is_reported_and_survived(service: Service) -> None:
    service.error = {"errorType": "NoSuchBucket", "errorMessage": "gone"}
    report = service.reported.append
    service.redrive._report = lambda text: (report(text), service.redrive.stop())  # type: ignore[func-returns-value]
    service.redrive._run(True)
    assert "could not be started again: NoSuchBucket: gone" in service.reported[0]


@pytest.mark.parametrize(
    ("took", "pause"), [(0.5, 30.0), (0.6, 30.0), (1.0, 50.0), (2.4, 120.0), (2.5, 120.0), (60.0, 120.0)]
)
def test_a_check_that_takes_long_is_made_less_often_within_limits(
    service: Service, monkeypatch: pytest.MonkeyPatch, took: float, pause: float
) -> None:
    # GIVEN a listing that takes so many seconds, by a clock of the test
    moments, pauses = iter([100.0, 100.0 + took]), []
    monkeypatch.setattr(automatic_redrive, "time", SimpleNamespace(monotonic=lambda: next(moments)))

    class Stop:
        def wait(self, seconds: float) -> bool:
            pauses.append(seconds)
            return len(pauses) == 2

    monkeypatch.setattr(service.redrive, "_stop", Stop())
    service.redrive._run(False)
    assert pauses == [30.0, pytest.approx(pause)]


def test_uploads_that_were_just_made_have_half_a_minute(service: Service) -> None:
    service.redrive.check()
    assert service.events == [{"interval_seconds": 30.0, "min_age_seconds": 30.0}]


def test_where_nothing_is_started_the_interval_stays(service: Service) -> None:
    service.returned = {"started": 0, "without_result": 2}
    for _ in range(3):
        service.redrive.check()
    assert [event["interval_seconds"] for event in service.events] == [30, 30, 30]


@pytest.mark.parametrize(("seconds", "waits"), [(299, True), (300, False), (301, False)])
def test_an_execution_is_waited_for_five_minutes(
    service: Service, monkeypatch: pytest.MonkeyPatch, seconds: int, waits: bool
) -> None:
    now = datetime.now(UTC)
    monkeypatch.setattr(automatic_redrive, "datetime", SimpleNamespace(now=lambda _: now))
    service.running["workflow"] = [now - timedelta(seconds=seconds)]
    service.redrive.check()
    assert ("min_age_seconds" not in service.events[0]) is waits


@pytest.mark.parametrize(("count", "words"), [(0, []), (1, ["1 upload"]), (3, ["3 uploads"])])
def test_what_was_started_is_reported(
    service: Service, monkeypatch: pytest.MonkeyPatch, count: int, words: list[str]
) -> None:
    waits = iter([False, True])
    monkeypatch.setattr(service.redrive, "check", lambda _everything: count)
    monkeypatch.setattr(service.redrive, "_stop", SimpleNamespace(wait=lambda _: next(waits)))
    service.redrive._run(False)
    assert service.reported == [f"Started {one} without a final result again" for one in words]
