"""An endpoint that fails for a while, for good, or for one image: how often the workflow tries, and what the result says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dropsort.client import redrive
from dropsort.contract import keys, reconciliation
from dropsort.deployment import package
from dropsort.local import embedded
from dropsort.local.service import LocalService
from tests.stack.helpers import sample_image
from tests.stack.upload_folder import UploadFolder, drawn

pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow(reason="starts a service whose endpoint is out of order"),
    pytest.mark.xdist_group("endpoint faults"),
]


@pytest.fixture(scope="module")
def service(embedded_python: Path, host_packages: package.Packages) -> Iterator[LocalService]:
    """A service whose waits between retries are short: their number counts here, and it takes minutes otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(embedded.SETTINGS, "SFN_WAIT_SCALE", "0.001")
        with LocalService() as running:
            yield running


class Trouble:
    """What stands in front of the endpoint: passes on, or responds with an error of SageMaker's."""

    def __init__(self) -> None:
        self.answers: Callable[[], tuple[int, str] | None] = lambda: None
        self.refused = 0
        self.original = 422  # status of the container in a ModelError


@contextmanager
def in_front_of_the_endpoint(service: LocalService) -> Iterator[Trouble]:
    """Point the deployed classify function at a server that passes requests on to the endpoint, until requested otherwise."""
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


def test_requests_to_an_endpoint_that_fails_for_a_while_are_repeated(
    service: LocalService, tmp_path: Path
) -> None:
    # GIVEN an endpoint that rejects the first three requests, each for another reason
    uploads = UploadFolder(service, "while")
    with in_front_of_the_endpoint(service) as trouble:
        left = iter([(400, "ThrottlingException"), (500, "InternalFailure"), (503, "ServiceUnavailable")])
        trouble.answers = lambda: next(left, None)
        # WHEN two images are dropped
        bicycle, motorcycle = drawn(tmp_path)
        results = uploads.settled(uploads.upload({"a.png": bicycle, "b.png": motorcycle}))
    # THEN both are classified
    assert trouble.refused == 3
    assert {result["outcome"] for result in results.values()} == {keys.CLASSIFIED}


def test_a_container_whose_queue_is_full_is_waited_for(service: LocalService, tmp_path: Path) -> None:
    # GIVEN a container that responds 503 far more often than a fault is tried again
    uploads = UploadFolder(service, "busy")
    with in_front_of_the_endpoint(service) as trouble:
        trouble.original = 503
        left = iter([(424, "ModelError")] * 12)
        trouble.answers = lambda: next(left, None)
        # WHEN an image is dropped
        results = uploads.settled(uploads.upload({"a.png": drawn(tmp_path, 1)[0]}))
    # THEN it is classified in the end, by the same execution
    assert trouble.refused == 12
    assert [result["outcome"] for result in results.values()] == [keys.CLASSIFIED]


def test_a_container_that_takes_no_image_is_misconfigured(service: LocalService, tmp_path: Path) -> None:
    # GIVEN an endpoint whose container responds 415 to every image
    uploads = UploadFolder(service, "misconfigured")
    with in_front_of_the_endpoint(service) as trouble:
        trouble.original = 415
        trouble.answers = lambda: (424, "ModelError")
        etags = uploads.upload({"a.png": drawn(tmp_path, 1)[0]})
        result = uploads.settled(etags)["a.png"]
    # THEN that is not a fault of the image: it is tried a few times, and again once the endpoint is well
    assert trouble.refused == 4
    assert (result["reason"]["code"], result["reason"]["retryable"]) == ("endpoint_misconfigured", True)
    again = uploads.final(etags, passing=("endpoint_misconfigured",))["a.png"]
    assert again["outcome"] == keys.CLASSIFIED


def test_what_failed_for_good_is_retryable_and_redriven(service: LocalService, tmp_path: Path) -> None:
    # GIVEN an endpoint that is away for longer than the retries last
    uploads = UploadFolder(service, "redriven")
    with in_front_of_the_endpoint(service) as trouble:
        trouble.answers = lambda: (503, "ServiceUnavailable")
        etags = uploads.upload({"a.png": drawn(tmp_path, 1)[0]})
        result = uploads.settled(etags)["a.png"]
    # THEN its image has a result that says so
    assert result["outcome"] == keys.FAILED
    assert result["reason"]["retryable"]
    passing = ("service_error", "throttled", "timeout")
    assert result["reason"]["code"] in passing
    # WHEN it is redriven once the endpoint is back
    found = redrive.find(uploads.s3, uploads.bucket, prefix="redriven/")
    assert [(upload.key, upload.why) for upload in found] == [
        (uploads.key("a.png"), reconciliation.RETRYABLE)
    ]
    again = uploads.final(etags, passing)["a.png"]
    # THEN the prediction takes the failure's place
    assert again["outcome"] == keys.CLASSIFIED
    assert again["source"]["sequencer"] in (None, result["source"]["sequencer"])
    assert redrive.find(uploads.s3, uploads.bucket, prefix="redriven/") == []


def test_an_image_that_a_model_rejects_is_not_sent_again(service: LocalService) -> None:
    # GIVEN an endpoint whose model responds with 422
    uploads = UploadFolder(service, "refused")
    with in_front_of_the_endpoint(service) as trouble:
        trouble.answers = lambda: (424, "ModelError")
        # WHEN an image is dropped
        result = uploads.settled(uploads.upload({"a.png": sample_image(1)}))["a.png"]
    # THEN the endpoint gets one request, and the result is final
    assert trouble.refused == 1
    assert result["outcome"] == keys.FAILED
    assert (result["reason"]["code"], result["reason"]["retryable"]) == ("refused_by_model", False)
