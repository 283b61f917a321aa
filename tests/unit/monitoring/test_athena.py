"""The SQL for Athena, run by DuckDB over the same files as the local reader: the same numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import duckdb
import pytest

from monitoring.athena import query_sql, table_sql
from monitoring.errors import MonitoringError
from monitoring.incremental import run as aggregate
from monitoring.ingest.schema import series_of_path
from tests.unit.monitoring.capture_cases import LABELS, line, packed
from tests.unit.monitoring.test_aggregate import write

FIRST, LAST = datetime(2026, 11, 21, 9, tzinfo=UTC), datetime(2026, 11, 21, 11, tzinfo=UTC)
FOLDER = "captures/bikes/AllTraffic/2026/11/21"

# What Athena's functions are called in DuckDB; everything else in the query is the same in both.
MACROS = """
create macro json_parse(x) as cast(x as json);
create macro json_extract_scalar(j, p) as
  case when json_type(json_extract(j, p)) in ('OBJECT', 'ARRAY') then null else json_extract_string(j, p) end;
create macro from_utf8(x) as decode(x);
create macro element_at(a, i) as list_extract(a, i);
create macro cardinality(a) as len(a);
"""
TYPES = {"ARRAY(DOUBLE)": "DOUBLE[]", "ARRAY(JSON)": "JSON[]", "ARRAY(VARCHAR)": "VARCHAR[]"}

OUTPUTS = [
    ("[0.98, 0.02]", "JSON"),
    ("[0.5, 0.5]", "JSON"),
    ("[0.02, 0.98]\n", "JSON"),
    ("[0.2, 0.3, 0.5]", "JSON"),
    ("[1.0, 0.0]", "JSON"),
    ("[1, 0]", "JSON"),
    ("[[0.9, 0.1], [0.2, 0.8]]", "JSON"),
    ("[0.0009765625, 0.9990234375]", "JSON"),
    ('{"prediction": [0.7, 0.3]}', "JSON"),
    (
        '{"predictions": [{"score": 0.06, "predicted_label": 0}, {"score": 0.9, "predicted_label": 1}]}',
        "JSON",
    ),
    ('{"predictions": [{"score": [0.1, 0.9], "predicted_label": 0.0}]}', "JSON"),
    ('{"predicted_label": 1, "score": 0.49}\n{"predicted_label": 1, "score": 0.98}\n', "JSON"),
    ('{"SageMakerOutput": {"predicted_label": 1, "score": 0.98}, "features": [28, 2]}', "JSON"),
    (
        '{"probabilities":[0.98,0.02],"labels":["bicycle","motorcycle"],"familiarity":0.43,"model":"b-1"}',
        "JSON",
    ),
    ('{"probabilities":[0.02,0.98],"labels":["cat","dog"],"familiarity":null,"model":null}', "JSON"),
    ('{"outputs": [[0.3, 0.7]]}', "JSON"),
    ('{"predictions": [1], "probabilities": [0.85]}', "JSON"),
    ('{"prediction": 1, "probability": 0.85}', "JSON"),
    ('{"prediction": "cat"}', "JSON"),
    ('{"label": 0, "score": 0.02}', "JSON"),
    ('{"confidence": 0.98}', "JSON"),
    ("[0.517, 0.029, 0.453]", "JSON"),
    ("[0.334, 0.334, 0.333]", "JSON"),
    ("[0.5004, 0.5004]", "JSON"),
    ("[0.33203125, 0.33203125, 0.33203125]", "JSON"),  # of a softmax in 1/256, and in 1/255
    ("[0.50196078, 0.50196078]", "JSON"),
    ("[0.33203125, 0.33203125, 0.32]", "JSON"),
    ("[0.33203125, 0.33203125, 0.32421875, 0.0]", "JSON"),
    ("0.036", "CSV"),
    ("0.036\n0.7\n", "CSV"),
    ("0.1,0.9\r\n0.3,0.7\r\n", "CSV"),
    ("10.5247\n", "CSV"),
    ("0.2,0.2", "CSV"),
    (packed("[0.25, 0.75]"), "BASE64"),
    (packed("0.25,0.75"), "BASE64"),
    # Multiples of 1/256 and 1/255 at the bounds of their rounding, and beyond; others are no such multiples.
    *(
        (json.dumps([value / steps for value in values]), "JSON")
        for steps, values in (
            (256, (127, 128)),
            (256, (126, 128)),
            (256, (128, 129)),
            (256, (129, 129)),
            (256, (86, 86, 86, 0)),
            (256, (127, 127, 0, 0)),
            (256, (127, 127, 0)),
            (256, (200, 55)),
            (256, (255, 0)),
            (256, (127.9995, 127.0005)),
            (256, (127.6, 127.6)),
            (256, (128, 127.13)),
            (256, (128, 129, 0)),
            (255, (127, 127.13)),
            (255, (127, 127)),
            (255, (126, 127)),
            (255, (128, 128)),
            (255, (129, 128)),
            (255, (86, 86, 85, 0)),
            (255, (126, 127, 0, 0)),
            (255, (200, 54)),
            (255, (254, 0)),
            (255, (127.9995, 126.0005)),
            (255, (127.6, 126.6)),
            (256, [0] * 600),
        )
    ),
    ("0.33203125,0.33203125,0.33203125\n0.33203125,0.33203125,0.33203125\n  \n", "CSV"),
    ("[[0.33203125, 0.33203125, 0.33203125], [0.33203125, 0.33203125, 0.33203125]]", "JSON"),
    # Bounds of the sum and of each value.
    ("[1.0005, -0.0005]", "JSON"),
    ("[1.0011, -0.0011]", "JSON"),
    ("[-0.5, 0.75, 0.75]", "JSON"),
    ("[1.0015, -0.0008, -0.0007]", "JSON"),
    ("[-0.0008, -0.0008, 1.0002]", "JSON"),
    ("[0.123456789123, 0.876543210877]", "JSON"),
    ("[0.4000002, 0.5999998]", "JSON"),  # just below a bin
    ("[0.5, 0.4989]", "JSON"),
    ("[1.0]", "JSON"),
    # Scores, choices, labels and familiarities.
    ('{"prediction": 1, "score": 0.85}', "JSON"),
    ('{"prediction": 1, "prob": 0.85}', "JSON"),
    ('{"prediction": 1, "confidence": 0.85}', "JSON"),
    ('{"label": 1, "score": 0.3}', "JSON"),
    ('{"class": 1, "score": 0.3}', "JSON"),
    ('{"label": 0, "score": 0.7}', "JSON"),
    ('{"probabilities": [0.3, 0.7], "labels": []}', "JSON"),
    ('{"probabilities": [0.3, 0.7], "labels": ["a"]}', "JSON"),
    ('{"probabilities": [0.3, 0.7], "familiarity": 0.97}', "JSON"),
    ('{"probabilities": [0.3, 0.7], "familiarity": 1.5}', "JSON"),
    ('{"probabilities": [0.3, 0.7], "familiarity": -0.5}', "JSON"),
    ('{"probabilities": [0.3, 0.7], "familiarity": 0.25}', "JSON"),  # of the same hour as 0.97: added up
    ('{"probabilities": [0.3, 0.7], "familiarity": 0}', "JSON"),
    ('{"probabilities": [0.3, 0.7], "familiarity": 1}', "JSON"),
    (packed("[0.25, 0.75]"), "base64"),
    ("[0.9, 0.1009]", "JSON"),
    ("[-0.5, 1.5]", "JSON"),
    ("[]", "JSON"),
    ("[0.9, 0.1", "JSON"),
    ("text", "JSON"),
    (None, "JSON"),
]


def table_of(folder):
    """A database with the table that lies over the files of a folder."""
    database = duckdb.connect()
    database.execute(MACROS)
    database.execute(
        'create table captures (line text, endpoint text, variant text, hour text, "$path" text)'
    )
    for path in sorted(folder.rglob("*.jsonl")):
        name = path.relative_to(folder).as_posix()
        hour, endpoint, variant = series_of_path(name)
        for row in path.read_bytes().split(b"\n"):
            values = (
                row.decode("utf-8", "replace"),
                endpoint,
                variant,
                hour[:13].replace("-", "/").replace("T", "/"),
                name,
            )
            database.execute("insert into captures values (?, ?, ?, ?, ?)", values)
    return database


def by_sql(database, labels=()):
    """Cells as the SQL has them: key to (count, confidence, margin, entropy, familiar, familiarity, histogram)."""
    query = query_sql("bikes", "AllTraffic", FIRST, LAST, labels=labels)
    for athena, duck in TYPES.items():
        query = query.replace(athena, duck)
    cells, found = {}, database.execute(query)
    assert [column[0] for column in found.description] == [
        "hour", "endpoint", "variant", "label", "model", "bin", "count", "confidence", "margin", "entropy", "familiar", "familiarity"
    ]  # fmt: skip
    for hour, endpoint, variant, label, model, bin_, *sums in found.fetchall():
        *totals, histogram = cells.setdefault((hour, endpoint, variant, label, model), [0] * 6 + [{}])
        histogram[bin_] = sums[0]
        cells[hour, endpoint, variant, label, model] = [a + b for a, b in zip(totals, sums, strict=True)] + [
            histogram
        ]
    return cells


def every_output(folder):
    """Write every output of an image endpoint, copies of records in other files, bad lines, and other hours and variants."""
    rows = [
        line(o, encoding=e, event=f"e{i}", time=f"2026-11-21T{9 + i % 3:02}:30:00Z")
        for i, (o, e) in enumerate(OUTPUTS)
    ]
    write(folder, f"{FOLDER}/09/a.jsonl", *rows[:10], b"broken", b"\xff", b"")
    batch = [
        line(output, encoding=encoding, event=f"batch-{encoding}", time="2026-11-21T10:00:00Z").replace(
            b"endpointOutput", b"batchTransformOutput"
        )
        for output, encoding in (("[0.6, 0.4]", "JSON"), (packed("[0.45, 0.55]"), "BASE64"))
    ]
    unnamed = [line(event=None, time=f"2026-11-21T10:{minute}:00Z") for minute in (10, 20)]
    write(folder, f"{FOLDER}/10/b.jsonl", *rows[5:], rows[13], *batch, *unnamed)
    write(folder, f"{FOLDER}/12/late.jsonl", *rows[3:6], line(event="new", time="2026-11-21T11:59:59Z"))
    write(folder, f"{FOLDER}/12/other.jsonl", line(event="other hour", time="2026-11-21T12:00:00Z"))
    write(folder, f"{FOLDER.replace('AllTraffic', 'v2')}/09/c.jsonl", line(event="other variant"))


def by_reader(folder, labels=()):
    """Cells as the local reader has them."""
    state = folder / f"state-{len(labels)}"
    aggregate.run(folder / "captures", state, labels=labels)
    cells = aggregate.load(state, start="2026-11-21T09", end="2026-11-21T12").cells
    return {tuple(key): cell for key, cell in cells.items() if key.variant == "AllTraffic"}


def assert_same(found, known):
    """The same cells, to the last billionth but for the logarithm's last digit in a few."""
    assert set(found) == set(known)
    for key, cell in known.items():
        count, confidence, margin, entropy, familiar, familiarity, histogram = found[key]
        assert (count, confidence, margin) == (cell.count, cell.confidence, cell.margin), key
        assert (familiar, familiarity, histogram) == (cell.familiar, cell.familiarity, cell.histogram), key
        assert entropy == pytest.approx(cell.entropy, abs=max(1, 0.3 * cell.count))


