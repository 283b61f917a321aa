"""Starting a run of the backlog: how many at once, how long it takes, and what keeps it from starting."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.cli.redrive import estimate
from dropsort.client import redrive
from dropsort.client.deployed_service import DeployedService
from dropsort.client.errors import ClientError
from dropsort.contract import backlog
from dropsort.contract.backlog import BacklogRun, UploadList

MACHINE = "arn:aws:states:eu-west-1:1:stateMachine:b"


def service(outputs: dict[str, str] | None = None, **parameters: str) -> DeployedService:
    return DeployedService("dropsort", "images", "arn", "bikes", outputs or {}, parameters)


def test_the_concurrency_is_that_of_the_stack_or_the_templates_default() -> None:
    assert redrive.concurrency(service(BacklogConcurrency="7")) == 7
    assert redrive.concurrency(service()) == redrive.concurrency(service(BacklogConcurrency="")) == 40


def test_twice_as_many_uploads_take_twice_as_long_and_half_as_long_with_twice_the_concurrency() -> None:
    assert redrive.estimated_seconds(1000, 40) == pytest.approx(10)
    assert redrive.estimated_seconds(2000, 40) == pytest.approx(20)
    assert redrive.estimated_seconds(2000, 80) == pytest.approx(10)


@pytest.mark.parametrize(
    ("uploads", "seconds", "words"),
    [
        (1, 0.0, "1 upload, about 1 second, about $0.50"), (2, 1.4, "2 uploads, about 1 second, about $0.50"),
        (1000, 1.6, "1,000 uploads, about 2 seconds,"), (2, 119.4, "about 119 seconds,"), (2, 120, "about 2 minutes,"),
        (2, 360_000, "about 6,000 minutes,"),
    ],
)  # fmt: skip
def test_an_estimate_is_a_sentence(uploads: int, seconds: float, words: str) -> None:
    assert words in estimate(uploads, seconds, 0.5)


def test_a_stack_without_a_backlog_is_to_be_updated() -> None:
    with UploadList() as uploads, pytest.raises(ClientError, match="dropsort deploy --stack dropsort"):
        redrive.start(lambda _: pytest.fail("no request"), service(), uploads)


@pytest.mark.parametrize(("at_once", "expected"), [(None, 7), (3, 3)])
def test_a_run_is_started_with_the_concurrency_that_was_given(
    monkeypatch: pytest.MonkeyPatch, at_once: int | None, expected: int
) -> None:
    started: list[Any] = []
    run = BacklogRun("r", "arn", "2026-11-26T09:00:00+00:00", 0)
    monkeypatch.setattr(backlog, "start", lambda *given, **options: started.append((given, options)) or run)
    of = service({"BacklogStateMachineArn": MACHINE}, BacklogConcurrency="7")
    with UploadList() as uploads:
        assert redrive.start(lambda name: name, of, uploads, at_once) is run
    assert started == [(("s3", "stepfunctions", "images", MACHINE, uploads), {"concurrency": expected})]


def test_another_run_is_named_and_what_shows_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any, **__: Any) -> BacklogRun:
        raise backlog.InProgress("A run with 5 uploads is in progress.")

    monkeypatch.setattr(backlog, "start", busy)
    of = service({"BacklogStateMachineArn": MACHINE})
    with UploadList() as uploads, pytest.raises(ClientError, match=r"5 uploads is in progress\..*status"):
        redrive.start(lambda _: None, of, uploads)


def test_the_executions_of_a_run_are_counted_once_it_has_begun() -> None:
    class States:
        runs: tuple[dict[str, str], ...] = ()

        def list_map_runs(self, *, executionArn: str) -> Any:
            assert executionArn == "arn"
            return {"mapRuns": self.runs}

        def describe_map_run(self, *, mapRunArn: str) -> Any:
            assert mapRunArn == "first"
            return {
                "itemCounts": {
                    "pending": 1,
                    "running": 2,
                    "succeeded": 3,
                    "failed": 4,
                    "total": 10,
                    "aborted": 9,
                }
            }

    run = BacklogRun("r", "arn", "2026-11-26T09:00:00+00:00", 10)
    assert redrive.counts(States(), run) is None
    States.runs = ({"mapRunArn": "first"}, {"mapRunArn": "second"})
    assert redrive.counts(States(), run) == {
        "pending": 1,
        "running": 2,
        "succeeded": 3,
        "failed": 4,
        "total": 10,
    }


def test_every_upload_is_selected_on_demand_but_those_that_are_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = datetime(2026, 11, 26, tzinfo=UTC)

    def checked(key: str, why: str | None = None, ignored: bool = False) -> Any:
        return SimpleNamespace(upload=SimpleNamespace(key=key, written=written), why=why, ignored=ignored)

    monkeypatch.setattr(
        redrive.reconciliation,
        "check",
        lambda *_, **__: [checked("fine"), checked("Thumbs.db", ignored=True), checked("lost", "no result")],
    )
    whole = list(redrive.select(None, "images", redrive.Selection(everything=True)))  # type: ignore[arg-type]
    assert whole == [
        redrive.UnfinishedUpload("fine", written, "selected"),
        redrive.UnfinishedUpload("lost", written, "no result"),
    ]
    assert [item.key for item in redrive.select(None, "images")] == ["lost"]  # type: ignore[arg-type]
