"""Which processes run below one, and whether they end."""

from __future__ import annotations

import subprocess
import time


def running() -> dict[int, tuple[int, str]]:
    """Parent and command line of every process."""
    listing = subprocess.run(
        ["ps", "axo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listing.splitlines() if line.strip()]
    return {int(row[0]): (int(row[1]), row[2] if len(row) > 2 else "") for row in rows}


def children_of(root: int) -> dict[int, str]:
    """Command lines of all processes below one."""
    everything, found, fresh = running(), {}, {root}
    while fresh:
        fresh = {pid for pid, (parent, _) in everything.items() if parent in fresh}
        found |= {pid: everything[pid][1] for pid in fresh}
    return found


def gone(processes: dict[int, str], seconds: float = 60) -> bool:
    """Whether they have ended, or do so in time."""
    deadline = time.monotonic() + seconds
    while any(running().get(pid, (0, ""))[1] == command for pid, command in processes.items()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
