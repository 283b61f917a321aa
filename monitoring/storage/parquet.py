"""Aggregates as files for other tools: one Parquet and one JSON file a day, `aggregates/2026-11-21.parquet`.

Sums stay in billionths, as everywhere; the columns that are needed most (mean, quantiles) are computed. The
histogram is two parallel lists, bin numbers and counts, which Athena, DuckDB, pandas and Polars all unnest.
"""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np
from arro3.core import Array, DataType, Field, Schema, Table, list_array
from arro3.io import write_parquet

from monitoring.aggregates.cells import UNKNOWN, Aggregate
from monitoring.storage.base import Store
from monitoring.storage.state import EXPORTS

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_INT, _FLOAT, _TEXT = DataType.int64(), DataType.float64(), DataType.utf8()
_LIST = DataType.list(Field("item", _INT))
_SUMS = ("count", "confidence", "scored", "entropy", "margin", "familiar", "familiarity", "images")


def write_day(store: Store, day: str, total: Aggregate) -> None:
    """Write the cells of one day (``2026-11-21`` or ``unknown``) as Parquet and everything as JSON."""
    store.write(f"{EXPORTS}/{day}.parquet", to_parquet(total))
    store.write(f"{EXPORTS}/{day}.json", total.to_json())


def to_parquet(total: Aggregate) -> bytes:
    """Encode the cells of `total`, one row each, sorted by key."""
    keys = sorted(total.cells)
    cells = [total.cells[key] for key in keys]
    columns: list[tuple[str, DataType, list[Any]]] = [
        ("hour", DataType.timestamp("us", tz="UTC"), [_microseconds(key.hour) for key in keys]),
        ("endpoint", _TEXT, [key.endpoint for key in keys]),
        ("variant", _TEXT, [key.variant for key in keys]),
        ("label", _TEXT, [key.label for key in keys]),
        ("model", _TEXT, [key.model for key in keys]),
        *((name, _INT, [getattr(cell, name) for cell in cells]) for name in _SUMS),
        ("mean_confidence", _FLOAT, [cell.mean_confidence() for cell in cells]),
        *(
            (f"confidence_p{round(q * 100):02}", _FLOAT, [cell.quantile(q) for cell in cells])
            for q in QUANTILES
        ),
        ("histogram_bins", _LIST, [sorted(cell.histogram) for cell in cells]),
        ("histogram_counts", _LIST, [[cell.histogram[b] for b in sorted(cell.histogram)] for cell in cells]),
    ]
    schema = Schema([Field(name, type_) for name, type_, _ in columns])
    arrays = [_array(values, type_) for _, type_, values in columns]
    out = BytesIO()
    write_parquet(Table.from_arrays(arrays, schema=schema), out, compression="zstd(3)")
    return out.getvalue()


def _array(values: list[Any], type_: DataType) -> Array:
    if DataType.is_list(type_):
        offsets = np.concatenate(([0], np.cumsum([len(v) for v in values]))).astype(np.int32)
        flat = [number for value in values for number in value]
        return list_array(Array.from_numpy(offsets), Array(flat, _INT), type=_LIST)
    if DataType.is_timestamp(type_):
        return Array(values, _INT).cast(type_)
    return Array(values, type_)


def _microseconds(hour: str) -> int | None:
    if hour == UNKNOWN:
        return None
    return int(datetime.fromisoformat(hour).timestamp()) * 1_000_000
