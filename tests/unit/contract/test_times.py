"""Times as documents have them."""

from __future__ import annotations

import doctest
from datetime import datetime, timedelta, timezone

from dropsort.contract import times


def test_a_time_is_in_utc_and_cut_not_rounded() -> None:
    assert doctest.testmod(times).failed == 0
    value = datetime(2026, 1, 1, 1, 59, 59, 999_999, timezone(timedelta(hours=2)))
    assert times.moment(value) == "2025-12-31T23:59:59.999Z"
    assert times.moment(value, "seconds") == "2025-12-31T23:59:59Z"
