"""The benchmark of faults: what it calls lost, doubled, stale and waiting, and the proxy that injects."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from benchmarks.faults import __main__ as faults
from benchmarks.faults import proxy
from benchmarks.faults.batch import BatchVerdict, ImageBatch, Site

BUCKET = "pictures"


@pytest.fixture
def site() -> Iterator[Site]:
    """A bucket in which nothing runs."""
    with mock_aws():
        s3 = boto3.client("s3", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield Site(
            s3, SimpleNamespace(list_executions=lambda **_: {"executions": []}), BUCKET, "workflow", "backlog"
        )


def write(site: Site, batch: ImageBatch, index: int, outcome: str = "classified", **changed: Any) -> None:
    """A result of an image's newest upload, as the service writes them."""
    key = batch.key(index)
    upload = batch.uploads[key]
    document = {
        "outcome": outcome,
        "source": {"key": key, "etag": upload.etag, "version_id": upload.version_id},
        "label": None,
        "confidence": None,
        "times": {"recorded": "2026-01-01T00:00:00Z"},
        **changed,
    }
    location = f"{outcome}/{key.removeprefix('incoming/')}.json"
    site.s3.put_object(Bucket=BUCKET, Key=location, Body=json.dumps(document).encode())


def test_each_image_is_judged_by_its_newest_upload(site: Site) -> None:
    # GIVEN ten images, of which seven are not as they should be
    batch = ImageBatch("some", 10, [(b"image", "bicycle")])
    batch.put_all(site)
    for index in range(10):
        if index not in (1, 5):  # 1: no result
            write(site, batch, index)
    batch.put(site, 2)  # an upload after the result
    write(site, batch, 3, "low-confidence")  # two results
    site.s3.put_object(Bucket=BUCKET, Key="classified/some/00004.png.json", Body=b"{}")
    write(site, batch, 5, "failed", reason={"code": "throttled", "message": "", "retryable": True})
    site.s3.delete_object(Bucket=BUCKET, Key="classified/some/00006.png.json")
    write(site, batch, 8, label="motorcycle")  # a wrong label
    write(site, batch, 6, "failed", reason={"code": "not_an_image", "message": "", "retryable": False})
    batch.delete(site, 7)  # whose result is not a loss
    # THEN each counts as what it is
    found = batch.check(site)
    assert (found.images, found.lost, found.doubled, found.stale, found.waiting) == (10, 4, 1, 1, 1)
    # AND a failure that the fault warrants is none
    batch.final.add("not_an_image")
    assert batch.check(site).lost == 3
    # AND whoever has waited long enough gets what there is
    verdict, _ = batch.drain(site, 0.0)
    assert not verdict.finished


def test_all_is_well_when_every_image_has_its_result(site: Site) -> None:
    batch = ImageBatch("some", 2, [(b"image", "bicycle")])
    batch.put_all(site)
    write(site, batch, 0)
    write(site, batch, 1, "low-confidence")
    assert batch.drain(site, 60)[0] == BatchVerdict(2)


def test_at_least_25_kinds_are_listed_each_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert faults.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len({line.split()[0] for line in lines}) == len(lines) >= 25
    assert all(len(line.split()) > 3 for line in lines)


@pytest.fixture
def behind() -> Iterator[tuple[proxy.Proxy, str, str]]:
    """A proxy, and the hosts of an endpoint and an S3 behind it, which repeat what they get."""

    class Echo(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Echo) for _ in range(2)]
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    endpoint, s3 = (f"127.0.0.1:{server.server_port}" for server in servers)
    between = proxy.Proxy(f"http://{endpoint}", BUCKET)
    yield between, endpoint, s3
    between.close()
    for server in servers:
        server.shutdown()
        server.server_close()


def through(between: proxy.Proxy, host: str) -> tuple[int, bytes]:
    """Status and body of a PUT through the proxy."""
    connection = http.client.HTTPConnection(between.url.removeprefix("http://"), timeout=30)
    connection.request("PUT", f"http://{host}/{BUCKET}/a%20b?c=d", b"content")
    response = connection.getresponse()
    return response.status, response.read()


def test_a_fault_is_of_one_service_and_ends(behind: tuple[proxy.Proxy, str, str]) -> None:
    between, endpoint, s3 = behind
    assert [between.service(s3, path) for path in (f"/{BUCKET}", f"/{BUCKET}/a", "/")] == [
        "s3",
        "s3",
        "other",
    ]
    between.inject(proxy.of("endpoint", proxy.always(proxy.model_error(503)), "PUT"))
    assert through(between, endpoint)[0] == 424
    assert through(between, s3) == (200, b"content")
    assert (between.stopped, between.passed) == ({"endpoint": 1}, {"s3": 1})
    between.inject(None)
    between.reset()
    assert through(between, endpoint) == (200, b"content")
    assert (between.stopped, between.passed) == ({}, {"endpoint": 1})


def test_a_response_breaks_off_and_a_connection_is_reset(behind: tuple[proxy.Proxy, str, str]) -> None:
    between, endpoint, _ = behind
    between.inject(proxy.of("endpoint", proxy.always(proxy.InjectedResponse(200, b"half", length=9))))
    with pytest.raises(http.client.IncompleteRead):
        through(between, endpoint)
    between.inject(proxy.of("endpoint", proxy.reset))
    with pytest.raises(ConnectionResetError):
        through(between, endpoint)


def test_a_limited_endpoint_takes_so_many_a_second() -> None:
    limited = proxy.Limited(0.01, proxy.model_error(503))
    found = [limited(proxy.Request("endpoint", "POST", "/")) is None for _ in range(5)]
    assert 1 <= sum(found) <= 2
