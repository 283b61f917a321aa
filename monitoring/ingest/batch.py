"""Capture records as arrays: what the reader hands to the aggregate, small enough to travel between processes.

Everything about a prediction is an integer from here on (billionths).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np

from monitoring.aggregates.cells import BadLine, Key, Series, Uncertain

# What is unusual about a record, as bits.
NO_INPUT, MERGED, BATCH_TRANSFORM, NO_EVENT_ID, NO_TIME, NO_PREDICTION = 1, 2, 4, 8, 16, 32


class PieceCount(msgspec.Struct, gc=False):
    """What one file, or one stretch of a large file, held."""

    file: str
    start: int
    size: int = 0  # bytes of the file, if it was read whole
    lines: int = 0  # not blank
    records: int = 0
    bad_lines: int = 0
    ground_truth: int = 0
    newlines: int = 0  # blank lines too: what the line numbers of the next stretch begin at


@dataclass(slots=True)
class Batch:
    """Records and predictions as arrays: R records, P predictions."""

    series: list[Series]
    keys: list[Key]
    record_series: np.ndarray  # int32 (R,), into `series`
    record_digest: np.ndarray  # uint64 (R,), of hour and event id
    record_flags: np.ndarray  # uint8 (R,)
    record_first: np.ndarray  # bool (R,), False: a duplicate within this batch
    record: np.ndarray  # int32 (P,), which record
    key: np.ndarray  # int32 (P,), into `keys`
    confidence: np.ndarray  # int64 (P,), billionths
    margin: np.ndarray  # int64 (P,), -1: unknown
    entropy: np.ndarray  # int64 (P,), -1: unknown
    familiarity: np.ndarray  # int64 (P,), -1: unknown
    uncertain: list[tuple[int, Series, Uncertain]]  # record, series, candidate
    pieces: list[PieceCount]
    bad: list[BadLine]
    images: dict[int, tuple[int, ...]] = field(default_factory=dict)  # record to statistics
    relative: str = ""  # the file in which line numbers count from the beginning of a stretch of it
    failed: list[BadLine] = field(default_factory=list)  # files that could not be read
