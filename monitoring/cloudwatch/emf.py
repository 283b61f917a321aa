"""Metrics of the monitoring function as lines of embedded metric format.

The dimension is [Stack], and [Stack, Label] for label shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dropsort.contract.emf import dimension, line
from dropsort.contract.metrics import LABEL, LABEL_SHARE, MONITORING, STACK, largest_shares


def emf(
    stack: str,
    values: Mapping[str, float],
    labels: Mapping[str, float] | None,
    at: datetime,
    notes: Mapping[str, Any] | None = None,
) -> list[str]:
    """Lines of embedded metric format: one of all values, and one for each of the most frequent labels.

    Values that are not finite are left out: CloudWatch takes no NaN, and no value is not zero.

    Parameters
    ----------
    values
        By name, one of `MONITORING`.
    labels
        Share by label, or None.
    at
        The moment that the values belong to (aware).
    """
    time = int(at.timestamp() * 1000)
    lines = [line(values, [([STACK], values)], {STACK: stack}, MONITORING, time, notes)]
    for label, share in largest_shares(labels or {}).items():
        dimensions = {STACK: stack, LABEL: dimension(label)}
        lines.append(line({LABEL_SHARE: share}, [(dimensions, [LABEL_SHARE])], dimensions, MONITORING, time))
    return [text for text in lines if text]
