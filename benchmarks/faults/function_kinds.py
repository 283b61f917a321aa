"""Faults of the functions: killed, without memory, without time, throttled; and deployed again in the middle."""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
import time
from pathlib import Path

from benchmarks.faults import proxy
from benchmarks.faults.batch import ImageBatch
from benchmarks.faults.kinds import Skipped, kind
from benchmarks.faults.target import FaultTarget, images, send, workers


@kind("functions-killed", "every worker of the functions is killed, four times, with images in it")
def _killed(target: FaultTarget, batch: ImageBatch) -> None:
    batch.put_all(target.site, range(batch.count // 2))
    for turn in range(4):
        time.sleep(0.5)
        send(workers(), signal.SIGKILL)
        quarter = range(
            batch.count // 2 + turn * batch.count // 8, batch.count // 2 + (turn + 1) * batch.count // 8
        )
        batch.put_all(target.site, quarter)
    batch.put_all(
        target.site, [index for index in range(batch.count) if batch.key(index) not in batch.uploads]
    )


@kind("out-of-memory", "the functions can allocate no memory")
def _no_memory(target: FaultTarget, batch: ImageBatch) -> None:
    if sys.platform != "linux":
        raise Skipped("limits of other processes are Linux's")
    batch.final |= {"function_crashed", "too_complex"}  # final by design, with a code that says so
    large = ImageBatch(batch.folder, batch.count, images(8, side=700))
    large.uploads = batch.uploads
    limited: set[int] = set()
    deadline = time.monotonic() + target.seconds
    large.put_all(target.site)
    while time.monotonic() < deadline:
        for pid in set(workers()) - limited:
            with contextlib.suppress(OSError):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
                resource.prlimit(
                    pid, resource.RLIMIT_AS, (pages * resource.getpagesize(), resource.RLIM_INFINITY)
                )
                limited.add(pid)
        time.sleep(0.1)
    for pid in limited:
        with contextlib.suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@kind("functions-timed-out", "Serialize runs into its time limit, as S3 takes long")
def _timed_out(target: FaultTarget, batch: ImageBatch) -> None:
    with target.configured("SerializeFunction", Timeout=1):
        target.upload_during(batch, proxy.of("s3", proxy.after(2.5, None), "GET"))


@kind("functions-throttled", "Lambda throttles: Serialize altogether, Classify above one at a time")
def _throttled(target: FaultTarget, batch: ImageBatch) -> None:
    with target.reserved("ClassifyFunction", 1):
        with target.reserved("SerializeFunction", 0):
            batch.put_all(target.site)
            time.sleep(target.seconds)
        time.sleep(target.seconds)


@kind("redeployed", "the stack is updated in the middle, and back again")
def _redeployed(target: FaultTarget, batch: ImageBatch) -> None:
    half = batch.count // 2
    batch.put_all(target.site, range(half))
    target.service.redeploy({"Threshold": "0.9"})
    batch.put_all(target.site, range(half, batch.count))
    target.service.redeploy({})
    target.route()
