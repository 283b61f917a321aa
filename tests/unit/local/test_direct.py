"""Requests to servers of this machine: no proxy gets them, and whoever took the port of the service is not taken for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dropsort.local import credentials
from dropsort.local.direct import NONCE, PROOF, is_ready, responds

OURS = credentials.make()


class Handler(BaseHTTPRequestHandler):
    """Responds with the status that is the path, and to a request for readiness with a proof of the credentials that it has."""

    nonces: list[str] = []  # noqa: RUF012 - of all requests
    known = OURS

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        if nonce := self.headers.get(NONCE):
            self.nonces.append(nonce)
            self.send_header(PROOF, self.known.proof(self.server.server_address[1], nonce))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Port of a server, on a machine with a proxy that does not respond."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_only_a_status_of_200_is_a_response(port: int) -> None:
    found = [responds(f"http://127.0.0.1:{port}/{status}", 60) for status in (200, 204, 404, 500)]
    assert found == [True, False, False, False]
    assert not responds("http://127.0.0.1:9/200", 60)


def test_a_process_is_ready_if_it_proves_that_it_is_ours(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def ready(status: int, served: int) -> bool:
        return is_ready(OURS, f"http://127.0.0.1:{port}/{status}", served, 60)

    assert [ready(200, port), ready(204, port), ready(503, port)] == [True, False, False]
    assert not ready(200, port + 1), "a proof is for one port"
    assert len(set(Handler.nonces)) == len(Handler.nonces) >= 3, (
        "a response that was overheard proves nothing"
    )
    # AND one of another user who listens on the port is not
    monkeypatch.setattr(Handler, "known", credentials.make())
    assert not ready(200, port)
    assert not is_ready(OURS, "http://127.0.0.1:9/200", 9, 60)
