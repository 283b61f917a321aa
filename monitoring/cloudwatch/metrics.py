"""Every metric that monitoring publishes: names, units, meaning, and the two ways to CloudWatch.

In AWS a metric is a line that the function prints (embedded metric format: free of API calls, and the emulator's logs
carry it too); from anywhere else it is PutMetricData. The dimension is [Stack], and [Stack, Label] for label shares.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

NAMESPACE = "Dropsort"
STACK = "Stack"
LABEL = "Label"

# Name: unit, meaning. A share is between 0 and 1.
METRICS: dict[str, tuple[str, str]] = {
    "Captured": ("Count", "new capture records of this run"),
    "BadLines": ("Count", "new lines in capture files that are no record"),
    "Duplicates": ("Count", "new records whose event id had been seen"),
    "Behind": ("Count", "1 if captures were left to the next run, and so nothing was judged, else 0"),
    "CapturedShare": ("None", "captures of 24 hours, as a share of the invocations that should be captured"),
    "MeanConfidence": ("None", "mean confidence of 24 hours"),
    "LowConfidenceRate": ("None", "share of 24 hours' captures below the threshold"),
    "UnfamiliarRate": ("None", "share of 24 hours' captures that look like none of the classes"),
    "EstimatedAccuracy": ("None", "accuracy that calibrated confidences promise: an estimate"),
    "LabelShare": ("None", "share of a label among 24 hours' captures; with the dimension Label"),
    "LabelShareChange": ("None", "how far the share of the most changed label is from the reference's"),
    "ConfidenceWasserstein": ("None", "distance of 24 hours' confidences from the reference's"),
    "ConfidenceJensenShannon": ("None", "Jensen-Shannon distance of the same two"),
    "DriftAlarms": ("Count", "signals of drift that alarm now, in either window; silence is none of them"),
    "SilentHours": ("None", "complete hours without a capture"),
    "SilenceAlarm": ("Count", "1 if that silence is not usual at this time, else 0"),
    "OldestUploadAge": ("Seconds", "age of the oldest upload without a result; 0 if all have one"),
    "UploadsWithoutResult": ("Count", "uploads older than the grace time without a result"),
    "CostSoFar": ("None", "estimated cost since the month began, US dollars"),
}
UNITS = {name: unit for name, (unit, _) in METRICS.items()}
WITH_LABEL = frozenset({"LabelShare"})


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
        By name, one of `METRICS`.
    labels
        Share by label, or None.
    at
        The moment that the values belong to (aware).
    """
    lines = [_line({STACK: stack}, _finite(values), at, notes)]
    lines += [
        _line({STACK: stack, LABEL: label}, {"LabelShare": v}, at) for label, v in (labels or {}).items()
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
            "Unit": UNITS[name],
        }

    found = [datum(name, value, {STACK: stack}) for name, value in _finite(values).items()]
    return found + [
        datum("LabelShare", v, {STACK: stack, LABEL: label}) for label, v in (labels or {}).items()
    ]


def put(client: Any, found: Iterable[dict[str, Any]]) -> None:
    """Send MetricData with a CloudWatch client, 1,000 to a request."""
    every = list(found)
    for i in range(0, len(every), 1000):
        client.put_metric_data(Namespace=NAMESPACE, MetricData=every[i : i + 1000])


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    unknown = set(values) - set(METRICS)
    if unknown:
        raise KeyError(f"not in monitoring/cloudwatch/metrics.py: {', '.join(sorted(unknown))}")
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
        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in values],
    }
    meta = {"Timestamp": int(at.timestamp() * 1000), "CloudWatchMetrics": [described]}
    return json.dumps(
        {**(notes or {}), "_aws": meta, **dimensions, **values}, ensure_ascii=False, separators=(",", ":")
    )
