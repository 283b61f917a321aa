"""What the embedded AWS supports of SageMaker: ``DescribeEndpoint`` and ``ListEndpoints``, for the embedded endpoint alone.

ministack has no SageMaker. `write` records the endpoint, before the embedded AWS starts, in a file that `Endpoints`, in the process of the
embedded AWS, reads at each request; whether it is in service is found out each time, from the endpoint itself.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dropsort.contract import written_files
from dropsort.local.asgi import Application, Message, Receive, Send
from dropsort.local.direct import responds

_PREFIX = b"SageMaker."
_LIMIT = 100_000  # bytes of a request
_PING_SECONDS = 2.0


def write(file: Path, name: str, variant: str, url: str, since: float, arn: str) -> None:
    """Record the endpoint of a service, all or nothing; `since` is the time of its start in seconds since 1970."""
    with written_files.writing(file) as output:
        json.dump({"name": name, "variant": variant, "url": url, "since": since, "arn": arn}, output)


class Endpoints:
    """An ASGI application in front of the embedded AWS.

    Parameters
    ----------
    application
        The embedded AWS.
    file
        Of `write`; without it there is no endpoint.
    access_key_id
        Whose requests are permitted: functions have no permission for them on AWS either.
    """

    def __init__(self, application: Application, file: Path, access_key_id: str) -> None:
        self._application, self._file = application, file
        self._credential = f"Credential={access_key_id}/".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        target = headers.get(b"x-amz-target", b"")
        if not target.startswith(_PREFIX):
            await self._application(scope, receive, send)
            return
        body = await _read(receive)
        status, document = 400, _error("AccessDeniedException", "Not permitted.")
        if self._credential in headers.get(b"authorization", b""):
            operation = target.removeprefix(_PREFIX).decode("latin-1")
            status, document = await asyncio.get_running_loop().run_in_executor(
                None, self._respond, operation, body
            )
        content = json.dumps(document).encode()
        sent = [
            (b"content-type", b"application/x-amz-json-1.1"),
            (b"content-length", str(len(content)).encode()),
            (b"x-amzn-requestid", str(uuid.uuid4()).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": content})

    def _respond(self, operation: str, body: bytes) -> tuple[int, dict[str, Any]]:
        record = self._record()
        known = _known(record) if record else None
        if operation == "ListEndpoints":
            return 200, {"Endpoints": [known] if known else []}
        if operation != "DescribeEndpoint":
            return 400, _error("UnknownOperationException", f"The embedded AWS has no {operation}.")
        try:
            name = str(json.loads(body or b"{}").get("EndpointName"))
        except (ValueError, AttributeError):
            return 400, _error("ValidationException", "The request is not a JSON object.")
        if known is None or name.lower() != known["EndpointName"]:
            return 400, _error("ValidationException", f'Could not find endpoint "{name}".')
        variant = {"VariantName": record["variant"], "CurrentInstanceCount": 1, "CurrentWeight": 1.0}
        return 200, {**known, "EndpointConfigName": known["EndpointName"], "ProductionVariants": [variant]}

    def _record(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _known(record: Mapping[str, Any]) -> dict[str, Any]:
    """What both operations return of an endpoint."""
    return {
        "EndpointName": record["name"],
        "EndpointArn": record["arn"],
        "EndpointStatus": "InService" if responds(f"{record['url']}/ping", _PING_SECONDS) else "OutOfService",
        "CreationTime": record["since"],
        "LastModifiedTime": record["since"],
    }


def _error(kind: str, message: str) -> dict[str, str]:
    return {"__type": kind, "message": message}


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body = (body + message.get("body", b""))[:_LIMIT]
        more = message["type"] == "http.request" and bool(message.get("more_body"))
    return body
