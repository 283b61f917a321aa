"""The benchmark of listings compares what it says, in memory that does not grow with the bucket."""

from __future__ import annotations

import pytest

from benchmarks import listing


def test_every_upload_is_compared_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 100)
    found = listing.measure(10_000, lost=100)
    assert (found.objects, found.unfinished, found.pages) == (10_000, 100, 200)
    assert found.s3_seconds == 10.0
    # A page of each of four listings and one ahead is a quarter of a megabyte; ten thousand uploads, were they kept, are four.
    assert found.peak_megabytes < 1
