"""The proxy between the functions and everything that they call: it passes requests on, or does to them what a fault would do.

The functions reach it by the environment variable ``http_proxy``, so that their requests, and the signatures of these, are the same with
and without it. It distinguishes two services: S3, and SageMaker's runtime.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "proxy-connection", "keep-alive", "expect", "te", "upgrade"}
_PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Request:
    """What a function sends: ``service`` is ``endpoint``, ``s3`` or ``other``."""

    service: str
    method: str
    path: str


@dataclass(frozen=True)
class InjectedResponse:
    """What it gets instead of the real response.

    Parameters
    ----------
    length
        ``Content-Length`` to announce, if that is another one than the body's; the connection ends after the body.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None


class Reset(Exception):
    """Raised by a fault: the connection is reset."""


Fault = Callable[[Request], InjectedResponse | None]
"""A fault: the response to a request; None passes it on. It may take its time, or raise `Reset`."""


class Proxy:
    """A forward proxy on a free port of this machine.

    Parameters
    ----------
    runtime_url
        Address of the embedded endpoint.
    bucket
        The service's bucket: requests to it are S3's.
    """

    def __init__(self, runtime_url: str, bucket: str) -> None:
        self._runtime, self._bucket = urlsplit(runtime_url).netloc, bucket
        self._fault: Fault | None = None
        self._lock = threading.Lock()
        self.passed: Counter[str] = Counter()
        self.stopped: Counter[str] = Counter()
        """Requests of each service that were passed on, and that a fault responded to, since `reset`."""
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        ).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def inject(self, fault: Fault | None) -> None:
        """Let a fault see every request from now on; None ends it."""
        self._fault = fault

    def reset(self) -> None:
        """Set the counts to zero."""
        with self._lock:
            self.passed.clear()
            self.stopped.clear()

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()

    def service(self, host: str, path: str) -> str:
        """Which service a request is for."""
        if host == self._runtime:
            return "endpoint"
        return "s3" if path.split("/")[1:2] == [self._bucket] else "other"

    def response(self, request: Request) -> InjectedResponse | None:
        """What the fault of now does to a request; None: nothing.

        Raises
        ------
        Reset
            It breaks the connection.
        """
        fault = self._fault
        try:
            found = fault(request) if fault else None
        except Reset:
            self._count(self.stopped, request)
            raise
        self._count(self.passed if found is None else self.stopped, request)
        return found

    def _count(self, requests: Counter[str], request: Request) -> None:
        with self._lock:
            requests[request.service] += 1


class _Handler(BaseHTTPRequestHandler):
    owner: Proxy
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_SECONDS

    def setup(self) -> None:
        super().setup()
        self._connections: dict[str, http.client.HTTPConnection] = {}

    def finish(self) -> None:
        for connection in self._connections.values():
            connection.close()
        with contextlib.suppress(OSError):
            super().finish()

    def _serve(self) -> None:
        target = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            found = self.owner.response(
                Request(self.owner.service(target.netloc, target.path), self.command, target.path)
            )
            if found is not None:
                self._reply(found.status, found.headers, found.body, found.length)
            else:
                self._forward(target.netloc, target._replace(scheme="", netloc="").geturl(), body)
        except Reset:
            # A linger time of zero makes the close a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        except OSError:  # the client is gone, or what it wanted to reach
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve

    def _forward(self, host: str, path: str, body: bytes) -> None:
        connection = self._connections.get(host)
        if connection is None:
            connection = self._connections[host] = http.client.HTTPConnection(host, timeout=_PATIENCE_SECONDS)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        try:
            connection.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._connections.pop(host, None)
            raise Reset from error
        kept = {
            name: value
            for name, value in response.getheaders()
            if name.lower() not in _HOP | {"transfer-encoding"}
        }
        length = int(kept.get("content-length") or len(content)) if self.command == "HEAD" else None
        self._reply(response.status, kept, content, length)

    def _reply(self, status: int, headers: Mapping[str, str], body: bytes, length: int | None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        announced = len(body) if length is None else length
        self.send_header("Content-Length", str(announced))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.close_connection |= announced != len(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


# ---- Responses of SageMaker and S3 ------------------------------------------------------------------------------------


def model_error(status: int, message: str = "out of order") -> InjectedResponse:
    """SageMaker's response when the container responds with `status`."""
    body = {"Message": message, "OriginalMessage": message, "OriginalStatusCode": status}
    return InjectedResponse(424, json.dumps(body).encode(), _json("ModelError"))


def runtime_error(status: int, name: str) -> InjectedResponse:
    """An error of SageMaker's own; without a `name`, one without any text."""
    if not name:
        return InjectedResponse(status)
    return InjectedResponse(status, json.dumps({"message": name}).encode(), _json(name))


def _json(name: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "x-amzn-ErrorType": name}


def s3_error(status: int, code: str) -> InjectedResponse:
    """An error of S3's."""
    body = f"<Error><Code>{code}</Code><Message>Please reduce your request rate.</Message></Error>"
    return InjectedResponse(status, body.encode(), {"Content-Type": "application/xml"})


# ---- Faults -----------------------------------------------------------------------------------------------------------


def of(service: str, response: Callable[[Request], InjectedResponse | None], *methods: str) -> Fault:
    """A fault of one service alone, and of some methods alone if any are named."""

    def fault(request: Request) -> InjectedResponse | None:
        if request.service != service or (methods and request.method not in methods):
            return None
        return response(request)

    return fault


def always(response: InjectedResponse) -> Callable[[Request], InjectedResponse]:
    """The same response to every request."""
    return lambda _: response


def after(seconds: float, response: InjectedResponse | None) -> Callable[[Request], InjectedResponse | None]:
    """The response after a while."""

    def late(_: Request) -> InjectedResponse | None:
        time.sleep(seconds)
        return response

    return late


def reset(_: Request) -> InjectedResponse | None:
    """Break the connection."""
    raise Reset


class Limited:
    """Passes on so many requests per second, and responds with an error to those above.

    Parameters
    ----------
    rate
        Requests per second.
    response
        The response to those above.
    """

    def __init__(self, rate: float, response: InjectedResponse) -> None:
        self._interval, self._response = 1 / rate, response
        self._next = 0.0
        self._lock = threading.Lock()

    def __call__(self, _: Request) -> InjectedResponse | None:
        """The response to a request."""
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return self._response
            self._next = max(self._next, now - self._interval) + self._interval
            return None
