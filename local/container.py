"""The model's container: SageMaker's four functions of the inference script, as its model server runs them.

The script is the one that travels in model.tar.gz; what it refuses becomes the status that the server would answer.
"""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

from local.endpoint import Answer, Container
from training import inference

DEFAULT_ACCEPT = "application/json"


def container(folder: Path) -> Container:
    """Load the model of `folder` and return what answers requests to it; safe to call from several threads."""
    model = inference.model_fn(str(folder))

    def invocations(body: bytes, content_type: str, accept: str) -> Answer:
        return answer(model, body, content_type, accept)

    return invocations


def answer(model: Any, body: bytes, content_type: str, accept: str) -> Answer:
    """Answer one request."""
    try:
        data = inference.input_fn(body, content_type)
        prediction = inference.predict_fn(data, model)
        content, kind = inference.output_fn(prediction, accept or DEFAULT_ACCEPT)
    except inference.InferenceError as error:
        return _failure(error.status, error.code, str(error))
    except Exception as error:
        traceback.print_exc()
        return _failure(500, "InternalServerException", str(error))
    return Answer(200, content if isinstance(content, bytes) else content.encode(), kind)


def _failure(status: int, kind: str, message: str) -> Answer:
    body = json.dumps({"code": status, "type": kind, "message": message})
    return Answer(status, body.encode(), "application/json")
