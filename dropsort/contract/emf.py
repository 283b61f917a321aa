"""Lines of embedded metric format: CloudWatch extracts the metrics from the log, without an API call.

One line has all metrics of one moment; each directive in it names one set of dimensions and its metrics.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from dropsort.contract.metrics import NAMESPACE
from dropsort.contract.text import escaped_json

MAX_DIMENSION = 1024  # characters of a dimension's value, ASCII alone


def dimension(value: str) -> str:
    r"""A text as the value of a dimension: ASCII, at most 1,024 characters.

    Examples
    --------
    >>> dimension("Fahrräder")
    'Fahrr\\xe4der'
    """
    return value.encode("ascii", "backslashreplace").decode()[:MAX_DIMENSION]


def line(
    values: Mapping[str, float],
    sets: Iterable[tuple[Iterable[str], Iterable[str]]],
    dimensions: Mapping[str, str],
    declared: Mapping[str, str],
    milliseconds: int,
    notes: Mapping[str, Any] | None = None,
) -> str:
    """One line; empty if it would carry no metric.

    Values that are not finite are left out: CloudWatch takes no NaN, and no value is not zero.

    Parameters
    ----------
    values
        By metric, one of `declared`.
    sets
        Names of dimensions, with the names of the metrics that have just these dimensions.
    dimensions
        Value by name, of all sets.
    declared
        Units by metric.
    milliseconds
        Time of the metrics since 1970, UTC.
    notes
        Further members, which are searched but not counted; those that are None are left out.

    Raises
    ------
    KeyError
        A metric is not declared.
    """
    if unknown := sorted(values.keys() - declared.keys()):
        raise KeyError(f"not in dropsort/contract/metrics.py: {', '.join(unknown)}")
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    directives = [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [list(names)],
            "Metrics": [{"Name": name, "Unit": declared[name]} for name in metrics if name in finite],
        }
        for names, metrics in sets
    ]
    directives = [directive for directive in directives if directive["Metrics"]]
    if not directives:
        return ""
    meta = {"Timestamp": milliseconds, "CloudWatchMetrics": directives}
    found = {name: value for name, value in (notes or {}).items() if value is not None}
    members = {**found, "_aws": meta, **dimensions, **finite}
    # Escaped, as a log may end a line at each of Unicode's line separators.
    return escaped_json(json.dumps(members, ensure_ascii=False, separators=(",", ":")))
