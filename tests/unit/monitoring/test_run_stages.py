"""The stages of a run over captures, each replaced by one that notes its calls: their order, times and totals."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from monitoring.aggregates.cells import Aggregate, BadLine, Health, Series
from monitoring.errors import MonitoringError
from monitoring.incremental import run as runs
from monitoring.ingest.tasks import Task
from monitoring.ingest.workers import ReadOptions
from monitoring.storage import parquet
from monitoring.storage.base import BucketAccess, CaptureFile

NOW = datetime(2026, 11, 21, 9, 30, 15, 500_000, tzinfo=UTC)


class State:
    """A state; notes commits as (moment, garbage kept, days to export)."""

    def __init__(self, calls: list[Any], exists: bool = True) -> None:
        self.exists, self._calls = exists, calls
        self.store = SimpleNamespace(name="there")
        self.manifest = SimpleNamespace(
            source="source",
            labels=["a"],
            health=Health(),
            hours={},
            unexported=[],
            updated="before",
            folders={},
        )

    def commit(self, updated: str, *, keep_garbage: bool = False) -> None:
        self._calls.append(("commit", updated, keep_garbage, list(self.manifest.unexported)))
        self.exists, self.manifest.updated = True, updated

    def load(self, _kind: str, hour: str) -> bytes:
        total = Aggregate()
        total.volume(Series(hour, "e", "v")).records = 1
        return total.to_json()

    def sweep(self) -> None:
        self._calls.append("sweep")


class Run:
    """A run over tasks; every stage notes its calls in `calls`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, exists: bool = True, name: str = "source") -> None:
        self.calls: list[Any] = []
        self.state = State(self.calls, exists)
        self.given: dict[str, Any] = {}
        self.ledgers = SimpleNamespace(dirty=False, save=lambda: self.calls.append("ledgers"))
        self.discovery = SimpleNamespace(dirty=False, new_files=self._new_files)
        self.totals = SimpleNamespace(locate=self._note("locate"), add=self._add)
        self.accumulator = SimpleNamespace(
            days=set(), add=self._note("batch"), flush=lambda: self.calls.append("flush")
        )
        self.tasks: list[Task] = []
        self.clock = 0.0
        self.options = ReadOptions(name, BucketAccess(), ("a",), False)
        for part, fake in {
            "Ledgers": lambda *_: self.ledgers,
            "Discovery": lambda *_: self.discovery,
            "FileTotals": lambda _h, _l, _d, summary: self._with(summary),
            "Accumulator": lambda *_: self.accumulator,
            "tasks": lambda files: iter(self.tasks) if files == "files" else None,
            "read_tasks": self._read,
            "time": SimpleNamespace(monotonic=lambda: self.clock),
            "datetime": SimpleNamespace(now=lambda zone: NOW.astimezone(zone)),
        }.items():
            monkeypatch.setattr(runs, part, fake)
        monkeypatch.setattr(
            parquet,
            "write_day",
            lambda store, day, total: self.calls.append((store.name, day, total.hours())),
        )
        self.run = runs._AggregationRun(SimpleNamespace(name=name), self.state, self.options)  # type: ignore[arg-type]

    def _with(self, summary: Any) -> Any:
        self.summary = summary
        return self.totals

    def _note(self, name: str) -> Any:
        return lambda batch: self.calls.append((name, batch))

    def _add(self, batch: Any, task: Task) -> None:
        self.calls.append(("totals", batch, task.bytes))
        self.summary.files_read += 1
        self.clock += 10

    def _new_files(self, since: str) -> str:
        self.given["since"] = since
        return "files"

    def _read(self, options: Any, queue: Any, processes: int) -> Any:
        self.given |= {"options": options, "processes": processes}
        for task in queue:
            yield task, [f"{task.bytes}a", f"{task.bytes}b"]

    def go(
        self, processes: int | None = None, seconds: float | None = None, days: float | None = None
    ) -> Any:
        return self.run.go(processes, seconds, days, lambda *done: self.calls.append(("progress", *done)))


