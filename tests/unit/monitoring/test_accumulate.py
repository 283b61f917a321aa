"""What one batch adds to the hours, ids and totals of a state, field by field."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from monitoring.aggregates.cells import (
    UNKNOWN,
    Aggregate,
    BadLine,
    Cell,
    CellKey,
    Health,
    Series,
    Uncertain,
    Volume,
)
from monitoring.incremental import accumulate
from monitoring.incremental.accumulate import Accumulator
from monitoring.ingest.batch import (
    BATCH_TRANSFORM,
    MERGED,
    NO_EVENT_ID,
    NO_INPUT,
    NO_PREDICTION,
    NO_TIME,
    CaptureBatch,
)

NINE, TEN = "2026-11-21T09:00:00Z", "2026-11-22T10:00:00Z"
SERIES = [Series(TEN, "e", "v"), Series(NINE, "e", "v"), Series(NINE, "e", "w")]
FIELDS: dict[str, Any] = {
    "record_series": np.int32,
    "record_digest": np.uint64,
    "record_flags": np.uint8,
    "record_second": np.int16,
    "record_first": bool,
}


class State:
    """A state that holds what was saved, and notes the names."""

    def __init__(self) -> None:
        self.manifest = SimpleNamespace(health=Health())
        self.objects: dict[tuple[str, str], bytes] = {}
        self.saved: list[tuple[str, str]] = []
        self.loaded: list[tuple[str, str]] = []

    def load(self, kind: str, part: str) -> bytes:
        self.loaded.append((kind, part))
        return self.objects.get((kind, part), b"")

    def save(self, kind: str, part: str, data: bytes) -> None:
        self.saved.append((kind, part))
        self.objects[kind, part] = data

    def hour(self, part: str) -> Aggregate:
        return Aggregate.from_json(self.objects["hours", part])

    def ids(self, part: str) -> list[int]:
        return np.frombuffer(self.objects["ids", part], np.uint64).tolist()


def batch(records: list[tuple[int, int, int, int, bool]], predictions: Any = (), **more: Any) -> CaptureBatch:
    """Records as in `FIELDS`; predictions as (record, key, confidence, margin, entropy, familiarity)."""
    columns = zip(*records, strict=True) if records else [()] * 5
    fields: dict[str, Any] = {
        name: np.array(column, kind) for (name, kind), column in zip(FIELDS.items(), columns, strict=True)
    }
    names = ("record", "key", "confidence", "margin", "entropy", "familiarity")
    for name, column in zip(names, np.array(list(predictions), np.int64).reshape(-1, 6).T, strict=True):
        fields[name] = column.astype(np.int32 if name in ("record", "key") else np.int64)
    keys = [CellKey(*series, label) for series, label in zip(SERIES, "abc", strict=True)]
    given = {"series": SERIES, "keys": keys, "uncertain": [], "files": [], "bad": [], **fields, **more}
    return CaptureBatch(**given)


@pytest.fixture
def state() -> State:
    return State()


def test_records_are_counted_by_series_and_by_what_is_unusual(state: State) -> None:
    # GIVEN of each flag another number of records, a duplicate of each, and one of each that was read before
    flags = [NO_INPUT] * 1 + [MERGED] * 2 + [BATCH_TRANSFORM] * 3 + [NO_EVENT_ID] * 4 + [NO_TIME] * 5
    flags += [NO_PREDICTION] * 6
    records = [(at % 3, 100 + at, flag, 0, True) for at, flag in enumerate(flags)]
    records += [(0, 200 + at, flag, 0, False) for at, flag in enumerate(flags)]
    health = state.manifest.health
    for name in Health.__struct_fields__:
        if name != "bad":
            setattr(health, name, 1000)
    accumulator = Accumulator(state)  # type: ignore[arg-type]
    accumulator.add(batch(records, [(0, 0, 5, -1, -1, -1), (0, 0, 5, -1, -1, -1), (21, 1, 5, -1, -1, -1)]))
    accumulator.add(batch([(one[0], one[1], one[2], 0, True) for one in records[:21]]))
    # THEN the totals and volumes are those of the first ones
    expected = Health(*[1000] * 15)
    for name, count in {
        "records": 21, "predictions": 2, "without_prediction": 6, "without_input": 1, "merged": 2, "batch_transform": 3,
        "without_event_id": 4, "without_time": 5,
    }.items():  # fmt: skip
        setattr(expected, name, 1000 + count)
    assert health == expected
    accumulator.flush()
    assert state.hour(TEN).volumes == {SERIES[0]: Volume(7, 2, 2, 1)}
    assert state.hour(NINE).volumes == {SERIES[1]: Volume(7, 0, 2, 0), SERIES[2]: Volume(7, 0, 2, 0)}


def test_predictions_are_added_to_their_cells_field_by_field(state: State) -> None:
    records = [(0, 1, 0, 30, True), (1, 2, 0, 20, True), (0, 3, 0, 10, True), (2, 4, 0, 50, False)]
    predictions = [
        (0, 0, 900_000_000, 0, 7, 0), (0, 0, 1_000_000, 500, 11, 990_000_000), (2, 0, 900_000_001, -1, -1, -1),
        (1, 1, 1_000_000_000, 3, 5, -1), (3, 2, 1, 1, 1, 1), (1, 1, 999_999, -1, -1, 20_000_000),
    ]  # fmt: skip
    accumulator = Accumulator(state)  # type: ignore[arg-type]
    accumulator.add(batch(records, predictions))
    accumulator.flush()
    assert state.hour(TEN).cells == {
        CellKey(TEN, "e", "v", "a"): Cell(
            count=3, confidence=1_801_000_001, histogram={1: 1, 900: 2}, scored=2, entropy=18, margin=500, familiar=2,
            familiarity=990_000_000, familiarity_histogram={0: 1, 99: 1}, latest=30,
        )
    }  # fmt: skip
    assert state.hour(NINE).cells == {
        CellKey(NINE, "e", "v", "b"): Cell(
            count=2, confidence=1_000_999_999, histogram={0: 1, 999: 1}, scored=1, entropy=5, margin=3, familiar=1,
            familiarity=20_000_000, familiarity_histogram={2: 1}, latest=20,
        )
    }  # fmt: skip
    # AND those of another batch are added to what is stored; a time that is not known changes nothing
    accumulator.add(batch([(0, 9, 0, -1, True)], [(0, 0, 5, -1, -1, -1)]))
    accumulator.flush()
    (cell,) = state.hour(TEN).cells.values()
    assert (cell.count, cell.latest) == (4, 30)
    accumulator.add(batch([(2, 10, 0, -1, True)], [(0, 2, 5, -1, -1, -1)]))
    accumulator.flush()
    assert state.hour(NINE).cells[CellKey(NINE, "e", "w", "c")].latest == -1


def test_statistics_of_images_are_added_where_they_are_complete(state: State) -> None:
    records = [(0, at, 0, 0, at != 4) for at in range(5)]
    predictions = [(at, 0, 5, -1, -1, -1) for at in range(5)]
    images = {0: (1, 2, 3, 4, 5), 2: (10, 20, 30, 40, 50), 3: (1, 2, 3, 4), 4: (9, 9, 9, 9, 9)}
    accumulator = Accumulator(state)  # type: ignore[arg-type]
    accumulator.add(batch(records, predictions, images=images))
    accumulator.flush()
    (cell,) = state.hour(TEN).cells.values()
    assert (cell.count, cell.images) == (4, 2)
    assert (cell.image_sums, cell.image_squares) == ([11, 22, 33, 44, 55], [101, 404, 909, 1616, 2525])
    accumulator.add(batch([(0, 8, 0, 0, True)], [(0, 0, 5, -1, -1, -1)], images={0: (1, 1, 1, 1, 1)}))
    accumulator.flush()
    (cell,) = state.hour(TEN).cells.values()
    assert (cell.count, cell.images, cell.image_sums) == (5, 3, [12, 23, 34, 45, 56])


def test_least_certain_predictions_are_those_of_records_that_are_new(state: State) -> None:
    least = [Uncertain(at, "d", 0, "f", 1, 0, "a", 5) for at in range(3)]
    uncertain = [(0, SERIES[0], least[0]), (1, SERIES[0], least[1]), (2, SERIES[2], least[2])]
    accumulator = Accumulator(state)  # type: ignore[arg-type]
    accumulator.add(batch([(0, 1, 0, 0, True), (0, 2, 0, 0, False), (2, 3, 0, 0, True)], uncertain=uncertain))
    accumulator.flush()
    assert state.hour(TEN).uncertain == {SERIES[0]: least[:1]}
    assert state.hour(NINE).uncertain == {SERIES[2]: least[2:]}


def test_ids_are_those_of_their_hour_sorted_and_a_record_without_a_time_is_one_of_no_hour(
    state: State,
) -> None:
    accumulator = Accumulator(state)  # type: ignore[arg-type]
    # The same digest is another id in another hour.
    accumulator.add(
        batch([(0, 9, 0, 0, True), (0, 5, 0, 0, True), (1, 5, 0, 0, True), (0, 7, NO_TIME, 0, True)])
    )
    accumulator.flush()
    assert {hour: state.ids(hour) for hour in (TEN, NINE, UNKNOWN)} == {TEN: [5, 9], NINE: [5], UNKNOWN: [7]}
    assert state.manifest.health.records == 4
    # WHEN some are known, before, between and after the others
    accumulator.add(
        batch(
            [(0, one, 0, 0, True) for one in (10, 9, 1, 5, 6)]
            + [(2, 7, NO_TIME, 0, True), (1, 7, 0, 0, True)]
        )
    )
    accumulator.flush()
    assert {hour: state.ids(hour) for hour in (TEN, NINE, UNKNOWN)} == {
        TEN: [1, 5, 6, 9, 10],
        NINE: [5, 7],
        UNKNOWN: [7],
    }
    assert state.manifest.health.records == 8
    # AND a batch without records adds nothing, and ids are loaded of hours that have records
    state.loaded.clear()
    accumulator.add(batch([]))
    accumulator.add(batch([], series=[], keys=[]))
    assert state.loaded == []
    accumulator.add(batch([(1, 7, 0, 0, True)]))
    assert state.loaded == [("ids", NINE)]
    accumulator.flush()
    assert state.manifest.health.records == 8


def test_what_changed_alone_is_written_and_nothing_is_held_then(state: State) -> None:
    accumulator = Accumulator(state)  # type: ignore[arg-type]
    accumulator.add(batch([(0, 1, 0, 0, True), (1, 2, 0, 0, True)]))
    assert state.saved == []
    assert accumulator.days == set()
    accumulator.flush()
    assert sorted(state.saved) == [("hours", NINE), ("hours", TEN), ("ids", NINE), ("ids", TEN)]
    assert accumulator.days == {"2026-11-21", "2026-11-22"}
    state.saved.clear()
    accumulator.flush()
    assert state.saved == []
    accumulator.add(batch([(0, 1, 0, 0, True), (1, 3, 0, 0, True)]))
    accumulator.flush()
    assert state.saved == [("hours", NINE), ("ids", NINE)]


@pytest.mark.parametrize(
    ("ids", "cells", "written"), [(3, 2, False), (2, 2, True), (3, 1, True), (4, 3, False), (0, 0, True)]
)
def test_what_is_held_is_written_when_it_is_more_than_its_limit(
    state: State, monkeypatch: pytest.MonkeyPatch, ids: int, cells: int, written: bool
) -> None:
    assert (accumulate._IDS_HELD, accumulate._CELLS_HELD) == (4_000_000, 10_000)
    assert (accumulate._PLACES, accumulate._EXACT) == (4_000_000, 9_000_000)
    monkeypatch.setattr(accumulate, "_IDS_HELD", ids)
    monkeypatch.setattr(accumulate, "_CELLS_HELD", cells)
    records = [(0, 1, 0, 0, True), (1, 2, 0, 0, True), (1, 3, 0, 0, True)]
    Accumulator(state).add(batch(records, [(0, 0, 5, -1, -1, -1), (1, 1, 5, -1, -1, -1)]))  # type: ignore[arg-type]
    assert bool(state.saved) == written


def test_the_first_bad_lines_are_named_each_once(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    assert accumulate.BAD_LINES_NAMED == 1000
    monkeypatch.setattr(accumulate, "BAD_LINES_NAMED", 3)
    a, b, c, d = (BadLine(name, 1, "x") for name in "abcd")
    accumulator = Accumulator(state)  # type: ignore[arg-type]
    for bad, expected in (([b], [b]), ([], [b]), ([d, b, a], [a, b, d]), ([c], [a, b, c])):
        accumulator.add(batch([], bad=bad))
        assert state.manifest.health.bad == expected


def test_sums_are_exact_and_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    key, values = np.array([2, 0, 2], np.int32), np.array([2**53, 5, 1], np.int64)
    assert accumulate._sums(key[:2], values[:2], 4).tolist() == [5, 0, 2**53, 0]
    # From so many values on, floats would round
    monkeypatch.setattr(accumulate, "_EXACT", 3)
    assert [int(one) for one in accumulate._sums(key, values, 4)] == [5, 0, 2**53 + 1, 0]
    monkeypatch.setattr(accumulate, "_EXACT", 4)
    assert accumulate._sums(key, values, 4).dtype == np.float64


@pytest.mark.parametrize("first", [0, 5, 10**9], ids=["few keys", "some", "too many to have a place each"])
def test_histograms_of_keys(first: int) -> None:
    key = np.array([first, first + 1, first, first], np.int32)
    values = np.array([999_999_999, 0, 10_000_000, 19_999_999], np.int64)
    assert accumulate._histograms(key, values, 100) == {first: {99: 1, 1: 2}, first + 1: {0: 1}}
    assert accumulate._histograms(key[:0], values[:0], 100) == {}
