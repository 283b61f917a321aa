"""The Parquet file of a day, column by column."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from arro3.io import read_parquet

from monitoring.aggregates.cells import Aggregate, Cell, CellKey
from monitoring.storage import parquet
from monitoring.storage.parquet import to_parquet, write_day

HOUR = "2026-11-21T09:00:00Z"


def columns(data: bytes) -> dict[str, list[Any]]:
    table: Any = read_parquet(io.BytesIO(data)).read_all()
    return {name: [value.as_py() for value in table.column(name)] for name in table.schema.names}


def test_each_cell_is_a_row_and_hours_are_times() -> None:
    total = Aggregate()
    names = ("count", "confidence", "scored", "entropy", "margin", "familiar", "familiarity", "images")
    for at, key in enumerate((CellKey("unknown", "f", "w", "b", ""), CellKey(HOUR, "e", "v", "a", "m"))):
        cell: Any = Cell()
        for nth, name in enumerate(names):
            setattr(cell, name, 10 * at + nth + 1)
        cell.histogram = {900: 3, 7: 2} if at else {}
        total.cells[key] = cell
    data = to_parquet(total)
    found = columns(data)
    keys, cells = list(total.cells)[::-1], list(total.cells.values())[::-1]
    assert list(found) == [
        "hour", "endpoint", "variant", "label", "model", *names, "mean_confidence",
        "confidence_p05", "confidence_p25", "confidence_p50", "confidence_p75", "confidence_p95", "histogram_bins", "histogram_counts",
    ]  # fmt: skip
    assert found["hour"] == [datetime(2026, 11, 21, 9, tzinfo=UTC), None]
    for name in ("endpoint", "variant", "label", "model"):
        assert found[name] == [getattr(key, name) for key in keys]
    for name in names:
        assert found[name] == [getattr(cell, name) for cell in cells]
    assert repr(found["mean_confidence"]) == repr([cell.mean_confidence() for cell in cells])
    for share in (5, 25, 50, 75, 95):
        assert repr(found[f"confidence_p{share:02}"]) == repr([cell.quantile(share / 100) for cell in cells])
    assert (found["histogram_bins"], found["histogram_counts"]) == ([[7, 900], []], [[2, 3], []])
    assert read_parquet(io.BytesIO(data)).schema.field("hour").type.tz == "UTC"
    # AND they are compressed
    many = Aggregate()
    for at in range(300):
        many.cells[CellKey(HOUR, "e", "v", f"{at:03}" + "x" * 1000, "m")] = Cell(count=1)
    assert len(to_parquet(many)) < 20_000


def test_a_day_without_cells_is_a_file_too() -> None:
    assert {tuple(values) for values in columns(to_parquet(Aggregate())).values()} == {()}


def test_a_day_is_a_parquet_and_a_json_file() -> None:
    written: dict[str, bytes] = {}

    class Store:
        def write(self, name: str, data: bytes) -> None:
            written[name] = data

    store: Any = Store()
    write_day(store, "2026-11-21", Aggregate())
    assert written == {
        "aggregates/2026-11-21.parquet": to_parquet(Aggregate()), "aggregates/2026-11-21.json": Aggregate().to_json()
    }  # fmt: skip
    assert parquet.QUANTILES == (0.05, 0.25, 0.5, 0.75, 0.95)
