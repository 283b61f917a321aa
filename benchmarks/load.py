"""Many uploads at once through the embedded service: ``python -m benchmarks.load --uploads 1000 --clients 16``.

The clients upload as fast as they can, nobody waits for results in between. Then every upload must have exactly one result. Printed with
it: the rate, the time from an upload to its result, and the memory of our own processes and of the embedded AWS before and after.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import processes
from dropsort.contract import keys
from dropsort.local.service import LocalService
from training.dataset import samples

_FOLDER = "load"
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Memory:
    """Resident bytes: of the process that runs the service, of the endpoint, of the embedded AWS's server, of its functions."""

    own: int
    endpoint: int
    embedded_aws: int
    functions: int


@dataclass(frozen=True)
class Load:
    """What became of the uploads; times in seconds, memory in bytes."""

    uploads: int
    clients: int
    results: int
    missing: int
    twice: int
    failed_executions: int
    outcomes: dict[str, int]
    upload_seconds: float
    seconds: float
    p50_seconds: float
    p95_seconds: float
    before: Memory
    half: Memory
    after: Memory


def run(
    service: LocalService,
    images: Sequence[bytes],
    uploads: int,
    clients: int,
    *,
    patience_seconds: float = 600,
    progress: Callable[[int], None] = lambda _: None,
) -> Load:
    """Upload and wait.

    Parameters
    ----------
    images
        Taken in turn.
    patience_seconds
        How long to go on when no new result comes.
    progress
        Called with the number of results now and then.
    """
    session = service.session()
    s3 = session.client("s3")
    sent: dict[str, float] = {}

    def upload(number: int) -> None:
        key = f"{keys.INCOMING}{_FOLDER}/{number:06d}"
        s3.put_object(Bucket=service.bucket, Key=key, Body=images[number % len(images)])
        sent[key] = time.time()

    before, started = memory(), datetime.now(UTC)
    begin = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(upload, range(uploads)))
    uploaded = time.monotonic() - begin
    found, last, half = _listed(s3, service.bucket), time.monotonic(), None
    while len(set(found.values())) < uploads and time.monotonic() - last < patience_seconds:
        time.sleep(_POLL_SECONDS)
        fresh = _listed(s3, service.bucket)
        if len(fresh) != len(found):
            last = time.monotonic()
        found = fresh
        if half is None and len(found) >= uploads / 2:
            half = memory()
        progress(len(found))
    seconds = time.monotonic() - begin
    states, machine = session.client("stepfunctions"), service.outputs["StateMachineArn"]
    while states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]:
        time.sleep(_POLL_SECONDS)
    found = _listed(s3, service.bucket)
    failed = _failed_since(started, states, machine)
    latencies = sorted(_latencies(s3, service.bucket, found, sent))
    after = memory()
    return Load(
        uploads=uploads,
        clients=clients,
        results=len(found),
        missing=len(set(sent) - set(found.values())),
        twice=len(found) - len(set(found.values())),
        failed_executions=failed,
        outcomes=dict(Counter(location.split("/")[0] for location in found)),
        upload_seconds=uploaded,
        seconds=seconds,
        p50_seconds=latencies[len(latencies) // 2],
        p95_seconds=latencies[min(len(latencies) - 1, len(latencies) * 95 // 100)],
        before=before,
        half=half or after,
        after=after,
    )


def _failed_since(started: datetime, states: Any, machine: str) -> int:
    """Number of executions that failed, of those that began no earlier."""
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine, statusFilter="FAILED")
    return sum(item["startDate"] >= started for page in pages for item in page["executions"])


def _listed(s3: Any, bucket: str) -> dict[str, str]:
    """The upload of each result, by the result's key."""
    return {
        item["Key"]: keys.INCOMING + item["Key"].removeprefix(f"{outcome}/").removesuffix(".json")
        for outcome in keys.OUTCOMES
        for page in s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=f"{outcome}/{_FOLDER}/"
        )
        for item in page.get("Contents", [])
    }


def _latencies(s3: Any, bucket: str, found: dict[str, str], sent: dict[str, float]) -> list[float]:
    def read(location: str) -> float:
        result = json.loads(s3.get_object(Bucket=bucket, Key=location)["Body"].read())
        return datetime.fromisoformat(result["times"]["recorded"]).timestamp() - sent[found[location]]

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(read, found))


def memory() -> Memory:
    """Memory now of this process and what it started."""
    gc.collect()
    below = processes.descendants()
    groups = (processes.endpoint(below), processes.embedded_aws(below), processes.function_workers(below))
    return Memory(
        processes.this().memory_bytes,
        *(sum(process.memory_bytes for process in group) for group in groups),
    )


def text(load: Load) -> str:
    """The table."""
    rows = [
        (f"{load.uploads} uploads by {load.clients} clients", f"in {load.upload_seconds:.1f} s"),
        ("results", f"{load.results} in {load.seconds:.1f} s ({load.results / load.seconds:.1f} a second)"),
        ("uploads without one", str(load.missing)),
        ("uploads with two", str(load.twice)),
        ("failed executions", str(load.failed_executions)),
        *((outcome, str(count)) for outcome, count in sorted(load.outcomes.items())),
        (
            "upload to result",
            f"p50 {load.p50_seconds:.1f} s, p95 {load.p95_seconds:.1f} s, the queue included",
        ),
    ]
    for name in ("own", "endpoint", "embedded_aws", "functions"):
        before, half, after = (getattr(moment, name) / 1e6 for moment in (load.before, load.half, load.after))
        title = {
            "own": "this process",
            "embedded_aws": "embedded AWS",
            "functions": "its functions' processes",
        }.get(name, name)
        rows.append((f"memory of {title}", f"{before:.0f} MB before, {half:.0f} at half, {after:.0f} after"))
    return "\n".join(f"{title:36s}{value}" for title, value in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 if an upload has not exactly one result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--uploads", type=int, default=1000, metavar="N")
    parser.add_argument("--clients", type=int, default=16, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        images = [path.read_bytes() for path in samples.drawn(Path(folder), 24, seed=1).images]
    with LocalService() as service:
        load = run(
            service,
            images,
            options.uploads,
            options.clients,
            progress=lambda count: print(f"{count} results", file=sys.stderr, flush=True),
        )
    if options.json:
        options.json.write_text(json.dumps(asdict(load), indent=1), encoding="utf-8")
    print(text(load))
    return int(bool(load.missing or load.twice or load.failed_executions))


if __name__ == "__main__":
    sys.exit(main())
