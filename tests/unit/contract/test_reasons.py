"""When a retryable image is to be run again."""

from __future__ import annotations

from datetime import datetime

import pytest

from dropsort.contract import reasons

UPLOADED, RECORDED = "2026-01-01T00:00:00Z", "2026-01-01T00:10:00.500Z"


@pytest.mark.parametrize(
    ("code", "uploaded", "now", "due"),
    [
        ("throttled", UPLOADED, "2026-01-01T00:10:01Z", True),  # at once
        ("invalid_prediction", UPLOADED, "2026-01-01T00:20:00Z", False),  # after as long again
        ("invalid_prediction", UPLOADED, "2026-01-01T00:20:01Z", True),
        ("invalid_prediction", None, "2026-01-01T00:10:01Z", True),
        ("of a later version", UPLOADED, "2026-01-01T00:10:01Z", True),
    ],
)
def test_an_image_that_may_itself_be_to_blame_waits_longer_each_time(
    code: str, uploaded: str | None, now: str, due: bool
) -> None:
    assert reasons.is_due(code, uploaded, RECORDED, datetime.fromisoformat(now)) is due


def test_a_limit_is_of_a_retryable_code() -> None:
    assert all(reasons.REASONS[code].retryable for code in reasons.RETRY_LIMITS)
