"""What the model's container responds, and what SageMaker's runtime makes of its errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dropsort.contract.resources import DEFAULT_MODEL
from dropsort.local import runtime_errors
from dropsort.local.container import container, respond
from tests.unit.handlers.sample_images import drawn, encoded

IMAGE = encoded(drawn(32, 32), "PNG")


def test_a_prediction_has_the_form_that_is_accepted() -> None:
    invoke = container(DEFAULT_MODEL)
    status, body, kind = invoke(IMAGE, "image/png", "application/json;verbose=true")
    assert (status, set(json.loads(body)) >= {"labels", "probabilities"}) == (200, True)
    assert kind == "application/json"
    # AND what is wrong with a request is the container's own error
    status, body, kind = invoke(b"x", "audio/wav", "application/json")
    assert (status, json.loads(body)["code"], kind) == (415, 415, "application/json")


def test_a_model_that_fails_is_an_error_of_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def predict(self, _: Any) -> Any:
            raise RuntimeError("no memory")

    status, body, kind = respond(Broken(), IMAGE, "image/png", "application/json")
    assert (status, kind) == (500, "application/json")
    assert json.loads(body) == {"code": 500, "type": "InternalServerException", "message": "no memory"}
    assert "RuntimeError: no memory" in capsys.readouterr().err  # in the log, with its cause


@pytest.mark.parametrize(
    ("status", "side", "code"),
    [
        (400, "client", "CLIENT_ERROR_FROM_MODEL"),
        (499, "client", "CLIENT_ERROR_FROM_MODEL"),
        (500, "server", "INTERNAL_FAILURE_FROM_MODEL"),
        (503, "server", "INTERNAL_FAILURE_FROM_MODEL"),
    ],
)
def test_an_error_of_the_model_says_whose_fault_it_is(status: int, side: str, code: str) -> None:
    fault = runtime_errors.model_error(status, b"caf\xe9", "/log")
    assert (fault.status, fault.kind) == (424, "ModelError")
    body = json.loads(fault.content())
    assert (body["ErrorCode"], body["OriginalStatusCode"]) == (code, status)
    assert (body["OriginalMessage"], body["LogStreamArn"]) == ("caf\ufffd", "/log")
    assert body["Message"].startswith(f"Received {side} error ({status}) from primary with message")
