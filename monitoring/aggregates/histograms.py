"""Fixed-bin histograms over [0, 1] and the integers that values are stored as: the only module that rounds.

Every value is first taken in billionths, rounded half up, and binned from there, so that Python and SQL agree to the
last count, and 0.93 lies in the bin that begins at 0.93.
"""

from __future__ import annotations

from typing import Any

import numpy as np

UNIT = 1_000_000_000  # sums of confidence, entropy, margin and familiarity are in billionths
BINS = 1000  # of confidence: bin i holds [i/1000, (i+1)/1000), the last one 1.0 too
FAMILIARITY_BINS = 100


def units(value: Any) -> Any:
    """Billionths of `value` (a float or an array of them in [0, 1]), rounded half up as the SQL does."""
    return np.floor(np.asarray(value, dtype=np.float64) * UNIT + 0.5).astype(np.int64)


def bin_of(billionths: Any, bins: int = BINS) -> Any:
    """Histogram bin of a value in billionths, or of an array of them."""
    return np.minimum(np.asarray(billionths) // (UNIT // bins), bins - 1)


def dense(histogram: dict[int, int], bins: int) -> np.ndarray:
    """Bin counts as int64 of shape (bins,)."""
    out = np.zeros(bins, np.int64)
    if histogram:
        out[list(histogram)] = list(histogram.values())
    return out


def quantile(bins: np.ndarray, q: float) -> float:
    """Quantile `q` of histogram counts over [0, 1], linear within its bin; nan if they are all zero."""
    total = int(bins.sum())
    if not total:
        return float("nan")
    below = np.concatenate(([0], np.cumsum(bins)))
    wanted = q * total
    at = int(np.searchsorted(below[1:], wanted))
    filled = np.flatnonzero(bins)
    at = min(max(at, int(filled[0])), int(filled[-1]))  # never an empty one
    inside = (wanted - below[at]) / bins[at]
    return float((at + min(max(inside, 0.0), 1.0)) / len(bins))


def share_at_least(bins: np.ndarray, threshold: float) -> float:
    """Share of histogram counts at or above `threshold`, which is rounded to a bin's edge; nan if all zero."""
    total = int(bins.sum())
    if not total:
        return float("nan")
    return int(bins[max(0, round(threshold * len(bins))) :].sum()) / total


def add(into: dict[int, int], other: dict[int, int]) -> None:
    """Add the counts of `other` to `into`."""
    for bin_, count in other.items():
        into[bin_] = into.get(bin_, 0) + count
