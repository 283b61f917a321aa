"""Parts of a run over captures, each alone: tasks, ledgers, counts of files, what is listed again, and the summary."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from monitoring.aggregates.cells import Aggregate, BadLine, Health
from monitoring.errors import MonitoringError
from monitoring.incremental import run as runs
from monitoring.incremental.discovery import Discovery
from monitoring.incremental.file_totals import FileTotals
from monitoring.incremental.summary import RunSummary
from monitoring.ingest import tasks
from monitoring.ingest.batch import FileCounts
from monitoring.ingest.tasks import Task
from monitoring.storage.base import CaptureFile, Folder
from monitoring.storage.ledger import Ledger

FOLDER = "c/e/v/2026/11/21/09"


def file(name: str, size: int = 10, version: str = "1") -> CaptureFile:
    return CaptureFile(name, size, version)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []), ([100], [(1, 100, 0, None)]), ([0, 100], [(2, 100, 0, None)]),
        ([60, 40], [(2, 100, 0, None)]), ([60, 41], [(1, 60, 0, None), (1, 41, 0, None)]),
        ([0, 0, 0, 0], [(3, 0, 0, None), (1, 0, 0, None)]), ([-60, -41], [(1, 60, 0, None), (1, 41, 0, None)]),
        ([101], [(1, 100, 0, 100), (1, 1, 100, None)]), ([200], [(1, 100, 0, 100), (1, 100, 100, None)]),
        ([5, 201, 6], [(1, 5, 0, None), (1, 100, 0, 100), (1, 100, 100, 200), (1, 1, 200, None), (1, 6, 0, None)]),
    ],
)  # fmt: skip
def test_small_files_are_a_task_together_and_a_large_one_is_several(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], expected: list[Any]
) -> None:
    monkeypatch.setattr(tasks, "TASK_BYTES", 100)
    monkeypatch.setattr(tasks, "TASK_FILES", 3)
    files = [file(str(number), size) for number, size in enumerate(sizes)]
    found = list(tasks.tasks(files))
    assert [(len(one.files), one.bytes, one.start, one.stop) for one in found] == expected
    assert list(dict.fromkeys(one.name for task in found for one in task.files)) == [
        one.name for one in files
    ]
    assert [one.is_range for one in found] == [
        start > 0 or stop is not None for _, _, start, stop in expected
    ]


def test_a_task_is_64_megabytes_or_5000_files_and_so_many_bytes_are_worth_several_processes() -> None:
    assert (tasks.TASK_BYTES, tasks.TASK_FILES, runs._SEVERAL, runs.COMMIT_SECONDS) == (
        2**26,
        5000,
        2**26,
        300.0,
    )


@pytest.mark.parametrize(
    ("sizes", "wanted", "processes"),
    [
        ([2**26], None, 3), ([2**25, 2**25], None, 3), ([2**26 - 1], None, 1), ([], None, 1), ([2**26], 1, 1), ([2**26], 0, 1),
        ([1], 2, 2), ([1], 5, 5),
    ],
)  # fmt: skip
def test_several_processes_read_where_there_is_much(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], wanted: int | None, processes: int
) -> None:
    monkeypatch.setattr(runs.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    given = [Task([file("a", size)], size) for size in [*sizes, 5]]
    found, count = runs._processes(iter(given[: len(sizes)]), wanted)
    assert (list(found), count) == (given[: len(sizes)], processes)


def counts_of(*rows: tuple[int, int, int, int, int]) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, 5)


class Source:
    """A source with these folders; `sized` gives the sizes that were estimated."""

    def __init__(self, *folders: Folder) -> None:
        self._folders, self.sized_files, self.listed = folders, [], []  # type: ignore[var-annotated]

    def folders(self, known: dict[str, int], since: str, *, sizes: bool) -> Any:
        self.listed.append((dict(known), since, sizes))
        return iter(self._folders)

    def path(self, name: str) -> str:
        return f"/captures/{name}"

    def sized(self, files: list[CaptureFile]) -> list[CaptureFile]:
        self.sized_files += files
        return [msgspec.structs.replace(one, size=abs(one.size)) for one in files]


def discovery(
    *folders: Folder, read: list[CaptureFile] | None = None
) -> tuple[Discovery, Any, RunSummary, Source]:
    ledger = Ledger()
    if read:
        ledger.record(read, counts_of(*[(1, 1, 1, 0, 0)] * len(read)))
    ledger = Ledger(ledger.to_bytes())
    manifest = SimpleNamespace(
        folders={"before": 1}, health=Health(bad=[BadLine(f"{FOLDER}/a", 1, "x"), BadLine("other", 1, "x")])
    )
    asked: list[str] = []
    ledgers: Any = SimpleNamespace(of=lambda part: asked.append(part) or ledger)
    summary, source = RunSummary("source", "state"), Source(*folders)
    found = Discovery(source, SimpleNamespace(manifest=manifest), ledgers, summary)  # type: ignore[arg-type]
    manifest.asked = asked
    return found, manifest, summary, source


def test_new_and_changed_files_are_found_and_their_former_bad_lines_forgotten() -> None:
    a, b, c = (file(f"{FOLDER}/{name}") for name in "abc")
    changed = file(a.name, 11)
    found, manifest, summary, source = discovery(Folder(FOLDER, [changed, b, c], 7), read=[a, b])
    assert list(found.new_files("2026/11/21")) == [changed, c]
    assert source.listed == [({"before": 1}, "2026/11/21", False)]
    assert (manifest.asked, source.sized_files, summary.failed) == (["2026-11-21"], [], [])
    assert [line.file for line in manifest.health.bad] == ["other"]
    # AND the folder is not listed again once both were read
    found.mark_read("elsewhere", [changed, c])
    found.mark_read(FOLDER, [c])
    assert (manifest.folders, found.dirty) == ({"before": 1}, False)
    found.mark_read(FOLDER, [changed])
    assert (manifest.folders, found.dirty) == ({"before": 1, FOLDER: 7}, True)
    found.mark_read(FOLDER, [changed])


def test_sizes_are_requested_of_files_that_were_read_before_alone() -> None:
    a, b = file(f"{FOLDER}/a", -10), file(f"{FOLDER}/b", -10)
    found, _, _, source = discovery(Folder(FOLDER, [a, b], 7), read=[file(a.name)])
    assert list(found.new_files("")) == [b]
    assert source.sized_files == [a]
    empty = [file(f"{FOLDER}/{name}", 0) for name in "ab"]
    found, _, _, source = discovery(Folder(FOLDER, empty, 7), read=empty[:1])
    assert list(found.new_files("")) == empty[1:]
    assert source.sized_files == []


def test_a_folder_without_new_files_is_settled_at_once_unless_it_has_no_stamp() -> None:
    a = file(f"{FOLDER}/a")
    for stamp, name, settled in ((7, FOLDER, True), (0, FOLDER, False), (7, f"{FOLDER}\udce9", False)):
        found, manifest, _, _ = discovery(Folder(name, [a], stamp), read=[a])
        assert list(found.new_files("")) == []
        assert (manifest.folders.get(name) == 7, found.dirty) == (settled, settled)
        assert [line.file for line in manifest.health.bad] == [f"{FOLDER}/a", "other"]


def test_a_folder_that_could_not_be_listed_is_named_and_one_to_list_again_is_not_settled() -> None:
    a = file(f"{FOLDER}/a")
    found, manifest, summary, _ = discovery(
        Folder(FOLDER, [a], 7), Folder("", [], 0, "denied"), Folder("x", [], 0, "gone")
    )
    assert list(found.new_files("")) == [a]
    assert summary.failed == [BadLine(".", 0, "denied"), BadLine("x", 0, "gone")]
    found.list_again(FOLDER)
    found.list_again(FOLDER)
    found.mark_read(FOLDER, [a])
    assert (manifest.folders, found.dirty) == ({"before": 1}, False)


class Recorded:
    """Notes what is recorded and listed again; each file is new."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.read: list[Any] = []
        self.again: list[str] = []

    def record(self, part: str, files: list[CaptureFile], counts: np.ndarray) -> np.ndarray:
        self.parts.append((part, [(one.name, one.size, one.version) for one in files], counts.tolist()))
        return np.append(counts.sum(axis=0), len(files))

    def partition_of(self, name: str) -> str:
        return f"part of {name}"

    def mark_read(self, folder: str, files: list[CaptureFile]) -> None:
        self.read.append((folder, [one.name for one in files]))

    def list_again(self, folder: str) -> None:
        self.again.append(folder)


