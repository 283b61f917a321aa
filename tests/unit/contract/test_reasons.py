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


RETRYABLE = {
    "invalid_prediction", "throttled", "endpoint_misconfigured", "endpoint_unavailable", "timeout", "service_error"
}  # fmt: skip
PERMANENT = {
    "empty_object", "object_too_large", "object_not_found", "object_archived", "unreadable_encryption", "not_an_image",
    "unsupported_format", "too_many_pixels", "too_complex", "truncated_image", "corrupt_image", "blank_image", "refused_by_model",
    "tied_prediction", "below_threshold", "unfamiliar", "no_label_fits", "unusable_image", "function_crashed",
}  # fmt: skip


def test_what_may_pass_is_retryable_and_nothing_else() -> None:
    assert {code for code, reason in reasons.REASONS.items() if reason.retryable} == RETRYABLE
    assert {code for code, reason in reasons.REASONS.items() if not reason.retryable} == PERMANENT
    assert {"throttled", "endpoint_misconfigured", "endpoint_unavailable"} == reasons.OF_THE_SERVICE
    assert set(reasons.RETRY_LIMITS) == {"invalid_prediction"}


def test_each_reason_is_a_sentence() -> None:
    for code, reason in reasons.REASONS.items():
        assert reason.sentence[0].isupper(), code
        assert reason.sentence.endswith("."), code
        assert "XX" not in reason.sentence


@pytest.mark.parametrize(
    ("code", "uploaded", "recorded", "again"),
    [
        ("invalid_prediction", "2026-01-01T00:00:00Z", "2026-01-01T23:59:59.999Z", True),
        ("invalid_prediction", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", False),  # a day later
        ("invalid_prediction", None, "2026-01-02T00:00:00Z", True),
        ("timeout", "2026-01-01T00:00:00Z", "2026-01-09T00:00:00Z", True),
        ("corrupt_image", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", False),
    ],
)
def test_an_invalid_prediction_is_retryable_for_a_day(
    code: str, uploaded: str | None, recorded: str, again: bool
) -> None:
    assert reasons.is_retryable(code, uploaded, recorded) is again
