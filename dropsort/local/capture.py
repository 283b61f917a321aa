"""Data capture of the embedded endpoint: files in SageMaker's layout and schema, written in the background.

A request only puts its record into a bounded queue; a thread makes lines of them and writes a file for every few
records, or after a few seconds. What the bucket does not take is tried again; at the end everything is written. Only
when the bucket stays away, until the queue is full or the end is over, are records lost, and then they are counted.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dropsort.local.endpoint_config import DataCaptureConfig

FILE_RECORDS = 16
FILE_BYTES = 4_000_000
FILE_SECONDS = 3.0
QUEUE_BYTES = 64_000_000
FINAL_SECONDS = 10.0

PutObject = Callable[[str, bytes], object]
"""Writes an object: key and content."""


@dataclass(frozen=True, slots=True)
class CapturedRequest:
    """One request with its response.

    Parameters
    ----------
    when
        Seconds since 1970.
    """

    when: float
    body: bytes
    content_type: str
    response: bytes
    response_type: str
    inference_id: str = ""
    custom_attributes: str = ""


class CaptureWriter:
    """Writes capture files.

    Parameters
    ----------
    config
        What is captured, and where to.
    endpoint, variant
        Names in the keys.
    put
        Writes one object; may raise anything when it fails.
    """

    def __init__(self, config: DataCaptureConfig, endpoint: str, variant: str, put: PutObject) -> None:
        self._config, self._folder, self._put = (
            config,
            f"{config.prefix}/{endpoint}/{variant}".lstrip("/"),
            put,
        )
        self._queue: deque[CapturedRequest] = deque()
        self._queued = 0  # bytes
        self._changed = threading.Condition()
        self._hurry = self._ending = self._busy = False
        self.written = self.lost = 0
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    def add(self, request: CapturedRequest) -> None:
        """Take a request; cheap, never waits."""
        size = len(request.body) + len(request.response)
        with self._changed:
            if self._queued + size > QUEUE_BYTES or self._ending:
                self.lost += 1
                return
            self._queue.append(request)
            self._queued += size
            if len(self._queue) in (1, FILE_RECORDS) or self._queued >= FILE_BYTES:
                self._changed.notify_all()

    def flush(self, seconds: float = FINAL_SECONDS) -> bool:
        """Write what there is now; return whether it was written within `seconds`."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._queue and not self._busy, seconds)
            self._hurry = False
            return done

    def close(self, seconds: float = FINAL_SECONDS) -> None:
        """Write the rest and end; what cannot be written within `seconds` is counted as lost."""
        self.flush(seconds)
        with self._changed:
            self._ending = True
            self.lost += len(self._queue)
            self._changed.notify_all()
        self._thread.join(1)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._ending)
                if not self._ending:
                    self._changed.wait_for(self._due, FILE_SECONDS)
                if self._ending:
                    return
                batch = self._batch()
                self._busy = True
            written = self._write(batch)
            with self._changed:
                self._busy = False
                if written:
                    self.written += len(batch)
                elif self._ending:
                    self.lost += len(batch)
                else:
                    self._queue.extendleft(reversed(batch))
                    self._queued += sum(len(item.body) + len(item.response) for item in batch)
                self._changed.notify_all()
                if not written:
                    self._changed.wait_for(lambda: self._ending, 0.5)

    def _due(self) -> bool:
        return len(self._queue) >= FILE_RECORDS or self._queued >= FILE_BYTES or self._hurry or self._ending

    def _batch(self) -> list[CapturedRequest]:
        """Records of one file: of one hour, few and small."""
        batch: list[CapturedRequest] = []
        size = 0
        while self._queue and len(batch) < FILE_RECORDS and size < FILE_BYTES:
            if batch and int(self._queue[0].when // 3600) != int(batch[0].when // 3600):
                break
            batch.append(self._queue.popleft())
            size += len(batch[-1].body) + len(batch[-1].response)
        self._queued -= size
        return batch

    def _write(self, batch: list[CapturedRequest]) -> bool:
        try:
            lines = [json.dumps(record(self._config, request), separators=(",", ":")) for request in batch]
            self._put(key(self._folder, batch[0].when), ("\n".join(lines) + "\n").encode())
        except Exception as error:
            self.trouble = f"Captures could not be written: {error}"
            return False
        return True


def key(folder: str, when: float) -> str:
    """Key of a file whose first record is of `when`, seconds since 1970."""
    moment = datetime.fromtimestamp(when, UTC)
    return f"{folder}/{moment:%Y/%m/%d/%H/%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"


def record(config: DataCaptureConfig, request: CapturedRequest) -> dict[str, Any]:
    """The line of one request, before it is JSON."""
    sides: dict[str, Any] = {}
    if config.inputs:
        sides["endpointInput"] = _side(config, request.content_type, "INPUT", request.body)
    if config.outputs:
        sides["endpointOutput"] = _side(config, request.response_type, "OUTPUT", request.response)
    event = {"eventId": str(uuid.uuid4())}
    if request.custom_attributes:
        event["customAttributes"] = [request.custom_attributes]  # type: ignore[assignment]
    if request.inference_id:
        event["inferenceId"] = request.inference_id
    event["inferenceTime"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(request.when))
    return {"captureData": sides, "eventMetadata": event, "eventVersion": "0"}


def _side(config: DataCaptureConfig, content_type: str, mode: str, data: bytes) -> dict[str, str]:
    kind = content_type.partition(";")[0].strip().lower()
    encoding, text = "BASE64", base64.b64encode(data).decode()
    for name, types in (("JSON", config.json_types), ("CSV", config.csv_types)):
        if kind in types:
            try:
                encoding, text = name, data.decode()
            except UnicodeDecodeError:
                break
    return {
        "observedContentType": content_type,
        "mode": mode,
        "data": text,
        "encoding": encoding,
    }
