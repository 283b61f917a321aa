"""Embedded metric format: from a log line to the data that CloudWatch takes out of it. Pure functions.

A line has metrics if it is a JSON object with ``_aws.CloudWatchMetrics``; each directive there names a namespace,
sets of dimensions and metrics, whose values are members of the object itself: a number, or a list of numbers. Every
set of dimensions gives a datum of its own. What a directive names and the object lacks is left out, as on AWS.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MAX_VALUES = 150  # of one datum, in one PutMetricData
MAX_DATA = 1000  # data in one PutMetricData
MAX_DIMENSIONS = 30


@dataclass(frozen=True, slots=True)
class MetricDatum:
    """Values of one metric with one set of dimensions at one time.

    Parameters
    ----------
    namespace, name, unit
        As CloudWatch has them.
    dimensions
        Pairs of name and value.
    timestamp
        Milliseconds since 1970, UTC.
    values
        At least one finite number.
    resolution
        Seconds: 60, or 1 for high resolution.
    """

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    timestamp: int
    values: tuple[float, ...]
    unit: str = "None"
    resolution: int = 60


def parse(line: str, logged: int = 0) -> list[MetricDatum]:
    """Data of one log line; none if it has no metrics.

    Parameters
    ----------
    line
        A message of a log event.
    logged
        The event's own time, for a line that has none; milliseconds since 1970.
    """
    if '"CloudWatchMetrics"' not in line:
        return []
    try:
        root = json.loads(line)
    except (ValueError, RecursionError):
        return []
    header = root.get("_aws") if isinstance(root, dict) else None
    directives = header.get("CloudWatchMetrics") if isinstance(header, dict) else None
    if not isinstance(directives, list):
        return []
    written = header.get("Timestamp")  # type: ignore[union-attr]  # a dict, or there were no directives
    timestamp = written if isinstance(written, int) and not isinstance(written, bool) else logged
    return [datum for directive in directives for datum in _directive(directive, root, timestamp)]


def _directive(directive: Any, root: dict[str, Any], timestamp: int) -> Iterator[MetricDatum]:
    if not isinstance(directive, dict) or not isinstance(directive.get("Namespace"), str):
        return
    for metric in _list(directive.get("Metrics")):
        if not isinstance(metric, dict) or not isinstance(metric.get("Name"), str):
            continue
        values = _numbers(root.get(metric["Name"]))
        if not values:
            continue
        for names in _list(directive.get("Dimensions", [[]])):
            dimensions = _dimensions(names, root)
            if dimensions is not None:
                yield MetricDatum(
                    namespace=directive["Namespace"],
                    name=metric["Name"],
                    dimensions=dimensions,
                    timestamp=timestamp,
                    values=values,
                    unit=metric["Unit"] if isinstance(metric.get("Unit"), str) else "None",
                    resolution=1 if metric.get("StorageResolution") == 1 else 60,
                )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _numbers(value: Any) -> tuple[float, ...]:
    found = value if isinstance(value, list) else [value]
    numbers = [item for item in found if isinstance(item, int | float) and not isinstance(item, bool)]
    return tuple(float(item) for item in numbers if abs(item) < 2**360 and math.isfinite(item))


def _dimensions(names: Any, root: dict[str, Any]) -> tuple[tuple[str, str], ...] | None:
    """Dimensions of one set; None if the line lacks one of them."""
    if not isinstance(names, list) or len(names) > MAX_DIMENSIONS:
        return None
    pairs = []
    for name in names:
        value = root.get(name) if isinstance(name, str) else None
        if not isinstance(value, str) or not value:
            return None
        pairs.append((name, value))
    return tuple(pairs)


def requests(data: Iterable[MetricDatum]) -> Iterator[dict[str, Any]]:
    """PutMetricData requests for `data`: one namespace each, within the API's limits."""
    waiting: dict[str, list[dict[str, Any]]] = {}
    for datum in data:
        for start in range(0, len(datum.values), MAX_VALUES):
            batch = waiting.setdefault(datum.namespace, [])
            batch.append(_entry(datum, datum.values[start : start + MAX_VALUES]))
            if len(batch) == MAX_DATA:
                yield {"Namespace": datum.namespace, "MetricData": waiting.pop(datum.namespace)}
    for namespace, batch in waiting.items():
        yield {"Namespace": namespace, "MetricData": batch}


def _entry(datum: MetricDatum, values: tuple[float, ...]) -> dict[str, Any]:
    return {
        "MetricName": datum.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in datum.dimensions],
        "Timestamp": datetime.fromtimestamp(datum.timestamp / 1000, UTC),
        "Unit": datum.unit,
        "StorageResolution": datum.resolution,
        **({"Value": values[0]} if len(values) == 1 else {"Values": list(values)}),
    }
