"""Compares the simulation with the embedded service: the same burst in front of the same endpoint, with limits set alike.

The endpoint takes one image at a time, and responds 503 to any other: an endpoint without a queue, in the service by the proxy of
`benchmarks.faults`. The embedded AWS runs 8 functions at once, waits 0.03 times as long between two tries, and never longer than a minute
times that, without jitter.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, replace

from benchmarks import capacity_template
from benchmarks.capacity_figures import Assumptions, Outcome
from benchmarks.capacity_simulation import Simulation
from benchmarks.capacity_template import Deployment
from benchmarks.faults import proxy
from benchmarks.faults.batch import Batch
from benchmarks.faults.stand import Stand, images
from dropsort.local import automatic_redrive, embedded
from dropsort.local.service import Service

UPLOADS = 120
RATE = 2.0  # images a second
TOLERANCE = 0.2
_LONGEST_WAIT = 60.0  # of the embedded AWS, before it is scaled
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Measured:
    """What came of it in the embedded service."""

    results: int
    drained_seconds: float
    requests: int  # to the endpoint


class OneAtATime:
    """A fault: an endpoint that works on one image for so many seconds, and responds 503 to others meanwhile."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._lock = seconds, threading.Lock()

    def __call__(self, _: proxy.Request) -> proxy.Response | None:
        """Take a request, or reject it."""
        if not self._lock.acquire(blocking=False):
            return proxy.model_error(503)
        try:
            time.sleep(self._seconds)
        finally:
            self._lock.release()
        return None


def deployment() -> Deployment:
    """The template's limits, as the embedded AWS applies them."""
    scale = float(embedded.SETTINGS["SFN_WAIT_SCALE"])
    read = capacity_template.read()
    states = {
        name: replace(
            state,
            retriers=tuple(
                replace(
                    retrier,
                    interval=scale * retrier.interval,
                    longest=scale * _LONGEST_WAIT,
                    full_jitter=False,
                )
                for retrier in state.retriers
            ),
        )
        for name, state in read.states.items()
    }
    return replace(
        read, states=states, workflow_timeout=1e9, backlog_seconds=automatic_redrive.INTERVAL_SECONDS
    )


# What holds in the embedded service: small images, functions that are warm, 150 ms before an execution begins.
ASSUMED = Assumptions(
    account_concurrency=int(embedded.SETTINGS["LAMBDA_ACCOUNT_CONCURRENCY"]),
    rate=RATE,
    workers=1,
    queue=0,
    event_seconds=0.2,
    serialize_seconds=0.03,
    filter_seconds=0.03,
)


def measure(uploads: int = UPLOADS) -> tuple[Measured, float]:
    """Upload to the embedded service and wait until it has drained; return what came of it and how long the uploads took."""
    with Service() as service:
        stand = Stand(service)
        batch = Batch("capacity", uploads, images())
        warm = Batch("warm", 8, images())
        warm.put_all(stand.site)
        warm.drain(stand.site, _PATIENCE_SECONDS)
        stand.proxy.reset()
        with stand.injected(proxy.of("endpoint", OneAtATime(1 / RATE))):
            began = time.time()  # as the results have it
            batch.put_all(stand.site)
            uploaded = time.time() - began
            verdict, _ = batch.drain(stand.site, _PATIENCE_SECONDS)
        requests = stand.proxy.passed["endpoint"] + stand.proxy.stopped["endpoint"]
        drained = batch.last_recorded(stand.site) - began
        stand.close()
    waiting = verdict.lost + verdict.waiting
    return Measured(uploads - waiting, drained, requests), uploaded


def compare(measured: Measured, simulated: Outcome) -> str:
    """A sentence on how both differ; "" within the tolerance."""
    if measured.results != simulated.results:
        return f"{measured.results} results in the embedded service, {simulated.results} in the simulation"
    share = abs(simulated.drained_seconds / measured.drained_seconds - 1)
    return f"the times differ by {share:.0%}" if share > TOLERANCE else ""


def main(uploads: int = UPLOADS) -> int:
    """Measure, simulate, print both; 1 if they differ by more than a fifth."""
    measured, seconds = measure(uploads)
    simulated = Simulation(deployment(), ASSUMED, uploads, seconds).run()
    print(
        f"{uploads} uploads in {seconds:.1f} s, an endpoint that takes one image at a time, {RATE:g} a second"
    )
    print(f"{'':24s}{'results':>9s}{'drained':>11s}{'requests':>10s}")
    print(
        f"{'embedded service':24s}{measured.results:9d}{measured.drained_seconds:9.1f} s{measured.requests:10d}"
    )
    requests = simulated.results + simulated.busy
    print(f"{'simulation':24s}{simulated.results:9d}{simulated.drained_seconds:9.1f} s{requests:10d}")
    found = compare(measured, simulated)
    print(found or f"within {TOLERANCE:.0%}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
