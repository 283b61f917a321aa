"""What the backlog function stores between its invocations: how far it has read failures, and the comparisons of uploads and results.

It is in ``backlog/state.json`` of the bucket.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dropsort.contract import backlog, metrics, reconciliation, reviews, s3_documents
from dropsort.contract.defaults import CLOCK_DIFFERENCE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

STATE = f"{backlog.PREFIX}state.json"
INTERVAL = timedelta(hours=1)
SHARE = 10  # a comparison takes at most one tenth of the time
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
