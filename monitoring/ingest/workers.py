"""Reads tasks into batches, in this process or in several, and yields them in the order of the files."""

from __future__ import annotations

import collections
import contextlib
import itertools
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from io import BytesIO
from typing import NamedTuple

from dropsort.contract.interrupts import without_interrupts
from monitoring.aggregates.cells import BadLine
from monitoring.errors import MissingFileError, StorageError
from monitoring.ingest.batch import CaptureBatch
from monitoring.ingest.lines import SMALL
from monitoring.ingest.outputs import clean
from monitoring.ingest.reader import Reader
from monitoring.ingest.schema import series_of_path
from monitoring.ingest.tasks import Task
from monitoring.storage import open_store
from monitoring.storage.base import BucketAccess, CaptureFile

_AHEAD = 32  # objects of a bucket that are fetched at the same time


class ReadOptions(NamedTuple):
    """What a process needs to know to read tasks."""

    source: str
    access: BucketAccess
    labels: tuple[str, ...]
    images: bool


def read_tasks(
    options: ReadOptions, tasks: Iterable[Task], processes: int = 1
) -> Iterator[tuple[Task, Iterable[CaptureBatch]]]:
    """Read tasks; yields each with its batches, which have to be consumed before the next is requested."""
    if processes <= 1:
        worker = _Worker(options)
        for task in tasks:
            yield task, worker.read(task)
        return
    # A fresh interpreter: forking a process that has threads (of the S3 client) is not safe.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _start, (options,)) as pool:
        waiting: collections.deque[tuple[Task, Future[list[CaptureBatch]]]] = collections.deque()
        try:
            for task in tasks:
                with without_interrupts():  # processes start here
                    waiting.append((task, pool.submit(_read, task)))
                if len(waiting) > 2 * processes:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    """Reads the tasks of one process."""

    def __init__(self, options: ReadOptions) -> None:
        self._store = open_store(options.source, options.access)
        images = None
        if options.images:
            from monitoring.ingest.image_statistics import ImageStatistics  # needs Pillow

            images = ImageStatistics()
        self._reader = Reader(options.labels, images)
        self._threads = ThreadPoolExecutor(_AHEAD) if options.source.startswith("s3://") else None
        self._failed: list[BadLine] = []

    def read(self, task: Task) -> Iterator[CaptureBatch]:
        """Read a task; at least one batch, which name the files that cannot be read."""
        if task.is_range:
            batches = self._read_large(task.files[0], task)
        elif self._threads is not None:
            batches = self._read_objects(task.files, self._threads)
        else:
            folders = itertools.groupby(task.files, _folder)
            batches = itertools.chain.from_iterable(
                self._read_folder(folder, files) for folder, files in folders
            )
        relative = task.files[0].name if task.start else ""
        for batch in itertools.chain(batches, self._reader.finish()):
            batch.relative = relative
            batch.failed, self._failed = self._failed, []
            yield batch

    def _read_folder(self, folder: str, files: Iterable[CaptureFile]) -> Iterator[CaptureBatch]:
        reader = self._reader
        has_space, read_small = reader.has_space, reader.read_small
        series = series_of_path(self._store.path(f"{folder}/" if folder else ""))
        with contextlib.ExitStack() as stack:
            try:
                read = stack.enter_context(self._store.open_folder(folder))
            except StorageError as error:
                self._failed += [_failure(file.name, error) for file in files]
                return
            for file in files:
                if file.size < SMALL and not has_space(file.size):
                    yield from reader.flush()
                try:
                    small = file.size < SMALL and read_small(file.name, read, file.size, series)
                except MissingFileError:
                    continue  # expired since it was listed
                except StorageError as error:
                    self._failed.append(_failure(file.name, error))
                    continue
                if not small:
                    yield from self._read_large(file, Task())

    def _read_large(self, file: CaptureFile, task: Task) -> Iterator[CaptureBatch]:
        store, name, start = self._store, file.name, task.start
        try:
            found = [file] if file.size >= 0 else store.sized([file])
            for sized in found:  # none: it expired since it was listed
                with store.open(name, max(0, start - 1), sized.size) as fill:
                    yield from self._reader.read(
                        name, fill, path=store.path(name), start=start, stop=task.stop, size=sized.size
                    )
        except MissingFileError:
            pass  # expired since it was listed
        except StorageError as error:
            self._failed.append(_failure(name, error))

    def _read_objects(
        self, files: Sequence[CaptureFile], threads: ThreadPoolExecutor
    ) -> Iterator[CaptureBatch]:
        """Read objects of a bucket, many at the same time, in their order."""
        waiting: collections.deque[tuple[str, Future[bytes]]] = collections.deque()
        rest = iter(files)
        while True:
            for file in itertools.islice(rest, 2 * _AHEAD - len(waiting)):
                waiting.append((file.name, threads.submit(self._store.read, file.name)))
            if not waiting:
                return
            name, future = waiting.popleft()
            try:
                data = future.result()
            except MissingFileError:
                continue  # expired since it was listed
            except StorageError as error:
                self._failed.append(_failure(name, error))
                continue
            path = self._store.path(name)
            yield from self._reader.read(name, BytesIO(data).readinto, path=path, size=len(data))


def _folder(file: CaptureFile) -> str:
    return file.name.rpartition("/")[0]


def _failure(name: str, error: StorageError) -> BadLine:
    return BadLine(clean(name), 0, error.reason)


_worker: _Worker | None = None


def _start(options: ReadOptions) -> None:
    global _worker
    _worker = _Worker(options)


def _read(task: Task) -> list[CaptureBatch]:
    assert _worker is not None  # noqa: S101
    return list(_worker.read(task))
