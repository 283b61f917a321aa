"""HTTP/1.1 as uvicorn and httptools read it, with a limit on headers and trailers, which they would hold without end."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_LIMIT = 128 * 1024  # bytes of request line, headers, trailers or the header of a chunk


class BoundedProtocol(HttpToolsProtocol):
    """One connection; what exceeds the limit is a bad request and closes it."""

    _pending = 0  # bytes since a payload's last part, or the beginning

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        self._pending += len(data)
        super().data_received(data)
        if self._pending > HEAD_LIMIT and not self.transport.is_closing():
            self.send_400_response(f"The head of a request has at most {HEAD_LIMIT} bytes.")

    def on_body(self, body: bytes) -> None:
        """Take a part of the payload."""
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        self._pending = 0
        super().on_message_complete()


# Of every server on this machine: one application, no WebSocket, no log of requests.
SERVER_OPTIONS: dict[str, Any] = {
    "http": BoundedProtocol,
    "loop": "asyncio",
    "ws": "none",
    "lifespan": "off",
    "access_log": False,
    "log_level": "warning",
    "server_header": False,
    "timeout_graceful_shutdown": 5,
}
