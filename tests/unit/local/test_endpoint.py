"""The embedded endpoint in its own process, with its model, through the real client."""

from __future__ import annotations

import http.client
import io
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer
from PIL import Image

from dropsort.contract.resources import DEFAULT_MODEL as MODEL
from dropsort.local import capture, endpoint_process
from dropsort.local.clients import EmbeddedSession, signed_request
from dropsort.local.credentials import make
from dropsort.local.endpoint_config import DataCaptureConfig, EndpointConfig
from dropsort.local.endpoint_process import EmbeddedEndpoint
from dropsort.local.errors import StartError
from training import inference

VERBOSE = "application/json;verbose=true"


def sample_image(colour: tuple[int, int, int] = (200, 30, 30), kind: str = "PNG") -> bytes:
    """A small image."""
    content = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(content, kind)
    return content.getvalue()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEndpoint]:
    """A running endpoint that captures nothing."""
    running = EmbeddedEndpoint(
        MODEL, tmp_path_factory.mktemp("endpoint"), "bikes", EndpointConfig("main", None)
    )
    running.start()
    yield running
    running.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_listens_on_this_machine_only(endpoint: EmbeddedEndpoint) -> None:
    found = []
    for kind in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{kind}").read_text().splitlines()[1:]:
            address, port = line.split()[1].split(":")
            if int(port, 16) == endpoint.port and line.split()[3] == "0A":  # listening
                found.append((kind, address))
    assert found == [("tcp", "0100007F")]


@pytest.fixture
def runtime(endpoint: EmbeddedEndpoint) -> Any:
    """The real client of SageMaker's runtime."""
    return EmbeddedSession(endpoint.credentials, "http://127.0.0.1:9", endpoint.url).client(
        "sagemaker-runtime"
    )


def call(
    endpoint: EmbeddedEndpoint, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    """A plain HTTP request, signed."""
    signed = signed_request(endpoint.credentials, method, endpoint.url + path, body, headers)
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
    connection.request(method, path, body, dict(signed.header_items()))
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_response_is_the_models_own(runtime: Any) -> None:
    # GIVEN what the model returns when it is called directly
    expected = inference.load(MODEL).predict([sample_image()])[0]
    # WHEN the verbose object is requested from the endpoint
    answer = runtime.invoke_endpoint(
        EndpointName="bikes",
        Body=sample_image(),
        ContentType="application/x-image",
        Accept=VERBOSE,
        InferenceId="a" * 64,
        CustomAttributes="camera=1",
    )
    # THEN it is the same, and the response has the form of SageMaker's
    assert json.loads(answer["Body"].read()) == expected
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "main"
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36


def test_the_list_of_the_builtin_algorithm(runtime: Any) -> None:
    answer = runtime.invoke_endpoint(
        EndpointName="bikes",
        Body=sample_image(kind="JPEG"),
        ContentType="image/jpeg",
        Accept="application/json",
    )
    probabilities = json.loads(answer["Body"].read())
    assert len(probabilities) == 2
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)


def test_many_at_once_get_their_own_responses(runtime: Any) -> None:
    # GIVEN images with different predictions
    images = [sample_image((value, 255 - value, value // 2)) for value in range(0, 250, 10)]
    model = inference.load(MODEL)
    expected = [model.predict([item])[0]["probabilities"] for item in images]  # type: ignore[index]

    # WHEN they are sent side by side
    def ask(content: bytes) -> Any:
        return json.loads(runtime.invoke_endpoint(EndpointName="bikes", Body=content)["Body"].read())

    with ThreadPoolExecutor(8) as pool:
        predictions = list(pool.map(ask, images * 2))
    # THEN nobody gets another one's
    assert predictions == expected * 2


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"EndpointName": "other"}, "ValidationError", "Endpoint other of account 000000000000 not found"),
        ({"TargetVariant": "other"}, "ValidationError", "Variant other"),
        ({"InferenceId": "x" * 65}, "ValidationError", "Inference id"),
        ({"CustomAttributes": "x" * 1025}, "ValidationError", "Custom attributes"),
        ({"Body": bytes(6_291_457)}, "413", "exceeded 6291456 bytes"),
    ],
)
def test_a_wrong_request_fails_as_sagemaker_would(
    runtime: Any, request_: dict[str, Any], code: str, message: str
) -> None:
    runtime.meta.config.parameter_validation = False
    with pytest.raises(ClientError, match=message) as caught:
        runtime.invoke_endpoint(**({"EndpointName": "bikes", "Body": sample_image()} | request_))
    assert caught.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"no picture", "application/x-image", 400), (b"", "image/png", 400), (b"x", "audio/wav", 415)],
)
def test_what_the_model_rejects_is_a_model_error(
    runtime: Any, body: bytes, content_type: str, status: int
) -> None:
    # WHEN the model fails
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName="bikes", Body=body, ContentType=content_type)
    # THEN the client sees the container's own status
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == status
    assert f"Received client error ({status})" in response["Error"]["Message"]