def batch(
    *files: FileCounts, relative: str = "", bad: Any = (), failed: Any = (), uncertain: Any = ()
) -> Any:
    return SimpleNamespace(
        files=list(files), relative=relative, bad=list(bad), failed=list(failed), uncertain=list(uncertain)
    )


def test_files_of_a_task_are_recorded_by_folder_with_their_counts() -> None:
    recorded, health, summary = (
        Recorded(),
        Health(files=1, bytes=1, lines=1, bad_lines=1, ground_truth=1),
        RunSummary("s", "t"),
    )
    totals = FileTotals(health, recorded, recorded, summary)  # type: ignore[arg-type]
    task = Task([file("f/a", -1, "v1"), file("f/b", -1, "v2"), file("g/c", -1, "v3")])
    bad = [BadLine("f/a", 1, "cut off: x"), BadLine("g/c", 1, "not JSON: x")]
    failed = [BadLine("h/d", 0, "denied")]
    totals.add(batch(
        FileCounts("f/a", 0, 10, 2, 3, 4, 5), FileCounts("f/b", 0, 20, 3, 4, 5, 6), FileCounts("g/c", 0, 30, 4, 5, 6, 7),
        bad=bad, failed=failed,
    ), task)  # fmt: skip
    assert recorded.parts == [
        ("part of f/a", [("f/a", 10, "v1"), ("f/b", 20, "v2")], [[10, 2, 3, 4, 5], [20, 3, 4, 5, 6]]),
        ("part of g/c", [("g/c", 30, "v3")], [[30, 4, 5, 6, 7]]),
    ]
    assert (recorded.read, recorded.again) == ([("f", ["f/a", "f/b"]), ("g", ["g/c"])], ["f", "h"])
    assert (health.files, health.bytes, health.lines, health.bad_lines, health.ground_truth) == (
        4,
        61,
        10,
        16,
        19,
    )
    assert (summary.files_read, summary.bytes_read, summary.failed) == (3, 60, failed)
    totals.add(batch(), task)
    assert len(recorded.parts) == 2


