"""Results as a table for other tools: one row each, the same columns in CSV and in Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from io import BytesIO
from typing import Any, TextIO

from dropsort.client.results import Result
from dropsort.contract.text import escaped_cell

TEXT, NUMBER, MOMENT = "text", "number", "moment"

# Name, type, and members of the result document that lead to the value.
COLUMNS: Sequence[tuple[str, str, tuple[str, ...]]] = (
    ("key", TEXT, ("source", "key")),
    ("outcome", TEXT, ("outcome",)),
    ("label", TEXT, ("label",)),
    ("confidence", NUMBER, ("confidence",)),
    ("familiarity", NUMBER, ("familiarity",)),
    ("threshold", NUMBER, ("threshold",)),
    ("reason", TEXT, ("reason", "code")),
    ("model", TEXT, ("model", "version")),
    ("reviewed_by", TEXT, ("review", "by")),
    ("reviewed_at", MOMENT, ("review", "at")),
    ("uploaded", MOMENT, ("times", "uploaded")),
    ("recorded", MOMENT, ("times", "recorded")),
    ("version_id", TEXT, ("source", "version_id")),
    ("inference_id", TEXT, ("inference_id",)),
    ("probabilities", TEXT, ("probabilities",)),  # JSON
)


def row(document: Mapping[str, Any]) -> list[Any]:
    """The values of a result document in the order of `COLUMNS`; None for what it does not have."""
    return [_value(document, members) for _, _, members in COLUMNS]


def write_csv(results: Iterable[Result], output: TextIO) -> None:
    """Write a header and a row for each result.

    Other people's text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow([name for name, _, _ in COLUMNS])
    for result in results:
        writer.writerow([escaped_cell(value) for value in row(result.document)])


def to_parquet(results: Iterable[Result]) -> bytes:
    """Encode the results; moments are timestamps in UTC, exact to the microsecond."""
    from arro3.core import Array, DataType, Field, Schema, Table
    from arro3.io import write_parquet

    types = {TEXT: DataType.utf8(), NUMBER: DataType.float64(), MOMENT: DataType.timestamp("us", tz="UTC")}
    rows = [row(result.document) for result in results]
    arrays = []
    for at, (_, kind, _) in enumerate(COLUMNS):
        values = [cells[at] for cells in rows]
        if kind == MOMENT:
            arrays.append(
                Array([_microseconds(value) for value in values], DataType.int64()).cast(types[kind])
            )
        else:
            arrays.append(Array(values, types[kind]))
    schema = Schema([Field(name, types[kind], nullable=True) for name, kind, _ in COLUMNS])
    out = BytesIO()
    write_parquet(Table.from_arrays(arrays, schema=schema), out, compression="zstd(3)")
    return out.getvalue()


def _value(document: Mapping[str, Any], members: Sequence[str]) -> Any:
    value: Any = document
    for member in members:
        value = value.get(member) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        value = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, int):
        return float(value)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _microseconds(value: str | None) -> int | None:
    return None if value is None else int(datetime.fromisoformat(value).timestamp() * 1_000_000)
