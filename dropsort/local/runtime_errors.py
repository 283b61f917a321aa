"""Errors of SageMaker's runtime as InvokeEndpoint's clients read them: status, type and JSON body."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RuntimeFault:
    """An error response.

    Parameters
    ----------
    status
        HTTP status.
    kind
        Name of the exception in the API's model; "" where the API has none and clients show the status.
    body
        JSON object.
    """

    status: int
    kind: str
    body: dict[str, Any]

    def content(self) -> bytes:
        """The body's bytes."""
        return json.dumps(self.body).encode()


def validation(message: str) -> RuntimeFault:
    """The request itself is wrong."""
    return RuntimeFault(400, "ValidationError", {"Message": message})


def unknown_endpoint(name: str, account: str) -> RuntimeFault:
    """There is no such endpoint."""
    return validation(f"Endpoint {name} of account {account} not found.")


def too_large(limit: int) -> RuntimeFault:
    """The body exceeds the API's limit, in bytes."""
    return RuntimeFault(413, "", {"Message": f"HTTP content length exceeded {limit} bytes."})


def unknown_operation(path: str) -> RuntimeFault:
    """A path that is none of the API's."""
    return RuntimeFault(404, "UnknownOperationException", {"Message": f"No operation at {path}."})


def model_error(status: int, response: bytes, log: str) -> RuntimeFault:
    """The model returned an error of its own: `status` and `response` are the container's."""
    text = response.decode(errors="replace")
    side = "client" if status < 500 else "server"
    code = "CLIENT_ERROR_FROM_MODEL" if status < 500 else "INTERNAL_FAILURE_FROM_MODEL"
    return RuntimeFault(
        424,
        "ModelError",
        {
            "ErrorCode": code,
            "LogStreamArn": log,
            "Message": f'Received {side} error ({status}) from primary with message "{text}". See {log} for more information.',
            "OriginalMessage": text,
            "OriginalStatusCode": status,
        },
    )
