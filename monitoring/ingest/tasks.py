"""Divides capture files into tasks of about equal size: small files together, a large one into ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from monitoring.storage.base import CaptureFile

TASK_BYTES = 64 * 1024 * 1024  # of a task, and of a range of a larger file
TASK_FILES = 5000  # of a task at most


@dataclass(slots=True)
class Task:
    """Small files together, or the lines of a large one that begin in [start, stop)."""

    files: list[CaptureFile] = field(default_factory=list)
    bytes: int = 0
    start: int = 0
    stop: int | None = None

    @property
    def is_range(self) -> bool:
        """Whether it is a range of one large file."""
        return self.start > 0 or self.stop is not None


def tasks(files: Iterable[CaptureFile]) -> Iterator[Task]:
    """Divide files into tasks, in their order."""
    task = Task()
    for file in files:
        large, size = file.size > TASK_BYTES, abs(file.size)
        if task.files and (large or task.bytes + size > TASK_BYTES or len(task.files) >= TASK_FILES):
            yield task
            task = Task()
        if not large:
            task.files.append(file)
            task.bytes += size
            continue
        for start in range(0, file.size, TASK_BYTES):
            stop = start + TASK_BYTES if start + TASK_BYTES < file.size else None
            yield Task([file], min(TASK_BYTES, file.size - start), start, stop)
    if task.files:
        yield task
