"""The second function, through a real HTTP endpoint in the place of SageMaker's runtime."""

from __future__ import annotations

import base64
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from handlers import aws, classify, settings
from handlers.endpoint_errors import EndpointBusy, EndpointMisconfigured
from handlers.uploads import Upload
from tests.unit.handlers.conftest import Runtime
from tests.unit.handlers.sample_images import drawn, encoded

IMAGE = encoded(drawn(32, 32), "PNG")
UPLOAD = Upload("pictures", "incoming/a.png", "v1", "e", 5, "1f", "2026-11-21T09:00:00Z")


@pytest.fixture(autouse=True)
def endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        classify, "_SETTINGS", settings.load({"ENDPOINT_NAME": "bikes", "LABELS": "bicycle,motorcycle"})
    )


def state() -> dict[str, Any]:
    return {
        "s3_bucket": UPLOAD.bucket,
        "s3_key": UPLOAD.key,
        "inferences": [],
        "upload": UPLOAD.to_state(),
        "image": {"format": "PNG", "width": 32, "height": 32},
        "image_data": base64.b64encode(IMAGE).decode(),
    }


def test_the_request(runtime: Runtime, context: SimpleNamespace) -> None:
    classify.handler(state(), context)
    (request,) = runtime.requests
    assert request.path == "/endpoints/bikes/invocations"
    assert request.body == IMAGE
    assert request.headers["Content-Type"] == "application/x-image"
    assert request.headers["Accept"] == "application/json;verbose=true"
    assert request.headers["X-Amzn-SageMaker-Inference-Id"] == UPLOAD.inference_id


@pytest.mark.parametrize(
    "body",
    [
        [0.98, 0.02],
        {"prediction": [0.98, 0.02]},
        {
            "probabilities": [0.98, 0.02],
            "labels": ["bicycle", "motorcycle"],
            "familiarity": 0.4,
            "model": "m-1",
        },
    ],
)
def test_the_response(runtime: Runtime, context: SimpleNamespace, body: Any) -> None:
    runtime.says(body, **{"x-Amzn-Invoked-Production-Variant": "main"})
    answer = json.loads(json.dumps(classify.handler(state(), context)))
    assert answer["inferences"] == [0.98, 0.02]
    assert answer["labels"] == ["bicycle", "motorcycle"]
    assert answer["endpoint"] == {"endpoint": "bikes", "variant": "main"}
    assert answer["familiarity"] == (0.4 if "labels" in body else None)
    assert (answer["model"], answer["choice"]) == ("m-1" if "labels" in body else None, None)
    assert "image_data" not in answer
    assert answer["upload"] == UPLOAD.to_state()


@pytest.mark.parametrize(
    "body", [b"<html>busy</html>", [0.5, 0.6], [], {"error": "no"}, [0.2, 0.3, 0.5], b"[NaN, 1]"]
)
def test_a_response_that_is_no_prediction_is_a_rejection(
    runtime: Runtime, context: SimpleNamespace, body: Any
) -> None:
    runtime.says(body)
    answer = classify.handler(state(), context)
    assert answer["rejection"]["code"] == "invalid_prediction"
    assert "image_data" not in answer
    assert answer["inferences"] == []


def model_error(runtime: Runtime, status: int, message: str = "no picture") -> None:
    """SageMaker's response when the container returned an error: always 424."""
    body = {
        "ErrorCode": "InternalFailure",
        "OriginalStatusCode": status,
        "OriginalMessage": message,
        "LogStreamArn": "arn",
        "Message": "Received error",
    }
    runtime.says(body, 424, **{"x-amzn-ErrorType": "ModelError"})


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_model_that_cannot_read_the_image_is_a_rejection(
    runtime: Runtime, context: SimpleNamespace, status: int
) -> None:
    model_error(runtime, status, "cannot identify image file")
    rejection = classify.handler(state(), context)["rejection"]
    assert rejection["code"] == "refused_by_model"
    assert "cannot identify image file" in rejection["message"]
    assert len(runtime.requests) == 1


@pytest.mark.parametrize("status", [408, 500, 502, 507])
def test_a_model_in_trouble_is_an_error_to_retry(
    runtime: Runtime, context: SimpleNamespace, status: int
) -> None:
    model_error(runtime, status)
    with pytest.raises(ClientError, match="ModelError"):
        classify.handler(state(), context)
    assert len(runtime.requests) == 1, "waiting and trying again is the workflow's part"


@pytest.mark.parametrize("status", [429, 503])
def test_a_model_with_too_much_to_do_is_busy(runtime: Runtime, context: SimpleNamespace, status: int) -> None:
    model_error(runtime, status, "no worker is available")
    with pytest.raises(EndpointBusy, match=f"{status}: no worker is available"):
        classify.handler(state(), context)
    assert len(runtime.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 405, 406, 415, 424])
