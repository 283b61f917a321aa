"""Fixtures of the handlers' tests: AWS's sample events, an S3 of moto, a SageMaker runtime on a real port, a fresh set of metrics."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from handlers import aws, telemetry

EVENTS = Path(__file__).parents[2] / "fixtures" / "events"
BUCKET = "pictures"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No account of the person who runs the tests, no client of the test before, no metrics of it either."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    aws.s3.cache_clear()
    aws.sagemaker_runtime.cache_clear()
    aws.events.cache_clear()
    telemetry._invocation = telemetry.Invocation()


@pytest.fixture
def sample_event() -> Callable[[str], dict[str, Any]]:
    """An event of ``tests/fixtures/events``, by name."""
    return lambda name: json.loads((EVENTS / f"{name}.json").read_text())


@pytest.fixture
def started(sample_event: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """The event of an upload to the bucket of `s3`."""
    event = sample_event("object-created")
    event["detail"]["bucket"]["name"] = BUCKET
    return event


@pytest.fixture
def context() -> SimpleNamespace:
    """What Lambda passes in addition to the event, as far as Powertools reads it."""
    return SimpleNamespace(
        function_name="dropsort-test",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:us-east-1:111122223333:function:dropsort-test",
        aws_request_id="52fdfc07-2182-154f-163f-5f0f9a621d72",
    )


@pytest.fixture
def s3() -> Iterator[Any]:
    """An S3 with one bucket that keeps versions."""
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def plain_s3() -> Iterator[Any]:
    """An S3 with one bucket that keeps no versions."""
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


@dataclass
class Runtime:
    """SageMaker's runtime on a port of this machine: returns what is set, records its requests.

    ``answers`` are used up one after another, the last one again and again: status, headers, body.
    """

    answers: list[tuple[int, dict[str, str], bytes]]
    requests: list[SimpleNamespace] = field(default_factory=list)
    delay: threading.Event | None = None

    def says(self, body: Any, status: int = 200, /, **headers: str) -> None:
        """Return this from now on."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers = [(status, {"Content-Type": "application/json", **headers}, data)]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """A real HTTP server in the place of SageMaker's runtime, found as the functions find it."""
    state = Runtime([(200, {"Content-Type": "application/json"}, b"[0.98, 0.02]")])

    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append(SimpleNamespace(path=self.path, headers=self.headers, body=body))
            if state.delay is not None:
                state.delay.wait(30)
            status, headers, answer = state.answers[0]
            if len(state.answers) > 1:
                state.answers.pop(0)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # the client may have had enough of waiting
                self.wfile.write(answer)
                self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", f"http://127.0.0.1:{server.server_port}")
    yield state
    server.shutdown()
    server.server_close()
