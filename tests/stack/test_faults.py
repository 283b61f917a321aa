"""Faults half-way: a function killed, the endpoint failing for a while or for good, roles that forbid."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks import processes
from dropsort.client import redrive
from dropsort.contract import keys
from dropsort.local.service import Service
from tests.stack.helpers import PATIENCE_SECONDS, picture
from tests.stack.sorting import Sorting, drawn

pytestmark = pytest.mark.stack


def test_a_function_killed_in_flight_loses_nothing(service: Service, tmp_path: Path) -> None:
    # GIVEN functions that run, and pictures on their way through them
    sorting = Sorting(service, "killed")
    content = drawn(tmp_path, 1)[0]
    sorting.settled(sorting.upload({"first.png": content}))
    etags = sorting.upload({f"{number}.png": content + bytes([number]) for number in range(24)})
    # WHEN every process of theirs is killed
    workers = [process.pid for process in processes.descendants() if "ministack-lambda-" in process.command]
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # THEN every picture has one result, nearly always its answer
    assert workers
    results = sorting.settled(etags)
    # AND what this emulator, which ends all workers of a function when one cannot start, hit more often than is retried, is retryable
    for result in results.values():
        assert result["outcome"] == keys.CLASSIFIED or result["reason"]["retryable"], result["reason"]
    sorting.redrive("killed/")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while redrive.find(sorting.s3, sorting.bucket, prefix="killed/") and time.monotonic() < deadline:
        time.sleep(0.3)
    assert {result["outcome"] for result in sorting.settled(etags).values()} == {keys.CLASSIFIED}


class Trouble:
    """What stands in front of the endpoint: passes on, or answers with an error of SageMaker's."""

    def __init__(self) -> None:
        self.answers: Callable[[], tuple[int, str] | None] = lambda: None
        self.refused = 0
        self.original = 422  # status of the container in a ModelError


@contextmanager
def in_front_of_the_endpoint(service: Service) -> Iterator[Trouble]:
    """Point the deployed classify function at a server that passes requests on to the endpoint, until told otherwise."""
    trouble = Trouble()
    runtime = service.session().client("sagemaker-runtime")

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            error = trouble.answers()
            if error:
                trouble.refused += 1
                status, name = error
                said = {"message": name} | (
                    {"OriginalStatusCode": trouble.original} if name == "ModelError" else {}
                )
                answer, headers = json.dumps(said).encode(), {"x-amzn-ErrorType": name}
            else:
                found = runtime.invoke_endpoint(
                    EndpointName=service.outputs["EndpointName"],
                    Body=body,
                    ContentType=self.headers["Content-Type"],
                    Accept=self.headers["Accept"],
                )
                status, answer, headers = 200, found["Body"].read(), {}
            self.send_response(status)
            for field, value in {
                **headers,
                "Content-Type": "application/json",
                "Content-Length": str(len(answer)),
            }.items():
                self.send_header(field, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    functions, name = service.session().client("lambda"), service.outputs["ClassifyFunction"]
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def point_at(address: str) -> None:
        variables = before | {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": address}
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})

    point_at(f"http://127.0.0.1:{server.server_port}")
    try:
        yield trouble
    finally:
        point_at(before["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"])
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "error",
    [(400, "ThrottlingException"), (500, "InternalFailure"), (503, "ServiceUnavailable")],
    ids=lambda error: error[1],
)
def test_an_endpoint_that_fails_for_a_while_is_asked_again(
    service: Service, tmp_path: Path, error: tuple[int, str]
) -> None:
    # GIVEN an endpoint that refuses the first three requests
    sorting = Sorting(service, f"while-{error[1]}")
    with in_front_of_the_endpoint(service) as trouble:
        left = iter([error] * 3)
        trouble.answers = lambda: next(left, None)
        # WHEN two pictures are dropped
        bicycle, motorcycle = drawn(tmp_path)
        results = sorting.settled(sorting.upload({"a.png": bicycle, "b.png": motorcycle}))
    # THEN both are classified
    assert trouble.refused == 3
    assert {result["outcome"] for result in results.values()} == {keys.CLASSIFIED}


def test_a_container_whose_queue_is_full_is_waited_for(service: Service, tmp_path: Path) -> None:
    # GIVEN a container that responds 503 far more often than a fault is tried again
    sorting = Sorting(service, "busy")
    with in_front_of_the_endpoint(service) as trouble:
        trouble.original = 503
        left = iter([(424, "ModelError")] * 12)
        trouble.answers = lambda: next(left, None)
        # WHEN an image is dropped
        results = sorting.settled(sorting.upload({"a.png": drawn(tmp_path, 1)[0]}))
    # THEN it is classified in the end, by the same execution
    assert trouble.refused == 12
    assert [result["outcome"] for result in results.values()] == [keys.CLASSIFIED]


