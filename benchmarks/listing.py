"""Memory and time of comparing a bucket with its results: ``python -m benchmarks.listing --objects 10000000``.

S3 is simulated: pages are made when they are requested, and the time that S3 would take is counted, not slept. The comparison is the one of
the backlog function and `dropsort redrive` (`dropsort.contract.reconciliation`).
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dropsort.contract import keys, reconciliation
from monitoring.prices import price

PAGE = 1000
UPLOADED = datetime(2026, 11, 1, tzinfo=UTC)
RECORDED = UPLOADED + timedelta(seconds=1)


@dataclass
class ListingFigures:
    """What a comparison of all uploads with their results took."""

    objects: int
    unfinished: int
    pages: int
    s3_seconds: float  # the longest of the listings, which run side by side
    seconds: float  # of this process, without S3
    peak_megabytes: float  # of Python objects
    process_megabytes: float
    dollars: float  # a LIST request costs as much as a PUT


class Bucket:
    """S3 with so many uploads; every `lost`-th has no result."""

    def __init__(self, objects: int, lost: int, page_seconds: float) -> None:
        self._objects, self._lost, self._page_seconds = objects, lost, page_seconds
        self.pages: dict[str, int] = {}

    def get_paginator(self, _name: str) -> Bucket:
        return self

    def paginate(self, *, Bucket: str, Prefix: str, KeyMarker: str = "") -> Iterator[dict[str, Any]]:
        suffix = "" if Prefix == keys.INCOMING else ".json"
        written = UPLOADED if Prefix == keys.INCOMING else RECORDED
        after = int(KeyMarker[len(Prefix) : len(Prefix) + 10]) + 1 if KeyMarker else 0
        if Prefix in (f"{keys.LOW_CONFIDENCE}/", f"{keys.FAILED}/"):
            return
        for begin in range(after, self._objects, PAGE):
            self.pages[Prefix] = self.pages.get(Prefix, 0) + 1
            yield {
                "Versions": [
                    {
                        "Key": f"{Prefix}{number:010}.jpg{suffix}",
                        "VersionId": f"{number:032x}",
                        "ETag": f'"{number:032x}"',
                        "LastModified": written,
                        "IsLatest": True,
                    }
                    for number in range(begin, min(begin + PAGE, self._objects))
                    if not suffix or number % self._lost
                ]
            }

    @property
    def s3_seconds(self) -> float:
        """Time of the longest listing."""
        return max(self.pages.values()) * self._page_seconds


def measure(
    objects: int, *, lost: int = 1000, page_seconds: float = 0.1, trace: bool = True
) -> ListingFigures:
    """Compare so many uploads with their results."""
    bucket = Bucket(objects, lost, page_seconds)
    if trace:
        tracemalloc.start()
    begun = time.perf_counter()
    unfinished = sum(item.why is not None for item in reconciliation.check(bucket, "images"))
    seconds = time.perf_counter() - begun
    peak = tracemalloc.get_traced_memory()[1] / 1e6 if trace else 0.0
    if trace:
        tracemalloc.stop()
    pages = sum(bucket.pages.values())
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return ListingFigures(
        objects, unfinished, pages, bucket.s3_seconds, seconds, peak, process, pages * price("s3-put")
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.listing", description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000, help="uploads (default: %(default)s)")
    parser.add_argument(
        "--page-seconds", type=float, default=0.1, help="of one page of S3 (default: %(default)s)"
    )
    parser.add_argument("--trace", action="store_true", help="measure Python's own memory, which is slower")
    parser.add_argument("--json", type=Path, help="file for the outcome")
    options = parser.parse_args(arguments)
    outcome = measure(options.objects, page_seconds=options.page_seconds, trace=options.trace)
    for name, value in asdict(outcome).items():
        print(f"{name.replace('_', ' '):20}{value:>14,.1f}")
    if options.json:
        options.json.write_text(json.dumps(asdict(outcome), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
