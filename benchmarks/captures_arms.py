"""The arms of ``benchmarks.captures``, each run as ``python -m benchmarks.captures_arms ARM FOLDER STATE``."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path


def ours(folder: Path, state: Path) -> int:
    """Aggregate in one process."""
    from monitoring.incremental.run import run

    return run(folder, state, labels=["bicycle", "motorcycle"], processes=1).health.records


def two(folder: Path, state: Path) -> int:
    """Aggregate in two processes."""
    from monitoring.incremental.run import run

    return run(folder, f"{state}-two", labels=["bicycle", "motorcycle"], processes=2).health.records


def json_per_line(folder: Path, state: Path) -> int:
    """Read as the notebooks do: each line and its output through ``json.loads``."""
    confidences, times = [], []
    for path in sorted(folder.rglob("*.jsonl")):
        with open(path) as file:
            for line in file:
                record = json.loads(line)
                output = json.loads(record["captureData"]["endpointOutput"]["data"])
                confidences.append(max(output["probabilities"] if isinstance(output, dict) else output))
                times.append(record["eventMetadata"]["inferenceTime"])
    return len(confidences)


def plain_read(folder: Path, state: Path) -> int:
    """Read the bytes and nothing else."""
    buffer = bytearray(512 * 1024)
    for directory, _, names in os.walk(folder):
        for name in names:
            handle = os.open(f"{directory}/{name}", os.O_RDONLY)
            while os.readv(handle, (buffer,)):
                pass
            os.close(handle)
    return 0


# In this order within a round: the third finds what the first has left.
ARMS: dict[str, Callable[[Path, Path], int]] = {
    "ours": ours,
    "json per line": json_per_line,
    "ours, nothing new": ours,
    "ours, two processes": two,
    "plain read": plain_read,
}


def peak_megabytes() -> float:
    """Highest memory of this process and, added, of its largest child."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    try:
        # Not ru_maxrss, which a process inherits from the one that started it.
        status = Path("/proc/self/status").read_text()
        own = int(status.split("VmHWM:")[1].split()[0]) / 1024
    except OSError:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024
    return own + children


def main() -> None:
    """Run one arm and print what it took."""
    arm, folder, state = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    import monitoring.incremental.run
    import monitoring.storage.parquet  # noqa: F401 - imports are not what is measured

    begun, before = time.perf_counter(), time.process_time()
    records = ARMS[arm](folder, state)
    wall, cpu = time.perf_counter() - begun, time.process_time() - before
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu += children.ru_utime + children.ru_stime
    print(json.dumps({"records": records, "cpu": cpu, "wall": wall, "peak": peak_megabytes()}))


if __name__ == "__main__":
    main()
