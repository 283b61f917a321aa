"""Each column of the table of results has the member that it is named after."""

from __future__ import annotations

from pathlib import Path

import duckdb

from dropsort.client.results import Result
from dropsort.client.tables import COLUMNS, MOMENT, NUMBER, row, to_parquet

DOCUMENT = {
    "source": {"key": "incoming/a", "version_id": "v1"}, "outcome": "classified", "label": "bicycle", "confidence": 1,
    "familiarity": 0.4, "threshold": 0.9, "reason": {"code": "c"}, "model": {"version": "m-1"},
    "review": {"by": "ada", "at": "2026-11-26T10:00:00Z"},
    "times": {"uploaded": "2026-11-26T09:00:00Z", "recorded": "2026-11-26T09:00:01Z"}, "inference_id": "i",
    "probabilities": {"bicycle": 1.0},
}  # fmt: skip


def test_every_column() -> None:
    assert dict(zip([name for name, _, _ in COLUMNS], row(DOCUMENT), strict=True)) == {
        "key": "incoming/a", "outcome": "classified", "label": "bicycle", "confidence": 1.0, "familiarity": 0.4, "threshold": 0.9,
        "reason": "c", "model": "m-1", "reviewed_by": "ada", "reviewed_at": "2026-11-26T10:00:00Z",
        "uploaded": "2026-11-26T09:00:00Z", "recorded": "2026-11-26T09:00:01Z", "version_id": "v1", "inference_id": "i",
        "probabilities": '{"bicycle": 1.0}',
    }  # fmt: skip
    assert row({}) == [None] * len(COLUMNS)
    assert {name for name, kind, _ in COLUMNS if kind == NUMBER} == {"confidence", "familiarity", "threshold"}
    assert {name for name, kind, _ in COLUMNS if kind == MOMENT} == {"reviewed_at", "uploaded", "recorded"}


def test_every_column_of_parquet_is_compressed(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(to_parquet([Result("", DOCUMENT)]))
    found = duckdb.sql(f"select compression from parquet_metadata('{tmp_path / 't.parquet'}')").fetchall()
    assert found == [("ZSTD",)] * len(COLUMNS)
