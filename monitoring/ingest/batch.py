"""Capture records as arrays: what the reader yields and the aggregation adds, small enough to pass between processes.

Every value of a prediction is an integer from here on (billionths).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np

from monitoring.aggregates.cells import BadLine, CellKey, Series, Uncertain

# What is unusual about a record, as bits.
NO_INPUT, MERGED, BATCH_TRANSFORM, NO_EVENT_ID, NO_TIME, NO_PREDICTION = 1, 2, 4, 8, 16, 32


class FileCounts(msgspec.Struct, gc=False):
    """Counts of one file, or of one range of a large file."""

    file: str
    start: int
    size: int = 0  # bytes of the file, if it was read whole
    lines: int = 0  # not blank
    records: int = 0
    bad_lines: int = 0
    ground_truth: int = 0
    newlines: int = 0  # blank lines too: line numbers of the next range begin there


class Source(NamedTuple):
    """A file that lines are read from."""

    counts: FileCounts
    series: Series  # that its path names


@dataclass(slots=True)
class CaptureBatch:
    """Records and predictions as arrays: R records, P predictions."""

    series: list[Series]
    keys: list[CellKey]
    record_series: np.ndarray  # int32 (R,), into `series`
    record_digest: np.ndarray  # uint64 (R,), of hour and event id
    record_flags: np.ndarray  # uint8 (R,)
    record_second: np.ndarray  # int16 (R,), of its hour; -1: unknown
    record_first: np.ndarray  # bool (R,), False: a duplicate within this batch
    record: np.ndarray  # int32 (P,), which record
    key: np.ndarray  # int32 (P,), into `keys`
    confidence: np.ndarray  # int64 (P,), billionths
    margin: np.ndarray  # int64 (P,), -1: unknown
    entropy: np.ndarray  # int64 (P,), -1: unknown
    familiarity: np.ndarray  # int64 (P,), -1: unknown
    uncertain: list[tuple[int, Series, Uncertain]]  # record, series, candidate
    files: list[FileCounts]  # files and ranges that end in this batch
    bad: list[BadLine]
    images: dict[int, tuple[int, ...]] = field(default_factory=dict)  # record to statistics
    relative: str = ""  # the file in which line numbers count from the beginning of a range of it
    failed: list[BadLine] = field(default_factory=list)  # files that could not be read
