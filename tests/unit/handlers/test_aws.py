"""Clients: patient enough for what they ask, and never longer than the function lives."""

from __future__ import annotations

from handlers import aws
from tests.unit.infra.template import RESOURCES


def seconds(client: object, attempts: int) -> float:
    """The longest that one call of a client takes."""
    config = client.meta.config  # type: ignore[attr-defined]
    assert config.retries["total_max_attempts"] == attempts
    return float(attempts * (config.connect_timeout + config.read_timeout))


def test_a_model_has_its_sixty_seconds_and_the_function_lives_to_say_that_it_took_longer() -> None:
    # SageMaker gives a model 60 seconds; trying again is the workflow's part.
    assert (
        60
        < seconds(aws.sagemaker_runtime(), attempts=1)
        < RESOURCES["ClassifyFunction"]["Properties"]["Timeout"]
    )


def test_reading_an_upload_twice_fits_into_the_functions_life() -> None:
    assert seconds(aws.s3(), attempts=2) < RESOURCES["SerializeFunction"]["Properties"]["Timeout"]


def test_there_is_one_client_each() -> None:
    assert aws.s3() is aws.s3()
    assert aws.sagemaker_runtime() is aws.sagemaker_runtime()