def test_ranges_of_a_large_file_are_added_up_and_recorded_with_the_last() -> None:
    recorded, health, summary = Recorded(), Health(), RunSummary("s", "t")
    totals = FileTotals(health, recorded, recorded, summary)  # type: ignore[arg-type]
    large = file("f/a", 250, "v1")
    for _ in range(2):  # read again from the beginning, nothing of the first time is left
        totals.add(batch(FileCounts("f/a", 0, 0, 2, 3, 4, 5, newlines=7)), Task([large], 100, 0, 100))
        totals.add(
            batch(FileCounts("f/a", 100, 0, 20, 30, 40, 50, newlines=70)), Task([large], 100, 100, 200)
        )
        assert recorded.parts == []
        located = batch(relative="f/a", bad=[BadLine("f/a", 3, "x")], uncertain=[(0, None, Line(line=4))])
        totals.locate(located)
        assert [one.line for one in located.bad] == [80]
        assert [one.line for _, _, one in located.uncertain] == [81]
    other = batch(relative="", bad=[BadLine("f/a", 3, "x")])
    totals.locate(other)
    assert other.bad[0].line == 3
    unknown = batch(relative="f/b", bad=[BadLine("f/b", 3, "x")])
    totals.locate(unknown)
    assert unknown.bad[0].line == 3
    totals.add(
        batch(FileCounts("f/a", 200, 0, 200, 300, 400, 500, newlines=700)), Task([large], 50, 200, None)
    )
    assert recorded.parts == [("part of f/a", [("f/a", 250, "v1")], [[250, 222, 333, 444, 555]])]
    assert (health.bytes, health.lines, summary.files_read, summary.bytes_read) == (250, 222, 1, 0)
    # AND nothing is left of it
    totals.locate(located := batch(relative="f/a", bad=[BadLine("f/a", 3, "x")]))
    assert located.bad[0].line == 3


