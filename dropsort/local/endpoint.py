"""The embedded endpoint: SageMaker's InvokeEndpoint on HTTP, as a bare ASGI application.

``POST /endpoints/{name}/invocations`` is what clients of the API call; ``/invocations`` and ``/ping`` are the
container's side of it, with the container's own errors. The model's work runs in threads, one per processor, since
decoding and inference let go of the interpreter; the event loop only moves bytes.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from dropsort.local import runtime_errors
from dropsort.local.asgi import Message, Receive, Send
from dropsort.local.capture import CapturedRequest, CaptureWriter
from dropsort.local.runtime_errors import RuntimeFault

BODY_LIMIT = 6_291_456  # bytes, as the API's model says
DRAIN_LIMIT = 64_000_000  # a client that sends more than allowed still reads its response, up to here
INFERENCE_ID = re.compile(r"[\x20-\xff]{1,64}")
CUSTOM_ATTRIBUTES = 1024
JSON = b"application/json"


class ContainerResponse(NamedTuple):
    """The response of the model's container."""

    status: int
    body: bytes
    content_type: str


Container = Callable[[bytes, str, str], ContainerResponse]
"""The container's /invocations: body, content type, accept."""


class Endpoint:
    """The application.

    Parameters
    ----------
    name, variant
        Names of the endpoint and of its only production variant.
    container
        Serves one request; called in a thread.
    account
        Account number, for messages.
    log
        Where more is to be read about an error.
    capture
        Receives requests and responses.
    percentage
        Share of them that goes there.
    threads
        Requests worked on at once; None takes one per processor.
    """

    def __init__(
        self,
        name: str,
        variant: str,
        container: Container,
        *,
        account: str = "000000000000",
        log: str = "",
        capture: CaptureWriter | None = None,
        percentage: float = 100.0,
        threads: int | None = None,
    ) -> None:
        self._name, self._container, self._capture = name, container, capture
        self._share = percentage / 100
        self._account, self._log = account, log
        self._variant_name = variant
        self._variant = (b"x-amzn-invoked-production-variant", variant.encode())
        self._threads = ThreadPoolExecutor(threads or os.cpu_count() or 1, "model")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]
        if path.startswith("/endpoints/") and path.endswith("/invocations") and method == "POST":
            await self._invoke(path[len("/endpoints/") : -len("/invocations")], scope, receive, send)
        elif path == "/invocations" and method == "POST":
            headers = dict(scope["headers"])
            body = await _read(receive, headers)
            response = (
                ContainerResponse(413, b"{}", "application/json")
                if body is None
                else await self._run(body, headers)
            )
            await _reply(send, response.status, response.body, response.content_type.encode())
        elif path == "/ping":
            await _reply(send, 200, b"", JSON)
        elif (
            path == "/flush" and method == "POST" and self._capture
        ):  # ours: what was captured is in the bucket
            done = await asyncio.get_running_loop().run_in_executor(None, self._capture.flush)
            await _reply(send, 200 if done else 503, self._capture.trouble.encode(), b"text/plain")
        else:
            await _fault(send, runtime_errors.unknown_operation(path), b"")

    async def _invoke(self, name: str, scope: Message, receive: Receive, send: Send) -> None:
        when = time.time()
        request_id = str(uuid.uuid4()).encode()
        headers = dict(scope["headers"])
        body = await _read(receive, headers)
        if body is None:
            await _fault(send, runtime_errors.too_large(BODY_LIMIT), request_id)
            return
        if fault := self._rejection(name, headers):
            await _fault(send, fault, request_id)
            return
        response = await self._run(body, headers)
        if response.status != 200:
            await _fault(
                send, runtime_errors.model_error(response.status, response.body, self._log), request_id
            )
            return
        await _reply(
            send,
            200,
            response.body,
            response.content_type.encode(),
            [(b"x-amzn-requestid", request_id), self._variant],
        )
        if self._capture and random.random() < self._share:
            self._capture.add(
                CapturedRequest(
                    when=when,
                    body=body,
                    content_type=headers.get(b"content-type", b"").decode("latin-1"),
                    response=response.body,
                    response_type=response.content_type,
                    inference_id=headers.get(b"x-amzn-sagemaker-inference-id", b"").decode("latin-1"),
                    custom_attributes=headers.get(b"x-amzn-sagemaker-custom-attributes", b"").decode(
                        "latin-1"
                    ),
                )
            )

    async def _run(self, body: bytes, headers: dict[bytes, bytes]) -> ContainerResponse:
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        accept = headers.get(b"accept", b"").decode("latin-1")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._container, body, content_type, accept)

    def _rejection(self, name: str, headers: dict[bytes, bytes]) -> RuntimeFault | None:
        if name != self._name:
            return runtime_errors.unknown_endpoint(name, self._account)
        inference_id = headers.get(b"x-amzn-sagemaker-inference-id")
        if inference_id is not None and not INFERENCE_ID.fullmatch(inference_id.decode("latin-1")):
            return runtime_errors.validation("Inference id: 1 to 64 printable characters are allowed.")
        if len(headers.get(b"x-amzn-sagemaker-custom-attributes", b"")) > CUSTOM_ATTRIBUTES:
            return runtime_errors.validation(
                f"Custom attributes: at most {CUSTOM_ATTRIBUTES} characters are allowed."
            )
        target = headers.get(b"x-amzn-sagemaker-target-variant", b"").decode("latin-1")
        if target not in ("", self._variant_name):
            return runtime_errors.validation(
                f"Variant {target} of endpoint {name} of account {self._account} not found."
            )
        return None


async def _read(receive: Receive, headers: dict[bytes, bytes]) -> bytes | None:
    """The request's body; None if it is larger than allowed."""
    length = headers.get(b"content-length", b"")
    too_large = length.isdigit() and int(length) > BODY_LIMIT
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        part = message.get("body", b"")
        size += len(part)
        too_large |= size > BODY_LIMIT
        if too_large:
            parts.clear()
        elif part:
            parts.append(part)
        if not message.get("more_body") or size > DRAIN_LIMIT:
            return None if too_large else b"".join(parts)


async def _reply(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    fixed = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": fixed + (headers or [])})
    await send({"type": "http.response.body", "body": body})


async def _fault(send: Send, fault: RuntimeFault, request_id: bytes) -> None:
    headers = [(b"x-amzn-requestid", request_id)] if request_id else []
    if fault.kind:
        headers.append((b"x-amzn-errortype", fault.kind.encode()))
    await _reply(send, fault.status, fault.content(), JSON, headers)
