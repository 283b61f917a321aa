"""Metrics of the monitoring function as lines of embedded metric format, which CloudWatch extracts from the logs.

No API calls are needed. The dimension is [Stack], and [Stack, Label] for label shares.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dropsort.contract.metrics import LABEL, LABEL_SHARE, MONITORING, NAMESPACE, STACK


def emf(
    stack: str,
    values: Mapping[str, float],
    labels: Mapping[str, float] | None,
    at: datetime,
    notes: Mapping[str, Any] | None = None,
) -> list[str]:
    """Lines of embedded metric format: one of all values, and one for every label's share.

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
    lines = [_line({STACK: stack}, _finite(values), at, notes)]
    lines += [
        _line({STACK: stack, LABEL: label}, {LABEL_SHARE: v}, at) for label, v in (labels or {}).items()
    ]
    return [line for line in lines if line]


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    unknown = set(values) - set(MONITORING)
    if unknown:
        raise KeyError(f"not in dropsort/contract/metrics.py: {', '.join(sorted(unknown))}")
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def _line(
    dimensions: Mapping[str, str],
    values: Mapping[str, float],
    at: datetime,
    notes: Mapping[str, Any] | None = None,
) -> str:
    if not values:
        return ""
    described = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": MONITORING[name].unit} for name in values],
    }
    meta = {"Timestamp": int(at.timestamp() * 1000), "CloudWatchMetrics": [described]}
    return json.dumps(
        {**(notes or {}), "_aws": meta, **dimensions, **values}, ensure_ascii=False, separators=(",", ":")
    )
