"""Times as documents have them: ISO 8601 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal


def moment(value: datetime, precision: Literal["seconds", "milliseconds"] = "milliseconds") -> str:
    """A time as text; the rest below `precision` is cut off.

    Examples
    --------
    >>> moment(datetime(2026, 11, 26, 15, 33, 15, 141_000, UTC))
    '2026-11-26T15:33:15.141Z'
    >>> moment(datetime(2026, 11, 26, 15, 33, 15, 141_000, UTC), "seconds")
    '2026-11-26T15:33:15Z'
    """
    return value.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
