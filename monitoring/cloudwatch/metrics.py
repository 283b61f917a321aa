"""Publishes the metrics of the monitoring function, in one of two ways.

In AWS a metric is a line that the function prints (embedded metric format: free of API calls, and the emulator's logs
carry it too); from anywhere else it is PutMetricData. The dimension is [Stack], and [Stack, Label] for label shares.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
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


def data(
    stack: str, values: Mapping[str, float], labels: Mapping[str, float] | None, at: datetime
) -> list[dict[str, Any]]:
    """The same as MetricData of PutMetricData; at most 1,000 of them go into one request."""

    def datum(name: str, value: float, dimensions: Mapping[str, str]) -> dict[str, Any]:
        return {
            "MetricName": name,
            "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()],
            "Timestamp": at,
            "Value": value,
            "Unit": MONITORING[name].unit,
        }

    found = [datum(name, value, {STACK: stack}) for name, value in _finite(values).items()]
    return found + [
        datum(LABEL_SHARE, v, {STACK: stack, LABEL: label}) for label, v in (labels or {}).items()
    ]


def put(client: Any, found: Iterable[dict[str, Any]]) -> None:
    """Send MetricData with a CloudWatch client, 1,000 to a request."""
    every = list(found)
    for i in range(0, len(every), 1000):
        client.put_metric_data(Namespace=NAMESPACE, MetricData=every[i : i + 1000])


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
