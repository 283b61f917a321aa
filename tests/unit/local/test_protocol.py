"""Servers of ours hold no headers or trailers without end; payloads pass, however they are cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from dropsort.local.protocol import HEAD_LIMIT, BoundedProtocol

PARTS = 300  # more than the buffers of a connection take
HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Responds with the number of bytes of the payload."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        size += len(message["body"])
        more = message["more_body"]
    content = str(size).encode()
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Port of a server."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    config = uvicorn.Config(
        echo, http=BoundedProtocol, loop="asyncio", ws="none", lifespan="off", log_level="error"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def sent(port: int, *parts: bytes) -> tuple[bytes, int]:
    """Response to what is sent, and how many bytes were taken until the connection was closed."""
    taken, response = 0, b""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        try:
            for part in parts:
                client.sendall(part)
                taken += len(part)
            client.shutdown(socket.SHUT_WR)
            while received := client.recv(65536):
                response += received
        except OSError:  # closed while more was sent
            return response, taken
    return response, taken


@pytest.mark.parametrize(
    ("start", "part"),
    [
        pytest.param(HEAD, b"a: " + b"b" * 60_000 + b"\r\n", id="headers"),
        pytest.param(HEAD + b"a: ", b"b" * 60_000, id="a header"),
        pytest.param(b"GET /", b"b" * 60_000, id="a path"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\na: ", b"b" * 60_000, id="a trailer"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"a: bbb\r\n" * 9000, id="trailers"
        ),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;a=", b"b" * 60_000, id="an extension of a chunk"
        ),
    ],
)
def test_headers_and_trailers_without_end_are_not_held(port: int, start: bytes, part: bytes) -> None:
    # What is beyond the limit and the buffers of the connection is not taken.
    response, taken = sent(port, start, *[part] * PARTS)
    assert taken < PARTS * len(part)
    assert response == b"" or response.startswith(b"HTTP/1.1 400 ")


def test_what_is_below_the_limit_passes(port: int) -> None:
    head = HEAD + b"a: " + b"b" * (HEAD_LIMIT - 100)
    for body, size in (
        (b"Content-Length: 400000\r\n\r\n" + b"a" * 400_000, b"400000"),
        (
            b"Transfer-Encoding: chunked\r\n\r\n"
            + b"2\r\naa\r\n" * 100_000
            + b"0\r\na: "
            + b"b" * 100_000
            + b"\r\n\r\n",
            b"200000",
        ),
    ):
        response, _ = sent(port, head, b"\r\n", body)
        assert response.startswith(b"HTTP/1.1 200 ")
        assert response.endswith(size)
