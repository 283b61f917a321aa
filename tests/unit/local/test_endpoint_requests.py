"""The embedded endpoint without a process, a port or a model: which requests it takes, and what it captures of them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from dropsort.local import endpoint as module
from dropsort.local.capture import CapturedRequest
from dropsort.local.endpoint import ContainerResponse, Endpoint

PATH = "/endpoints/bikes/invocations"


class Capture:
    """What is captured; a flush that succeeds or does not."""

    def __init__(self, flushes: bool = True) -> None:
        self.requests: list[CapturedRequest] = []
        self.flushes, self.trouble = flushes, "the bucket is away"

    def add(self, request: CapturedRequest) -> None:
        self.requests.append(request)

    def flush(self) -> bool:
        return self.flushes


def serving(container: Any = None, **options: Any) -> Endpoint:
    """An endpoint whose model responds with the length of an image."""

    def length(body: bytes, _content_type: str, accept: str) -> ContainerResponse:
        return ContainerResponse(200, str(len(body)).encode(), accept)

    return Endpoint("bikes", "main", container or length, **options)


async def exchange(
    app: Endpoint, method: str, path: str, headers: dict[str, str], parts: tuple[bytes, ...]
) -> Any:
    """Status, content, and how many parts of the body were read."""
    waiting, sent = list(parts), list[Any]()

    async def receive() -> Any:
        part = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(message)

    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await app({"type": "http", "method": method, "path": path, "headers": encoded}, receive, send)
    return sent[0]["status"], sent[1]["body"], len(parts) - len(waiting)


def invoke(app: Endpoint, *parts: bytes, path: str = PATH, **headers: str) -> tuple[int, bytes, int]:
    """One request; names of headers have hyphens in place of underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    found: tuple[int, bytes, int] = asyncio.run(exchange(app, "POST", path, named, parts))
    return found


@pytest.mark.parametrize(("percentage", "captured"), [(0, 0), (100, 40)])
def test_the_share_of_requests_that_is_captured(percentage: float, captured: int) -> None:
    capture: Any = Capture()
    app = serving(capture=capture, percentage=percentage)
    for _ in range(40):
        invoke(app, b"x", accept="application/json")
    assert len(capture.requests) == captured


def test_a_request_is_captured_with_all_that_belongs_to_it() -> None:
    capture: Any = Capture()
    headers = {"x_amzn_sagemaker_inference_id": "i" * 64, "x_amzn_sagemaker_custom_attributes": "a" * 1024}
    before = time.time()
    invoke(serving(capture=capture), b"12", b"345", content_type="image/png", accept="text/csv", **headers)
    (found,) = capture.requests
    assert before <= found.when <= time.time()  # seconds since 1970
    assert found == CapturedRequest(found.when, b"12345", "image/png", b"5", "text/csv", "i" * 64, "a" * 1024)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/endpoints/Bikes/invocations", {}),
        (PATH, {"x_amzn_sagemaker_inference_id": ""}),
        (PATH, {"x_amzn_sagemaker_inference_id": "i" * 65}),
        (PATH, {"x_amzn_sagemaker_inference_id": "a\x1fb"}),
        (PATH, {"x_amzn_sagemaker_custom_attributes": "a" * 1025}),
        (PATH, {"x_amzn_sagemaker_target_variant": "Main"}),
    ],
)
def test_what_sagemaker_rejects_never_reaches_the_model(path: str, headers: dict[str, str]) -> None:
    capture: Any = Capture()
    app = serving(lambda *_: pytest.fail("the model got it"), capture=capture)
    status, body, _ = invoke(app, b"x", path=path, **headers)
    assert (status, bool(json.loads(body)["Message"]), capture.requests) == (400, True, [])


def test_a_body_has_a_limit_whether_its_length_is_known_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY_LIMIT", 10)
    monkeypatch.setattr(module, "DRAIN_LIMIT", 40)
    app = serving()
    assert invoke(app, b"12345", b"67890", content_length="10", accept="a")[:2] == (200, b"10")
    assert invoke(app, b"12345", content_length="11")[0] == 413
    assert invoke(app, b"12345", b"67890", b"1")[0] == 413
    # AND of one that is much larger the rest is not read
    status, _, read = invoke(app, *[b"12345"] * 100)
    assert (status, read) == (413, 9)


def test_a_flush_says_whether_all_is_in_the_bucket() -> None:
    for flushes, expected in ((True, 200), (False, 503)):
        capture: Any = Capture(flushes)
        status, body, _ = invoke(serving(capture=capture), path="/flush")
        assert (status, body) == (expected, b"the bucket is away")


def test_as_many_requests_are_worked_on_at_once_as_there_are_threads() -> None:
    together = threading.Barrier(3, timeout=60)

    def container(*_: object) -> ContainerResponse:
        together.wait()
        return ContainerResponse(200, b"", "a")

    app = serving(container, threads=3)

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(exchange(app, "POST", PATH, {}, (b"x",)) for _ in range(3)))

    assert [status for status, *_ in asyncio.run(all_at_once())] == [200] * 3


def test_an_error_of_the_model_is_none_of_the_captures() -> None:
    capture: Any = Capture()
    app = serving(lambda *_: ContainerResponse(400, b"no image", "text/plain"), capture=capture)
    assert (invoke(app, b"x")[0], capture.requests) == (424, [])
