"""When a retryable image is to be run again."""

from __future__ import annotations

from datetime import datetime

import pytest

from dropsort.contract import reasons

UPLOADED, RECORDED = "2026-01-01T00:00:00Z", "2026-01-01T00:10:00.500Z"


@pytest.mark.parametrize(
    ("code", "uploaded", "again"),
    [
        ("throttled", UPLOADED, "2026-01-01T00:10:00.500Z"),  # at once
        ("service_error", UPLOADED, "2026-01-01T00:15:00.750Z"),  # after half as long again
        ("service_error", "2025-12-01T00:00:00Z", "2026-01-01T00:40:00.500Z"),
        ("invalid_prediction", UPLOADED, "2026-01-01T00:20:01Z"),  # after as long again
        ("invalid_prediction", "2025-12-01T00:00:00Z", "2026-01-02T00:10:00.500Z"),
        ("invalid_prediction", None, "2026-01-01T00:10:00.500Z"),
        ("of a later version", UPLOADED, "2026-01-01T00:15:00.750Z"),
    ],
)
def test_an_image_that_may_itself_be_to_blame_waits_longer_each_time(
    code: str, uploaded: str | None, again: str
) -> None:
    assert reasons.next_try(code, uploaded, RECORDED) == datetime.fromisoformat(again)


def test_an_upload_later_than_its_failure_does_not_wait() -> None:
    failed = datetime.fromisoformat(RECORDED)
    assert reasons.next_try("service_error", "2026-01-01T00:11:00Z", RECORDED) == failed


def test_a_limit_is_of_a_retryable_code() -> None:
    assert all(reasons.REASONS[code].retryable for code in {*reasons.RETRY_LIMITS, *reasons.OF_THE_SERVICE})
