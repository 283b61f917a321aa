"""The model's container: SageMaker's four functions of the inference script, as its model server runs them.

The script is the one that travels in model.tar.gz; what it refuses becomes the status that the server would answer.
"""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

from dropsort.local.endpoint import Answer, Container
from training import inference


def container(folder: Path) -> Container:
    """Load the model of `folder` and return what answers requests to it; safe to call from several threads."""
    model = inference.model_fn(str(folder))

    def invocations(body: bytes, content_type: str, accept: str) -> Answer:
        return answer(model, body, content_type, accept)

    return invocations


def answer(model: Any, body: bytes, content_type: str, accept: str) -> Answer:
    """Answer one request."""
    try:
        request = inference.input_fn(body, content_type)
        content, kind = inference.output_fn(inference.predict_fn(request, model), accept)
    except inference.InferenceError as error:
        return Answer(*inference.error_response(error))
    except Exception as error:  # the model server would answer 500 and go on, too
        traceback.print_exc()
        failure = {"code": 500, "type": "InternalServerException", "message": str(error)}
        return Answer(500, json.dumps(failure).encode(), "application/json")
    return Answer(200, content.encode(), kind)
