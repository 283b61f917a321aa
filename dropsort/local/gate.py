"""The gate: the outermost ASGI application of every process of the service that listens.

It lets a request in only if it names this machine, comes from no page in a browser, and is signed with credentials of the
service (:mod:`dropsort.local.signatures`). One exception, without side effects: the path that reports whether the process is
ready. What the application behind it would send to browsers (``Access-Control-*``) never leaves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from xml.sax.saxutils import escape

from dropsort.local.asgi import Application, Message, Receive, Send
from dropsort.local.direct import NONCE, PROOF
from dropsort.local.signatures import PayloadCheck, Secret, SignatureFault, Signed, merged, parse

BODY_LIMIT = 64_000_000  # bytes of a payload whose digest is in no header: it is held until it is checked
DRAIN_LIMIT = 1_000_000  # bytes that are read after a rejection, so that the client gets to read it

Headers = Mapping[str, str]


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
        if scope["type"] == "http":
            await self._request(scope, _Exchange(receive, send))
        elif scope["type"] == "lifespan":
            await self._application(scope, receive, send)
        else:  # no server of ours supports WebSocket
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Message, exchange: _Exchange) -> None:
        headers = merged(
            [
                (name.decode("latin-1").lower(), value.decode() if value.isascii() else _text(value))
                for name, value in scope["headers"]
            ]
        )
        method, path = scope["method"], scope["path"]
        if found := foreign(method, headers, self._hosts):
            await _reject(SignatureFault("AccessDenied", found), "", headers, exchange)
            return
        if path == self._ready and method == "GET":
            proof = self._proof(headers.get(NONCE, ""))
            exchange.added.append((PROOF.encode(), proof.encode()))
            await self._application(scope, _nothing, exchange.send)
            return
        service = ""
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
                exchange.check = signed.payload_check()
            else:
                await exchange.read_and_check(signed)
        except SignatureFault as rejected:
            await _reject(rejected, service, headers, exchange)
            return
        await self._application(scope, exchange.receive, exchange.send)
        if exchange.fault is not None:
            await _reject(exchange.fault, service, headers, exchange)


class _Exchange:
    """A request's payload and its response on their way through the gate.

    A payload is passed on while it is checked, its last part only if all of it is what was signed; after a fault nothing of the
    response is.
    """

    __slots__ = ("_pending", "_receive", "_send", "added", "check", "ended", "fault")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._pending: bytes | None = None  # a payload that was read and checked
        self.check: PayloadCheck | None = None
        self.fault: SignatureFault | None = None
        self.added: list[tuple[bytes, bytes]] = []  # headers of the response
        self.ended = False  # whether all of the payload has arrived

    async def receive(self) -> Message:
        """Pass on what has arrived (ASGI)."""
        if self._pending is not None:
            body, self._pending = self._pending, None
            return {"type": "http.request", "body": body, "more_body": False}
        message = await self._receive()
        more = message["type"] == "http.request" and message.get("more_body", False)
        self.ended |= not more
        if self.check is not None and message["type"] == "http.request" and self.fault is None:
            try:
                self.check.add(message.get("body", b""))
                if not more:
                    self.check.end()
            except SignatureFault as found:
                self.fault = found
        return message if self.fault is None else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Pass on a part of the response, without words for browsers (ASGI)."""
        if self.fault is not None:
            return
        if message["type"] == "http.response.start":
            message["headers"] = [
                item for item in message.get("headers", ()) if item[0][:15].lower() != b"access-control-"
            ] + self.added
        await self._send(message)

    async def read_and_check(self, signed: Signed) -> None:
        """Read the whole payload and check the signature, which covers its digest."""
        parts, size = [], 0
        while not self.ended:
            message = await self.receive()
            if message["type"] != "http.request":
                raise SignatureFault("IncompleteBody", "The payload ended early.", 400)
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > BODY_LIMIT:
                raise SignatureFault("RequestEntityTooLarge", f"The payload exceeds {BODY_LIMIT} bytes.", 413)
        body = b"".join(parts)
        signed.check(hashlib.sha256(body).hexdigest())
        self._pending = body

    async def reject(
        self, status: int, headers: list[tuple[bytes, bytes]], content: bytes, drain: bool
    ) -> None:
        """Respond without the application, after a little of what the client still sends has been read."""
        size = 0
        while drain and not self.ended and size <= DRAIN_LIMIT:
            message = await self._receive()
            self.ended = message["type"] != "http.request" or not message.get("more_body")
            size += len(message.get("body", b""))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": content})


def foreign(method: str, headers: Headers, hosts: Collection[str]) -> str | None:
    """Why a request comes from elsewhere, as a sentence; None if nothing shows that.

    Parameters
    ----------
    headers
        By name in lower case, of `dropsort.local.signatures.merged`: of two values for one name none passes.
    hosts
        Values of ``Host`` that name this server, in lower case.
    """
    named = headers.get("host", "").lower()
    if named not in hosts:
        return "Host is not this service's address."
    if headers.get("origin") not in (None, f"http://{named}"):
        return "Pages of other origins are not served."
    if headers.get("sec-fetch-site") not in (None, "none", "same-origin"):
        return "Pages of other sites are not served."
    if method == "OPTIONS":
        return "OPTIONS is not served."
    for name in headers:
        if name[:23] == "access-control-request-":
            return "Preflight requests are not served."
    return None


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _reject(fault: SignatureFault, service: str, headers: Headers, exchange: _Exchange) -> None:
    """Respond as the service would: its clients show code and message."""
    kind = headers.get("content-type", "")
    service = service or _claimed_service(headers.get("authorization", ""))
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
    content = text.encode()
    fields = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(content)).encode()),
        (b"x-amzn-errortype", fault.code.encode()),
        (b"connection", b"close"),
    ]
    # Who waits for permission to send a payload is not given it.
    await exchange.reject(fault.status, fields, content, drain="expect" not in headers)


def _claimed_service(authorization: str) -> str:
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    return scope[3] if len(scope) == 5 else ""