def test_a_model_that_takes_no_image_at_all_is_misconfigured(
    runtime: Runtime, context: SimpleNamespace, status: int
) -> None:
    model_error(runtime, status, "unsupported media type")
    with pytest.raises(EndpointMisconfigured, match=f"{status}: unsupported media type"):
        classify.handler(state(), context)


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, "ThrottlingException"), (429, "ThrottlingException"), (503, "ServiceUnavailable"), (429, "ModelNotReadyException")],
)  # fmt: skip
@pytest.mark.parametrize("text", ["Rate exceeded", None], ids=["text", "no-text"])
def test_a_throttled_service_is_busy(
    runtime: Runtime, context: SimpleNamespace, status: int, error: str, text: str | None
) -> None:
    runtime.says({"Message": text} if text else b"", status, **{"x-amzn-ErrorType": error})
    with pytest.raises(EndpointBusy, match=rf"\({error}|{status}\)"):
        classify.handler(state(), context)


def test_a_400_without_name_or_text_is_a_throttle(runtime: Runtime, context: SimpleNamespace) -> None:
    runtime.says(b"", 400)
    with pytest.raises(EndpointBusy):
        classify.handler(state(), context)


@pytest.mark.parametrize("error", ["ValidationError", "AccessDeniedException"])
def test_an_endpoint_that_is_not_there_or_forbidden_is_misconfigured(
    runtime: Runtime, context: SimpleNamespace, error: str
) -> None:
    runtime.says({"Message": "Endpoint bikes of account 1 not found."}, 400, **{"x-amzn-ErrorType": error})
    with pytest.raises(EndpointMisconfigured, match="not found"):
        classify.handler(state(), context)


@pytest.mark.parametrize(
    ("status", "error"), [(500, "InternalFailure"), (530, "InternalDependencyException")]
)
def test_a_service_in_trouble_is_an_error_to_retry(
    runtime: Runtime, context: SimpleNamespace, status: int, error: str
) -> None:
    runtime.says({"Message": "no"}, status, **{"x-amzn-ErrorType": error})
    with pytest.raises(ClientError, match=error):
        classify.handler(state(), context)
    assert len(runtime.requests) == 1


def test_after_a_throttle_the_same_state_works(runtime: Runtime, context: SimpleNamespace) -> None:
    good = (200, {"Content-Type": "application/json"}, b"[0.98, 0.02]")
    runtime.answers = [(429, {"x-amzn-ErrorType": "ThrottlingException"}, b"{}"), good]
    with pytest.raises(EndpointBusy):
        classify.handler(state(), context)
    assert classify.handler(state(), context)["inferences"] == (0.98, 0.02)
    assert {request.headers["X-Amzn-SageMaker-Inference-Id"] for request in runtime.requests} == {
        UPLOAD.inference_id
    }


def test_an_endpoint_that_does_not_respond_is_an_error_to_retry(
    runtime: Runtime, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.delay = threading.Event()
    impatient = get_session().create_client(
        "sagemaker-runtime", config=Config(retries={"total_max_attempts": 1}, read_timeout=0.2)
    )
    monkeypatch.setattr(aws, "sagemaker_runtime", lambda: impatient)
    with pytest.raises(BotoCoreError, match="timeout"):
        classify.handler(state(), context)
    runtime.delay.set()


def test_an_endpoint_that_is_away_is_an_error_to_retry(
    context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "http://127.0.0.1:9")
    with pytest.raises(BotoCoreError, match="Could not connect"):
        classify.handler(state(), context)


def test_the_latency_of_an_invocation_with_a_prediction_goes_into_the_state(
    runtime: Runtime, context: SimpleNamespace
) -> None:
    """Filter emits it; an invocation that failed has none, as data capture does not record it either."""
    found = classify.handler(state() | {"metrics": {"SerializedBytes": 3}}, context)
    assert found["metrics"]["SerializedBytes"] == 3
    assert found["metrics"]["EndpointLatency"] > 0
    runtime.says({"wrong": 1})
    rejected = classify.handler(state() | {"metrics": {"SerializedBytes": 3}}, context)
    assert rejected["metrics"] == {"SerializedBytes": 3}
    model_error(runtime, 500)
    with pytest.raises(ClientError):
        classify.handler(state(), context)


def test_the_latency_is_in_milliseconds_and_the_breaker_gets_the_time_of_a_failure(
    runtime: Runtime, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN clocks of the test
    seconds, now = iter([10.0, 10.01234, 20.0]), iter([100.0, 101.0, 200.0, 201.0, 203.5])
    clocks = SimpleNamespace(perf_counter=lambda: next(seconds), monotonic=lambda: next(now))
    monkeypatch.setattr(classify, "time", clocks)
    breaker = classify.Breaker()
    failed: list[tuple[float, float]] = []
    monkeypatch.setattr(breaker, "failed", lambda *given: failed.append(given))
    monkeypatch.setattr(classify, "_BREAKER", breaker)
    assert classify.handler(state(), context)["metrics"] == {"EndpointLatency": 12.3}
    model_error(runtime, 500)
    with pytest.raises(ClientError):
        classify.handler(state(), context)
    assert failed == [(203.5, 2.5)], "when, and how long it took"
