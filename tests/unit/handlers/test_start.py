"""What a function does when it starts, and the fields that it puts on the line of an invocation."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from handlers import aws, classify, deletion, filter, serialize, settings, telemetry
from tests.unit.handlers.conftest import BUCKET, Runtime
from tests.unit.handlers.sample_images import drawn, encoded

CLIENTS = {"s3": aws.s3, "events": aws.events, "sagemaker_runtime": aws.sagemaker_runtime}


@pytest.fixture
def reload() -> Iterator[Callable[[Any], set[str]]]:
    """Imports a module again; returns the names of the clients that are there then."""
    loaded = []

    def again(module: Any) -> set[str]:
        loaded.append((module, dict(vars(module))))
        importlib.reload(module)
        return {name for name, client in CLIENTS.items() if client.cache_info().currsize}

    yield again
    for module, before in loaded:
        vars(module).clear()
        vars(module).update(before)


@pytest.mark.parametrize(
    ("module", "bus", "made"),
    [
        (serialize, "", {"s3"}),
        (classify, "", {"sagemaker_runtime"}),
        (filter, "", {"s3"}),
        (filter, "bus", {"s3", "events"}),
        (deletion, "", {"s3"}),
    ],
)
def test_a_function_that_starts_makes_the_clients_that_each_image_needs(
    monkeypatch: pytest.MonkeyPatch, reload: Callable[[Any], set[str]], module: Any, bus: str, made: set[str]
) -> None:
    monkeypatch.setenv("EVENT_BUS_NAME", bus)
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    assert reload(module) == set()
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    assert reload(module) == made


def test_the_line_of_an_invocation_names_the_upload_and_why_it_was_rejected(
    monkeypatch: pytest.MonkeyPatch, s3: Any, runtime: Runtime, context: SimpleNamespace
) -> None:
    monkeypatch.setattr(classify, "_SETTINGS", settings.load({"ENDPOINT_NAME": "bikes", "LABELS": "a,b"}))
    key, image = "incoming/a.png", encoded(drawn(32, 32), "PNG")
    started = {"s3_bucket": BUCKET, "s3_key": key}
    for body, notes in (
        (image, {"s3_key": key}),
        (b"no image", {"s3_key": key, "rejection": "not_an_image"}),
    ):
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        state = serialize.handler(started, context)
        assert telemetry._invocation.notes == notes
        if "image_data" in state:
            classify.handler(state, context)
            assert telemetry._invocation.notes == {"s3_key": key}
            runtime.says({"classes": []})
            rejected = classify.handler(state, context)
            assert telemetry._invocation.notes == {"s3_key": key, "rejection": rejected["rejection"]["code"]}
    detail = {"bucket": {"name": BUCKET}, "object": {"key": key}}
    deletion.handler({"detail": detail}, context)
    assert telemetry._invocation.notes == {"s3_key": key}
