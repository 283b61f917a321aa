"""Scheduled function: starts the workflow again for uploads that wait, once the endpoint is healthy.

Retryable failures are found by listing ``failed/`` alone, every five minutes. All uploads are compared with their results at least every
hour, or in a tenth of the time where that takes longer than six minutes. Reading failures and comparing uploads each continue in the next
invocation where one cannot finish. What is found becomes a run of the backlog (`dropsort.contract.backlog`); while one is in progress none
is started.

Before a run a few of its uploads are classified by the functions themselves: if that fails, the endpoint is unhealthy, and all wait.
What is stored between invocations is in ``backlog/state.json``; without it everything is compared from the beginning.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dropsort.contract import backlog, ignored_paths, keys, metrics, reconciliation, reviews, s3_documents
from dropsort.contract.defaults import CLOCK_DIFFERENCE, LONGEST_EXECUTION
from handlers import aws, telemetry

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

STATE = f"{backlog.PREFIX}state.json"
MOST_UPLOADS = 200_000  # of a run: what is left is found again after it
RESERVE_SECONDS = 20.0  # of an invocation: for probe, list and start
MIN_AGE = LONGEST_EXECUTION
INTERVAL = timedelta(hours=1)
SHARE = 10  # a comparison takes at most one tenth of the time
PROBES, CANDIDATES = 3, 50  # uploads that are classified to try the endpoint, out of so many
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
class Reconciliation:
    """One comparison of all uploads with their results, in progress or ended; times are ISO 8601 in UTC."""

    began: str
    marker: str = ""
    seconds: float = 0.0  # of work
    uploads: int = 0
    without_result: int = 0
    oldest: str = ""  # key of the oldest upload without a result
    oldest_uploaded: str = ""
    unreviewed: int = 0
    oldest_unreviewed: str = ""  # when the oldest result was written that waits for a review
    reviewed: int = 0  # since the comparison before
    overturned: int = 0
    ended: str = ""

    def add(self, checked: reconciliation.CheckedUpload, latest: datetime, now: datetime) -> bool:
        """Count an upload; whether it is unfinished, was uploaded before `latest`, and does not wait for its next try."""
        self.uploads += 1
        self._add_review(checked)
        upload = checked.upload
        if checked.why is None or upload.written > latest:
            return False
        if checked.why == reconciliation.NO_RESULT:
            self.without_result += 1
            uploaded = upload.written.isoformat()
            if not self.oldest or (uploaded, upload.key) < (self.oldest_uploaded, self.oldest):
                self.oldest, self.oldest_uploaded = upload.key, uploaded
        return checked.next_try is None or checked.next_try <= now

    def _add_review(self, checked: reconciliation.CheckedUpload) -> None:
        if checked.unreviewed is not None:
            self.unreviewed += 1
            written = checked.unreviewed.isoformat()
            self.oldest_unreviewed = min(self.oldest_unreviewed or written, written)
        if checked.review is not None:
            self.reviewed += 1
            self.overturned += reviews.overturns(checked.review)

    def values(self) -> dict[str, float]:
        """Metrics of a comparison that has ended, as they were when it began."""
        return {
            metrics.UPLOADS_WITHOUT_RESULT: self.without_result,
            metrics.OLDEST_UPLOAD_AGE: self._age(self.oldest_uploaded),
            metrics.UNREVIEWED: self.unreviewed,
            metrics.OLDEST_UNREVIEWED_AGE: self._age(self.oldest_unreviewed),
        }

    def counts(self) -> dict[str, float]:
        """Metrics that add up from comparison to comparison: they are emitted once, when it ends."""
        return {metrics.REVIEWED: self.reviewed, metrics.OVERTURNED: self.overturned}

    def _age(self, moment: str) -> float:
        """Seconds from a moment to the beginning; 0 without one, or if it came later."""
        if not moment:
            return 0.0
        return max(0.0, (datetime.fromisoformat(self.began) - datetime.fromisoformat(moment)).total_seconds())


@dataclass
class FailureScan:
    """One pass over ``failed/`` that an invocation could not finish; times are ISO 8601 in UTC."""

    marker: str  # key of the last result that was read
    since: str  # from when on results have to be read after it


@dataclass
class BacklogState:
    """What is stored between invocations."""

    retryable_since: str = ""  # results below failed/ written before need not be read again
    reading: FailureScan | None = None  # in progress
    comparison: Reconciliation | None = None  # in progress
    last: Reconciliation | None = None  # the last one that ended

    @classmethod
    def load(cls, s3: S3Client, bucket: str) -> tuple[BacklogState, str | None]:
        """The state and its ETag; a new one where there is none or it is damaged."""
        body, etag = s3_documents.read(s3, bucket, STATE)
        try:
            document = json.loads(body)
            parts = {
                name: Reconciliation(**document[name]) if document[name] else None
                for name in ("comparison", "last")
            }
            for part in filter(None, parts.values()):
                datetime.fromisoformat(part.began)
            reading = FailureScan(**document["reading"]) if document.get("reading") else None
            if reading:
                datetime.fromisoformat(reading.since)
            state = cls(str(document["retryable_since"]), reading, **parts)
            state.since()
        except (ValueError, TypeError, KeyError, RecursionError):
            return cls(), etag
        return state, etag

    def save(self, s3: S3Client, bucket: str, etag: str | None) -> None:
        """Save it, unless another invocation has in the meantime: then the other's state remains."""
        s3_documents.replace(s3, bucket, STATE, asdict(self), etag)

    def since(self) -> datetime:
        """From when on results below ``failed/`` are read."""
        return datetime.fromisoformat(self.retryable_since) if self.retryable_since else _EPOCH

    def due(self, now: datetime, interval: timedelta) -> bool:
        """Whether a comparison is in progress or to begin."""
        return self.comparison is not None or now >= self._next(interval)

    def late(self, now: datetime) -> bool:
        """Whether a comparison should have ended by now: a whole interval after it was to begin."""
        if self.last is None:
            began = datetime.fromisoformat(self.comparison.began) if self.comparison else now
            return now - began > 3 * INTERVAL
        begin = self._next(INTERVAL)
        return now > begin + (begin - datetime.fromisoformat(self.last.began))

    def reviewed(self, began: str) -> reconciliation.Period:
        """The period whose reviews a comparison that began then counts: from where the one before it stopped, by S3's clock.

        It ends some time before the beginning, so that nothing is written in it after it was listed.
        """
        end = datetime.fromisoformat(began) - CLOCK_DIFFERENCE
        begin = datetime.fromisoformat(self.last.began) - CLOCK_DIFFERENCE if self.last else end - INTERVAL
        return begin, end

    def _next(self, interval: timedelta) -> datetime:
        if self.last is None:
            return _EPOCH
        rest = max(interval, timedelta(seconds=SHARE * self.last.seconds))
        return datetime.fromisoformat(self.last.began) + rest


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
            answer = functions.invoke(FunctionName=name, Payload=json.dumps(state).encode())
        except ClientError as error:
            telemetry.note(probe=error.response["Error"]["Code"])
            return False
        body = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
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
    tick = BacklogInvocation(
        BacklogSettings.of(os.environ),
        aws.lister(),
        aws.stepfunctions(),
        aws.functions(),
        datetime.now(UTC),
        timedelta(seconds=event.get("min_age_seconds", MIN_AGE.total_seconds())),
        timedelta(seconds=event.get("interval_seconds", INTERVAL.total_seconds())),
        time.monotonic() + max(0.0, remaining - RESERVE_SECONDS),
    )
    state = tick.run()
    last = state.last
    telemetry.emit(
        **{
            metrics.REDRIVEN: tick.started,
            metrics.ENDPOINT_UNHEALTHY: int(tick.unhealthy),
            metrics.RECONCILIATION_LATE: int(state.late(tick.now)),
            **(last.values() if last else {}),
            **(tick.ended.counts() if tick.ended else {}),
        }
    )
    return {
        "started": tick.started,
        "endpoint_unhealthy": tick.unhealthy,
        "compared": last.uploads if last else None,
        "without_result": last.without_result if last else None,
        "oldest": last.oldest if last else None,
    }
