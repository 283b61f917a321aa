"""Clients: patient enough for what they ask, and never longer than the function runs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.validate import ParamValidationDecorator

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


@pytest.mark.parametrize(
    ("client", "mode", "attempts", "connect", "read"),
    [
        (aws.s3, "standard", 2, 3, 8),
        (aws.sagemaker_runtime, "", 1, 3, 10),
        (aws.lister, "standard", 5, 3, 30),  # nothing else retries it
        (aws.functions, "", 1, 3, 70),  # longer than the functions that it invokes
        (aws.stepfunctions, "standard", 5, 3, 10),
    ],
)
def test_the_limits_of_each_client(client: Any, mode: str, attempts: int, connect: int, read: int) -> None:
    config = client().meta.config
    assert config.retries["total_max_attempts"] == attempts
    assert not mode or config.retries["mode"] == mode
    assert (config.connect_timeout, config.read_timeout) == (connect, read)


@pytest.mark.parametrize("client", [aws.s3, aws.events, aws.sagemaker_runtime])
def test_clients_that_each_image_needs_compose_and_check_nothing_for_each_request(client: Any) -> None:
    assert client().meta.config.user_agent == "dropsort"
    assert not isinstance(client()._serializer, ParamValidationDecorator)
    assert isinstance(aws.functions()._serializer, ParamValidationDecorator)  # type: ignore[attr-defined]


def test_many_reads_have_a_connection_each() -> None:
    assert aws.lister().meta.config.max_pool_connections == 32


@pytest.mark.parametrize(("name", "starts"), [("AWS_LAMBDA_FUNCTION_NAME", True), ("OTHER", False)])
def test_clients_are_made_at_once_in_a_function_that_starts(
    monkeypatch: pytest.MonkeyPatch, name: str, starts: bool
) -> None:
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    monkeypatch.setenv(name, "f")
    assert aws.starting() is starts
