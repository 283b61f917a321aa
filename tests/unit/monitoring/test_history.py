"""What the monitoring function stores between its runs: how far back, and what a stored audit says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.contract.metrics import AUDITED_PRECISION, PRECISION_BELOW_TARGET
from monitoring.aggregates.cells import Aggregate, Cell, CellKey
from monitoring.aggregates.models import ModelPeriod
from monitoring.drift.windows import hour_of
from monitoring.history import AUDIT, TRAFFIC, History
from monitoring.incremental import run as aggregate
from tests.unit.monitoring.capture_cases import line
from tests.unit.monitoring.test_aggregate import write

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Documents(dict[str, Any]):
    """Documents of a bucket."""

    def put(self, name: str, document: Any) -> None:
        """Store one."""
        self[name] = document

    def address(self, name: str) -> str:
        """Where it is."""
        return f"s3://images/{name}"


def history(state: Path | str = "nowhere", **documents: Any) -> tuple[History, Documents]:
    stored = Documents({name.replace("_", "."): value for name, value in documents.items()})
    return History(stored, str(state)), stored  # type: ignore[arg-type]


def test_traffic_is_stored_for_as_long_as_it_is_compared_and_a_day_more() -> None:
    ages = (timedelta(0), TRAFFIC, TRAFFIC + DAY - HOUR, TRAFFIC + DAY, TRAFFIC + DAY + HOUR)
    found, stored = history(traffic_json={f"{NOW - age:%Y-%m-%dT%H:%M:%SZ}": 7 for age in ages})
    counts = found.traffic(SimpleNamespace(hours=[]), NOW, 1.0)  # type: ignore[arg-type]
    assert counts == {NOW - age: 7 for age in ages[:-1]}
    assert len(stored["traffic.json"]) == 4


@pytest.mark.parametrize(
    ("latest", "until"),
    [
        ({"read": "2026-11-26T10:00:00+01:00"}, NOW),
        ({}, None),
        ({"read": None}, None),
        ({"read": "yesterday"}, None),
        (None, None),
        (7, None),
    ],
)
def test_until_when_the_run_before_has_read(latest: Any, until: datetime | None) -> None:
    assert history(latest_json=latest)[0].read_until() == until


@pytest.mark.parametrize(("verdict", "missed"), [("met", 0), ("undecided", 0), ("missed", 1)])
def test_only_a_missed_target_is_reported_as_one(verdict: str, missed: int) -> None:
    found, stored = history()
    stored[AUDIT] = {"verdict": verdict, "precision": 0.97}
    assert found.audit() == {AUDITED_PRECISION: 0.97, PRECISION_BELOW_TARGET: missed}
    stored[AUDIT] = {"verdict": verdict, "precision": None}
    assert found.audit() == {}


def captures(hours: dict[datetime, int], model: str = "two") -> list[bytes]:
    """So many captures of each hour."""
    output = {"probabilities": [0.9, 0.1], "labels": ["a", "b"], "familiarity": None, "model": model}
    return [
        line(json.dumps(output), event=f"{model}-{hour}-{number}", time=f"{hour:%Y-%m-%dT%H}:30:00Z", given="aGk=")
        for hour, count in hours.items()
        for number in range(count)
    ]  # fmt: skip


def summary(hours: tuple[str, ...] = ("any",), complete: bool = True) -> Any:
    return SimpleNamespace(hours=list(hours), complete=complete)


def test_traffic_is_updated_for_a_day_more_than_was_listed(tmp_path: Path) -> None:
    # GIVEN late captures of the day before the one that was listed, and of two days before
    hours = {NOW - 36 * HOUR: 3, NOW - 49 * HOUR: 3, NOW - 2 * HOUR: 3}
    write(tmp_path / "source", "a.jsonl", *captures(hours))
    aggregate.run(tmp_path / "source", tmp_path / "state")
    found, _ = history(tmp_path / "state", traffic_json={hour_of(hour): 1 for hour in hours})
    counts = found.traffic(summary(), NOW, 1.0)
    assert counts == {NOW - 49 * HOUR: 1, NOW - 36 * HOUR: 3, NOW - 2 * HOUR: 3}
    # AND without a document that is stored, of all weeks
    for document in ({}, {"traffic_json": []}):
        counts = history(tmp_path / "state", **document)[0].traffic(summary(), NOW, 1.0)
        assert counts == hours
    # AND where all were listed, for all
    assert found.traffic(summary(), NOW, None) == hours


def a_day(*models: str) -> Aggregate:
    """An aggregate in which each model has an hour, one after another."""
    found = Aggregate()
    for number, model in enumerate(models):
        found.cells[CellKey(hour_of(NOW - (9 - number) * HOUR), "e", "v", "a", model)] = Cell(count=5)
    return found


def test_a_model_is_current_since_it_took_over_and_the_only_one_since_the_first_capture() -> None:
    first, took_over = hour_of(NOW - 9 * HOUR), hour_of(NOW - 8 * HOUR)
    week = ("2026-11-19T00:00:00Z", first)
    # GIVEN nothing that is known of models before, all captures may be of this one
    for known in ({}, {"latest_json": {"model": None, "model_since": None}}):
        found = history(**known)[0].model(a_day("two"), summary(week))
        assert found is not None
        assert (found.model, found.first) == ("two", week[0])
    # AND an earlier version of the function named none
    found = history(latest_json={"read": week[0]})[0].model(a_day("two"), summary(week))
    assert found is not None
    assert found.first == first
    # GIVEN a model THEN it goes on, and another one begins with its own first hour
    latest = {"model": "one", "model_since": week[0]}
    for models, expected in (
        (("one",), ("one", week[0])),
        (("one", "two"), ("two", took_over)),
        ((), ("one", week[0])),
    ):
        found = history(latest_json=latest)[0].model(a_day(*models), summary(week))
        assert found is not None
        assert (found.model, found.first) == expected


def test_a_reference_is_made_of_two_weeks_of_one_model_once_everything_was_read(tmp_path: Path) -> None:
    # GIVEN a few captures an hour of one model, which are enough after three days, and others of another
    begin = NOW - 5 * DAY
    write(
        tmp_path / "source",
        "a.jsonl",
        *captures({begin + number * HOUR: 14 for number in range(80)}),
        *captures({begin + number * HOUR: 5 for number in range(80)}, "one"),
    )
    aggregate.run(tmp_path / "source", tmp_path / "state")
    model = ModelPeriod("two", hour_of(begin), hour_of(NOW), 1)
    found, stored = history(tmp_path / "state")
    assert found.reference(summary(complete=False), model) is None
    assert found.reference(summary(), None) is None
    assert "reference.json" not in stored
    made = found.reference(summary(), model)
    assert made is not None
    assert sum(made.sample.labels.values()) == 72 * 14  # the first whole hour with a thousand
    document = stored["reference.json"]
    assert (document["model"], document["until"]) == ("two", hour_of(begin + 72 * HOUR))
    # AND it is the one from then on, for this model alone
    again = found.reference(summary(), model)
    assert again is not None
    assert (again.until, again.sample.labels) == (made.until, made.sample.labels)
