"""Metrics that functions print reach the embedded CloudWatch, as they do on AWS: log groups are tailed and read.

Each pass reads the events of every log group since the last one, with some overlap because events of parallel
invocations appear out of order; what the overlap brings twice is known by stream, time and text. What has been
forwarded is stored in a file, so that a restart continues where the previous run stopped; between the request to CloudWatch
and that file lies the only moment in which a kill makes a few metrics count twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from dropsort.local import emf_parser

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilteredLogEventTypeDef

PREFIX = "/aws/lambda/"
OVERLAP_MS = 2000
INTERVAL_SECONDS = 2.0
LONGEST_SECONDS = 10.0
PAGE = 10_000

OnEvent = Callable[[str, int, str], None]
"""Gets an event of a log: group, milliseconds since 1970, message."""


class NextToken(TypedDict, total=False):
    """The argument with which a listing continues; empty at its beginning."""

    nextToken: str


@dataclass
class ReadPosition:
    """How far one log group has been read: newest time, and the events known within the overlap before it."""

    newest: int = 0
    known: dict[str, tuple[int, int]] = field(default_factory=dict)  # identity: time and how many of it

    def unknown(
        self, events: Iterable[FilteredLogEventTypeDef], seen: Counter[str]
    ) -> list[FilteredLogEventTypeDef]:
        """Those of `events` that are new; equal lines of one stream and time are distinguished by counting."""
        fresh = []
        for event in events:
            identity = _identity(event)
            seen[identity] += 1
            if seen[identity] > self.known.get(identity, (0, 0))[1]:
                fresh.append(event)
        return fresh

    def remember(self, events: Iterable[FilteredLogEventTypeDef]) -> None:
        """Note that `events` have been forwarded, and forget what no later pass will see again."""
        for event in events:
            identity = _identity(event)
            self.known[identity] = (event["timestamp"], self.known.get(identity, (0, 0))[1] + 1)
            self.newest = max(self.newest, event["timestamp"])
        oldest = self.newest - OVERLAP_MS
        self.known = {key: value for key, value in self.known.items() if value[0] >= oldest}


class MetricsBridge:
    """Forwards metrics from log groups to CloudWatch until it is stopped.

    Parameters
    ----------
    logs, cloudwatch
        Clients.
    checkpoint
        File in which is stored what has been forwarded; None stores nothing.
    prefix
        Log groups to read.
    on_event
        Called with every new event: log group, milliseconds since 1970, message.
    """

    def __init__(
        self,
        logs: CloudWatchLogsClient,
        cloudwatch: CloudWatchClient,
        checkpoint: Path | None = None,
        prefix: str = PREFIX,
        on_event: OnEvent = lambda *_: None,
    ) -> None:
        self._logs, self._cloudwatch, self._prefix = logs, cloudwatch, prefix
        self._checkpoint, self._on_event = checkpoint, on_event
        self._marks = _read(checkpoint)
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        self.trouble = ""

    def start(self) -> None:
        """Forward every few seconds, in a thread; rarer where a pass takes long, so that it costs little."""
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def stop(self, *, forward: bool = True) -> None:
        """Forward what is left, and end; not `forward`: end."""
        self._stop.set()
        if self._thread and forward:
            self._thread.join()
            self._thread = None
            self._try()

    def forward(self) -> int:
        """Make one pass; return the number of data forwarded."""
        with self._turn:
            count = 0
            for group in self._groups():
                mark = self._marks.setdefault(group, ReadPosition())
                for events in self._fresh(group, mark):
                    data = [
                        datum
                        for event in events
                        for datum in emf_parser.parse(event["message"], event["timestamp"])
                    ]
                    for request in emf_parser.requests(data):
                        self._cloudwatch.put_metric_data(**request)
                    count += len(data)
                    for event in events:
                        self._on_event(group, event["timestamp"], event["message"])
                    mark.remember(events)
                    self._write()
            return count

    def _run(self) -> None:
        pause = INTERVAL_SECONDS
        while not self._stop.wait(pause):
            started = time.monotonic()
            self._try()
            pause = min(max(INTERVAL_SECONDS, 20 * (time.monotonic() - started)), LONGEST_SECONDS)

    def _try(self) -> None:
        try:
            self.forward()
            self.trouble = ""
        except Exception as error:  # the next pass tries again: only what was forwarded is remembered
            self.trouble = f"Metrics could not be forwarded: {error}"

    def _groups(self) -> list[str]:
        pages = self._logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=self._prefix)
        return [group["logGroupName"] for page in pages for group in page["logGroups"]]

    def _fresh(self, group: str, mark: ReadPosition) -> Iterator[list[FilteredLogEventTypeDef]]:
        """Pages of events that were not forwarded yet."""
        token: NextToken = {}
        start = max(0, mark.newest - OVERLAP_MS)
        seen: Counter[str] = Counter()
        while True:
            try:
                page = self._logs.filter_log_events(logGroupName=group, startTime=start, limit=PAGE, **token)
            except self._logs.exceptions.ResourceNotFoundException:  # deleted meanwhile
                return
            events = page["events"]
            fresh = mark.unknown(events, seen)
            if fresh:
                yield fresh
            if page.get("nextToken"):
                token = {"nextToken": page["nextToken"]}
            elif len(events) >= PAGE and events[-1]["timestamp"] > start:
                start = events[-1]["timestamp"]  # a full page without a token, as the embedded AWS returns it
                seen.clear()
            else:
                return

    def _write(self) -> None:
        if self._checkpoint is None:
            return
        state = {group: [mark.newest, mark.known] for group, mark in self._marks.items()}
        temporary = self._checkpoint.with_suffix(".tmp")
        temporary.write_text(json.dumps(state), encoding="utf-8")
        os.replace(temporary, self._checkpoint)


def _read(checkpoint: Path | None) -> dict[str, ReadPosition]:
    try:
        state = json.loads(checkpoint.read_text(encoding="utf-8")) if checkpoint else {}
        return {
            group: ReadPosition(
                int(newest), {str(key): (int(when), int(count)) for key, (when, count) in known.items()}
            )
            for group, (newest, known) in state.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):  # none yet, or damaged: begin again
        return {}


def _identity(event: FilteredLogEventTypeDef) -> str:
    name = event.get("eventId") or f"{event['logStreamName']}\n{event['timestamp']}\n{event['message']}"
    return hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
