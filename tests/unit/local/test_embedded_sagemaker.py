"""DescribeEndpoint and ListEndpoints of the embedded AWS: the embedded endpoint alone, as it is now."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dropsort.local import embedded_sagemaker
from dropsort.local.embedded_sagemaker import Endpoints

ARN = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/dropsort"


class Ping(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ping" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Ping)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def requested(
    application: Endpoints, operation: str, body: bytes = b"{}", key: str = "ROOT"
) -> tuple[int, Any]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [
        (b"x-amz-target", f"SageMaker.{operation}".encode()),
        (b"authorization", f"AWS4-HMAC-SHA256 Credential={key}/20261126/us-east-1/sagemaker".encode()),
    ]
    asyncio.run(application({"type": "http", "headers": headers}, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


async def behind(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 299})
    await send({"type": "http.response.body", "body": b'"behind"'})


def test_the_endpoint_of_the_service_is_described_as_it_is(tmp_path: Path, address: str) -> None:
    file = tmp_path / "endpoint.json"
    application = Endpoints(behind, file, "ROOT")
    assert requested(application, "ListEndpoints") == (200, {"Endpoints": []})
    embedded_sagemaker.write(file, "dropsort", "AllTraffic", address, 1.0, ARN)
    status, found = requested(application, "DescribeEndpoint", b'{"EndpointName": "dropsort"}')
    assert (status, found["EndpointStatus"], found["EndpointArn"]) == (200, "InService", ARN)
    (variant,) = found["ProductionVariants"]
    assert (found["EndpointConfigName"], variant["VariantName"]) == ("dropsort", "AllTraffic")
    assert requested(application, "DescribeEndpoint", b'{"EndpointName": "DropSort"}')[0] == 200
    assert requested(application, "ListEndpoints")[1]["Endpoints"][0]["EndpointName"] == "dropsort"
    # WHEN its process has ended THEN the status says so
    embedded_sagemaker.write(file, "dropsort", "AllTraffic", "http://127.0.0.1:1", 1.0, ARN)
    _, gone = requested(application, "DescribeEndpoint", b'{"EndpointName": "dropsort"}')
    assert gone["EndpointStatus"] == "OutOfService"
    # AND a file that is damaged names none
    for content in ("[1]", "{"):
        file.write_text(content)
        assert requested(application, "ListEndpoints") == (200, {"Endpoints": []})


@pytest.mark.parametrize(
    ("operation", "body", "key", "kind"),
    [
        ("DescribeEndpoint", b'{"EndpointName": "nope"}', "ROOT", "ValidationException"),
        ("DescribeEndpoint", b"{cut", "ROOT", "ValidationException"),
        (
            "DescribeEndpoint",
            b'{"EndpointName": "dropsort"' + b" " * 100_000 + b"}",
            "ROOT",
            "ValidationException",
        ),
        ("CreateEndpoint", b"{}", "ROOT", "UnknownOperationException"),
        ("DescribeEndpoint", b'{"EndpointName": "dropsort"}', "OTHER", "AccessDeniedException"),
    ],
)
def test_what_is_not_there_or_not_permitted_is_an_error_as_on_aws(
    tmp_path: Path, operation: str, body: bytes, key: str, kind: str
) -> None:
    file = tmp_path / "endpoint.json"
    embedded_sagemaker.write(file, "dropsort", "AllTraffic", "http://127.0.0.1:1", 1.0, ARN)
    status, error = requested(Endpoints(behind, file, "ROOT"), operation, body, key)
    assert (status, error["__type"]) == (400, kind)


@pytest.mark.parametrize("target", [b"DynamoDB.ListTables", b"My.SageMaker.ListEndpoints", b""])
def test_other_requests_go_on(tmp_path: Path, target: bytes) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"x-amz-target", target)]}
    asyncio.run(Endpoints(behind, tmp_path / "none", "ROOT")(scope, behind, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 299