def test_a_container_that_takes_no_image_is_misconfigured(service: Service, tmp_path: Path) -> None:
    # GIVEN an endpoint whose container responds 415 to every image
    sorting = Sorting(service, "misconfigured")
    with in_front_of_the_endpoint(service) as trouble:
        trouble.original = 415
        trouble.answers = lambda: (424, "ModelError")
        result = sorting.settled(sorting.upload({"a.png": drawn(tmp_path, 1)[0]}))["a.png"]
    # THEN that is no fault of the image: it is tried a few times, and again once the endpoint is well
    assert trouble.refused == 4
    assert (result["reason"]["code"], result["reason"]["retryable"]) == ("endpoint_misconfigured", True)


def test_what_failed_for_good_is_retryable_and_redriven(service: Service, tmp_path: Path) -> None:
    # GIVEN an endpoint that is away for longer than the retries last
    sorting = Sorting(service, "redriven")
    with in_front_of_the_endpoint(service) as trouble:
        trouble.answers = lambda: (503, "ServiceUnavailable")
        etags = sorting.upload({"a.png": drawn(tmp_path, 1)[0]})
        result = sorting.settled(etags)["a.png"]
    # THEN its picture has a result that says so
    assert result["outcome"] == keys.FAILED
    assert result["reason"]["retryable"]
    assert result["reason"]["code"] in ("service_error", "throttled", "timeout")
    # WHEN it is redriven once the endpoint is back
    found = redrive.find(sorting.s3, sorting.bucket, prefix="redriven/")
    assert [(upload.key, upload.why) for upload in found] == [(sorting.key("a.png"), redrive.RETRYABLE)]
    sorting.redrive("redriven/")
    # THEN the answer takes the failure's place
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (again := sorting.settled(etags)["a.png"])[
        "outcome"
    ] == keys.FAILED and time.monotonic() < deadline:
        time.sleep(0.2)
    assert again["outcome"] == keys.CLASSIFIED
    assert again["source"]["sequencer"] in (None, result["source"]["sequencer"])
    assert redrive.find(sorting.s3, sorting.bucket, prefix="redriven/") == []


def test_a_model_that_refuses_a_picture_is_not_asked_again(service: Service) -> None:
    # GIVEN an endpoint whose model responds with 422
    sorting = Sorting(service, "refused")
    with in_front_of_the_endpoint(service) as trouble:
        trouble.answers = lambda: (424, "ModelError")
        # WHEN a picture is dropped
        result = sorting.settled(sorting.upload({"a.png": picture(1)}))["a.png"]
    # THEN the endpoint is asked once, and the result is final
    assert trouble.refused == 1
    assert result["outcome"] == keys.FAILED
    assert (result["reason"]["code"], result["reason"]["retryable"]) == ("refused_by_model", False)


# What each function's role may not do: read elsewhere, write elsewhere, another function's work.
ROLES = {
    "SerializeFunction": [
        ("get_object", "classified/a.json"),
        ("get_object", "captures/a"),
        ("put_object", "incoming/x.png"),
        ("delete_object", "incoming/x.png"),
    ],
    "ClassifyFunction": [
        ("get_object", "incoming/x.png"),
        ("put_object", "classified/x.json"),
        ("list_objects_v2", ""),
    ],
    "FilterFunction": [
        ("get_object", "incoming/x.png"),
        ("put_object", "incoming/x.png"),
        ("put_object", "captures/x"),
        ("delete_object", "incoming/x.png"),
    ],
}


@pytest.mark.parametrize("function", ROLES)
def test_a_functions_role_may_do_nothing_elsewhere(service: Service, function: str) -> None:
    # GIVEN credentials of a function's role
    session = service.session()
    settings = session.client("lambda").get_function_configuration(FunctionName=service.outputs[function])
    found = session.client("sts").assume_role(RoleArn=settings["Role"], RoleSessionName="test")["Credentials"]
    s3 = boto3.client(
        "s3",
        endpoint_url=service.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=found["AccessKeyId"],
        aws_secret_access_key=found["SecretAccessKey"],
        aws_session_token=found["SessionToken"],
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    # WHEN it is used for what is not the function's work THEN each call is refused
    for call, key in ROLES[function]:
        arguments = {
            "Bucket": service.bucket,
            **({"Key": key} if key else {}),
            **({"Body": b"x"} if call == "put_object" else {}),
        }
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(s3, call)(**arguments)


def test_a_function_cannot_be_made_to_read_elsewhere(service: Service) -> None:
    # GIVEN a result, which is no upload
    sorting = Sorting(service, "elsewhere")
    # WHEN the first function is called with its key THEN it refuses the key, before any role has to
    answer = (
        service.session()
        .client("lambda")
        .invoke(
            FunctionName=service.outputs["SerializeFunction"],
            Payload=json.dumps({"s3_bucket": sorting.bucket, "s3_key": "classified/a.png.json"}),
        )
    )
    assert "names no upload" in json.loads(answer["Payload"].read())["errorMessage"]
