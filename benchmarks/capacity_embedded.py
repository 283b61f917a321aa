"""Compares the simulation with the embedded service: the same bursts in front of the same endpoints, with limits set alike.

The endpoint works on one image at a time, others wait in its queue, and it responds 503 to what the queue does not hold; or it is
unavailable at first. In the service that is the proxy of `benchmarks.faults`. The embedded AWS runs 8 functions at once, waits 0.03 times
as long between two tries, and never longer than a minute times that, without jitter. What failed is started again every ten seconds in
both.
"""

from __future__ import annotations

import contextlib
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks import capacity_template
from benchmarks.capacity_figures import Assumptions, SimulationResult
from benchmarks.capacity_simulation import Simulation
from benchmarks.capacity_template import Deployment
from benchmarks.faults import proxy
from benchmarks.faults.batch import ImageBatch
from benchmarks.faults.target import FaultTarget, check_often, images
from dropsort.local import embedded
from dropsort.local.service import LocalService

UPLOADS = 120
RATE = 2.0  # images per second
REDRIVE_SECONDS = 10.0
TOLERANCE = 0.2
RUNS = 11  # of the simulation: chance decides which image waits longest, so that medians are compared
_LONGEST_WAIT = 60.0  # of the embedded AWS, before it is scaled
_PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Case:
    """One burst and its endpoint."""

    name: str
    queue: int  # requests that wait in the container
    bursts: int = 1  # measured; more where chance decides much
    outage_seconds: float = 0.0  # it responds 500 for so long, from the first upload on


CASES = (
    Case("no queue", 0, bursts=3),
    Case("a queue of two", 2),
    Case("unavailable for 40 s, then a queue of two", 2, outage_seconds=40),
)


@dataclass(frozen=True)
class MeasuredBurst:
    """What came of it in the embedded service."""

    results: int
    drained_seconds: float
    requests: int  # to the endpoint


class OneAtATime:
    """A fault: an endpoint that works on one image for so many seconds while others wait, and responds 503 to more than that."""

    def __init__(self, seconds: float, queue: int = 0) -> None:
        self._seconds, self._worker = seconds, threading.Lock()
        self._places = threading.Semaphore(1 + queue)

    def __call__(self, _: proxy.Request) -> proxy.InjectedResponse | None:
        """Take a request, or reject it."""
        if not self._places.acquire(blocking=False):
            return proxy.model_error(503)
        try:
            with self._worker:
                time.sleep(self._seconds)
        finally:
            self._places.release()
        return None


class DeadAtFirst:
    """A fault: an endpoint that responds 500 for so many seconds from its first request on, and then as another."""

    def __init__(self, seconds: float, then: OneAtATime) -> None:
        self._seconds, self._then = seconds, then
        self._until: float | None = None

    def __call__(self, request: proxy.Request) -> proxy.InjectedResponse | None:
        """Take a request, or reject it."""
        if self._until is None:
            self._until = time.monotonic() + self._seconds
        return proxy.model_error(500) if time.monotonic() < self._until else self._then(request)


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
    return replace(read, states=states, workflow_timeout=1e9, backlog_seconds=REDRIVE_SECONDS)


# What holds in the embedded service: small images, functions that are warm, 150 ms before an execution begins.
ASSUMED = Assumptions(
    account_concurrency=int(embedded.SETTINGS["LAMBDA_ACCOUNT_CONCURRENCY"]),
    rate=RATE,
    workers=1,
    queue=0,
    event_seconds=0.2,
    serialize_seconds=0.03,
    filter_seconds=0.03,
    spread=0.5,
)


@contextlib.contextmanager
def service() -> Iterator[FaultTarget]:
    """The embedded service, which starts what failed again as often as the simulation does."""
    restore = check_often(REDRIVE_SECONDS, again_too=False)
    try:
        with LocalService() as running:
            target = FaultTarget(running)
            yield target
            target.close()
    finally:
        restore()


