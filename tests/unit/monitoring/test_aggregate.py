"""Incremental aggregation: whatever the order, the copies, the kills, the end is what one run over everything gives."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from monitoring.aggregates.cells import Aggregate
from monitoring.drift.windows import sample_of
from monitoring.errors import MonitoringError
from monitoring.incremental import run as aggregate
from monitoring.ingest import tasks
from monitoring.storage import open_store, state
from monitoring.storage.local import LocalStore
from tests.unit.monitoring.capture_cases import LABELS, LINES, PICTURE, TREE, line

ROOT = Path(__file__).parents[3]


# Without event ids: of copies under different paths, the first that is read counts, and names endpoint and variant.
ODD = [LINES[0], LINES[1], LINES[9], LINES[11], b"broken", b"", b"\xff"]
TREE_LATE = "captures/bikes/AllTraffic/2026/11/21/12/again.jsonl"


def write(folder: Path, name: str, *rows: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(row + b"\n" for row in rows))
    return path


def rows_of(seed: int, count: int = 12) -> list[bytes]:
    numbers = random.Random(seed)
    out = []
    for at in range(count):
        first = round(numbers.random(), 6)
        hour = numbers.choice(["09", "10", "11"])
        event = f"{seed}-{at}" if numbers.random() > 0.1 else None
        out.append(line(f"[{first}, {1 - first}]", event=event, time=f"2026-11-21T{hour}:00:01Z"))
    return [*out, numbers.choice(ODD)]


def files_of(count: int = 6) -> dict[str, list[bytes]]:
    """Files over several folders; some records are in two of them."""
    files = {
        f"captures/bikes/AllTraffic/2026/11/21/{9 + i % 3:02}/{i}.jsonl": rows_of(i) for i in range(count)
    }
    files[TREE_LATE] = rows_of(0)[:5] + rows_of(1)[:5]
    return files


def at_once(folder: Path, files: dict[str, list[bytes]]) -> Aggregate:
    for name, rows in files.items():
        write(folder / "source", name, *rows)
    aggregate.run(folder / "source", folder / "state", labels=LABELS)
    return aggregate.load(folder / "state")


def same(first: Aggregate, second: Aggregate) -> None:
    """Equal but for which copy of a record is named, and for the spelling of the list of bad lines."""
    a, b = (json.loads(x.to_json()) for x in (first, second))
    for one in (a, b):
        for row in one["uncertain"]:
            for name in ("file", "line", "offset"):
                del row[name]
    assert a == b


def test_any_order_of_arrival_gives_the_same(tmp_path):
    # GIVEN files that hold copies of each other's records
    files = files_of()
    whole = at_once(tmp_path / "whole", files)
    assert whole.health.duplicates >= 5
    for seed in range(5):
        # WHEN they arrive one after another, in any order, with a run after each
        order = list(files)
        random.Random(seed).shuffle(order)
        folder = tmp_path / str(seed)
        for name in order:
            write(folder / "source", name, *files[name])
            aggregate.run(folder / "source", folder / "state", labels=LABELS)
        # THEN the end is that of one run over everything
        same(whole, aggregate.load(folder / "state"))


def test_partial_aggregates_merge_in_any_order(tmp_path):
    parts = [at_once(tmp_path / str(i), {"a.jsonl": rows_of(i, 30)}) for i in range(4)]
    results = set()
    for order in itertools.permutations(parts):
        total = Aggregate()
        for part in order:
            total.merge(Aggregate.from_json(part.to_json()))
        results.add(total.to_json())
    assert len(results) == 1


def test_second_run_reads_nothing_and_writes_nothing(tmp_path):
    at_once(tmp_path, files_of())
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "state").rglob("*")}
    summary = aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS)
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "state").rglob("*")}
    assert (summary.files_read, summary.health.files) == (0, len(files_of()))
    assert before == after


def test_settled_hour_folders_are_not_listed_again_until_something_changes(tmp_path, monkeypatch):
    # GIVEN hour folders in which nobody has written for a while
    files = {**files_of(), "by hand/a.jsonl": [line(event="by hand")]}
    source = tmp_path / "source"
    for name, rows in files.items():
        write(source, name, *rows)
    for path in [*source.rglob("*"), source]:
        os.utime(path, (1e9, 1e9))
    aggregate.run(source, tmp_path / "state", labels=LABELS)
    # WHEN the source is listed again THEN they are left out, and folders of another form are not
    stamps = state.AggregationState(LocalStore(tmp_path / "state")).manifest.folders
    assert [f.name for f in LocalStore(source).folders(stamps)] == ["by hand"]
    # AND WHEN a late file comes into one of them
    write(source, "captures/bikes/AllTraffic/2026/11/21/09/late.jsonl", *rows_of(99))
    assert aggregate.run(source, tmp_path / "state", labels=LABELS).files_read == 1
    # THEN the end is as if it had always been there
    late = {**files, "captures/bikes/AllTraffic/2026/11/21/09/late.jsonl": rows_of(99)}
    same(at_once(tmp_path / "whole", late), aggregate.load(tmp_path / "state"))


def test_file_that_grew_counts_as_if_it_had_been_whole(tmp_path):
    # GIVEN a file that was read while somebody was writing it: its last line is cut off
    rows = rows_of(3)
    path = write(tmp_path / "source", f"{TREE}/a.jsonl", *rows[:4])
    with path.open("ab") as file:
        file.write(rows[4][:200])
    os.utime(path, (1e9, 1e9))
    os.utime(path.parent, (1e9, 1e9))
    summary = aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS)
    assert [(b.line, b.reason[:7]) for b in summary.health.bad] == [(5, "cut off")]
    # WHEN the rest has come, in place
    path.write_bytes(b"".join(row + b"\n" for row in rows))
    os.utime(path.parent, (1e9, 1e9))
    aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS)
    # THEN nothing is left of it
    same(at_once(tmp_path / "whole", {f"{TREE}/a.jsonl": rows}), aggregate.load(tmp_path / "state"))


def test_a_large_file_next_to_small_ones_in_an_hour_folder(tmp_path):
    # GIVEN an hour whose first file is small, so that the others' sizes are not requested
    rows = [line(f"[0.{10 + i}, 0.{90 - i}]", given="x" * 9_000, event=f"e{i}") for i in range(60)]
    write(tmp_path / "source", f"{TREE}/a.jsonl", rows[0])
    write(tmp_path / "source", f"{TREE}/b.jsonl", *rows, b"broken")
    write(tmp_path / "source", f"{TREE}/c.jsonl")
    write(tmp_path / "source", f"{TREE}/d.jsonl", line(event="d"))
    # WHEN it is read, and once more after a late file and after one of them grew
    first = aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS)
    write(tmp_path / "source", f"{TREE}/late.jsonl", line(event="late"))
    write(tmp_path / "source", f"{TREE}/d.jsonl", line(event="d"), line(event="d2"))
    second = aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS)
    # THEN everything is counted once, with its size
    assert (first.health.records, first.health.duplicates, first.health.bad_lines) == (61, 1, 1)
    assert (second.health.records, second.health.duplicates, second.files_read) == (63, 1, 2)
    assert second.health.bytes == sum(p.stat().st_size for p in tmp_path.rglob("*.jsonl"))


def test_captures_that_expired_stay_counted(tmp_path):
    whole = at_once(tmp_path, files_of())
    for path in (tmp_path / "source").rglob("*.jsonl"):
        path.unlink()
    write(tmp_path / "source", "new.jsonl", line(event="new"))
    summary = aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS)
    assert summary.health.records == whole.health.records + 1


@pytest.mark.parametrize("folder", ["flat", TREE])
def test_what_a_replaced_file_held_stays_counted_and_copies_are_still_seen(tmp_path, folder):
    # GIVEN a file that was read, and then replaced by one with other records
    write(tmp_path / "source", f"{folder}/a.jsonl", *(line(event=f"old {i}") for i in range(10)), b"broken")
    first = aggregate.run(tmp_path / "source", tmp_path / "state").health
    assert (first.lines, first.records, first.bad_lines) == (11, 10, 1)
    write(tmp_path / "source", f"{folder}/a.jsonl", line(event="new"), b"", b"also broken")
    second = aggregate.run(tmp_path / "source", tmp_path / "state").health
    assert (second.lines, second.records, second.duplicates, second.bad_lines) == (12, 11, 0, 1)
    # WHEN copies come THEN they are duplicates
    write(tmp_path / "source", "b.jsonl", line(event="new"), line(event="old 3"), line(event="newer"))
    third = aggregate.run(tmp_path / "source", tmp_path / "state").health
    assert (third.lines, third.records, third.duplicates, third.bad_lines) == (15, 12, 2, 1)


@pytest.mark.parametrize("step", range(12))
def test_run_that_dies_changes_nothing_and_the_next_one_mends_it(tmp_path, monkeypatch, step):
    # GIVEN a state, and more files
    files = files_of()
    first = dict(list(files.items())[:3])
    before = at_once(tmp_path, first)
    for name, rows in files.items():
        write(tmp_path / "source", name, *rows)
    # WHEN a run dies at its n-th write (the last ones are those of the exports)
    writes = itertools.count()
    original = LocalStore._write

    def dies(self, name, data, **options):
        if next(writes) == step:
            raise KeyboardInterrupt
        original(self, name, data, **options)

    monkeypatch.setattr(LocalStore, "_write", dies)
    try:
        aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS)
    except KeyboardInterrupt:
        monkeypatch.setattr(LocalStore, "_write", original)
        # THEN what is there is what was there, or what should be
        found = aggregate.load(tmp_path / "state")
        assert found.to_json() == before.to_json() or found.health.files == len(files)
    monkeypatch.setattr(LocalStore, "_write", original)
    aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS)
    whole = at_once(tmp_path / "whole", files)
    same(whole, aggregate.load(tmp_path / "state"))
    exported = Aggregate.from_json((tmp_path / "state/aggregates/2026-11-21.json").read_bytes())
    assert exported.cells == {k: c for k, c in whole.cells.items() if k.hour[:10] == "2026-11-21"}


def test_killed_process_leaves_a_state_that_goes_on(tmp_path):
    # GIVEN a process that is killed (SIGKILL) in the middle of its second run
    files = files_of()
    before = at_once(tmp_path, dict(list(files.items())[:2]))
    for name, rows in files.items():
        write(tmp_path / "source", name, *rows)
    program = (
        "import os, signal\n"
        "from monitoring.incremental import run as aggregate\n"
        "from monitoring.storage import state\n"
        "state.AggregationState.commit = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"aggregate.run({str(tmp_path / 'source')!r}, {str(tmp_path / 'state')!r}, labels={LABELS})\n"
    )
    died = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert died.returncode == -9
    assert aggregate.load(tmp_path / "state").to_json() == before.to_json()
    # WHEN the next one runs THEN everything is there, and nothing is left of the killed one
    aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS)
    same(at_once(tmp_path / "whole", files), aggregate.load(tmp_path / "state"))
    kept = state.AggregationState(LocalStore(tmp_path / "state"))
    left = {n for k in ("hours", "ids", "ledgers") for n in kept.store.names(k)}
    assert left == kept._named() | set(kept.manifest.garbage)


def test_out_of_time_goes_on_next_time(tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "TASK_FILES", 1)
    files = files_of()
    for name, rows in files.items():
        write(tmp_path / "source", name, *rows)
    complete, count = False, 0
    while not complete:
        summary = aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS, seconds=0)
        assert summary.files_read <= 1
        complete, count = summary.complete, count + 1
    assert count == len(files) + 1
    same(at_once(tmp_path / "whole", files), aggregate.load(tmp_path / "state"))


def test_little_memory_gives_the_same(tmp_path, monkeypatch):
    # GIVEN limits that make a run write its hours out again and again
    whole = at_once(tmp_path / "whole", files_of())
    monkeypatch.setattr("monitoring.incremental.accumulate._IDS_HELD", 5)
    monkeypatch.setattr("monitoring.incremental.accumulate._CELLS_HELD", 2)
    monkeypatch.setattr("monitoring.storage.ledger._LEDGERS_HELD", 1)
    monkeypatch.setattr(aggregate, "COMMIT_SECONDS", 0)
    monkeypatch.setattr(tasks, "TASK_FILES", 1)
    same(whole, at_once(tmp_path / "little", files_of()))


def test_two_processes_give_the_same(tmp_path, monkeypatch):
    whole = at_once(tmp_path, files_of())
    monkeypatch.setattr(tasks, "TASK_FILES", 1)
    aggregate.run(tmp_path / "source", tmp_path / "two", labels=LABELS, processes=2)
    assert aggregate.load(tmp_path / "two").to_json() == whole.to_json()


def test_parquet_has_the_cells(tmp_path):
    whole = at_once(tmp_path, files_of())
    found = duckdb.sql(
        "select strftime(hour at time zone 'UTC', '%Y-%m-%dT%H:00:00Z') as hour, endpoint, variant, label, model, count, "
        "confidence, margin, mean_confidence, confidence_p50, list_sum(histogram_counts) as total, "
        f"histogram_bins from '{tmp_path}/state/aggregates/*.parquet' order by all"
    ).fetchall()
    known = {k: c for k, c in whole.cells.items() if k.hour != "unknown"}
    assert len(found) == len(whole.cells)
    for hour, endpoint, variant, label, model, count, confidence, margin, mean, median, total, bins in found:
        if hour is not None:
            cell = known.pop((hour, endpoint, variant, label, model))
            assert (count, confidence, margin, total) == (
                cell.count,
                cell.confidence,
                cell.margin,
                cell.count,
            )
            assert mean == pytest.approx(cell.mean_confidence())
            assert median == pytest.approx(cell.quantile(0.5))
            assert bins == sorted(cell.histogram)
    assert not known


def test_unreadable_file_is_named_and_tried_again(tmp_path, monkeypatch):
    write(tmp_path / "source", "a.jsonl", line(event="a"))
    write(tmp_path / "source", "b.jsonl", line(event="b"))
    original = os.open

    def denied(path, *arguments, **options):
        if path == "a.jsonl":
            raise PermissionError(13, "Permission denied")
        return original(path, *arguments, **options)

    monkeypatch.setattr(os, "open", denied)
    summary = aggregate.run(tmp_path / "source", tmp_path / "state")
    assert [(f.file, f.reason) for f in summary.failed] == [("a.jsonl", "Permission denied")]
    assert (summary.health.records, summary.health.unreadable_files) == (1, 1)
    monkeypatch.setattr(os, "open", original)
    summary = aggregate.run(tmp_path / "source", tmp_path / "state")
    assert (summary.health.records, summary.health.unreadable_files, summary.files_read) == (2, 0, 1)


def test_image_statistics_of_decoded_inputs(tmp_path, real_data):
    folder = real_data / "captures" / "John0Isaac"
    aggregate.run(folder, tmp_path / "state", labels=LABELS, images=True)
    cells = aggregate.load(tmp_path / "state").cells.values()
    assert sum(cell.images for cell in cells) == sum(cell.count for cell in cells) > 0
    for cell in cells:
        moments = sample_of([("a", cell)]).images
        assert {(moments[side].mean, moments[side].deviation) for side in ("width", "height")} == {
            (32.0, 0.0)
        }
        assert 0 < moments["brightness"].mean < 255


def test_inputs_that_are_no_images_have_no_statistics(tmp_path):
    # GIVEN inputs that claim to be base64, and every odd line
    inputs = ["é" * 40, "\ud800", "AAA", "!!", "AAAA", "", 17, [1], PICTURE]
    rows = [line(given=given, event=f"e{i}") for i, given in enumerate(inputs)]
    write(tmp_path / "source", f"{TREE}/a.jsonl", *rows, *LINES)
    # WHEN images are decoded THEN all lines count as they do without
    with_images = aggregate.run(tmp_path / "source", tmp_path / "with", images=True).health
    assert with_images == aggregate.run(tmp_path / "source", tmp_path / "without").health
    assert not any(cell.images for cell in aggregate.load(tmp_path / "with").cells.values())


@pytest.mark.parametrize(
    ("source", "keep", "labels", "says"),
    [
        ("missing", "state", LABELS, "There is no folder"),
        ("ftp://host/x", "state", LABELS, "neither a folder nor s3://"),
        ("s3://", "state", LABELS, "names no bucket"),
        ("other", "used", LABELS, "use another folder"),
        ("source", "used", ("x", "y"), "other labels (bicycle, motorcycle)"),
        ("source", "damaged", LABELS, "state.json is damaged"),
        ("source", "strange", LABELS, "state.json is damaged"),
        ("source", "file.txt", LABELS, "Cannot keep state in"),
    ],
)
def test_mistakes_are_reported_in_one_line(tmp_path, monkeypatch, source, keep, labels, says):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "source/a.jsonl", line())
    write(tmp_path, "other/a.jsonl", line())
    write(tmp_path, "damaged/state.json", b"{")
    write(tmp_path, "strange/state.json", b"{}")
    write(tmp_path, "file.txt", b"")
    aggregate.run("source", "used", labels=LABELS)
    with pytest.raises(MonitoringError) as caught:
        aggregate.run(source, keep, labels=labels)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_object_of_the_state_is_named_and_what_helps(tmp_path):
    at_once(tmp_path, files_of())
    whole = aggregate.load(tmp_path / "state").cells
    for path in (tmp_path / "state/hours").iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(MonitoringError, match=r"hours/.* is damaged or missing: remove .*state/state\.json"):
        aggregate.load(tmp_path / "state")

    (tmp_path / "state/state.json").unlink()
    at_once(tmp_path, files_of())
    assert aggregate.load(tmp_path / "state").cells == whole


def test_two_runs_into_one_state_at_once_are_rejected(tmp_path):
    write(tmp_path, "source/a.jsonl", line())
    with open_store(tmp_path / "state").lock(), pytest.raises(MonitoringError, match="Another run"):
        aggregate.run(tmp_path / "source", tmp_path / "state")


def test_nothing_aggregated_yet(tmp_path):
    with pytest.raises(MonitoringError, match="Nothing was aggregated"):
        aggregate.load(tmp_path)
