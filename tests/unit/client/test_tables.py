"""Each column of the table of results has the member that it is named after."""

from __future__ import annotations

import io
from pathlib import Path

import duckdb

from dropsort.client.results import Result
from dropsort.client.tables import COLUMNS, MOMENT, NUMBER, row, to_parquet, write_csv

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


def test_a_moment_is_in_utc_to_the_microsecond_and_a_number_is_one(tmp_path: Path) -> None:
    document = DOCUMENT | {"times": {"uploaded": "2026-11-26T10:00:00.123456+01:00", "recorded": None}}
    (tmp_path / "t.parquet").write_bytes(to_parquet([Result("", document), Result("", {})]))
    table = duckdb.sql(f"select * from '{tmp_path / 't.parquet'}'")
    types = {"text": "VARCHAR", "number": "DOUBLE", "moment": "TIMESTAMP WITH TIME ZONE"}
    assert dict(zip(table.columns, map(str, table.types), strict=True)) == {
        name: types[kind] for name, kind, _ in COLUMNS
    }
    found = duckdb.sql(
        f"select epoch_us(uploaded), recorded, confidence from '{tmp_path / 't.parquet'}'"
    ).fetchall()
    assert found == [(1_795_683_600_123_456, None, 1.0), (None, None, None)]


def test_lines_of_csv_end_as_those_of_other_files_do_and_formulas_are_texts() -> None:
    output = io.StringIO()
    write_csv([Result("", DOCUMENT | {"label": "=1+1", "probabilities": {"é": 1.0}})], output)
    header, line, rest = output.getvalue().split("\n")
    assert header == ",".join(name for name, _, _ in COLUMNS)
    assert rest == ""
    assert line == (
        "incoming/a,classified,'=1+1,1.0,0.4,0.9,c,m-1,ada,2026-11-26T10:00:00Z,2026-11-26T09:00:00Z,"
        '2026-11-26T09:00:01Z,v1,i,"{""é"": 1.0}"'
    )


def test_half_a_surrogate_pair_has_no_encoding() -> None:
    assert row({"label": "\ud800"})[2] == "?"
