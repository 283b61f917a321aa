"""One run: capture files that are new since the last run are added to the stored aggregates, each record exactly once.

    summary = run("captures/", "monitoring-state/")

The stages, in order: `discovery` lists the source and finds files that were not read in this version; `ingest` reads
them; `accumulate` drops records whose event id is known (from any file, of any run) and adds the others to the hours of
their inference; then the state is replaced in one step and the days that changed are exported. Late files, copies of files,
files that grew and killed runs all lead to what one run over everything would give.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from dropsort.contract.progress import Progress, no_progress
from dropsort.contract.times import moment
from monitoring.aggregates.cells import UNKNOWN, Aggregate
from monitoring.errors import MonitoringError
from monitoring.incremental.accumulate import Accumulator
from monitoring.incremental.discovery import Discovery
from monitoring.incremental.file_totals import FileTotals
from monitoring.incremental.summary import RunSummary
from monitoring.ingest.outputs import clean
from monitoring.ingest.tasks import Task, tasks
from monitoring.ingest.workers import ReadOptions, read_tasks
from monitoring.storage import open_store
from monitoring.storage.base import BucketAccess, Store
from monitoring.storage.ledger import Ledgers
from monitoring.storage.state import AggregationState

COMMIT_SECONDS = 300.0  # of a long run, after which what was read so far becomes the state
_SEVERAL = 64 * 1024 * 1024  # unread bytes from which several processes are worth their start


def run(
    source: str | os.PathLike[str],
    state: str | os.PathLike[str] | None = None,
    *,
    labels: Sequence[str] | None = None,
    processes: int | None = None,
    progress: Progress = no_progress,
    seconds: float | None = None,
    days: float | None = None,
    images: bool = False,
    access: BucketAccess | None = None,
) -> RunSummary:
    """Aggregate what is new in a folder or below a prefix.

    Parameters
    ----------
    source, state
        A folder or ``s3://bucket/prefix`` each. Without `state` nothing is stored.
    labels
        Labels by class index (the content of labels.json), for endpoints that return a bare list of probabilities.
    processes
        Number of processes that read; by default one, or as many as there are processors if there is much to read.
    progress
        Called with the number of files that were read.
    seconds
        Time to stop after; what was read by then is stored, and the next run continues from there.
    days
        Skip hour folders that are more than so many days back, fractions too: with years of captures in a bucket, an hourly
        run would spend most of its time on listing them all.
    images
        Decode the inputs for image statistics (needs Pillow; slower by far).

    Raises
    ------
    MonitoringError
        Something cannot be read or written, or the state is of another source or of other labels.
    """
    if state is None:
        with tempfile.TemporaryDirectory(prefix="dropsort-") as folder:
            return run(
                source, folder, labels=labels, processes=processes, progress=progress, seconds=seconds, days=days,
                images=images, access=access,
            )  # fmt: skip
    store, target = open_store(source, access), open_store(state, access)
    options = ReadOptions(store.name, access or BucketAccess(), tuple(labels or ()), images)
    with target.lock(), _without_collector():
        return _AggregationRun(store, AggregationState(target), options).go(
            processes, seconds, days, progress
        )


def load(
    state: str | os.PathLike[str],
    *,
    start: str | None = None,
    end: str | None = None,
    access: BucketAccess | None = None,
) -> Aggregate:
    """Load what was aggregated, for all hours or those in [start, end) (as in `CellKey.hour`).

    Raises
    ------
    MonitoringError
        There is no state, or it is damaged.
    """
    found = AggregationState(open_store(state, access))
    if not found.exists:
        raise MonitoringError(
            f"Nothing was aggregated into {found.store.name} yet: run `dropsort monitor` first."
        )
    whole = Aggregate()
    for hour in sorted(found.manifest.hours):
        if hour != UNKNOWN and ((start and hour < start) or (end and hour >= end)):
            continue
        if hour == UNKNOWN and (start or end):
            continue
        whole.merge(Aggregate.from_json(found.load("hours", hour)))
    whole.health = found.manifest.health
    return whole


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """No cycles are made in here, and the garbage collector would scan every list that grows."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _AggregationRun:
    """The stages of a run, wired to one state."""

    def __init__(self, source: Store, state: AggregationState, options: ReadOptions) -> None:
        self._source, self._state, self._options = source, state, options
        self._check()
        self._summary = RunSummary(source.name, state.store.name)
        self._ledgers = Ledgers(state)
        self._discovery = Discovery(source, state, self._ledgers, self._summary)
        self._totals = FileTotals(state.manifest.health, self._ledgers, self._discovery, self._summary)
        self._accumulator = Accumulator(state)

    def _check(self) -> None:
        """Check that the state is of this source and these labels; a new state becomes so."""
        manifest, where, source = self._state.manifest, self._state.store.name, clean(self._source.name)
        if not self._state.exists:
            manifest.source, manifest.labels = source, list(self._options.labels)
        if manifest.source != source:
            raise MonitoringError(
                f"{where} holds aggregates of {manifest.source}: use another folder for {source}."
            )
        if manifest.labels != list(self._options.labels):
            known = ", ".join(manifest.labels) or "none"
            raise MonitoringError(
                f"{where} was aggregated with other labels ({known}): use these, another folder, or delete the aggregates (`--rebuild`)."
            )

    def go(
        self, processes: int | None, seconds: float | None, days: float | None, progress: Progress
    ) -> RunSummary:
        """Read, commit, export."""
        begun = last = time.monotonic()
        summary = self._summary
        since = ""
        if days is not None:
            since = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y/%m/%d/%H")
        queue, processes = _processes(tasks(self._discovery.new_files(since)), processes)
        for task, batches in read_tasks(self._options, queue, processes):
            for batch in batches:
                self._totals.locate(batch)
                self._accumulator.add(batch)
                self._totals.add(batch, task)
            if task.is_range:
                summary.bytes_read += task.bytes
            progress(summary.files_read, 0)
            now = time.monotonic()
            if seconds is not None and now - begun > seconds:
                summary.complete = False
                break
            if now - last > COMMIT_SECONDS:
                self._commit()
                last = time.monotonic()
        self._commit(last=summary.complete)
        self._export()
        if summary.files_read:
            self._state.sweep()
        summary.seconds = time.monotonic() - begun
        summary.health = self._state.manifest.health
        summary.hours = sorted(h for h in self._state.manifest.hours if h != UNKNOWN)
        return summary

    def _commit(self, *, last: bool = False) -> None:
        """Make what was read so far the state."""
        self._accumulator.flush()
        self._ledgers.save()
        manifest = self._state.manifest
        health = manifest.health
        # Every record line is either the first of its event or a duplicate.
        copies = health.lines - health.bad_lines - health.ground_truth - health.records
        if copies < 0 and last:
            # A file was replaced by one without its records: these stay counted, like those of a file that is gone.
            health.lines -= copies
        health.duplicates = max(0, copies)
        health.unreadable_files = len(self._summary.failed)
        if self._ledgers.dirty or self._discovery.dirty or not self._state.exists:
            self._ledgers.dirty = self._discovery.dirty = False
            manifest.unexported = sorted({*manifest.unexported, *self._accumulator.days})
            self._accumulator.days.clear()
            self._state.commit(moment(datetime.now(UTC), "seconds"))

    def _export(self) -> None:
        """Write the days that changed for other tools."""
        manifest = self._state.manifest
        if not manifest.unexported:
            return
        from monitoring.storage.parquet import write_day  # not needed by a run without new captures

        for day in manifest.unexported:
            total = Aggregate()
            for hour in sorted(h for h in manifest.hours if h[:10] == day):
                total.merge(Aggregate.from_json(self._state.load("hours", hour)))
            write_day(self._state.store, day, total)
        manifest.unexported = []
        self._state.commit(manifest.updated, keep_garbage=True)


def _processes(found: Iterator[Task], wanted: int | None) -> tuple[Iterator[Task], int]:
    """Decide how many processes are worth their start."""
    if wanted is not None:
        return found, max(1, wanted)
    first, total = [], 0
    for task in found:
        first.append(task)
        total += task.bytes
        if total >= _SEVERAL:
            break
    several = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return itertools.chain(first, found), several if total >= _SEVERAL else 1
