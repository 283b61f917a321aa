"""One run of the monitor: what is new in a source, read by one or several processes, added to the state."""

from __future__ import annotations

import gc
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from monitoring.aggregates.cells import UNKNOWN, Aggregate, BadLine
from monitoring.aggregation.accumulate import Accumulator
from monitoring.aggregation.summary import Summary
from monitoring.errors import MonitoringError
from monitoring.ingest import workers as work
from monitoring.ingest.batch import Batch, PieceCount
from monitoring.ingest.predictions import clean
from monitoring.ingest.schema import place_of
from monitoring.storage.base import Access, Entry, Folder, Store
from monitoring.storage.ledger import Ledger, partition
from monitoring.storage.state import State

__all__ = ["Progress", "Run", "Summary"]

COMMIT_SECONDS = 300.0  # of a long run, after which what was read so far becomes the state
_LEDGERS_HELD = 64
_SEVERAL = 64 * 1024 * 1024  # bytes of a first look at the source from which several processes pay

Progress = Callable[[int, int], None]  # files and bytes that were read so far


class Run:
    """Reads, commits, exports."""

    def __init__(
        self,
        source: Store,
        state: State,
        labels: Sequence[str],
        images: bool,
        access: Access,
        progress: Progress | None,
    ) -> None:
        self._source, self._state, self._progress = source, state, progress
        self._setting = work.Setting(source.name, access, tuple(labels), images)
        self._summary = Summary(source.name, state.store.name)
        self._accumulator = Accumulator(state)
        self._ledgers: dict[str, Ledger] = {}
        self._touched: set[str] = set()  # ledgers that are to be written
        self._dirty = False
        self._newlines: dict[str, int] = {}  # of the files whose stretches are being read
        self._counts: dict[str, tuple[int, ...]] = {}
        self._stamps: dict[
            str, tuple[int, set[str]]
        ] = {}  # folder to stamp and files that are still to be read
        self._check()

    def _check(self) -> None:
        manifest, where = self._state.manifest, self._state.store.name
        if not self._state.exists:
            manifest.source, manifest.labels = self._source.name, list(self._setting.labels)
        if manifest.source != self._source.name:
            raise MonitoringError(
                f"{where} holds aggregates of {manifest.source}: use another place for {self._source.name}."
            )
        if manifest.labels != list(self._setting.labels):
            known = ", ".join(manifest.labels) or "none"
            raise MonitoringError(
                f"{where} was aggregated with other labels ({known}): use these, another place, or start anew."
            )

    def go(self, processes: int | None, seconds: float | None, days: float | None) -> Summary:
        """Read, commit, export."""
        collecting = gc.isenabled()
        gc.disable()  # nothing here makes cycles, and the collector would walk through every list that grows
        try:
            return self._go(processes, seconds, days)
        finally:
            if collecting:
                gc.enable()

    def _go(self, processes: int | None, seconds: float | None, days: float | None) -> Summary:
        begun = last = time.monotonic()
        since = ""
        if days is not None:
            since = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y/%m/%d/%H")
        folders = self._source.folders(self._state.manifest.folders, since, sizes=False)
        queue, processes = self._processes(work.tasks(self._unread(folders)), processes)
        for task, batches in work.run(self._setting, queue, processes):
            for batch in batches:
                self._take(batch, task)
            if task.start or task.stop is not None:
                self._summary.bytes_read += task.bytes
            if self._progress is not None:
                self._progress(self._summary.files_read, self._summary.bytes_read)
            now = time.monotonic()
            if seconds is not None and now - begun > seconds:
                self._summary.complete = False
                break
            if now - last > COMMIT_SECONDS:
                self._commit()
                last = time.monotonic()
        self._commit(last=self._summary.complete)
        self._export()
        if self._summary.files_read:
            self._state.sweep()
        self._summary.seconds = time.monotonic() - begun
        self._summary.health = self._state.manifest.health
        self._summary.hours = sorted(h for h in self._state.manifest.hours if h != UNKNOWN)
        return self._summary

    def _processes(self, found: Iterator[work.Task], wanted: int | None) -> tuple[Iterator[work.Task], int]:
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

    def _unread(self, folders: Iterator[Folder]) -> Iterator[Entry]:
        """Get what is new or changed, folder by folder."""
        health = self._state.manifest.health
        for folder in folders:
            if folder.failed:
                self._summary.failed.append(BadLine(clean(folder.name) or ".", 0, folder.failed))
            entries: list[Entry] = []
            if folder.entries:
                ledger = self._ledger(self._part(folder.entries[0].name))
                known = folder.entries
                if known[0].size < 0:  # only those that were read before have to be looked at
                    entries, known = ledger.new(known)
                    known = self._source.sized(known)
                again, changed = ledger.unread(known)
                entries += again
                if changed:
                    named = {clean(name) for name in changed}
                    health.bad = [line for line in health.bad if line.file not in named]
            if folder.stamp and folder.name == clean(folder.name):
                self._stamps[folder.name] = (folder.stamp, {entry.name for entry in entries})
                self._settle(folder.name)
            yield from entries

    def _part(self, name: str) -> str:
        """Which ledger a file is in; the files of a folder are in the same."""
        return partition(place_of(self._source.path(name))[0])

    def _ledger(self, part: str) -> Ledger:
        if part not in self._ledgers:
            if len(self._ledgers) >= _LEDGERS_HELD:
                self._save_ledgers()
            self._ledgers[part] = Ledger(self._state.load("ledgers", part) or b"")
        return self._ledgers[part]

    def _save_ledgers(self) -> None:
        for part in sorted(self._touched):
            self._state.save("ledgers", part, self._ledgers[part].to_bytes())
            self._dirty = True
        self._ledgers, self._touched = {}, set()

    def _take(self, batch: Batch, task: work.Task) -> None:
        """Add a batch, and note which files are done."""
        if batch.relative:
            _shift(batch, self._newlines.get(batch.relative, 0))
        self._accumulator.add(batch)
        for line in batch.bad:
            if line.reason.startswith("cut off"):  # perhaps somebody is writing it
                self._stamps.pop(_folder(line.file), None)
        for failure in batch.failed:
            self._summary.failed.append(failure)
            self._stamps.pop(_folder(failure.file), None)
        if not batch.pieces:
            return
        if task.start or task.stop is not None:
            [entry] = task.entries
            so_far = self._stretch(batch.pieces[0], entry.size)
            if task.stop is None:
                self._finished(_folder(entry.name), [entry], [so_far])
            return
        versions = {entry.name: entry.version for entry in task.entries}
        for folder, counts in itertools.groupby(batch.pieces, _folder_of):
            files = list(counts)
            held = [(c.size, c.lines, c.records, c.bad_lines, c.ground_truth) for c in files]
            self._finished(folder, [Entry(c.file, c.size, versions[c.file]) for c in files], held)

    def _stretch(self, count: PieceCount, size: int) -> tuple[int, ...]:
        """Add up the stretches of a large file."""
        before = self._counts.get(count.file, (0,) * 5) if count.start else (0,) * 5
        held = (0, count.lines, count.records, count.bad_lines, count.ground_truth)
        self._counts[count.file] = (size, *(a + b for a, b in zip(before[1:], held[1:], strict=True)))
        passed = self._newlines.get(count.file, 0) if count.start else 0
        self._newlines[count.file] = passed + count.newlines
        return self._counts[count.file]

    def _finished(self, folder: str, entries: list[Entry], held: Sequence[tuple[int, ...]]) -> None:
        """Note that files of one folder were read to their end, and what they held."""
        part = self._part(entries[0].name)
        counts = np.fromiter(itertools.chain.from_iterable(held), np.int64, 5 * len(held)).reshape(-1, 5)
        size, lines, _, bad_lines, ground_truth, number = self._ledger(part).record(entries, counts).tolist()
        self._touched.add(part)
        health = self._state.manifest.health
        health.files += number
        health.bytes += size
        health.lines += lines
        health.bad_lines += bad_lines
        health.ground_truth += ground_truth
        self._summary.files_read += len(entries)
        if not self._counts:
            self._summary.bytes_read += int(counts[:, 0].sum())
        if self._counts:
            for entry in entries:
                self._counts.pop(entry.name, None)
                self._newlines.pop(entry.name, None)
        if folder in self._stamps:
            self._stamps[folder][1].difference_update(entry.name for entry in entries)
            self._settle(folder)

    def _settle(self, folder: str) -> None:
        stamp, left = self._stamps[folder]
        if not left:
            self._state.manifest.folders[folder] = stamp
            self._dirty = True
            del self._stamps[folder]

    def _commit(self, *, last: bool = False) -> None:
        self._accumulator.flush()
        self._save_ledgers()
        manifest = self._state.manifest
        health = manifest.health
        # Every record line is either the first of its event or a duplicate.
        copies = health.lines - health.bad_lines - health.ground_truth - health.records
        if copies < 0 and last:
            # A file was replaced by one without its records: what is gone stays counted, as that of a file that is gone.
            health.lines -= copies
        health.duplicates = max(0, copies)
        health.unreadable_files = len(self._summary.failed)
        if self._dirty or not self._state.exists:
            self._dirty = False
            manifest.unexported = sorted({*manifest.unexported, *self._accumulator.days})
            self._accumulator.days.clear()
            self._state.commit(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    def _export(self) -> None:
        """Write the days that changed for others to read."""
        manifest = self._state.manifest
        if not manifest.unexported:
            return
        from monitoring.storage.parquet import write_day  # a run that has nothing new does without

        for day in manifest.unexported:
            total = Aggregate()
            for hour in sorted(h for h in manifest.hours if h[:10] == day):
                total.merge(Aggregate.from_json(self._state.load("hours", hour) or b""))
            write_day(self._state.store, day, total)
        manifest.unexported = []
        self._state.commit(manifest.updated, keep_garbage=True)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _folder_of(count: PieceCount) -> str:
    return _folder(count.file)


def _shift(batch: Batch, lines: int) -> None:
    """Make line numbers that count from the beginning of a stretch count from that of the file."""
    batch.bad = [BadLine(b.file, b.line + lines, b.reason) for b in batch.bad]
    batch.uncertain = [
        (record, series, msgspec.structs.replace(found, line=found.line + lines))
        for record, series, found in batch.uncertain
    ]