def test_other_files_are_recorded_between_ranges_and_a_range_may_be_the_first_that_is_read() -> None:
    recorded, summary = Recorded(), RunSummary("s", "t")
    totals = FileTotals(Health(), recorded, recorded, summary)  # type: ignore[arg-type]
    large = file("f/a", 250, "v1")
    totals.add(batch(FileCounts("f/a", 100, 0, 20, 30, 40, 50, newlines=70)), Task([large], 100, 100, 200))
    totals.add(batch(FileCounts("f/b", 0, 10, 1, 1, 1, 1)), Task([file("f/b")], 10))
    located = batch(relative="f/a", bad=[BadLine("f/a", 3, "x")])
    totals.locate(located)
    assert located.bad[0].line == 73
    totals.add(batch(FileCounts("f/a", 200, 0, 1, 1, 1, 1)), Task([large], 50, 200, None))
    assert [counts for _, _, counts in recorded.parts] == [[[10, 1, 1, 1, 1]], [[250, 21, 31, 41, 51]]]


class Line(msgspec.Struct):
    """A candidate with its line."""

    line: int


def test_a_summary_as_plain_values() -> None:
    summary = RunSummary(
        "s", "t", False, 3, 100, 1.23456, Health(records=7), [BadLine("a", 0, "x")], ["h1", "h2", "h3"]
    )
    found = summary.to_json()
    assert found["records"] == 7
    assert {name: found[name] for name in found.keys() - msgspec.to_builtins(Health()).keys()} == {
        "source": "s", "state": "t", "complete": False, "files_read": 3, "bytes_read": 100, "seconds": 1.235,
        "failed": [{"file": "a", "line": 0, "reason": "x"}], "first_hour": "h1", "last_hour": "h3",
    }  # fmt: skip
    empty = RunSummary("s", "t")
    assert (empty.complete, empty.to_json()["first_hour"], empty.to_json()["last_hour"]) == (True, None, None)
    assert (empty.files_read, empty.bytes_read, empty.seconds) == (0, 0, 0.0)


HOURS = ["2026-11-20T23:00:00Z", "2026-11-21T00:00:00Z", "2026-11-21T01:00:00Z", "unknown"]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, HOURS), (HOURS[1], None, HOURS[1:3]), (None, HOURS[1], HOURS[:1]), (HOURS[1], HOURS[2], HOURS[1:2]),
        (HOURS[2], HOURS[2], []),
    ],
)  # fmt: skip
def test_hours_of_a_span_are_loaded(
    monkeypatch: pytest.MonkeyPatch, start: str | None, end: str | None, expected: list[str]
) -> None:
    loaded: list[str] = []
    health = Health(records=7)
    state = SimpleNamespace(
        exists=True, manifest=SimpleNamespace(hours=dict.fromkeys(reversed(HOURS)), health=health),
        load=lambda kind, hour: loaded.append(hour) or b"", store=SimpleNamespace(name="there"),
    )  # fmt: skip
    monkeypatch.setattr(runs, "open_store", lambda *_: None)
    monkeypatch.setattr(runs, "AggregationState", lambda _: state)
    monkeypatch.setattr(runs.Aggregate, "from_json", lambda _: Aggregate())
    assert runs.load("state", start=start, end=end).health is health
    assert loaded == expected
    state.exists = False
    with pytest.raises(
        MonitoringError, match="Nothing was aggregated into there yet: run `dropsort monitor` first"
    ):
        runs.load("state")


def test_without_a_state_nothing_is_stored_and_every_option_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    given: list[Any] = []

    class Run:
        def __init__(self, source: Any, state: Any, options: Any) -> None:
            given.append((source.name, options.labels, options.images, options.access))

        def go(self, *options: Any) -> str:
            given.append(options)
            return "summary"

    monkeypatch.setattr(runs, "_AggregationRun", Run)
    access, progress = runs.BucketAccess(region="x"), lambda *_: None
    options: Any = {
        "labels": ["a"],
        "processes": 2,
        "progress": progress,
        "seconds": 3.0,
        "days": 4.0,
        "images": True,
        "access": access,
    }
    for state in (None, tmp_path / "state"):
        given.clear()
        assert runs.run(tmp_path, state, **options) == "summary"
        assert given == [(str(tmp_path), ("a",), True, access), (2, 3.0, 4.0, progress)]
