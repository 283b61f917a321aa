"""What `dropsort status` shows of a state, and at what age an upload without a result is no longer in progress."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from dropsort.cli.status import facts
from dropsort.client import status
from dropsort.client.deployed_service import DeployedService
from dropsort.client.status import Status
from dropsort.contract import backlog, reconciliation

OLD, NEW = datetime(2026, 11, 26, 9, tzinfo=UTC), datetime(2026, 11, 26, 10, 30, 15, tzinfo=UTC)
RUN = backlog.BacklogRun("r", "arn", "2026-11-26T09:00:00+00:00", 1200)
EVERYTHING = Status(
    uploads=12345, in_progress=1000, retryable=2000, without_result=3, oldest="incoming/a\x1b.jpg", oldest_uploaded=OLD,
    unreviewed=4000, oldest_unreviewed=NEW, failed=Counter({"empty_object": 1, "not_an_image": 1001}), run=RUN,
    run_items={"pending": 0, "running": 7, "succeeded": 1193}, endpoint="InService", endpoint_name="bikes",
    model="m-\u202e1", thresholds={"Threshold": "0.9", "LabelThresholds": "a=\x07"}, alarms=["dropsort-a", "dropsort-b"],
)  # fmt: skip


def test_the_lines_of_everything() -> None:
    assert facts(EVERYTHING) == [
        ("uploads", "12,345"), ("in progress", "1,000"), ("waiting", "2,000 retryable, 3 without a result"),
        ("oldest without a result", "incoming/a\ufffd.jpg, uploaded 2026-11-26 09:00:00 UTC"),
        ("to review", "4,000 of low confidence, the oldest since 2026-11-26 10:30:15 UTC"),
        ("failed", "1,001 not_an_image"), ("failed", "1 empty_object"),
        ("backlog", "1,200 uploads since 2026-11-26T09:00:00+00:00: 7 running, 1,193 succeeded"),
        ("endpoint", "bikes: InService"), ("model", "m-\ufffd1"),
        ("thresholds", "Threshold 0.9, LabelThresholds a=\ufffd"), ("alarms", "dropsort-a, dropsort-b"),
    ]  # fmt: skip


def test_the_lines_of_nothing() -> None:
    assert facts(Status(endpoint="unknown", endpoint_name="bikes")) == [
        ("uploads", "0"), ("in progress", "0"), ("waiting", "0 retryable, 0 without a result"), ("to review", "0 of low confidence"),
        ("backlog", "no run in progress"), ("endpoint", "bikes: unknown"), ("thresholds", "the template's"), ("alarms", "none"),
    ]  # fmt: skip
    assert dict(facts(Status(run=RUN)))["backlog"].endswith("+00:00: starting")


def test_the_document_has_everything_and_null_for_what_there_is_not() -> None:
    assert EVERYTHING.to_json() == {
        "uploads": 12345, "in_progress": 1000, "retryable": 2000, "without_result": 3, "oldest": "incoming/a\x1b.jpg",
        "oldest_uploaded": OLD, "unreviewed": 4000, "oldest_unreviewed": NEW, "failed": {"not_an_image": 1001, "empty_object": 1},
        "run": {"id": "r", "started": RUN.started, "uploads": 1200, "pending": 0, "running": 7, "succeeded": 1193},
        "endpoint": "InService", "endpoint_name": "bikes", "model": "m-\u202e1",
        "thresholds": {"Threshold": "0.9", "LabelThresholds": "a=\x07"}, "alarms": ["dropsort-a", "dropsort-b"],
    }  # fmt: skip
    nothing = Status().to_json()
    assert [name for name, value in nothing.items() if value is None] == [
        "oldest", "oldest_uploaded", "oldest_unreviewed", "run", "model"
    ]  # fmt: skip


class Aws:
    """Clients of a service of which only its uploads are of interest, and of an endpoint that responds with an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, _name: str) -> Any:
        return self

    def describe_endpoint(self, **_: Any) -> Any:
        raise self.error

    def describe_alarms(self, **_: Any) -> Any:
        return {"MetricAlarms": []}


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What reconciliation finds, at a moment at which the clock stands."""
    found: list[Any] = []
    monkeypatch.setattr(status.reconciliation, "check", lambda *_, **__: found)
    monkeypatch.setattr(status.results, "iterate", lambda *_, **__: ())
    monkeypatch.setattr(status.backlog, "current", lambda *_: None)
    monkeypatch.setattr(status, "datetime", SimpleNamespace(now=lambda _: NEW))
    return found


def item(
    key: str, age: timedelta, why: str = reconciliation.NO_RESULT, review: datetime | None = None
) -> Any:
    return SimpleNamespace(upload=SimpleNamespace(key=key, written=NEW - age), why=why, unreviewed=review)


def denied(message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "DescribeEndpoint")


@pytest.mark.parametrize(
    ("error", "endpoint"),
    [
        (denied('Could not find endpoint "bikes".'), "not found"),
        (denied("not authorized"), "unknown"),
        (EndpointConnectionError(endpoint_url="http://x"), "unknown"),
    ],
)
def test_after_ten_minutes_an_upload_is_no_longer_in_progress(
    checked: list[Any], error: Exception, endpoint: str
) -> None:
    # GIVEN uploads without a result a moment before and after the limit, older ones, a retryable one, and one with a result
    minutes, second = timedelta(minutes=10), timedelta(seconds=1)
    checked += [
        item("younger", minutes - second), item("limit", minutes), item("oldest", minutes + 2 * second),
        item("older", minutes + second), item("waits", minutes + 9 * second, reconciliation.RETRYABLE),
        item("fine", minutes, "", NEW), item("fine too", minutes, "", OLD), item("and this", minutes, "", NEW),
    ]  # fmt: skip
    found = status.read(Aws(error), DeployedService("dropsort", "images", "arn", "bikes", {}, {}))
    assert (found.uploads, found.in_progress, found.retryable, found.without_result) == (8, 1, 1, 3)
    assert (found.oldest, found.oldest_uploaded) == ("oldest", NEW - minutes - 2 * second)
    assert (found.unreviewed, found.oldest_unreviewed) == (3, OLD)
    assert (found.endpoint, found.endpoint_name, found.alarms) == (endpoint, "bikes", [])


def test_of_uploads_of_one_moment_the_first_is_the_oldest(checked: list[Any]) -> None:
    checked[:] = [item(key, timedelta(days=1)) for key in ("a", "b")]
    found = status.read(Aws(denied("x")), DeployedService("dropsort", "images", "arn", "bikes", {}, {}))
    assert found.oldest == "a"
