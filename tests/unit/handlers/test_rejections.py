"""Reason codes: every one documented and used, errors of the workflow mapped to them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from handlers.rejections import REASONS, Rejection, from_error

ROOT = Path(__file__).parents[3]


def test_every_code_is_documented_with_its_sentence() -> None:
    text = (ROOT / "docs" / "reference" / "results.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", text, re.MULTILINE))
    assert {code: rows.get(code) for code in REASONS} == {
        code: sentence for code, (sentence, _) in REASONS.items()
    }


def test_every_code_is_used() -> None:
    modules = [*(ROOT / "handlers").rglob("*.py"), ROOT / "dropsort" / "contract" / "reviews.py"]
    source = "".join(path.read_text() for path in modules)
    for code in REASONS:
        assert source.count(f'"{code}"') >= 1, code


def test_a_rejection_says_what_was_found_in_bounded_length() -> None:
    rejection = Rejection("empty_object")
    assert rejection.reason() == {
        "code": "empty_object",
        "message": "The object is empty.",
        "retryable": False,
    }
    assert str(Rejection("not_an_image", "It begins with b'x'.")).endswith(" reads. It begins with b'x'.")
    assert len(str(Rejection("not_an_image", "x" * 10_000))) < 500


def test_a_rejection_is_returned_as_data() -> None:
    rejection = Rejection("object_too_large", "It has 9 bytes; 5 are read.")
    assert Rejection.from_state(rejection.code, str(rejection)).reason() == rejection.reason()


@pytest.mark.parametrize(
    ("error", "cause", "code"),
    [
        ("Lambda.TooManyRequestsException", "Rate Exceeded.", "throttled"),
        ("EndpointBusy", "The container responded 503: no worker is available", "throttled"),
        ("EndpointMisconfigured", "The container responded 415: timeout", "endpoint_misconfigured"),
        ("ClientError", "An error occurred (ThrottlingException) when calling InvokeEndpoint", "throttled"),
        (
            "ClientError",
            '{"errorMessage": "An error occurred (SlowDown) when calling PutObject"}',
            "throttled",
        ),
        ("EndpointUnavailable", "4 requests in a row failed", "endpoint_unavailable"),
        ("States.Timeout", "", "timeout"),
        ("Sandbox.TimedOut.Later", "", "timeout"),
        ("States.TaskFailed", "Task timed out after 55.00 seconds", "timeout"),
        ("ReadTimeoutError", "Read timeout on endpoint URL", "timeout"),
        ("ModelError", "Received server error (500)", "service_error"),
        ("", "", "service_error"),
    ],
)
def test_errors_of_the_workflow_are_retryable_reasons(error: str, cause: str, code: str) -> None:
    rejection = from_error(error, cause)
    assert rejection.code == code
    assert rejection.reason()["retryable"] is True
    assert error in str(rejection)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("Lambda.Unknown", "The cause could not be determined because Lambda did not return an error type."),
        ("Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: signal: killed"),
        ("Runtime.OutOfMemory", ""),
        ("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 55.00 seconds"),
    ],
)
def test_a_crash_is_final(error: str, cause: str) -> None:
    """It was tried a few times with this image; started again, the image would crash the function again."""
    assert from_error(error, cause).reason()["code"] == "function_crashed"
    assert from_error(error, cause).reason()["retryable"] is False


def test_the_message_has_the_error_and_its_cause() -> None:
    assert str(from_error("ModelError", "")) == "A part of the service failed, after retries. ModelError"
    assert str(from_error("ModelError", "it fell")).endswith(" ModelError: it fell")
