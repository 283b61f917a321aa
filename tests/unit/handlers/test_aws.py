"""Clients: patient enough for what they ask, and never longer than the function runs."""

from __future__ import annotations

import pytest

from handlers import aws
from tests.unit.infra.template import RESOURCES


def seconds(client: object, attempts: int) -> float:
    """The longest that one call of a client takes."""
    config = client.meta.config  # type: ignore[attr-defined]
    assert config.retries["total_max_attempts"] == attempts
    return float(attempts * (config.connect_timeout + config.read_timeout))


@pytest.mark.parametrize(("set_to", "timeout"), [("", 10), ("1", 1), ("60", 60)])
def test_a_model_has_the_time_that_is_set_and_the_function_can_report_that_it_took_longer(
    monkeypatch: pytest.MonkeyPatch, set_to: str, timeout: int
) -> None:
    monkeypatch.setenv("INVOCATION_TIMEOUT_SECONDS", set_to)
    # Trying again is the workflow's part.
    longest = seconds(aws.sagemaker_runtime(), attempts=1)
    assert timeout <= longest < RESOURCES["ClassifyFunction"]["Properties"]["Timeout"]


def test_reading_an_upload_twice_fits_into_the_functions_timeout() -> None:
    assert seconds(aws.s3(), attempts=2) < RESOURCES["SerializeFunction"]["Properties"]["Timeout"]


def test_sending_an_event_leaves_time_to_report_that_it_failed() -> None:
    assert seconds(aws.events(), attempts=2) < RESOURCES["FilterFunction"]["Properties"]["Timeout"] / 2


def test_there_is_one_client_each() -> None:
    assert aws.s3() is aws.s3()
    assert aws.sagemaker_runtime() is aws.sagemaker_runtime()
