"""Reading many files: the work cut into pieces, done here or by several processes, results in the order of the files."""

from __future__ import annotations

import collections
import contextlib
import itertools
import multiprocessing
import signal
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from typing import NamedTuple

from monitoring.aggregates.cells import BadLine
from monitoring.errors import MonitoringError
from monitoring.ingest.batch import Batch
from monitoring.ingest.lines import SMALL
from monitoring.ingest.predictions import clean
from monitoring.ingest.reader import Reader
from monitoring.ingest.schema import place_of
from monitoring.storage import open_store
from monitoring.storage.base import Access, Entry

PIECE = 64 * 1024 * 1024  # bytes of a task, and of a stretch of a larger file
FILES = 5000  # of a task at most
_AHEAD = 32  # objects of a bucket that are fetched at the same time


@dataclass(slots=True)
class Task:
    """Small files together, or the lines of a large one that begin in [start, stop)."""

    entries: list[Entry] = field(default_factory=list)
    bytes: int = 0
    start: int = 0
    stop: int | None = None


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
        large, size = entry.size > PIECE, abs(entry.size)
        if task.entries and (large or task.bytes + size > PIECE or len(task.entries) >= FILES):
            yield task
            task = Task()
        if not large:
            task.entries.append(entry)
            task.bytes += size
            continue
        for start in range(0, entry.size, PIECE):
            stop = start + PIECE if start + PIECE < entry.size else None
            yield Task([entry], min(PIECE, entry.size - start), start, stop)
    if task.entries:
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
                with _without_interrupts():  # processes start here
                    waiting.append((task, pool.submit(_do, task)))
                if len(waiting) > 2 * processes:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """What starts in here never hears of Ctrl-C, which a terminal sends to all: this process ends the others."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    def __init__(self, setting: Setting) -> None:
        self._store = open_store(setting.source, setting.access)
        self._batches: list[Batch] = []
        self._images = None
        if setting.images:
            from monitoring.ingest.image_statistics import Images  # only then is Pillow needed

            self._images = Images()
        self._reader = Reader(setting.labels, self._batches.append, self._images)
        self._remote = setting.source.startswith("s3://")
        self._threads = ThreadPoolExecutor(_AHEAD) if self._remote else None

    def do(self, task: Task) -> list[Batch]:
        self._batches.clear()
        failed: list[BadLine] = []
        if task.start or task.stop is not None:
            self._read_large(task.entries[0], task, failed)
        elif self._threads is not None:
            self._fetch(task.entries, failed)
        else:
            for folder, entries in itertools.groupby(task.entries, _folder):
                self._read_folder(folder, list(entries), failed)
        last = self._reader.batch()
        last.failed = failed
        batches = [*self._batches, last]
        if task.start:
            for batch in batches:
                batch.relative = task.entries[0].name
        return batches

    def _read_folder(self, folder: str, entries: list[Entry], failed: list[BadLine]) -> None:
        place = place_of(self._store.path(entries[0].name))
        read_small = self._reader.read_small
        with contextlib.ExitStack() as stack:
            try:
                read = stack.enter_context(self._store.reading(folder))
            except OSError as error:
                failed += [_failure(entry.name, error) for entry in entries]
                return
            for entry in entries:
                try:
                    if entry.size >= SMALL or not read_small(entry.name, read, entry.size, place):
                        self._read_large(entry, Task(), failed)
                except FileNotFoundError:
                    pass  # expired since it was listed
                except OSError as error:
                    failed.append(_failure(entry.name, error))

    def _read_large(self, entry: Entry, task: Task, failed: list[BadLine]) -> None:
        store, name, start = self._store, entry.name, task.start
        try:
            size = entry.size if entry.size >= 0 else store.sized([entry])[0].size
            with store.read(name, max(0, start - 1), size) as fill:
                self._reader.read(name, fill, path=store.path(name), start=start, stop=task.stop, size=size)
        except (FileNotFoundError, IndexError):
            pass  # expired since it was listed
        except (OSError, MonitoringError) as error:
            failed.append(_failure(name, error))

    def _fetch(self, entries: Sequence[Entry], failed: list[BadLine]) -> None:
        """Read objects of a bucket, many at the same time, in their order."""
        assert self._threads is not None  # noqa: S101
        waiting: collections.deque[tuple[str, Future[bytes | None]]] = collections.deque()
        rest = iter(entries)
        while True:
            for entry in itertools.islice(rest, 2 * _AHEAD - len(waiting)):
                waiting.append((entry.name, self._threads.submit(self._store.get, entry.name)))
            if not waiting:
                return
            name, future = waiting.popleft()
            try:
                data = future.result()
            except MonitoringError as error:
                failed.append(_failure(name, error))
                continue
            if data is not None:
                path = self._store.path(name)
                self._reader.read(name, BytesIO(data).readinto, path=path, size=len(data))


def _folder(entry: Entry) -> str:
    return entry.name[: max(0, entry.name.rfind("/"))]


def _failure(name: str, error: Exception) -> BadLine:
    return BadLine(clean(name), 0, getattr(error, "strerror", None) or str(error))


_worker: _Worker | None = None


def _start(setting: Setting) -> None:
    global _worker
    _worker = _Worker(setting)


def _do(task: Task) -> list[Batch]:
    assert _worker is not None  # noqa: S101
    return _worker.do(task)