@pytest.mark.parametrize("labels", [(), LABELS])
def test_sql_gives_what_the_reader_gives(tmp_path, labels):
    every_output(tmp_path)
    assert_same(by_sql(table_of(tmp_path), labels), by_reader(tmp_path, labels))


def test_sql_gives_what_the_reader_gives_on_real_files(real_data, tmp_path):
    # GIVEN all real captures, brought into the layout and the hours of the query
    lines = {}
    for path in sorted((real_data / "captures").rglob("*.jsonl")):
        for row in path.read_text().splitlines():
            record = json.loads(row)
            time = record["eventMetadata"].get("inferenceTime", "2026-11-21T09:00:00Z")
            record["eventMetadata"]["inferenceTime"] = f"2026-11-21T{9 + int(time[12]) % 3:02}{time[13:]}"
            lines.setdefault(time[12], []).append(json.dumps(record).encode())
    for name, rows in lines.items():
        write(tmp_path, f"{FOLDER}/10/{name}.jsonl", *rows)
    aggregate.run(tmp_path / "captures", tmp_path / "state", labels=LABELS)
    known = aggregate.load(tmp_path / "state").cells
    found = by_sql(table_of(tmp_path), LABELS)
    assert {k: (c[0], c[1], c[2], c[6]) for k, c in found.items()} == {
        tuple(k): (c.count, c.confidence, c.margin, c.histogram) for k, c in known.items()
    }


@pytest.mark.parametrize("name", ["a'b", "x;drop", "", "a b"])
def test_names_that_would_change_the_query_are_rejected(name):
    with pytest.raises(MonitoringError, match="is not a name"):
        query_sql(name, "v", FIRST, LAST)
    with pytest.raises(MonitoringError):
        table_sql(f"s3://{name}'")


def test_hours_the_wrong_way_round_are_rejected():
    with pytest.raises(MonitoringError, match="is after"):
        query_sql("e", "v", LAST, FIRST)


def test_labels_are_quoted():
    assert "ARRAY['it''s', 'b']" in query_sql("e", "v", FIRST, LAST, labels=["it's", "b"])


def test_table_lies_over_the_layout():
    statement = table_sql("s3://images/captures/")
    assert "'s3://images/captures/${endpoint}/${variant}/${hour}/'" in statement
    assert "LOCATION 's3://images/captures/'" in statement
