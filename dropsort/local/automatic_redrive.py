"""Starts the workflow for unfinished uploads that nobody works on: what a kill cut short, what an execution lost.

On AWS the rule's retries and its dead-letter queue see to it that no event is lost. The embedded AWS has neither,
and forgets executions when it is killed. So all unfinished uploads are started once after a start, and later
those that are still unfinished while no execution runs and nothing has changed between two checks.

Retryable failures wait for an endpoint that works again: a few are tried first, and twice as many each time that most of them succeed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from dropsort.client import redrive

INTERVAL_SECONDS = 30.0
MIN_AGE_SECONDS = 30.0
TRIES = 3
FEWEST, MOST = 8, 512  # retryable failures that are started at a time
# An execution that runs for longer is not waited for: on AWS it would have ended by its time limit.
LONGEST_EXECUTION = timedelta(minutes=5)


class AutomaticRedrive:
    """Finds uploads without a result, and starts the workflow for them.

    Parameters
    ----------
    s3, stepfunctions
        Clients.
    bucket, state_machine
        The service.
    report
        Called with a sentence when something was picked up, or could not be.
    """

    def __init__(
        self, s3: Any, stepfunctions: Any, bucket: str, state_machine: str, report: Callable[[str], None]
    ) -> None:
        self._s3, self._stepfunctions, self._bucket, self._machine = s3, stepfunctions, bucket, state_machine
        self._report = report
        self._stop = threading.Event()
        self._before: set[str] = set()
        self._tries: dict[str, int] = {}
        self._batch = FEWEST
        self._retried: set[str] = set()  # the last batch of retryable failures
        self._failures: dict[str, int] = {}  # how often each was started

    def start(self, at_once: bool) -> None:
        """Look every now and then, in a thread; `at_once` starts with all that a former life left."""
        threading.Thread(target=self._run, args=(at_once,), name="pick-up", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()

    def look(self, everything: bool = False) -> int:
        """Start what has stalled, or `everything` without a result; return how many that was."""
        age = 0.0 if everything else MIN_AGE_SECONDS
        found = redrive.find(self._s3, self._bucket, min_age_seconds=age)
        missing = {upload.key: upload for upload in found if upload.why != redrive.RETRYABLE}
        unchanged = bool(self._before) and self._before <= missing.keys()
        stalled = everything or (unchanged and not self._running())
        self._before = set(missing)
        self._tries = {key: count for key, count in self._tries.items() if key in missing}
        chosen = []
        if stalled:
            chosen = [upload for key, upload in missing.items() if self._tries.get(key, 0) < TRIES]
            for upload in chosen:
                self._tries[upload.key] = self._tries.get(upload.key, 0) + 1
        failed = [upload for upload in found if upload.why == redrive.RETRYABLE]
        if failed and not chosen and not everything and not self._running():
            chosen = self._some(failed)
        return redrive.start(self._stepfunctions, self._machine, self._bucket, chosen) if chosen else 0

    def _some(self, failed: list[redrive.Unsorted]) -> list[redrive.Unsorted]:
        """Retryable failures to start now; those that were started least often first."""
        keys = {upload.key for upload in failed}
        if self._retried:
            well = len(self._retried & keys) * 2 <= len(self._retried)
            self._batch = min(MOST, self._batch * 2) if well else max(FEWEST, self._batch // 2)
        self._failures = {key: count for key, count in self._failures.items() if key in keys}
        chosen = sorted(failed, key=lambda upload: self._failures.get(upload.key, 0))[: self._batch]
        for upload in chosen:
            self._failures[upload.key] = self._failures.get(upload.key, 0) + 1
        self._retried = {upload.key for upload in chosen}
        return chosen

    def _running(self) -> bool:
        """Whether an execution runs that may still end by itself."""
        earliest = datetime.now(UTC) - LONGEST_EXECUTION
        listed = self._stepfunctions.list_executions(
            stateMachineArn=self._machine, statusFilter="RUNNING", maxResults=1000
        )
        return any(item["startDate"] > earliest for item in listed["executions"])

    def _run(self, at_once: bool) -> None:
        pause = 0.0 if at_once else INTERVAL_SECONDS
        while not self._stop.wait(pause):
            started = time.monotonic()
            try:
                count = self.look(everything=at_once)
                if count:
                    self._report(f"Picked up {count} upload{'s' if count > 1 else ''} without a result")
            except Exception as error:
                if not self._stop.is_set():
                    self._report(f"Uploads without a result could not be picked up: {error}")
            at_once = False
            pause = max(
                INTERVAL_SECONDS, 50 * (time.monotonic() - started)
            )  # a large bucket takes long to list
