"""Limits, shares and names of the service on this machine: each at its bound, one below and one above."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.local import (
    capture,
    credentials,
    direct,
    disk,
    endpoint,
    endpoint_config,
    folder,
    gate,
    running,
)
from dropsort.local.capture import CaptureWriter, record
from dropsort.local.endpoint import Endpoint
from dropsort.local.errors import InUseError
from dropsort.local.folder import ServiceFolder
from tests.unit.local.test_capture import CONFIG, WHEN, Bucket, request
from tests.unit.local.test_endpoint_config import template
from tests.unit.local.test_endpoint_requests import Capture, invoke, serving


def test_limits_of_requests_are_those_of_the_documentation() -> None:
    assert (gate.BODY_LIMIT, gate.DRAIN_LIMIT) == (64_000_000, 1_000_000)
    assert (endpoint.BODY_LIMIT, endpoint.DRAIN_LIMIT, endpoint.CUSTOM_ATTRIBUTES) == (
        6_291_456,
        64_000_000,
        1024,
    )
    found = (
        capture.FILE_RECORDS,
        capture.FILE_BYTES,
        capture.FILE_SECONDS,
        capture.QUEUE_BYTES,
        capture.FINAL_SECONDS,
    )
    assert found == (16, 4_000_000, 3.0, 64_000_000, 10.0)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("127.0.0.1:4566", True), ("localhost:4566", True), ("0.0.0.0:4566", False), ("[::1]:4566", False), ("127.0.0.2:4566", False),
        ("127.0.0.1", False), ("127.0.0.1:4567", False), ("localhost.:4566", False), ("", False),
    ],
)  # fmt: skip
def test_the_gate_has_two_names(name: str, known: bool) -> None:
    made = gate.Gate(None, 4566, lambda _: None, "/", str)  # type: ignore[arg-type]
    assert (gate.foreign("GET", {"host": name}, made._hosts) is None) is known


def test_a_request_for_readiness_and_its_response_have_headers_of_their_own() -> None:
    assert (direct.NONCE, direct.PROOF) == ("x-dropsort-nonce", "x-dropsort-proof")


def test_a_process_proves_the_port_and_the_number_with_its_credentials() -> None:
    made, other = credentials.make(), credentials.make()
    assert made.proof(1, "n") == made.proof(1, "n")
    proofs = {made.proof(1, "n"), made.proof(2, "n"), made.proof(1, "m"), other.proof(1, "n")}
    assert len(proofs) == 4
    assert {len(proof) for proof in proofs} == {64}
    # AND what it proves depends on the secret that no client has
    assert replace(made, secret_access_key="x" * 40).proof(1, "n") in proofs
    assert replace(made, functions="x" * 40).proof(1, "n") not in proofs


@pytest.mark.parametrize(
    ("mode", "private"), [(0o700, True), (0o740, False), (0o704, False), (0o710, False), (0o701, False), (0o720, False), (0o702, False)]
)  # fmt: skip
def test_a_folder_that_others_can_use_names_no_service(tmp_path: Path, mode: int, private: bool) -> None:
    home = tmp_path / "running"
    home.mkdir()
    home.chmod(mode)
    assert running._is_private(home) is private
    (tmp_path / "link").symlink_to(home)
    (tmp_path / "file").touch(0o600)
    for other in ("link", "file", "none"):
        assert not running._is_private(tmp_path / other)


def test_a_folder_of_somebody_else_names_no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    tmp_path.chmod(0o700)
    assert not running._is_private(tmp_path)


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> CaptureWriter:
    """A writer whose thread has not begun."""
    with monkeypatch.context() as patched:
        patched.setattr(capture.threading.Thread, "start", lambda _: None)
        return CaptureWriter(CONFIG, "ep", "main", Bucket().put)


def test_a_file_has_sixteen_records(writer: CaptureWriter) -> None:
    for number in range(16):
        assert not writer._due()
        writer.add(request(number))
    assert writer._due()
    writer.add(request(16, response=b""))
    assert [len(writer._batch()) for _ in range(3)] == [16, 1, 0]
    writer.add(request(response=b"1"))
    writer.add(request(response=b"22"))
    assert len(writer._batch()) == 2
    assert writer._queued == 0


@pytest.mark.parametrize(("size", "records"), [(1_999_988, 2), (1_999_987, 3)])
def test_a_file_ends_with_the_record_that_makes_it_four_megabytes(
    writer: CaptureWriter, size: int, records: int
) -> None:
    for _ in range(3):
        writer.add(request(body=bytes(size)))  # and a response of 12 bytes
        assert writer._due() is (writer._queued >= 4_000_000)
    assert len(writer._batch()) == records


@pytest.mark.parametrize(("seconds", "records"), [(3599.8, 2), (3599.9, 1)])
def test_a_file_is_of_one_hour(writer: CaptureWriter, seconds: float, records: int) -> None:
    writer.add(request())
    writer.add(request(when=WHEN + seconds))
    assert len(writer._batch()) == records


@pytest.mark.parametrize(("size", "lost"), [(31_999_988, 0), (31_999_989, 1)])
def test_the_queue_has_a_bound(writer: CaptureWriter, size: int, lost: int) -> None:
    for _ in range(2):
        writer.add(request(body=bytes(size)))
    assert (writer.lost, len(writer._queue)) == (lost, 2 - lost)
    writer._batch()
    writer.add(request())
    assert writer.lost == lost


def test_what_is_not_written_in_time_is_reported(writer: CaptureWriter) -> None:
    assert writer.flush(60)
    writer.add(request())
    assert not writer._due()  # a flush hurries once
    assert not writer.flush(0.01)
    writer._batch()
    writer._busy = True
    assert not writer.flush(0.01)


@pytest.mark.parametrize(
    ("prefix", "folder_of_it"), [("", "ep/main"), ("/a", "a/ep/main"), ("Xa/b", "Xa/b/ep/main")]
)
def test_keys_begin_with_the_prefix_without_a_slash_before_it(
    monkeypatch: pytest.MonkeyPatch, prefix: str, folder_of_it: str
) -> None:
    monkeypatch.setattr(capture.threading.Thread, "start", lambda _: None)
    made = CaptureWriter(replace(CONFIG, prefix=prefix), "ep", "main", Bucket().put)
    assert made._folder == folder_of_it


@pytest.mark.parametrize("notified", [True, False])
def test_the_thread_is_notified_of_the_first_record_and_of_those_that_make_a_file(
    writer: CaptureWriter, monkeypatch: pytest.MonkeyPatch, notified: bool
) -> None:
    moments: list[int] = []
    monkeypatch.setattr(writer._changed, "notify_all", lambda: moments.append(len(writer._queue)))
    for number in range(18):
        writer.add(request(number, body=bytes(100 if notified else 270_000)))
    assert moments == ([1, 16] if notified else [1, 15, 16, 17, 18])


def test_what_is_being_written_when_the_time_is_over_is_lost_too(writer: CaptureWriter) -> None:
    for number in range(3):
        writer.add(request(number))

    def put(_key: str, _content: bytes) -> None:
        writer._ending = True
        raise ConnectionError

    writer._put = put
    writer._hurry = True
    writer._run()
    assert (writer.lost, writer.written) == (3, 0)


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [
        ("application/json", "JSON"), ("Application/JSON ; charset=utf-8", "JSON"), ("text/csv;header=present", "CSV"),
        ("application/json-lines", "BASE64"), ("", "BASE64"),
    ],
)  # fmt: skip
def test_parameters_of_a_content_type_do_not_matter(kind: str, encoding: str) -> None:
    side = record(CONFIG, request(response_type=kind))["captureData"]["endpointOutput"]
    assert (side["encoding"], side["observedContentType"]) == (encoding, kind)


def test_text_that_is_none_is_base64() -> None:
    side = record(CONFIG, request(response=b"\xff", response_type="application/json"))["captureData"]
    assert side["endpointOutput"] == {
        "observedContentType": "application/json", "mode": "OUTPUT", "data": "/w==", "encoding": "BASE64"
    }  # fmt: skip


@pytest.mark.parametrize(("drawn", "captured"), [(0.0, 1), (0.2499, 1), (0.25, 0), (0.99, 0)])
def test_a_share_is_captured(monkeypatch: pytest.MonkeyPatch, drawn: float, captured: int) -> None:
    found: Any = Capture()
    monkeypatch.setattr(endpoint.random, "random", lambda: drawn)
    invoke(serving(capture=found, percentage=25), b"image")
    assert len(found.requests) == captured


@pytest.mark.parametrize(("size", "status"), [(6_291_456, 200), (6_291_457, 413)])
@pytest.mark.parametrize("announced", [True, False])
def test_a_request_has_as_many_bytes_as_the_api_takes(size: int, status: int, announced: bool) -> None:
    headers = {"content_length": str(size)} if announced else {}
    assert invoke(serving(), bytes(size), **headers)[0] == status
    assert invoke(serving(), bytes(size), path="/invocations", **headers)[0] == status


@pytest.mark.parametrize(("length", "status"), [(1, 200), (64, 200), (65, 400), (0, 400)])
def test_an_inference_id_has_1_to_64_characters(length: int, status: int) -> None:
    assert invoke(serving(), b"image", x_amzn_sagemaker_inference_id="a" * length)[0] == status


@pytest.mark.parametrize(("length", "status"), [(1024, 200), (1025, 400)])
def test_custom_attributes_have_1024_characters(length: int, status: int) -> None:
    assert invoke(serving(), b"image", x_amzn_sagemaker_custom_attributes="a" * length)[0] == status


@pytest.mark.parametrize(("threads", "processors", "expected"), [(3, 5, 3), (None, 5, 5), (None, None, 1)])
def test_a_thread_for_each_processor(
    monkeypatch: pytest.MonkeyPatch, threads: int | None, processors: int | None, expected: int
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(
        endpoint, "ThreadPoolExecutor", lambda *given: made.append(given) or ThreadPoolExecutor(1)
    )
    monkeypatch.setattr(endpoint, "os", SimpleNamespace(cpu_count=lambda: processors))
    Endpoint("bikes", "main", lambda *_: None, threads=threads)  # type: ignore[arg-type,return-value]
    assert made == [(expected, "model")]


CAPTURE: dict[str, Any] = {
    "EnableCapture": True, "InitialSamplingPercentage": 100, "DestinationS3Uri": "s3://b/c/d/",
    "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("enabled", "percentage", "on"),
    [(True, 100, True), ("true", 1, True), ("True", 0.5, True), (False, 100, False), ("false", 100, False), ("no", 100, False),
     ("", 100, False), (True, 0, False)],
)  # fmt: skip
def test_capture_is_on_where_it_is_enabled_and_has_a_share(
    tmp_path: Path, enabled: Any, percentage: float, on: bool
) -> None:
    given = CAPTURE | {"EnableCapture": enabled, "InitialSamplingPercentage": percentage}
    found = endpoint_config.read(template(tmp_path, given), {}, {}).capture
    assert (found is not None) is on
    missing = {name: value for name, value in given.items() if name != "EnableCapture"}
    assert endpoint_config.read(template(tmp_path, missing), {}, {}).capture is None


@pytest.mark.parametrize(
    ("modes", "inputs", "outputs"),
    [(["Input"], True, False), (["Output"], False, True), (["InputAndOutput"], True, True), ([], False, False)],
)  # fmt: skip
def test_modes_name_the_sides_that_are_captured(
    tmp_path: Path, modes: list[str], inputs: bool, outputs: bool
) -> None:
    given = CAPTURE | {"CaptureOptions": [{"CaptureMode": mode} for mode in modes]}
    found = endpoint_config.read(template(tmp_path, given), {}, {}).capture
    assert found
    assert (found.inputs, found.outputs) == (inputs, outputs)
    assert (found.bucket, found.prefix, found.json_types, found.csv_types) == ("b", "c/d", (), ())


@pytest.mark.parametrize("count", [0, 2])
def test_the_endpoint_needs_one_configuration(tmp_path: Path, count: int) -> None:
    path = template(tmp_path, None)
    document = json.loads(path.read_text())
    config = document["Resources"].pop("Config")
    document["Resources"] = {f"Config{number}": config for number in range(count)}
    path.write_text(json.dumps(document))
    with pytest.raises(endpoint_config.TemplateError, match=f"has {count} resources of type"):
        endpoint_config.read(path, {}, {})


def test_a_folder_in_which_nothing_was_deployed_has_nothing_of_an_earlier_service(tmp_path: Path) -> None:
    made = ServiceFolder(tmp_path / "data")
    made.aws.mkdir()
    for file in (made.aws / "a", made.checkpoint, made.parameters):
        file.touch()
    assert not made.prepare()
    assert list(made.aws.iterdir()) == []
    assert not made.checkpoint.exists()
    assert not made.parameters.exists()
    made.release()


def test_a_deployment_is_recorded_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ServiceFolder(tmp_path / "data")
    (made.aws / "state").mkdir(parents=True)
    made.set_deployed({"key": "first"})
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made.set_deployed({"key": "second"})
    assert made.deployed() == {"key": "first"}
    made.release()


@pytest.mark.parametrize("alive", [True, False])
def test_a_service_that_was_killed_a_moment_ago_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
) -> None:
    # GIVEN a folder whose lock another process has, and a clock that only sleeping moves
    now, pauses = 0.0, list[float]()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        pauses.append(seconds)

    other, made = ServiceFolder(tmp_path / "data"), ServiceFolder(tmp_path / "data")
    other.acquire()
    monkeypatch.setattr(folder, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    monkeypatch.setattr(folder, "_alive", lambda pid: alive and pid == str(os.getpid()))
    with pytest.raises(
        InUseError, match=rf"runs on {tmp_path}/data \(process {os.getpid()}\): stop that one"
    ):
        made.acquire()
    assert sum(pauses) == pytest.approx(0 if alive else 30, abs=0.11)
    for one in (made, other):
        one.release()


@pytest.mark.parametrize(
    ("pid", "error", "alive"),
    [("5", None, True), ("5", PermissionError(), True), ("5", ProcessLookupError(), False), ("", None, False), ("x", None, False)],
)  # fmt: skip
def test_a_process_of_somebody_else_is_one(
    monkeypatch: pytest.MonkeyPatch, pid: str, error: Exception | None, alive: bool
) -> None:
    def kill(number: int, signal: int) -> None:
        assert (number, signal) == (5, 0)
        if error:
            raise error

    monkeypatch.setattr(os, "kill", kill)
    assert folder._alive(pid) is alive


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ({b"content-length": b"7"}, 7), ({b"content-length": b"99", b"x-amz-decoded-content-length": b"5"}, 5),
        ({b"content-length": b"7", b"x-amz-decoded-content-length": b""}, 7), ({}, 0), ({b"content-length": b"-7"}, 0),
    ],
)  # fmt: skip
def test_the_size_of_an_upload_is_that_of_its_content(headers: dict[bytes, bytes], size: int) -> None:
    assert disk._size({"headers": list(headers.items())}) == size


def test_the_disk_is_checked_every_five_seconds_and_has_a_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    watch = disk.DiskWatch(tmp_path, 1, pytest.fail)
    monkeypatch.setattr(
        watch, "_stop", SimpleNamespace(wait=lambda seconds: waits.append(seconds) or len(waits) == 3)
    )
    watch._run()
    assert waits == [5.0, 5.0, 5.0]
    assert disk.RESERVE_BYTES == 200_000_000


def test_a_request_without_headers_is_captured_without_their_values() -> None:
    found: Any = Capture()
    assert invoke(serving(capture=found), b"image")[0] == 200
    (one,) = found.requests
    assert (one.body, one.content_type, one.inference_id, one.custom_attributes) == (b"image", "", "", "")
    assert invoke(serving(), b"", path="/ping")[:2] == (200, b"")
