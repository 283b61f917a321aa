"""Two models are never mixed: not in a check, not in a reference, not in measured quality."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from benchmarks.drift import SAME, Population, put_hour
from monitoring.aggregates.cells import UNKNOWN, Aggregate, Cell, CellKey, Series, Uncertain, Volume
from monitoring.aggregates.models import ModelPeriod, current_model, models, of_model
from monitoring.drift.reference import parse_reference
from monitoring.drift.windows import HOUR, check, first_reference, hour_of, sample
from monitoring.errors import MonitoringError
from monitoring.incremental.run import load, run
from monitoring.quality.ground_truth import assess_sources
from monitoring.report.figures import build
from tests.unit.monitoring.capture_cases import line

START = datetime(2026, 11, 2, tzinfo=UTC)
UNSURE = Population(sure=0.3)  # confidences of another model


def hours(model: str, first: int, count: int, population: Population = SAME, hourly: int = 50) -> Aggregate:
    total, random = Aggregate(), np.random.default_rng(first)
    for i in range(first, first + count):
        put_hour(total, hour_of(START + i * HOUR), population, random, hourly)
    total.cells = {key._replace(model=model): cell for key, cell in total.cells.items()}
    return total


def verbose(confidence: float, model: str) -> str:
    vector = [confidence, round(1 - confidence, 6)]
    return json.dumps({"probabilities": vector, "labels": ["a", "b"], "familiarity": 0.5, "model": model})


def test_the_model_of_the_latest_hour_is_the_current_one() -> None:
    # GIVEN one model, another from the middle of an hour on, and the first one again
    both = hours("one", 0, 3).merge(hours("two", 2, 2))
    assert [period.model for period in models(both)] == ["one", "two"]
    assert current_model(both.merge(hours("one", 5, 1))) == "one"
    assert current_model(Aggregate()) is None


@pytest.mark.parametrize("lines", [4, 40], ids=["read one by one", "uniform"])
def test_the_last_capture_of_an_hour_names_the_current_model(tmp_path: Path, lines: int) -> None:
    # GIVEN one model that is replaced by another in the same hour, with fewer captures and a name that sorts before
    captures = tmp_path / "captures/e/v/2026/11/21/09"
    captures.mkdir(parents=True)

    def capture(name: str, model: str, minute: int, count: int) -> None:
        rows = [
            line(verbose(0.9, model), event=f"{name}{i:03}", time=f"2026-11-21T09:{minute}:{i:02}Z")
            for i in range(count)
        ]
        (captures / f"{name}.jsonl").write_bytes(b"\n".join(rows))

    capture("b", "old", 10, lines)
    capture("a", "new", 40, lines // 2)

    # THEN the aggregate says so, in either order of files
    run(tmp_path / "captures", tmp_path / "state")
    assert current_model(load(tmp_path / "state")) == "new"
    # AND when the first one is served again
    capture("c", "old", 50, lines // 4)
    run(tmp_path / "captures", tmp_path / "state")
    found = load(tmp_path / "state")
    assert current_model(found) == "old"
    assert current_model(Aggregate.from_json(found.to_json())) == "old"


def test_outputs_without_a_version_take_over_in_an_hour_of_their_own_only() -> None:
    # GIVEN a model with a version, and outputs without one that began in its last hour, as of a client that requests text/csv
    both = hours("one", 0, 3).merge(hours("", 2, 1, hourly=1))
    assert current_model(both) == "one"

    # WHEN an hour has none but those THEN the model is another one
    assert current_model(both.merge(hours("", 3, 1))) == ""


def test_a_change_of_the_model_is_no_drift_and_the_comparison_starts_again() -> None:
    # GIVEN two days of one model, then six hours of one that is less sure
    total = hours("one", 0, 48).merge(hours("two", 48, 6, UNSURE))
    now = START + timedelta(hours=54)

    # WHEN it is checked against the first day of captures, and against the evaluation set of the first model
    found = check(total, now, threshold=0.9)
    report = build(total, threshold=0.9, reference=sample(hours("one", 0, 24)), reference_model="one")

    # THEN only the new model's captures count, and nothing is compared with the other's
    assert found.model == "two"
    assert found.alarms == []
    assert found.day.window_size == 0
    assert report.total.count == 6 * 50
    assert report.reference is None
    assert report.check is not None
    assert report.check.alarms == []
    assert report.earlier == 48 * 50
    assert [(at, name) for at, name in report.changes] == [(START + 48 * HOUR, "two")]
    assert sum(b.count for b in report.buckets) == 6 * 50
    assert sum(b.earlier for b in report.buckets) == 48 * 50
    # AND the estimate is that of the new model alone
    assert report.total.mean_confidence == pytest.approx(sample(hours("two", 48, 6, UNSURE)).mean_confidence)
    # AND without the change of model the same captures alarm
    one = Aggregate()
    for key, cell in total.cells.items():
        one.cell(key._replace(model="")).merge(cell)
    one.volumes = total.volumes
    assert check(one, now, threshold=0.9).alarms


def test_a_reference_is_made_of_the_first_day_of_the_new_model() -> None:
    # GIVEN two days of each of two models
    total = hours("one", 0, 48).merge(hours("two", 48, 48, UNSURE))

    # WHEN a reference is made of the second one's captures
    found = first_reference(of_model(total, "two"))

    # THEN it holds its first day and its name, and captures of another model cannot be compared with it
    assert found is not None
    assert (found.sample.count, found.until, found.model) == (24 * 50, hour_of(START + 72 * HOUR), "two")
    assert found.of("two")
    assert not found.of("one")
    assert parse_reference([{"label": "a", "confidence": 0.9}], "x").of("anything")
    named = {"model": "two", "predictions": [{"label": "a", "confidence": 0.9}]}
    assert not parse_reference(named, "x").of("one")
    with pytest.raises(MonitoringError, match="not a reference"):
        parse_reference({"model": "two", "predictions": [1]}, "x")


def test_captures_are_aggregated_and_measured_by_the_model_that_their_output_names(tmp_path: Path) -> None:
    # GIVEN captures of two models, one after the other, each with ground truth; the first one was wrong
    folder = tmp_path / "captures/bikes/main/2026/11/21"
    truths = []
    for model, hour in (("one", 9), ("two", 10)):
        rows = [
            line(
                verbose(0.9, model),
                event=f"{model}-{i}",
                inference=f"{model}-{i}",
                time=f"2026-11-21T{hour:02}:0{i}:00Z",
            )
            for i in range(3)
        ]
        (folder / f"{hour:02}").mkdir(parents=True)
        (folder / f"{hour:02}" / "a.jsonl").write_bytes(b"\n".join(rows))
        truths += [
            {
                "groundTruthData": {"data": "a" if model == "two" else "b", "encoding": "CSV"},
                "eventMetadata": {"eventId": f"{model}-{i}"},
                "eventVersion": "0",
            }
            for i in range(3)
        ]
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/t.jsonl").write_text("\n".join(map(json.dumps, truths)))

    # WHEN they are aggregated and measured
    run(tmp_path / "captures", tmp_path / "state")
    total = load(tmp_path / "state")
    quality = assess_sources(tmp_path / "captures", tmp_path / "truth", model="two")

    # THEN each model has its own cells, the least certain name it, and quality is that of the current one
    assert {(key.model, cell.count) for key, cell in total.cells.items()} == {("one", 3), ("two", 3)}
    assert {one.model for found in of_model(total, "two").uncertain.values() for one in found} == {"two"}
    assert (quality.count, quality.accuracy, quality.other_models) == (3, 1.0, 3)
    assert assess_sources(tmp_path / "captures", tmp_path / "truth").accuracy == 0.5


def test_aggregates_of_an_earlier_version_are_of_a_model_without_a_name() -> None:
    # GIVEN an aggregate as it was stored before cells had a model
    total = Aggregate()
    total.cells[CellKey("2026-11-21T09:00:00Z", "e", "v", "a")] = Cell(count=2)
    stored = total.to_json().replace(b',"model":""', b"")
    assert b"model" not in stored

    # THEN it is read
    assert Aggregate.from_json(stored) == total


def test_the_periods_of_models_and_what_is_one_models() -> None:
    # GIVEN two models with captures of known and unknown hours, and one whose hours are all unknown
    total, first, last = Aggregate(), hour_of(START), hour_of(START + HOUR)
    for model, hour, count in (
        ("a", last, 1),
        ("a", first, 2),
        ("a", UNKNOWN, 4),
        ("b", last, 8),
        ("c", UNKNOWN, 16),
    ):
        total.cells[CellKey(hour, "e", "v", "l", model)] = Cell(count=count)
    series = Series(last, "e", "v")
    total.volume(series).records = 100
    least = [Uncertain(n, "d", 0, "f", 1, 0, "l", 5, model=model) for n, model in enumerate("ab")]
    total.add_uncertain(series, least)
    total.add_uncertain(Series(first, "e", "v"), least[:1])
    total.health.files = 3
    assert models(total) == [
        ModelPeriod("c", "", "", 16),
        ModelPeriod("a", first, last, 7),
        ModelPeriod("b", last, last, 8),
    ]
    # THEN a part has the cells, volumes and least certain predictions of one of them
    part = of_model(total, "b")
    assert {key.model: cell.count for key, cell in part.cells.items()} == {"b": 8}
    assert part.volumes == {series: Volume(records=8, predictions=8)}
    assert part.uncertain == {series: least[1:]}
    assert part.health.files == 3
    assert of_model(total, None) is total
    assert of_model(part, "b") is part
    assert of_model(part, "a").cells == {}


@pytest.mark.parametrize(
    ("cells", "order"),
    [
        # of the latest hour, whatever else; of that hour, the latest second; then the one that began last; then by name
        ([("a", 1, 9), ("b", 0, 99)], ["b", "a"]), ([("b", 1, 9), ("a", 0, 99), ("a", 1, 8)], ["a", "b"]),
        ([("a", 1, 9), ("b", 1, 10)], ["a", "b"]), ([("b", 1, 9), ("a", 1, 10)], ["b", "a"]),
        ([("a", 1, -1), ("b", 1, -1), ("a", 0, 5)], ["a", "b"]), ([("a", 1, -1), ("b", 1, -1), ("b", 0, 5)], ["b", "a"]),
        ([("b", 1, -1), ("a", 1, -1)], ["a", "b"]), ([("b", 1, 0), ("a", 1, -1)], ["a", "b"]),
        ([("", 1, 50), ("b", 1, -1)], ["", "b"]), ([("", 1, -1), ("b", 0, 50)], ["b", ""]),
        ([("b", None, 50), ("a", None, 0)], ["a", "b"]), ([("b", None, 50), ("a", 0, -1)], ["b", "a"]),
    ],
)  # fmt: skip
def test_the_order_in_which_models_took_over(
    cells: list[tuple[str, int | None, int]], order: list[str]
) -> None:
    total = Aggregate()
    for model, hour, second in cells:
        at = UNKNOWN if hour is None else hour_of(START + hour * HOUR)
        total.cells[CellKey(at, "e", "v", "l", model)] = Cell(count=1, latest=second)
    assert [period.model for period in models(total)] == order
