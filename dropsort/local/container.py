"""The model's container: SageMaker's four functions of the inference script, as its model server runs them.

The script is the one in model.tar.gz; what it rejects becomes the status that the server would return.
"""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

from dropsort.local.endpoint import Container, ContainerResponse
from training import inference


def container(folder: Path) -> Container:
    """Load the model of `folder` and return a function that serves requests to it; safe to call from several threads."""
    model = inference.model_fn(str(folder))

    def invocations(body: bytes, content_type: str, accept: str) -> ContainerResponse:
        return respond(model, body, content_type, accept)

    return invocations


def respond(model: Any, body: bytes, content_type: str, accept: str) -> ContainerResponse:
    """Serve one request."""
    try:
        request = inference.input_fn(body, content_type)
        content, kind = inference.output_fn(inference.predict_fn(request, model), accept)
    except inference.InferenceError as error:
        return ContainerResponse(*inference.error_response(error))
    except Exception as error:  # the model server would return 500 and continue, too
        traceback.print_exc()
        failure = {"code": 500, "type": "InternalServerException", "message": str(error)}
        return ContainerResponse(500, json.dumps(failure).encode(), "application/json")
    return ContainerResponse(200, content.encode(), kind)