def whole(size: int) -> Task:
    return Task([CaptureFile("f", size, "1")], size)


FINISHED = ["flush", "ledgers"]


def test_each_batch_is_located_added_and_counted_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    run.tasks = [whole(5), Task(whole(100).files, 7, 0, 7), Task(whole(100).files, 3, 7, None)]
    run.state.manifest.hours = dict.fromkeys(["2026-11-22T00:00:00Z", "unknown", "2026-11-21T09:00:00Z"])
    run.state.manifest.health.files = 4
    summary = run.go(2)
    assert run.calls[:14] == [
        ("locate", "5a"), ("batch", "5a"), ("totals", "5a", 5), ("locate", "5b"), ("batch", "5b"), ("totals", "5b", 5),
        ("progress", 2, 0),
        ("locate", "7a"), ("batch", "7a"), ("totals", "7a", 7), ("locate", "7b"), ("batch", "7b"), ("totals", "7b", 7),
        ("progress", 4, 0),
    ]  # fmt: skip
    assert run.calls[-3:] == [*FINISHED, "sweep"]
    # THEN of a file that is read by ranges the bytes are those of the ranges
    assert (summary.bytes_read, summary.files_read, summary.complete, summary.seconds) == (10, 6, True, 60.0)
    assert (summary.source, summary.state, summary.health.files) == ("source", "there", 4)
    assert summary.hours == ["2026-11-21T09:00:00Z", "2026-11-22T00:00:00Z"]
    assert (run.given["processes"], run.given["options"], run.given["since"]) == (2, run.options, "")


def test_without_new_files_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    summary = run.go()
    assert run.calls == FINISHED
    assert (summary.files_read, summary.bytes_read, summary.hours, run.given["processes"]) == (0, 0, [], 1)


@pytest.mark.parametrize(
    ("days", "since"),
    [
        (None, ""),
        (0.0, "2026/11/21/09"),
        (0.5, "2026/11/20/21"),
        (2.0, "2026/11/19/09"),
        (0.4, "2026/11/20/23"),
    ],
)
def test_folders_are_listed_from_so_many_days_back(
    monkeypatch: pytest.MonkeyPatch, days: float | None, since: str
) -> None:
    run = Run(monkeypatch)
    run.go(days=days)
    assert run.given["since"] == since


@pytest.mark.parametrize(
    ("seconds", "read"), [(None, 3), (0.0, 1), (19.0, 1), (20.0, 2), (39.0, 2), (40.0, 3), (60.0, 3)]
)
def test_a_run_ends_after_the_task_in_which_its_time_was_over(
    monkeypatch: pytest.MonkeyPatch, seconds: float | None, read: int
) -> None:
    # GIVEN a start that is not 0, and tasks of twenty seconds
    run = Run(monkeypatch)
    run.clock = 1000.0
    run.tasks = [whole(1), whole(2), whole(3)]
    summary = run.go(seconds=seconds)
    assert (summary.files_read // 2, summary.seconds) == (read, 20.0 * read)
    assert summary.complete is (seconds is None or seconds >= 60)
    assert run.calls.count("flush") == 1


@pytest.mark.parametrize(
    ("every", "commits"), [(0.0, 4), (19.0, 4), (20.0, 2), (40.0, 2), (59.0, 2), (60.0, 1)]
)
def test_a_long_run_stores_what_it_has_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch, every: float, commits: int
) -> None:
    run = Run(monkeypatch)
    run.clock = 1000.0
    run.tasks = [whole(1), whole(2), whole(3)]
    monkeypatch.setattr(runs, "COMMIT_SECONDS", every)
    run.go()
    assert run.calls.count("flush") == commits
    # AND its time is that since its beginning
    run = Run(monkeypatch)
    run.tasks = [whole(1), whole(2), whole(3)]
    assert run.go(seconds=59.0).complete is False


