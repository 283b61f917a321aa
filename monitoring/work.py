"""Reading many files: the work cut into pieces, done here or by several processes, results in the order of the files."""

from __future__ import annotations

import collections
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from typing import NamedTuple

from monitoring.batch import Batch
from monitoring.captures import Reader
from monitoring.cells import BadLine
from monitoring.errors import MonitoringError
from monitoring.outputs import clean
from monitoring.stores import Access, Entry, open_store

PIECE = 16 * 1024 * 1024  # bytes of a task, and of a stretch of a larger file
FILES = 500  # of a task at most
_AHEAD = 32  # objects of a bucket that are fetched at the same time


class Piece(NamedTuple):
    """A file, or the lines of it that begin in [start, stop)."""

    entry: Entry
    start: int = 0
    stop: int | None = None


@dataclass(slots=True)
class Task:
    """Small files together, or one stretch of a large one."""

    pieces: list[Piece] = field(default_factory=list)
    bytes: int = 0


class Setting(NamedTuple):
    """What a process needs to know to do tasks."""

    source: str
    access: Access
    labels: tuple[str, ...]
    images: bool


def tasks(entries: Iterable[Entry]) -> Iterator[Task]:
    """Cut files into tasks, in their order."""
    task = Task()
    for entry in entries:
        large = entry.size > PIECE
        if task.pieces and (large or task.bytes + entry.size > PIECE or len(task.pieces) >= FILES):
            yield task
            task = Task()
        if not large:
            task.pieces.append(Piece(entry))
            task.bytes += entry.size
            continue
        for start in range(0, entry.size, PIECE):
            stop = start + PIECE if start + PIECE < entry.size else None
            yield Task([Piece(entry, start, stop)], min(PIECE, entry.size - start))
    if task.pieces:
        yield task


def run(setting: Setting, work: Iterable[Task], processes: int = 1) -> Iterator[tuple[Task, list[Batch]]]:
    """Do tasks; yields each with its batches, in order."""
    if processes <= 1:
        worker = _Worker(setting)
        for task in work:
            yield task, worker.do(task)
        return
    # A fresh interpreter: forking a process that has threads (of the S3 client) is not safe.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, (setting,)) as pool:
        waiting: collections.deque[tuple[Task, Future[list[Batch]]]] = collections.deque()
        try:
            for task in work:
                waiting.append((task, pool.submit(_do, task)))
                if len(waiting) > 2 * processes:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    def __init__(self, setting: Setting) -> None:
        self._store = open_store(setting.source, setting.access)
        self._batches: list[Batch] = []
        self._images = None
        if setting.images:
            from monitoring.images import Images  # only then is Pillow needed

            self._images = Images()
        self._reader = Reader(setting.labels, self._batches.append, self._images)
        self._remote = setting.source.startswith("s3://")
        self._threads = ThreadPoolExecutor(_AHEAD) if self._remote else None

    def do(self, task: Task) -> list[Batch]:
        self._batches.clear()
        failed: list[BadLine] = []
        if self._threads is not None and len(task.pieces) > 1:
            self._fetch(task.pieces, failed)
        else:
            for piece in task.pieces:
                self._read(piece, failed)
        last = self._reader.batch()
        last.failed = failed
        batches = [*self._batches, last]
        if task.pieces[0].start:
            for batch in batches:
                batch.relative = task.pieces[0].entry.name
        return batches

    def _read(self, piece: Piece, failed: list[BadLine]) -> None:
        entry, start, stop = piece
        path = self._store.path(entry.name)
        try:
            with self._store.read(entry.name, max(0, start - 1), entry.size) as fill:
                self._reader.read(entry.name, fill, entry.size, path=path, start=start, stop=stop)
        except FileNotFoundError:
            pass  # expired since it was listed
        except (OSError, MonitoringError) as error:
            failed.append(BadLine(clean(entry.name), 0, getattr(error, "strerror", None) or str(error)))

    def _fetch(self, pieces: Sequence[Piece], failed: list[BadLine]) -> None:
        """Read small objects of a bucket, many at the same time."""
        assert self._threads is not None  # noqa: S101
        for piece, future in zip(pieces, [self._threads.submit(self._get, p) for p in pieces], strict=True):
            name = piece.entry.name
            try:
                data = future.result()
            except MonitoringError as error:
                failed.append(BadLine(name, 0, str(error)))
            else:
                if data is not None:
                    self._reader.read(name, BytesIO(data).readinto, len(data), path=self._store.path(name))

    def _get(self, piece: Piece) -> bytes | None:
        return self._store.get(piece.entry.name)


_worker: _Worker | None = None


def _start(setting: Setting) -> None:
    global _worker
    _worker = _Worker(setting)


def _do(task: Task) -> list[Batch]:
    assert _worker is not None  # noqa: S101
    return _worker.do(task)
