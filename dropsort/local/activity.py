"""What the service does right now, from the log lines that are read for metrics anyway: no request and no listing of its own."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from dropsort.contract import keys, metrics
from dropsort.deployment import probe

_PROBES = keys.INCOMING + probe.FOLDER  # uploads of `dropsort deploy`, which are not images
_OUTCOMES = {metric: outcome for outcome, metric in metrics.OF_OUTCOME.items()}
_WITHOUT_RESULT = (metrics.SUPERSEDED, metrics.IGNORED)  # ends of an execution that record none
RECENT = 20


@dataclass(frozen=True)
class RecordedResult:
    """One result: the key of its upload, the outcome, and label and confidence or the reason's code."""

    key: str
    outcome: str
    label: str = ""
    confidence: float | None = None
    reason: str = ""
    retryable: bool = False


@dataclass(frozen=True)
class ExecutionCounts:
    """Executions since the start of the service; an upload that is classified again counts again."""

    serialized: int = 0
    classified: int = 0
    low_confidence: int = 0
    failed: int = 0
    without_result: int = 0
    retryable: int = 0  # failed so far, and are started again; they count as waiting

    @property
    def images(self) -> int:
        """Images that came in; one that was throttled before the first function is seen with its result only."""
        return max(self.serialized, self._done + self.retryable)

    @property
    def waiting(self) -> int:
        """Images without a result."""
        return self.images - self._done

    @property
    def _done(self) -> int:
        return self.classified + self.low_confidence + self.failed + self.without_result


class Activity:
    """Counts log lines of the functions; safe to read from another thread.

    Parameters
    ----------
    stack
        Name of the service's stack, with which its log groups begin.
    since
        Milliseconds since 1970: earlier lines are those of a previous run.
    """

    def __init__(self, stack: str, since: int) -> None:
        self._serialize, self._since = f"{stack}-serialize", since
        self._lock = threading.Lock()
        self._counts = ExecutionCounts()
        self._retryable: set[str] = set()  # keys of uploads that are started again
        self._recent: deque[RecordedResult] = deque(maxlen=RECENT)

    @property
    def counts(self) -> ExecutionCounts:
        """What was counted so far."""
        return self._counts

    def take_recent(self) -> list[RecordedResult]:
        """The latest results that were not taken yet, the oldest first."""
        with self._lock:
            found = list(self._recent)
            self._recent.clear()
        return found

    def add(self, group: str, timestamp: int, message: str) -> None:
        """Count one line of a log group."""
        if timestamp < self._since or not message.startswith("{"):
            return
        try:
            line = json.loads(message)
        except ValueError:
            return
        if not isinstance(line, dict) or str(line.get("s3_key")).startswith(_PROBES):
            return
        with self._lock:
            if (
                group.rpartition("/")[2] == self._serialize
                and "s3_key" in line
                and line["s3_key"] not in self._retryable
            ):
                self._counts = replace(self._counts, serialized=self._counts.serialized + 1)
            self._add(line)

    def _add(self, line: dict[str, Any]) -> None:
        outcome = next((name for metric, name in _OUTCOMES.items() if metric in line), None)
        if outcome is not None:
            key, retryable = str(line.get("s3_key")), bool(line.get(metrics.RETRYABLE_FAILED))
            if retryable:
                self._retryable.add(key)
            else:
                self._retryable.discard(key)
                field = outcome.replace("-", "_")
                self._counts = replace(self._counts, **{field: getattr(self._counts, field) + 1})
            self._counts = replace(self._counts, retryable=len(self._retryable))
            if "s3_key" in line:
                self._recent.append(
                    RecordedResult(
                        str(line["s3_key"]),
                        outcome,
                        str(line.get("label") or ""),
                        line.get(metrics.CONFIDENCE),
                        str(line.get("reason") or ""),
                        retryable,
                    )
                )
        elif any(metric in line for metric in _WITHOUT_RESULT):
            self._counts = replace(self._counts, without_result=self._counts.without_result + 1)
