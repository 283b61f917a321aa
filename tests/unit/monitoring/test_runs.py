"""What a run keeps of what it has read, when it stops, how many processes it starts, and which hours are loaded."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from monitoring.errors import MissingFileError, StorageError
from monitoring.incremental import run as aggregate
from monitoring.ingest import tasks, workers
from monitoring.storage.base import BucketAccess
from monitoring.storage.s3_keys import AnyKeys
from tests.unit.monitoring.capture_cases import LABELS, line
from tests.unit.monitoring.test_aggregate import at_once, files_of, same, write

SETTLED = (1e9, 1e9)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of capture files, each of which is a task of its own."""
    monkeypatch.setattr(tasks, "TASK_FILES", 1)
    for name, rows in files_of().items():
        write(tmp_path / "source", name, *rows)
    return tmp_path / "source"


def settle(source: Path) -> None:
    """As if nobody had written there for long."""
    for path in [*source.rglob("*"), source]:
        os.utime(path, SETTLED)


def test_what_a_long_run_has_stored_before_it_was_killed_is_not_read_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregate, "COMMIT_SECONDS", 0)

    def kill(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        aggregate.run(source, tmp_path / "state", labels=LABELS, progress=kill)
    assert aggregate.run(source, tmp_path / "state", labels=LABELS).files_read == len(files_of()) - 2


def test_a_run_stops_after_its_time(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a clock by which each file takes a hundred seconds
    clock: Iterator[float] = itertools.count(0.0, 100.0)
    monkeypatch.setattr(aggregate, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    # THEN it reads for the seconds that it has, and not one more file
    summary = aggregate.run(source, tmp_path / "state", labels=LABELS, seconds=200)
    assert (summary.files_read, summary.complete) == (3, False)


def test_a_run_that_was_out_of_time_goes_on_in_folders_to_which_nobody_writes(
    source: Path, tmp_path: Path
) -> None:
    settle(source)
    while not aggregate.run(source, tmp_path / "state", labels=LABELS, seconds=0).complete:
        pass
    same(at_once(tmp_path / "whole", files_of()), aggregate.load(tmp_path / "state"))


@pytest.mark.parametrize("path", [b"s\xff/c/e/v", b"s/\xff/e/v", b"s/c/e\xff/v", b"s/c/e/\xff"])
def test_a_folder_whose_name_is_no_utf8_is_read_once(tmp_path: Path, path: bytes) -> None:
    source, _, below = os.fsdecode(path).partition("/")
    try:
        write(tmp_path / source, f"{below}/2026/11/21/09/a.jsonl", line())
    except OSError:
        pytest.skip("this file system only takes UTF-8")
    settle(tmp_path / source)
    found = [aggregate.run(tmp_path / source, tmp_path / "state").files_read for _ in range(2)]
    assert found == [1, 0]
    # AND the aggregates name endpoint and variant as they can be written
    ((_, endpoint, variant),) = aggregate.load(tmp_path / "state").volumes
    assert [endpoint, variant] == path.replace(b"\xff", b"?").decode().split("/")[2:]


@pytest.mark.parametrize(("more", "processes"), [(0, 3), (1, 1)])
def test_several_processes_read_where_there_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int, processes: int
) -> None:
    started: list[int] = []

    def read_tasks(options: Any, queue: Any, count: int) -> Any:
        started.append(count)
        return workers.read_tasks(options, queue, 1)

    monkeypatch.setattr(aggregate, "read_tasks", read_tasks)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    monkeypatch.setattr(aggregate, "_SEVERAL", 1000 + more)
    write(tmp_path / "source", "a.jsonl", b"x" * 999)
    aggregate.run(tmp_path / "source", tmp_path / "state")
    assert started == [processes]


def test_hours_are_loaded_from_the_first_to_before_the_end_and_those_without_a_time_only_with_all(
    tmp_path: Path,
) -> None:
    rows = [line(event=hour, time=f"2026-11-21T{hour}:30:00Z") for hour in ("08", "09", "10", "11")]
    write(tmp_path / "source", "a.jsonl", *rows, line(event="none", time="no time"))
    aggregate.run(tmp_path / "source", tmp_path / "state", labels=LABELS)

    def hours(**given: str) -> list[str]:
        return sorted({key.hour[11:13] for key in aggregate.load(tmp_path / "state", **given).cells})

    assert hours() == ["", "08", "09", "10", "11"]
    assert hours(start="2026-11-21T09:00:00Z", end="2026-11-21T11:00:00Z") == ["09", "10"]
    assert hours(end="2026-11-21T09:00:00Z") == ["08"]
    assert hours(start="2026-11-21T11:00:00Z") == ["11"]


def test_a_bucket_that_cannot_be_listed_has_not_just_lost_an_object(aws: tuple[Any, Any]) -> None:
    keys = AnyKeys(f"no-such-bucket-{uuid.uuid4()}", BucketAccess())
    with pytest.raises(StorageError, match="Cannot list") as error:
        list(keys.objects(""))
    assert not isinstance(error.value, MissingFileError)
