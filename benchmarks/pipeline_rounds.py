"""Closed-loop rounds of ``benchmarks.pipeline``: some clients, each of which submits its next image when the one before is done.

When an image is done is the moment that the embedded AWS wrote down as the end of its execution: both arms are observed by the same calls
at the same rate, and neither the rate nor the calls enter a latency. Latency counts from before the upload's first byte.
"""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks import processes
from benchmarks.pipeline_arms import Arm
from dropsort.local.service import LocalService

PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.03
_NEWEST = 24  # executions that a check lists: more than end between two


@dataclass(frozen=True)
class Done:
    """One image's execution that ended."""

    index: int
    latency_seconds: float
    status: str
    output: Any
    error: str


@dataclass
class Round:
    """What a round, or several, came to."""

    images: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # embedded AWS with its functions' processes, and the endpoint
    endpoint_cpu_seconds: float = 0.0
    done: list[Done] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)

    def __iadd__(self, other: Round) -> Round:
        self.images += other.images
        self.seconds += other.seconds
        self.cpu_seconds += other.cpu_seconds
        self.endpoint_cpu_seconds += other.endpoint_cpu_seconds
        self.done += other.done
        self.names |= other.names
        return self

    @property
    def rate(self) -> float:
        """Images per second."""
        return len(self.done) / self.seconds if self.seconds else 0.0

    def latency(self, share: float) -> float:
        """A quantile of the latency, in seconds (nearest rank)."""
        values = sorted(done.latency_seconds for done in self.done)
        return values[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan


def run(
    service: LocalService, arm: Arm, images: Sequence[tuple[int, bytes]], clients: int, tag: str
) -> Round:
    """Send `images`, pairs of number and content, through an arm.

    Parameters
    ----------
    tag
        Distinguishes the round's keys.
    """
    round_ = Round(images=len(images), names={index: f"{tag}/{index:05d}.png" for index, _ in images})
    todo: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
    for image in images:
        todo.put(image)
    watch = _Watch(service, arm)

    def upload() -> None:
        while True:
            try:
                index, content = todo.get_nowait()
            except queue.Empty:
                return
            name = round_.names[index]
            ended = watch.expect(name)
            begin = time.time()
            arm.submit(name, content)
            if ended.wait(PATIENCE_SECONDS):
                stop, status, output, error = watch.ended[name]
                round_.done.append(Done(index, stop - begin, status, output, error))

    before, before_endpoint = _cpu()
    begin = time.perf_counter()
    with watch, ThreadPoolExecutor(clients, "upload") as pool:
        for future in [pool.submit(upload) for _ in range(clients)]:
            future.result()
        round_.seconds = time.perf_counter() - begin
    after, after_endpoint = _cpu()
    round_.cpu_seconds, round_.endpoint_cpu_seconds = after - before, after_endpoint - before_endpoint
    return round_


class _Watch:
    """Sees executions end: a thread that lists the newest ones and reads each new one once."""

    def __init__(self, service: LocalService, arm: Arm) -> None:
        self._client, self._arm = service.session().client("stepfunctions"), arm
        self._events: dict[str, threading.Event] = {}
        self.ended: dict[str, tuple[float, str, Any, str]] = {}
        self._seen = {item["executionArn"] for item in self._list(1000)}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def expect(self, name: str) -> threading.Event:
        """What is set when the execution about this image has ended."""
        return self._events.setdefault(name, threading.Event())

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _list(self, count: int) -> list[dict[str, Any]]:
        found = self._client.list_executions(stateMachineArn=self._arm.machine, maxResults=count)
        return list(found["executions"])

    def _run(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            for item in self._list(_NEWEST):
                if item["status"] != "RUNNING" and item["executionArn"] not in self._seen:
                    self._seen.add(item["executionArn"])
                    self._read(item["executionArn"])

    def _read(self, arn: str) -> None:
        found = self._client.describe_execution(executionArn=arn)
        name = self._arm.key_of(json.loads(found["input"]))
        output = json.loads(found["output"]) if found.get("output") else None
        error = f"{found.get('error', '')} {found.get('cause', '')}".strip()
        self.ended[name] = (found["stopDate"].timestamp(), found["status"], output, error)
        self.expect(name).set()


def _cpu() -> tuple[float, float]:
    """Processor seconds so far of everything that the service started, and of its endpoint alone."""
    below = processes.descendants()
    endpoint = sum(process.cpu_seconds for process in below if "dropsort.local.serve" in process.command)
    return sum(process.cpu_seconds for process in below), endpoint