def measure(target: FaultTarget, folder: str, case: Case, uploads: int) -> tuple[MeasuredBurst, float]:
    """Upload to the embedded service and wait until it has finished; return what came of it and how long the uploads took."""
    # Function instances of its own, as in the simulation: a circuit breaker has the state of the burst before.
    target.set_variables("ClassifyFunction", {"BURST": folder})
    warm = ImageBatch(f"{folder}-warm", 8, images())
    warm.put_all(target.site)
    warm.drain(target.site, _PATIENCE_SECONDS)
    batch = ImageBatch(folder, uploads, images())
    target.proxy.reset()
    queue = OneAtATime(1 / RATE, case.queue)
    endpoint = DeadAtFirst(case.outage_seconds, queue) if case.outage_seconds else queue
    with target.injected(proxy.of("endpoint", endpoint)):
        began = time.time()  # as the results have it
        batch.put_all(target.site)
        uploaded = time.time() - began
        verdict, _ = batch.drain(target.site, _PATIENCE_SECONDS)
    requests = target.proxy.passed["endpoint"] + target.proxy.stopped["endpoint"]
    drained = batch.last_recorded(target.site) - began
    return MeasuredBurst(uploads - verdict.lost - verdict.waiting, drained, requests), uploaded


def bursts(target: FaultTarget, case: Case, uploads: int) -> tuple[MeasuredBurst, float, str]:
    """The median of a case's bursts; how long its uploads took, and the times of all."""
    found = [
        measure(target, f"capacity-{CASES.index(case)}-{number}", case, uploads)
        for number in range(case.bursts)
    ]
    found.sort(key=lambda one: (-one[0].results, one[0].drained_seconds))  # one that lost results comes last
    times = ", ".join(f"{measured.drained_seconds:.0f}" for measured, _ in found)
    least = min(measured.results for measured, _ in found)
    median, seconds = found[len(found) // 2]
    return replace(median, results=least), seconds, times


def simulate(case: Case, uploads: int, seconds: float, runs: int = RUNS) -> list[SimulationResult]:
    """The outcomes of so many simulations, by their time to drain."""
    assumed = replace(ASSUMED, queue=case.queue, outage_seconds=case.outage_seconds)
    found = [Simulation(deployment(), assumed, uploads, seconds, seed).run() for seed in range(runs)]
    return sorted(found, key=lambda outcome: outcome.drained_seconds)


def compare(measured: MeasuredBurst, simulated: SimulationResult) -> str:
    """A sentence on how both differ; "" within the tolerance."""
    if measured.results != simulated.results:
        return f"{measured.results} results in the embedded service, {simulated.results} in the simulation"
    share = abs(simulated.drained_seconds / measured.drained_seconds - 1)
    return f"the times differ by {share:.0%}" if share > TOLERANCE else ""


def main(uploads: int = UPLOADS) -> int:
    """Measure, simulate, print both; 1 if they differ by more than a fifth."""
    print(f"{uploads} uploads at once; an endpoint that works on one image at a time, {RATE:g} a second")
    print(f"{'':36}{'':18}{'results':>9}{'finished':>11}{'requests':>10}")
    differ = False
    with service() as target:
        for case in CASES:
            measured, seconds, times = bursts(target, case, uploads)
            runs = simulate(case, uploads, seconds)
            median = runs[RUNS // 2]
            requests = statistics.median(outcome.results + outcome.busy for outcome in runs)
            found = compare(measured, median)
            differ = differ or bool(found)
            rows = (
                (
                    case.name,
                    "embedded service",
                    measured.results,
                    measured.drained_seconds,
                    measured.requests,
                ),
                ("", "simulation", median.results, median.drained_seconds, requests),
            )
            for name, where, results, drained, sent in rows:
                print(f"{name:36}{where:18}{results:9d}{drained:9.1f} s{sent:10.0f}")
            spread = (
                f"{runs[0].drained_seconds:.0f} to {runs[-1].drained_seconds:.0f} s in {RUNS} simulations"
            )
            print(
                f"{'':36}{found or f'within {TOLERANCE:.0%}'}: {times} s in the service, {spread}", flush=True
            )
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