@pytest.mark.parametrize(
    ("ledgers", "discovery", "exists"),
    [(True, False, True), (False, True, True), (False, False, False), (False, False, True)],
)
def test_a_state_is_replaced_where_something_changed_and_by_the_first_run(
    monkeypatch: pytest.MonkeyPatch, ledgers: bool, discovery: bool, exists: bool
) -> None:
    run = Run(monkeypatch, exists=exists)
    run.ledgers.dirty, run.discovery.dirty = ledgers, discovery
    run.go()
    expected = [("commit", "2026-11-21T09:30:15Z", False, [])] if ledgers or discovery or not exists else []
    assert run.calls == [*FINISHED, *expected]
    assert (run.ledgers.dirty, run.discovery.dirty) == (False, False)


def test_days_that_changed_and_those_of_a_run_that_was_killed_are_exported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run(monkeypatch)
    run.ledgers.dirty, run.accumulator.days = True, {"2026-11-22", "2026-11-20"}
    run.state.manifest.unexported = ["2026-11-21", "2026-11-22"]
    hours = [f"2026-11-2{day}T0{hour}:00:00Z" for day in (1, 2, 3) for hour in (1, 0)]
    run.state.manifest.hours = dict.fromkeys(hours)
    run.go()
    days = ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert run.calls == [
        *FINISHED, ("commit", "2026-11-21T09:30:15Z", False, days), ("there", days[0], []),
        ("there", days[1], sorted(hours[:2])), ("there", days[2], sorted(hours[2:4])),
        # The garbage of the commit before it is still read by others
        ("commit", "2026-11-21T09:30:15Z", True, []),
    ]  # fmt: skip
    assert (run.accumulator.days, run.state.manifest.unexported) == (set(), [])


@pytest.mark.parametrize(
    ("records", "duplicates", "lines"), [(40, 3, 100), (43, 0, 100), (44, 0, 101), (50, 0, 107)]
)
def test_every_line_is_a_record_a_duplicate_or_none(
    monkeypatch: pytest.MonkeyPatch, records: int, duplicates: int, lines: int
) -> None:
    run = Run(monkeypatch)
    health = run.state.manifest.health = Health(
        lines=100, bad_lines=7, ground_truth=50, records=records, unreadable_files=9
    )
    run.summary.failed += [BadLine("a", 0, "x"), BadLine("b", 0, "x")]
    run.run._commit()
    assert (health.lines, health.duplicates, health.unreadable_files) == (100, duplicates, 2)
    # AND lines of a file that was replaced while it was read are added at the end alone, once
    for _ in range(2):
        run.run._commit(last=True)
        assert (health.lines, health.duplicates, health.unreadable_files) == (lines, duplicates, 2)


def test_a_run_that_is_out_of_time_adds_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, lines in ((0.0, 1), (None, 3)):
        run = Run(monkeypatch)
        run.tasks = [whole(1)]
        run.state.manifest.health = Health(lines=1, records=3)
        assert run.go(seconds=seconds).health.lines == lines


def test_a_state_is_of_one_source_and_of_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, exists=False, name="s\udcff")
    assert (run.state.manifest.source, run.state.manifest.labels) == ("s?", ["a"])
    with pytest.raises(
        MonitoringError, match=r"^there holds aggregates of source: use another folder for elsewhere\.$"
    ):
        Run(monkeypatch, name="elsewhere")
    for labels, known in ((["b", "c"], "b, c"), ([], "none")):
        run = Run(monkeypatch)
        run.state.manifest.labels = labels
        with pytest.raises(
            MonitoringError, match=rf"^there was aggregated with other labels \({known}\): use these, another"
        ):
            run.run._check()


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_as_it_was_after_a_run(
    monkeypatch: pytest.MonkeyPatch, enabled: bool
) -> None:
    calls: list[str] = []
    fake = SimpleNamespace(
        isenabled=lambda: enabled, disable=lambda: calls.append("off"), enable=lambda: calls.append("on")
    )
    monkeypatch.setattr(runs, "gc", fake)
    with pytest.raises(KeyError) as error, runs._without_collector():
        raise KeyError(*calls)
    assert error.value.args == ("off",)
    assert calls == (["off", "on"] if enabled else ["off"])
