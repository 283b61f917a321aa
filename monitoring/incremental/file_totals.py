"""Adds the counts of files that were read to the ledgers and totals, each version of a file once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec
import numpy as np

from monitoring.aggregates.cells import BadLine, Health
from monitoring.incremental.discovery import Discovery
from monitoring.incremental.summary import RunSummary
from monitoring.ingest.batch import CaptureBatch, FileCounts
from monitoring.ingest.tasks import Task
from monitoring.storage.base import CaptureFile
from monitoring.storage.ledger import Ledgers


class FileTotals:
    """Adds up ranges of large files, and records files that were read to their end."""

    def __init__(self, health: Health, ledgers: Ledgers, discovery: Discovery, summary: RunSummary) -> None:
        self._health, self._ledgers, self._discovery, self._summary = health, ledgers, discovery, summary
        # Of large files whose ranges are being read:
        self._newlines: dict[str, int] = {}
        self._counts: dict[str, tuple[int, ...]] = {}

    def locate(self, batch: CaptureBatch) -> None:
        """Make line numbers that count from the beginning of a range count from that of the file."""
        lines = self._newlines.get(batch.relative, 0)
        if not lines:  # as of nearly every batch: what it found need not be copied
            return
        batch.bad = [BadLine(b.file, b.line + lines, b.reason) for b in batch.bad]
        batch.uncertain = [
            (record, series, msgspec.structs.replace(found, line=found.line + lines))
            for record, series, found in batch.uncertain
        ]

    def add(self, batch: CaptureBatch, task: Task) -> None:
        """Add the counts of the files of a batch of `task`."""
        for line in batch.bad:
            if line.reason.startswith("cut off"):  # perhaps it is still being written
                self._discovery.list_again(_folder(line.file))
        for failure in batch.failed:
            self._summary.failed.append(failure)
            self._discovery.list_again(_folder(failure.file))
        if not batch.files:
            return
        if task.is_range:
            [file] = task.files
            counts = self._add_range(batch.files[0], file.size)
            if task.stop is None:
                self._record(_folder(file.name), [file], [counts])
            return
        versions = {file.name: file.version for file in task.files}
        for folder, group in itertools.groupby(batch.files, lambda counts: _folder(counts.file)):
            files = list(group)
            held = [(c.size, c.lines, c.records, c.bad_lines, c.ground_truth) for c in files]
            self._record(folder, [CaptureFile(c.file, c.size, versions[c.file]) for c in files], held)

    def _add_range(self, counts: FileCounts, size: int) -> tuple[int, ...]:
        """Add up the ranges of a large file."""
        before: tuple[int, ...] = (0, 0, 0, 0)
        passed = 0
        if counts.start:
            before = self._counts.get(counts.file, before)
            passed = self._newlines.get(counts.file, passed)
        held = (counts.lines, counts.records, counts.bad_lines, counts.ground_truth)
        self._counts[counts.file] = tuple(a + b for a, b in zip(before, held, strict=True))
        self._newlines[counts.file] = passed + counts.newlines
        return size, *self._counts[counts.file]

    def _record(self, folder: str, files: list[CaptureFile], held: Sequence[tuple[int, ...]]) -> None:
        """Record that files of one folder were read to their end, and their counts."""
        part = self._discovery.partition_of(files[0].name)
        counts = np.array(held, np.int64)
        added = self._ledgers.record(part, files, counts)
        size, lines, _, bad_lines, ground_truth, number = added.tolist()
        health = self._health
        health.files += number
        health.bytes += size
        health.lines += lines
        health.bad_lines += bad_lines
        health.ground_truth += ground_truth
        self._summary.files_read += len(files)
        if self._counts:  # their bytes were counted range by range
            for file in files:
                self._counts.pop(file.name, None)
                self._newlines.pop(file.name, None)
        else:
            self._summary.bytes_read += int(counts[:, 0].sum())
        self._discovery.mark_read(folder, files)


def _folder(name: str) -> str:
    return name.rpartition("/")[0]
