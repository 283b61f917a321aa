"""CPU time that the gate adds to a request: ``python -m benchmarks.gate_cost``.

Requests are signed by boto3 and passed through the gate in this process, with an application behind it that reads the payload and sends a
short response; the time of that application without the gate is subtracted. ``benchmarks.gate`` measures what this does to the service.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from dropsort.local.asgi import Application, Message
from dropsort.local.credentials import Credentials, make
from dropsort.local.gate import Gate

PORT = 4566
IMAGE = bytes(range(256)) * 12  # 3 KB, as the sample images have
PART = 65536  # bytes of a payload that a server passes on at once

Recorded = tuple[dict[str, Any], list[Message]]
"""Scope of a request, and the messages of its payload."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="of which the median is taken")
    parser.add_argument("--requests", type=int, default=1000, metavar="N", help="of each kind in a round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    found = measure(options.rounds, options.requests)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    for name, microseconds in found.items():
        print(f"{name:<40}{microseconds:7.1f} µs")
    print(f"{'median':<40}{statistics.median(found.values()):7.1f} µs")
    return 0


def measure(rounds: int, count: int) -> dict[str, float]:
    """Median CPU time of the gate in microseconds, by kind of request."""
    credentials = make()
    gate = Gate(_application, PORT, credentials.secret_of, "/ready", lambda nonce: nonce)
    recorded = requests(credentials)
    times: dict[str, list[float]] = {name: [] for name in recorded}
    for _ in range(rounds):
        for name, one in recorded.items():
            spent = _seconds(gate, one, count) - _seconds(_application, one, count)
            times[name].append(spent / count * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def requests(credentials: Credentials) -> dict[str, Recorded]:
    """Requests that an image causes, signed as clients and functions sign them, by a name of each."""
    function = credentials.of_function("one")
    owner = _clients(credentials.access_key_id, credentials.secret_access_key, None)
    inside = _clients(
        function["AWS_ACCESS_KEY_ID"], function["AWS_SECRET_ACCESS_KEY"], function["AWS_SESSION_TOKEN"]
    )
    key = {"Bucket": "dropsort-data-000000000000", "Key": "incoming/cam 1/bicycle_s_000030.png"}
    arn = "arn:aws:states:us-east-1:000000000000:stateMachine:dropsort"
    state = json.dumps({"image_data": "x" * 4000, **key})
    datum = {
        "MetricName": "Images",
        "Value": 1.0,
        "Unit": "Count",
        "Dimensions": [{"Name": "Stack", "Value": "d"}],
    }
    endpoint = {"EndpointName": "dropsort", "ContentType": "application/x-image", "Body": IMAGE}
    put = {**key, "Body": b'{"schema": "dropsort/result/1"}', "ContentType": "application/json"}
    calls: dict[str, tuple[Callable[[str], Any], str, dict[str, Any]]] = {
        "PutObject": (owner, "s3.put_object", {**key, "Body": IMAGE}),
        "HeadObject": (owner, "s3.head_object", key),
        "GetObject, function": (inside, "s3.get_object", {**key, "VersionId": "a1"}),
        "PutObject If-None-Match, function": (inside, "s3.put_object", {**put, "IfNoneMatch": "*"}),
        "ListObjectsV2": (owner, "s3.list_objects_v2", {"Bucket": key["Bucket"], "Prefix": "classified/"}),
        "InvokeEndpoint, function": (inside, "sagemaker-runtime.invoke_endpoint", endpoint),
        "StartExecution": (owner, "stepfunctions.start_execution", {"stateMachineArn": arn, "input": state}),
        "Invoke": (owner, "lambda.invoke", {"FunctionName": arn, "Payload": state.encode()}),
        "PutMetricData": (
            owner,
            "cloudwatch.put_metric_data",
            {"Namespace": "Dropsort", "MetricData": [datum] * 8},
        ),
    }
    return {name: _record(clients, operation, values) for name, (clients, operation, values) in calls.items()}


def _clients(key: str, secret: str, token: str | None) -> Callable[[str], Any]:
    session = boto3.Session(key, secret, token, region_name="us-east-1")
    config = Config(s3={"addressing_style": "path"}, inject_host_prefix=False, proxies={})
    return lambda service: cast(Any, session.client)(
        service, endpoint_url=f"http://127.0.0.1:{PORT}", config=config
    )


def _record(clients: Callable[[str], Any], operation: str, parameters: dict[str, Any]) -> Recorded:
    """One request of a client as a server passes it on; it is sent nowhere."""
    service, _, method = operation.partition(".")
    client, sent = clients(service), []

    def record(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders(), cast(Any, _Nothing()))

    client.meta.events.register_last("before-send", record)
    with suppress(ValueError):  # the response is empty, which some operations do not accept
        getattr(client, method)(**parameters)
    (request,) = sent
    parts = urlsplit(str(request.url))
    given: Any = request.body or b""
    content = given.read() if hasattr(given, "read") else given
    body = content.encode() if isinstance(content, str) else bytes(content)
    fields = [
        (name.lower().encode(), value if isinstance(value, bytes) else str(value).encode())
        for name, value in request.headers.items()
    ]
    headers = [
        (b"host", parts.netloc.encode()),
        (b"accept-encoding", b"identity"),
        *(item for item in fields if item[0] != b"host"),
    ]
    scope = {
        "type": "http",
        "method": request.method,
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": headers,
    }
    starts = range(0, max(len(body), 1), PART)
    return scope, [
        {
            "type": "http.request",
            "body": body[start : start + PART],
            "more_body": start + PART < len(body),
        }
        for start in starts
    ]


class _Nothing:
    """A response without a payload."""

    def read(self, *_: object) -> bytes:
        return b""

    def stream(self, *_: object, **__: object) -> list[bytes]:
        return []


async def _application(scope: Message, receive: Any, send: Any) -> None:
    """Read the payload and respond."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2"), (b"x-amzn-requestid", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def _seconds(application: Application, recorded: Recorded, count: int) -> float:
    """CPU time of so many requests; nothing in them waits, so no event loop is needed.

    Raises
    ------
    RuntimeError
        A request was rejected.
    """
    scope, messages = recorded
    statuses: list[int] = []
    gc.collect()
    begin = time.process_time()
    for _ in range(count):
        _run(cast(Any, application), scope, messages, statuses)
    spent = time.process_time() - begin
    if set(statuses) != {200}:
        raise RuntimeError(f"{scope['method']} {scope['path']} was rejected: {set(statuses)}")
    return spent


def _run(
    application: Callable[..., Coroutine[Any, Any, None]],
    scope: Message,
    messages: list[Message],
    statuses: list[int],
) -> None:
    pending = iter(messages)

    async def receive() -> Message:
        return next(pending)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    try:
        application(dict(scope), receive, send).send(None)
    except StopIteration:
        return
    raise RuntimeError("It waits for something.")


if __name__ == "__main__":
    sys.exit(main())
