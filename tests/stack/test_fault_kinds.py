"""A few kinds of ``benchmarks.faults``, with few images, so that what the benchmark finds can be believed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.faults import run
from benchmarks.faults.stand import Stand
from dropsort.local.service import LocalService

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def stand(service: LocalService) -> Iterator[Stand]:
    """The service that all tests share, with the proxy between its functions and what they call."""
    stand = Stand(service, seconds=0.5)
    yield stand
    stand.close()


# One at the proxy, one of events, one of uploads.
@pytest.mark.parametrize("name", ["endpoint-429", "events-reordered", "overwritten"])
def test_no_image_is_lost_doubled_or_stale(stand: Stand, name: str) -> None:
    row = run.run_shared(stand, name, 8, patience_seconds=240)
    assert row.verdict.finished, row
    assert row.verdict.images == 8
