"""Runs one kind of fault and says what became of its images."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.faults import endpoint_kinds, event_kinds, function_kinds, storage_kinds
from benchmarks.faults.batch import BatchVerdict, ImageBatch
from benchmarks.faults.kinds import SHARED, Skipped
from benchmarks.faults.service_kinds import ALONE
from benchmarks.faults.target import FaultTarget, images

MODULES = (endpoint_kinds, function_kinds, event_kinds, storage_kinds)  # importing them registers their kinds
PATIENCE_SECONDS = 240.0


@dataclass(frozen=True)
class FaultResult:
    """One kind's row of the table; ``skipped`` says why it was not run.

    ``invocations`` counts the requests to the endpoint, and ``rejected`` those of them that the fault responded to.
    """

    kind: str
    sentence: str
    verdict: BatchVerdict
    injected_seconds: float = 0.0
    drained_seconds: float = 0.0
    invocations: int = 0
    rejected: int = 0
    skipped: str = ""


def run_shared(
    target: FaultTarget, name: str, count: int, patience_seconds: float = PATIENCE_SECONDS
) -> FaultResult:
    """Run one kind in a service that runs.

    Parameters
    ----------
    count
        Number of images.
    patience_seconds
        How long to wait after the fault until every image has its result, in addition to twice as long as the fault went on: an image
        that failed waits for half of its age.
    """
    kind = SHARED[name]
    batch = ImageBatch(f"faults/{name}", count, images(min(count, 24)))
    target.proxy.reset()

    def run() -> tuple[BatchVerdict, float]:
        begin = time.monotonic()
        try:
            kind.run(target, batch)
            return batch.drain(target.site, patience_seconds + 2 * (time.monotonic() - begin))
        finally:
            target.proxy.inject(None)

    row = _row(name, kind.sentence, count, run)
    passed, stopped = target.proxy.passed["endpoint"], target.proxy.stopped["endpoint"]
    return replace(row, invocations=passed + stopped, rejected=stopped)


def run_alone(name: str, count: int) -> FaultResult:
    """Run one kind that starts a service of its own."""
    kind = ALONE[name]
    return _row(name, kind.sentence, count, lambda: kind.run(count))


def _row(name: str, sentence: str, count: int, run: Callable[[], tuple[BatchVerdict, float]]) -> FaultResult:
    """The row of a kind; one that breaks off counts as if all of its images were lost, and the others are run."""
    begin = time.monotonic()
    try:
        verdict, drained = run()
    except Skipped as reason:
        return FaultResult(name, sentence, BatchVerdict(0), skipped=str(reason))
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        return FaultResult(name, sentence, BatchVerdict(count, lost=count, examples={"lost": why}))
    return FaultResult(name, sentence, verdict, time.monotonic() - begin - drained, drained)
