"""Second function of the workflow: the endpoint's prediction for one image.

In: the state of Serialize. Out: the same with ``inferences`` (probabilities by class index) and what else the model returned, without
``image_data``; or with a ``rejection`` if the model cannot read the image or returns an invalid prediction.
"""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dropsort.contract.metrics import ENDPOINT_LATENCY
from handlers import aws, endpoint_errors, endpoint_response, settings
from handlers.breaker import Breaker
from handlers.rejections import Rejection
from handlers.telemetry import note, observed
from handlers.uploads import Upload

if TYPE_CHECKING:
    from handlers.state import WorkflowState

_SETTINGS = settings.load()
_BREAKER = Breaker()
if aws.starting():
    aws.sagemaker_runtime()


@observed
def handler(event: WorkflowState, _context: Any) -> WorkflowState:
    """Classify one image.

    Raises
    ------
    EndpointBusy, EndpointMisconfigured
        See `handlers.endpoint_errors`; the workflow retries both, the first for minutes.
    EndpointUnavailable
        The circuit breaker is open; the workflow records it at once, and the backlog starts the upload again.
    ClientError, BotoCoreError
        The endpoint is away or failing; the workflow retries.
    """
    image = base64.b64decode(event["image_data"])
    inference_id = Upload.from_state(event).inference_id
    note(s3_key=event["s3_key"])
    state = event.copy()
    del state["image_data"]
    if not _BREAKER.allows(time.monotonic()):
        raise endpoint_errors.EndpointUnavailable(
            f"{_BREAKER.failures} requests in a row failed; none is sent for the moment."
        )
    started = time.perf_counter()
    try:
        answer, variant = _invoke(image, inference_id)
        prediction = endpoint_response.parse(answer, _SETTINGS.labels)
    except Rejection as rejection:
        note(rejection=rejection.code)
        return state | {"rejection": {"code": rejection.code, "message": str(rejection)}}
    milliseconds = round((time.perf_counter() - started) * 1000, 1)
    return state | {
        # Only of invocations that got a prediction: data capture records no others.
        "metrics": state.get("metrics", {}) | {ENDPOINT_LATENCY: milliseconds},
        "inferences": prediction.probabilities,
        "labels": prediction.labels,
        "familiarity": prediction.familiarity,
        "model": prediction.model,
        "choice": prediction.choice,
        "endpoint": {"endpoint": _SETTINGS.endpoint, "variant": variant},
    }


def _failed(began: float) -> None:
    now = time.monotonic()
    _BREAKER.failed(now, now - began)


def _invoke(image: bytes, inference_id: str) -> tuple[bytes, str | None]:
    """The endpoint's response and its variant; a client error of the model itself is a rejection."""
    began = time.monotonic()
    try:
        response = aws.sagemaker_runtime().invoke_endpoint(
            EndpointName=_SETTINGS.endpoint,
            Body=image,
            ContentType="application/x-image",
            Accept=_SETTINGS.accept,
            InferenceId=inference_id,
        )
        body = response["Body"].read()
    except ClientError as error:
        meaning = endpoint_errors.meaning(error)
        if isinstance(meaning, Rejection):  # of the model, which works
            _BREAKER.succeeded()
        else:
            _failed(began)
        raise meaning from error
    except Exception:
        _failed(began)
        raise
    _BREAKER.succeeded()
    return body, response.get("InvokedProductionVariant")
