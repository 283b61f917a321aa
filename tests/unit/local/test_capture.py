"""Capture files: layout, schema, nothing lost, never in the way."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropsort.local import capture
from dropsort.local.capture import CapturedRequest, CaptureWriter, record
from dropsort.local.endpoint_config import DataCaptureConfig

CONFIG = DataCaptureConfig(
    "bucket", "captures", 100, json_types=("application/json",), csv_types=("text/csv",)
)
WHEN = 1_795_251_600.123  # 2026-11-21T09:00:00.123Z
KEY = re.compile(r"captures/ep/main/\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}-[0-9a-f-]{36}\.jsonl")


def request(number: int = 0, when: float = WHEN, **changes: Any) -> CapturedRequest:
    """A request that differs from others."""
    fields = {
        "when": when,
        "body": b"\x89PNG" + bytes([number % 256]),
        "content_type": "image/png",
        "response": b"[0.98, 0.02]",
        "response_type": "application/json",
        "inference_id": str(number),
    }
    return CapturedRequest(**(fields | changes))


class Bucket:
    """Takes files; fails as often as set."""

    def __init__(self, failures: int = 0) -> None:
        self.files: dict[str, bytes] = {}
        self.failures = failures

    def put(self, key: str, content: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("gone")
        self.files[key] = content

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for content in self.files.values() for line in content.splitlines()]

    def ids(self) -> list[str]:
        return [item["eventMetadata"]["inferenceId"] for item in self.records()]


def test_a_record_has_sagemakers_schema() -> None:
    # GIVEN a request with all that there can be
    found = record(CONFIG, request(7, custom_attributes="camera=1"))
    # THEN
    event = found["eventMetadata"]
    assert len(event.pop("eventId")) == 36
    assert found == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "image/png",
                "mode": "INPUT",
                "data": base64.b64encode(b"\x89PNG\x07").decode(),
                "encoding": "BASE64",
            },
            "endpointOutput": {
                "observedContentType": "application/json",
                "mode": "OUTPUT",
                "data": "[0.98, 0.02]",
                "encoding": "JSON",
            },
        },
        "eventMetadata": {
            "customAttributes": ["camera=1"],
            "inferenceId": "7",
            "inferenceTime": "2026-11-21T09:00:00Z",
        },
        "eventVersion": "0",
    }


def test_times_are_utc_whatever_the_zone_of_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert record(CONFIG, request())["eventMetadata"]["inferenceTime"] == "2026-11-21T09:00:00Z"
        assert capture.key("captures", WHEN).startswith("captures/2026/11/21/09/00-00-123-")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_only_what_is_configured_is_captured() -> None:
    config = DataCaptureConfig("bucket", "captures", 100, inputs=False)
    found = record(config, request(inference_id=""))
    assert list(found["captureData"]) == ["endpointOutput"]
    # No content type was declared as JSON
    assert found["captureData"]["endpointOutput"]["encoding"] == "BASE64"
    assert "inferenceId" not in found["eventMetadata"]


@given(
    st.binary(),
    st.sampled_from(["application/json", "Application/JSON; charset=utf-8", "text/csv", "image/png", ""]),
)
def test_data_comes_back_whatever_it_is(data: bytes, content_type: str) -> None:
    # GIVEN any bytes under any type, text or not
    line = json.dumps(record(CONFIG, request(body=data, content_type=content_type)))
    # THEN they can be had back from the line
    side = json.loads(line)["captureData"]["endpointInput"]
    back = base64.b64decode(side["data"]) if side["encoding"] == "BASE64" else side["data"].encode()
    assert back == data
    assert side["observedContentType"] == content_type


def test_files_have_the_real_layout_and_a_few_records_each() -> None:
    # GIVEN more requests than one file takes
    bucket = Bucket()
    writer = CaptureWriter(CONFIG, "ep", "main", bucket.put)
    for number in range(100):
        writer.add(request(number))
    # WHEN the endpoint ends
    writer.close()
    # THEN all are there, in order, in several files
    assert bucket.ids() == [str(number) for number in range(100)]
    assert all(KEY.fullmatch(key) for key in bucket.files)
    assert all(len(content.splitlines()) <= capture.FILE_RECORDS for content in bucket.files.values())
    assert all("/2026/11/21/09/00-00-123-" in key for key in bucket.files)
    assert (writer.written, writer.lost) == (100, 0)


def test_hours_have_files_of_their_own() -> None:
    bucket = Bucket()
    writer = CaptureWriter(CONFIG, "ep", "main", bucket.put)
    writer.add(request(1, WHEN - 1))
    writer.add(request(2, WHEN))
    writer.close()
    assert sorted(key.split("/")[6] for key in bucket.files) == ["08", "09"]


def test_a_single_record_does_not_wait_for_others(monkeypatch: Any) -> None:
    # GIVEN one request and a file that fills at sixteen
    assert capture.FILE_SECONDS <= 10, "reports are to show what was predicted a moment ago"
    monkeypatch.setattr(capture, "FILE_SECONDS", 0.05)
    arrived = threading.Event()
    writer = CaptureWriter(CONFIG, "ep", "main", lambda _key, _content: arrived.set())
    writer.add(request())
    # THEN it is written after a while
    assert arrived.wait(60)
    writer.close()


def test_a_flush_writes_what_there_is() -> None:
    bucket = Bucket()
    writer = CaptureWriter(CONFIG, "ep", "main", bucket.put)
    for number in range(3):
        writer.add(request(number))
    assert writer.flush()
    assert bucket.ids() == ["0", "1", "2"]
    writer.close()


def test_a_bucket_that_is_away_for_a_while_loses_nothing() -> None:
    # GIVEN failures, an odd number: a batch that is put back the wrong way round twice is in order
    bucket = Bucket(failures=3)
    writer = CaptureWriter(CONFIG, "ep", "main", bucket.put)
    for number in range(40):
        writer.add(request(number))
    # WHEN the endpoint ends
    writer.close()
    # THEN everything has been written once, in order
    assert bucket.ids() == [str(number) for number in range(40)]
    assert writer.lost == 0
    assert "gone" in writer.trouble


def test_a_bucket_that_stays_away_is_given_up_and_counted() -> None:
    writer = CaptureWriter(CONFIG, "ep", "main", Bucket(failures=10**6).put)
    for number in range(5):
        writer.add(request(number))
    writer.close(0.2)
    assert (writer.written, writer.lost) == (0, 5)


def test_the_queue_is_bounded(monkeypatch: Any) -> None:
    # GIVEN a bucket that does not respond, and little space
    monkeypatch.setattr(capture, "QUEUE_BYTES", 1000)
    answering = threading.Event()
    writer = CaptureWriter(CONFIG, "ep", "main", lambda _key, _content: answering.wait(30))
    # WHEN more comes than there is space for
    for number in range(100):
        writer.add(request(number, body=bytes(90)))
    # THEN the rest is counted, and nobody had to wait
    assert writer.lost > 0
    answering.set()
    writer.close()
    assert writer.written + writer.lost == 100


def test_what_could_not_be_written_counts_in_the_queue_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a bucket that fails once, and takes its time the second time
    monkeypatch.setattr(capture, "QUEUE_BYTES", 100)
    second, go_on = threading.Event(), threading.Event()

    def put(_key: str, _content: bytes) -> None:
        if not second.is_set():
            second.set()
            raise ConnectionError("gone")
        again.set()
        go_on.wait(60)

    again = threading.Event()
    writer = CaptureWriter(CONFIG, "ep", "main", put)
    writer.add(request(body=bytes(60), response=b""))
    threading.Thread(target=writer.flush, args=(60,), daemon=True).start()
    assert again.wait(60)
    # WHEN nothing is queued any more THEN there is space for what the queue takes, and for no more
    writer.add(request(body=bytes(101), response=b""))
    assert writer.lost == 1
    writer.add(request(body=bytes(100), response=b""))
    assert writer.lost == 1
    go_on.set()
    writer.close()
    assert (writer.written, writer.lost) == (2, 1)
