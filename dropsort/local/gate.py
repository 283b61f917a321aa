"""The gate: the outermost ASGI application of every process of the service that listens.

It lets a request in only if it names this machine, comes from no page in a browser, and is signed with credentials of the
service (:mod:`dropsort.local.signatures`). One exception, without side effects: the path that reports whether the process is
ready. What the application behind it would send to browsers (``Access-Control-*``) never leaves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from xml.sax.saxutils import escape

from dropsort.local.asgi import Application, Message, Receive, Send
from dropsort.local.direct import NONCE, PROOF
from dropsort.local.signatures import PayloadCheck, Secret, SignatureFault, Signed, parse

BODY_LIMIT = 64_000_000  # bytes of a payload whose digest is in no header: it is held until it is checked
DRAIN_LIMIT = 1_000_000  # bytes that are read after a rejection, so that the client gets to read it

Headers = list[tuple[str, str]]


class Gate:
    """An ASGI application in front of another one.

    Parameters
    ----------
    application
        What is behind the gate.
    port
        Port on this machine: requests have to name it in ``Host``.
    secret
        Gives the secrets of access keys.
    ready
        Path that GET may read without credentials.
    proof
        Gives what proves, for the number that such a request has, that this process is one of the service.
    """

    def __init__(
        self, application: Application, port: int, secret: Secret, ready: str, proof: Callable[[str], str]
    ) -> None:
        self._application, self._secret, self._ready, self._proof = application, secret, ready, proof
        self._hosts: Collection[str] = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection's request (ASGI)."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, _Body(receive), _without_cors(send))
        else:  # nothing here speaks WebSocket
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Message, body: _Body, send: Send) -> None:
        headers = [(name.decode("latin-1").lower(), _text(value)) for name, value in scope["headers"]]
        method, path = scope["method"], scope["path"]
        if found := foreign(method, headers, self._hosts):
            await _reject(SignatureFault("AccessDenied", found), "", headers, body, send)
            return
        if path == self._ready and method == "GET":
            nonce = next((value for name, value in headers if name == NONCE), "")
            await self._application(scope, _nothing, _with_proof(send, self._proof(nonce)))
            return
        service = ""
        receive: Receive = body
        try:
            signed = parse(
                method,
                scope["raw_path"].decode("latin-1"),
                scope["query_string"].decode("latin-1"),
                headers,
                self._secret,
            )
            service = signed.service
            if path.startswith("/_") or path == "/health":  # the emulator's own administration
                raise SignatureFault("AccessDenied", f"{path} is not served.")
            if signed.payload:
                signed.check(signed.payload)
                check = signed.payload_check()
            else:
                receive, check = await _checked_body(signed, body), None
        except SignatureFault as rejected:
            await _reject(rejected, service, headers, body, send)
            return
        if check is None:
            await self._application(scope, receive, send)
        else:
            await self._streamed(scope, headers, check, body, send)

    async def _streamed(
        self, scope: Message, headers: Headers, check: PayloadCheck, body: _Body, send: Send
    ) -> None:
        """Pass a payload on while it is checked; its last part only if all of it is what was signed."""
        fault: SignatureFault | None = None

        async def checked() -> Message:
            nonlocal fault
            message = await body()
            if message["type"] == "http.request" and fault is None:
                try:
                    check.add(message.get("body", b""))
                    if not message.get("more_body"):
                        check.end()
                except SignatureFault as found:
                    fault = found
            return message if fault is None else {"type": "http.disconnect"}

        async def unless_rejected(message: Message) -> None:
            if fault is None:
                await send(message)

        await self._application(scope, checked, unless_rejected)
        if fault is not None:
            await _reject(fault, "s3", headers, body, send)


def foreign(method: str, headers: Headers, hosts: Collection[str]) -> str | None:
    """Why a request comes from elsewhere, as a sentence; None if nothing speaks for that.

    Parameters
    ----------
    headers
        Names in lower case, with their values.
    hosts
        Values of ``Host`` that name this server, in lower case.
    """
    named = [value.lower() for name, value in headers if name == "host"]
    if len(named) != 1 or named[0] not in hosts:
        return "Host is not this service's address."
    for name, value in headers:
        if name == "origin" and value != f"http://{named[0]}":
            return "Pages of other origins are not served."
        if name == "sec-fetch-site" and value not in ("none", "same-origin"):
            return "Pages of other sites are not served."
        if name.startswith("access-control-request-"):
            return "Preflight requests are not served."
    return "OPTIONS is not served." if method == "OPTIONS" else None


class _Body:
    """The payload as it arrives, and whether all of it has."""

    def __init__(self, receive: Receive) -> None:
        self._receive, self.ended = receive, False

    async def __call__(self) -> Message:
        message = await self._receive()
        self.ended |= message["type"] != "http.request" or not message.get("more_body")
        return message


async def _checked_body(signed: Signed, receive: _Body) -> Receive:
    """Read the whole payload and check the signature, which covers its digest; return what gives it once more."""
    parts, size = [], 0
    while not receive.ended:
        message = await receive()
        if message["type"] != "http.request":
            raise SignatureFault("IncompleteBody", "The payload ended early.", 400)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_LIMIT:
            raise SignatureFault("RequestEntityTooLarge", f"The payload exceeds {BODY_LIMIT} bytes.", 413)
    body = b"".join(parts)
    signed.check(hashlib.sha256(body).hexdigest())
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _without_cors(send: Send) -> Send:
    async def filtered(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                item
                for item in message.get("headers", ())
                if not item[0].lower().startswith(b"access-control-")
            ]
        await send(message)

    return filtered


def _with_proof(send: Send, proof: str) -> Send:
    async def added(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (PROOF.encode(), proof.encode())]
        await send(message)

    return added


async def _reject(fault: SignatureFault, service: str, headers: Headers, body: _Body, send: Send) -> None:
    """Respond as the service would: its clients show code and message."""
    values = dict(headers)
    kind = values.get("content-type", "")
    service = service or _claimed_service(values.get("authorization", ""))
    code, message = escape(fault.code), escape(fault.message)
    if service in ("s3", ""):
        kind, text = "application/xml", f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    elif kind.startswith("application/x-www-form-urlencoded"):
        text = (
            f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        )
        kind = "text/xml"
    else:
        kind, text = "application/json", json.dumps({"__type": fault.code, "message": fault.message})
    if "expect" not in values:  # who waits for permission is not given it
        await _drain(body)
    content = text.encode()
    fields = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(content)).encode()),
        (b"x-amzn-errortype", fault.code.encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": fault.status, "headers": fields})
    await send({"type": "http.response.body", "body": content})


def _claimed_service(authorization: str) -> str:
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    return scope[3] if len(scope) == 5 else ""


async def _drain(body: _Body) -> None:
    """Read a little of what the client still sends."""
    size = 0
    while not body.ended and size <= DRAIN_LIMIT:
        size += len((await body()).get("body", b""))
