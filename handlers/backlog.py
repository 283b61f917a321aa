"""Scheduled function: starts the workflow again for uploads that wait, once the endpoint is healthy.

Retryable failures are found by listing ``failed/`` alone, every five minutes. All uploads are compared with their results at least every
hour, or in a tenth of the time where that takes longer than six minutes. Reading failures and comparing uploads each continue in the next
invocation where one cannot finish. What is found becomes a run of the backlog (`dropsort.contract.backlog`); while one is in progress none
is started.

Before a run a few of its uploads are classified by the functions themselves: if that fails, the endpoint is unhealthy, and all wait.
What is stored between invocations is in `handlers.backlog_state`; without it everything is compared from the beginning.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dropsort.contract import backlog, ignored_paths, keys, metrics, reconciliation
from dropsort.contract.defaults import CLOCK_DIFFERENCE, LONGEST_EXECUTION
from handlers import aws, telemetry
from handlers.backlog_state import INTERVAL, BacklogState, FailureScan, Reconciliation

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

MOST_UPLOADS = 200_000  # of a run: what is left is found again after it
RESERVE_SECONDS = 20.0  # of an invocation: for probe, list and start
MIN_AGE = LONGEST_EXECUTION
PROBES, CANDIDATES = 3, 50  # uploads that are classified to try the endpoint, out of so many


@dataclass(frozen=True)
class BacklogSettings:
    """What the template passes, from environment variables of the same names in upper case."""

    bucket_name: str
    backlog_state_machine: str
    backlog_concurrency: int
    serialize_function: str
    classify_function: str
    ignored_patterns: str = ignored_paths.DEFAULT

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> BacklogSettings:
        """Read the environment.

        Raises
        ------
        KeyError
            A variable is missing.
        """
        values: dict[str, Any] = {item.name: environment[item.name.upper()] for item in fields(cls)}
        return cls(**values | {"backlog_concurrency": int(values["backlog_concurrency"])})


@dataclass
class BacklogInvocation:
    """One invocation.

    Parameters
    ----------
    min_age, interval
        Age below which an upload without a result is not started again, and time from comparison to comparison.
    deadline
        When to stop comparing, in seconds of `time.monotonic`.
    """

    settings: BacklogSettings
    s3: S3Client
    states: SFNClient
    functions: LambdaClient
    now: datetime
    min_age: timedelta
    interval: timedelta
    deadline: float
    started: int = 0
    unhealthy: bool = False
    ended: Reconciliation | None = None  # the comparison that this invocation ended
    _keys: set[str] = field(default_factory=set)
    _is_healthy: bool | None = None

    def __post_init__(self) -> None:
        self._ignored = ignored_paths.parse(self.settings.ignored_patterns)

    def run(self) -> BacklogState:
        """Find what waits, start a run if the endpoint is healthy, and go on with the comparison."""
        bucket = self.settings.bucket_name
        state, etag = BacklogState.load(self.s3, bucket)
        busy = backlog.current(self.s3, self.states, bucket) is not None
        with backlog.UploadList() as uploads:
            read = None if busy else self._collect(uploads, state)
            if state.due(self.now, self.interval):
                self._compare(state, uploads, keep=not busy)
            if uploads.count and self._healthy():
                self._start(uploads)
        if read is not None and not self.unhealthy:
            if read.marker:
                state.reading = read
            else:
                state.reading, state.retryable_since = None, read.since
        state.save(self.s3, bucket, etag)
        return state

    def _collect(self, uploads: backlog.UploadList, state: BacklogState) -> FailureScan | None:
        """Add the failures whose time has come; how far they were read, without a marker if all were.

        If the endpoint is unhealthy, that is known after the first few: the others are not read, and it is None.
        """
        reading = state.reading or FailureScan("", (self.now - CLOCK_DIFFERENCE).isoformat())
        since, until = datetime.fromisoformat(reading.since), self.now + CLOCK_DIFFERENCE
        deadline = (time.monotonic() + self.deadline) / 2
        for failure in reconciliation.failures(
            self.s3, self.settings.bucket_name, state.since(), until, after=reading.marker
        ):
            upload, at = failure.upload, failure.next_try
            if upload is not None and at is not None and not self._ignored(keys.path_of(upload)):
                if at > self.now or uploads.count >= MOST_UPLOADS:
                    since = min(since, failure.written - CLOCK_DIFFERENCE)  # to be found again
                else:
                    self._add(uploads, upload)
                    if uploads.count == CANDIDATES and not self._healthy():
                        return None
            if time.monotonic() > deadline:
                return FailureScan(failure.location, since.isoformat())
        return FailureScan("", max(since, state.since()).isoformat())

    def _compare(self, state: BacklogState, uploads: backlog.UploadList, keep: bool) -> None:
        """Go on with the comparison until the deadline or its end; uploads to start again are added to the list if `keep`."""
        current = state.comparison or Reconciliation(self.now.isoformat())
        begun, latest = time.monotonic(), self.now - self.min_age
        for checked in reconciliation.check(
            self.s3,
            self.settings.bucket_name,
            after=current.marker,
            ignored=self._ignored,
            reviewed=state.reviewed(current.began),
        ):
            if current.add(checked, latest, self.now) and keep and uploads.count < MOST_UPLOADS:
                self._add(uploads, checked.upload.key)
            if checked.marker:
                current.marker = checked.marker
                if time.monotonic() > self.deadline:
                    break
        else:
            current.ended = datetime.now(UTC).isoformat()
            self.ended = current
        current.seconds += time.monotonic() - begun
        state.comparison, state.last = (None, current) if current.ended else (current, state.last)

    def _add(self, uploads: backlog.UploadList, key: str) -> None:
        if key not in self._keys:
            self._keys.add(key)
            uploads.add(self.settings.bucket_name, key)

    def _healthy(self) -> bool:
        """Whether the endpoint is healthy: of a few random uploads found so far, one is classified, or none needs the endpoint."""
        if self._is_healthy is None:
            chosen = random.sample(sorted(self._keys), min(PROBES, len(self._keys)))
            found = [healthy(self.functions, self.settings, key) for key in chosen]
            self._is_healthy = True in found or False not in found
            self.unhealthy = not self._is_healthy
        return self._is_healthy

    def _start(self, uploads: backlog.UploadList) -> None:
        try:
            run = backlog.start(
                self.s3,
                self.states,
                self.settings.bucket_name,
                self.settings.backlog_state_machine,
                uploads,
                concurrency=self.settings.backlog_concurrency,
            )
        except backlog.InProgress:  # another process was faster
            return
        self.started = run.uploads


def healthy(functions: LambdaClient, settings: BacklogSettings, key: str) -> bool | None:
    """Whether the endpoint classifies an upload; None if the upload is rejected before it reaches the endpoint.

    The functions of the workflow are invoked, so that it is their roles, limits and settings that are tried. A throttle counts as
    unhealthy: what waits would only wait elsewhere.
    """
    state: Any = {"s3_bucket": settings.bucket_name, "s3_key": key}
    for name in (settings.serialize_function, settings.classify_function):
        try:
            response = functions.invoke(FunctionName=name, Payload=json.dumps(state).encode())
        except ClientError as error:
            telemetry.note(probe=error.response["Error"]["Code"])
            return False
        body = json.loads(response["Payload"].read() or b"null")
        if response.get("FunctionError"):
            telemetry.note(probe=str((body or {}).get("errorType")))
            return False
        if name == settings.serialize_function and "image_data" not in body:
            return None
        state = body
    return True


@telemetry.observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Run once; ``min_age_seconds`` and ``interval_seconds`` of the event replace the defaults."""
    remaining = context.get_remaining_time_in_millis() / 1000
    invocation = BacklogInvocation(
        BacklogSettings.of(os.environ),
        aws.lister(),
        aws.stepfunctions(),
        aws.functions(),
        datetime.now(UTC),
        timedelta(seconds=event.get("min_age_seconds", MIN_AGE.total_seconds())),
        timedelta(seconds=event.get("interval_seconds", INTERVAL.total_seconds())),
        time.monotonic() + remaining - RESERVE_SECONDS,
    )
    state = invocation.run()
    last = state.last
    telemetry.emit(
        **{
            metrics.REDRIVEN: invocation.started,
            metrics.ENDPOINT_UNHEALTHY: int(invocation.unhealthy),
            metrics.RECONCILIATION_LATE: int(state.late(invocation.now)),
            **(last.values() if last else {}),
            **(invocation.ended.counts() if invocation.ended else {}),
        }
    )
    return {
        "started": invocation.started,
        "endpoint_unhealthy": invocation.unhealthy,
        "compared": last.uploads if last else None,
        "without_result": last.without_result if last else None,
        "oldest": last.oldest if last else None,
    }
