"""Processor time and memory of a tree of processes: from /proc on Linux, from ps elsewhere."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessUsage:
    """One process at one moment.

    ``cpu_seconds`` includes children that have ended and were waited for, where the system reports it (Linux).
    """

    pid: int
    parent: int
    cpu_seconds: float
    memory_bytes: int
    command: str


def descendants(root: int | None = None) -> list[ProcessUsage]:
    """All processes below `root`, itself excluded; None is this process."""
    children: dict[int, list[ProcessUsage]] = {}
    for process in _all():
        children.setdefault(process.parent, []).append(process)
    found: list[ProcessUsage] = []
    todo = [os.getpid() if root is None else root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += [process.pid for process in below]
    return found


def this() -> ProcessUsage:
    """The calling process."""
    return next(process for process in _all() if process.pid == os.getpid())


def function_workers(found: Iterable[ProcessUsage]) -> list[ProcessUsage]:
    """Those that run functions of the embedded AWS."""
    return [process for process in found if "ministack-lambda-" in process.command]


def endpoint(found: Iterable[ProcessUsage]) -> list[ProcessUsage]:
    """Those of the embedded endpoint, without its supervisor."""
    return _without_supervisor(found, "dropsort.local.serve")


def embedded_aws(found: Iterable[ProcessUsage]) -> list[ProcessUsage]:
    """Those of the embedded AWS's server, without its supervisor."""
    return _without_supervisor(found, "emulator.py")


def _without_supervisor(found: Iterable[ProcessUsage], program: str) -> list[ProcessUsage]:
    return [
        process for process in found if program in process.command and "supervisor" not in process.command
    ]


def _all() -> Iterator[ProcessUsage]:
    return _linux() if (_PROC / "self/stat").exists() else _ps()


def _linux() -> Iterator[ProcessUsage]:
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # The name, in parentheses, may itself contain spaces and parentheses.
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        ticks = sum(int(value) for value in fields[11:15])
        yield ProcessUsage(int(folder.name), int(fields[1]), ticks / tick, int(fields[21]) * page, command)


def _ps() -> Iterator[ProcessUsage]:
    listing = subprocess.run(
        ["ps", "-Ao", "pid=,ppid=,rss=,time=,command="], capture_output=True, text=True, check=True
    )
    for line in listing.stdout.splitlines():
        pid, parent, kilobytes, time, command = line.split(None, 4)
        seconds = 0.0
        for part in time.replace("-", ":").split(":"):  # [[days-]hours:]minutes:seconds
            seconds = seconds * 60 + float(part)
        yield ProcessUsage(int(pid), int(parent), seconds, int(kilobytes) * 1024, command)
