"""A few kinds of ``benchmarks.faults``, with few images, so that what the benchmark finds can be believed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.faults import run
from benchmarks.faults.target import FaultTarget
from dropsort.local.service import LocalService

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def target(service: LocalService) -> Iterator[FaultTarget]:
    """The service that all tests share, with the proxy between its functions and what they call."""
    target = FaultTarget(service, seconds=0.5)
    yield target
    target.close()


# One at the proxy, one of events, one of uploads.
@pytest.mark.parametrize("name", ["endpoint-429", "events-reordered", "overwritten"])
def test_no_image_is_lost_doubled_or_stale(target: FaultTarget, name: str) -> None:
    row = run.run_shared(target, name, 8, patience_seconds=240)
    assert row.verdict.finished, row
    assert row.verdict.images == 8