def test_a_body_of_exactly_the_limit_reaches_the_model(runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ModelError):
        runtime.invoke_endpoint(EndpointName="bikes", Body=bytes(6_291_456), ContentType="image/png")


def test_the_containers_own_side(endpoint: EmbeddedEndpoint) -> None:
    assert call(endpoint, "GET", "/ping")[0] == 200
    status, body = call(endpoint, "POST", "/invocations", sample_image(), **{"Content-Type": "image/png"})
    assert (status, len(json.loads(body))) == (200, 2)
    status, body = call(endpoint, "POST", "/invocations", b"no", **{"Content-Type": "image/png"})
    assert (status, json.loads(body)["code"]) == (400, 400)
    assert call(endpoint, "POST", "/invocations", bytes(6_291_457))[0] == 413


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/endpoints/bikes/invocations"), ("POST", "/endpoints/bikes"), ("POST", "/flush")],
)
def test_other_paths_are_unknown(endpoint: EmbeddedEndpoint, method: str, path: str) -> None:
    status, body = call(endpoint, method, path)
    assert status == 404
    assert "No operation" in json.loads(body)["Message"]


def test_every_response_is_captured_before_the_end(tmp_path: Path) -> None:
    # GIVEN an endpoint that captures into a bucket (moto's), and half of the requests
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    s3 = EmbeddedSession(make(), address).client("s3")
    s3.create_bucket(Bucket="pictures")
    config = EndpointConfig(
        "main", DataCaptureConfig("pictures", "captures", 50, json_types=("application/json",))
    )
    running = EmbeddedEndpoint(MODEL, tmp_path, "bikes", config, address)
    running.start()
    runtime = EmbeddedSession(running.credentials, address, running.url).client("sagemaker-runtime")
    # WHEN it responds and is stopped at once
    for number in range(100):
        runtime.invoke_endpoint(EndpointName="bikes", Body=sample_image(), InferenceId=str(number))
    with pytest.raises(runtime.exceptions.ModelError):
        runtime.invoke_endpoint(EndpointName="bikes", Body=b"no picture")
    assert running._process
    assert running._process._grace > capture.FINAL_SECONDS, "there is time to write what was captured"
    running.stop()
    assert "were lost" not in running.log.read_text()
    # THEN about half of the responses are there, each with its own id
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="pictures", Prefix="captures/bikes/main/")
    names = [item["Key"] for page in pages for item in page.get("Contents", [])]
    lines = [
        line for name in names for line in s3.get_object(Bucket="pictures", Key=name)["Body"].iter_lines()
    ]
    ids = [json.loads(line)["eventMetadata"]["inferenceId"] for line in lines]
    assert len(set(ids)) == len(ids)
    assert 15 < len(ids) < 85  # 7 standard deviations
    server.stop()


def test_settings_of_the_machine_do_not_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "HTTPS_PROXY", "all_proxy", "OMP_NUM_THREADS", "UVICORN_PORT",
                 "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"):  # fmt: skip
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("LANG", "ours")
    found = endpoint_process._environment()
    assert "mine" not in found.values()
    assert (found["LANG"], found["PATH"]) == ("ours", os.environ["PATH"])


def test_a_model_that_cannot_be_loaded_is_an_error_that_names_the_log(tmp_path: Path) -> None:
    # GIVEN a folder without a model
    broken = EmbeddedEndpoint(tmp_path, tmp_path, "bikes", EndpointConfig("main", None))
    # THEN the error says so
    with pytest.raises(StartError, match=r"model\.onnx|labels\.json") as caught:
        broken.start()
    assert str(broken.log) in str(caught.value)
    assert not broken.running()
