"""The benchmark of listings compares what it says, in memory that does not grow with the bucket."""

from __future__ import annotations

from benchmarks import listing


def test_every_upload_is_compared_in_bounded_memory() -> None:
    found = listing.measure(40_000, lost=100)
    assert (found.objects, found.unfinished, found.pages) == (40_000, 400, 80)
    assert found.s3_seconds == 4.0
    # A page of each of four listings and one ahead is a few megabytes; forty thousand uploads with their results would be forty.
    assert found.peak_megabytes < 20
