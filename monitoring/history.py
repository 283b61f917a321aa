"""What the monitoring function stores in the bucket between runs, besides the aggregates.

=====================  ===============================================================
``reference.json``     what drift is compared with: put there, or made of the first captures
``traffic.json``       captures by hour of the last weeks, for silence
``latest.json``        the response of the latest run, with the time until which everything was read
``audit.json``         what the last audit found of the target precision: stored by `dropsort audit --store`
=====================  ===============================================================
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dropsort.contract import reference as reference_file
from dropsort.contract.metrics import AUDITED_PRECISION, PRECISION_BELOW_TARGET
from monitoring.aggregates.cells import Aggregate
from monitoring.aggregates.models import ModelPeriod, models, of_model
from monitoring.drift.reference import Reference, parse_reference
from monitoring.drift.windows import DAY, HOUR, first_reference, hour_of, hourly, moment_of
from monitoring.errors import MonitoringError
from monitoring.incremental.run import load
from monitoring.incremental.summary import RunSummary
from monitoring.storage.documents import JsonDocuments

AUDIT = "audit.json"
TRAFFIC = timedelta(days=30)  # how far back traffic is stored

# By the verdict of an audit, the value of the metric that an alarm watches.
_MISSED: dict[str, int] = {"met": 0, "undecided": 0, "missed": 1}


class History:
    """The documents of one service.

    Parameters
    ----------
    documents
        The bucket's documents.
    state
        Address of the aggregates' state.
    """

    def __init__(self, documents: JsonDocuments, state: str) -> None:
        self._documents, self._state = documents, state

    def read_until(self) -> datetime | None:
        """The time until which all captures were read, as a run that was out of time leaves older ones; None: unknown."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return datetime.fromisoformat(self._latest["read"]).astimezone(UTC)
        return None

    @functools.cached_property
    def _latest(self) -> dict[str, Any]:
        """The response of the run before; empty without one, or if it is damaged."""
        with contextlib.suppress(MonitoringError, TypeError, ValueError):
            return dict(self._documents.get("latest.json") or {})
        return {}

    def audit(self) -> dict[str, float]:
        """The metrics of the last stored audit; none without one, or with one that is damaged or of an older version."""
        with contextlib.suppress(MonitoringError, KeyError, TypeError, ValueError):
            found = self._documents.get(AUDIT)
            missed = _MISSED[found["verdict"]]
            return {AUDITED_PRECISION: float(found["precision"]), PRECISION_BELOW_TARGET: missed}
        return {}

    def store_latest(self, response: Mapping[str, object]) -> None:
        """Store the response of this run."""
        self._documents.put("latest.json", response)

    def traffic(self, summary: RunSummary, now: datetime, days: float | None) -> dict[datetime, int]:
        """Captures by hour of the last weeks: as stored, updated for the hours that late files may have changed.

        Parameters
        ----------
        days
            How far back this run listed captures; None: all of them.
        """
        counts: dict[datetime, int] = {}
        # A damaged document is made again.
        with contextlib.suppress(MonitoringError, AttributeError, TypeError, ValueError):
            stored = self._documents.get("traffic.json")
            counts = {moment_of(hour): int(count) for hour, count in stored.items()}
        if summary.hours:
            recent = now - TRAFFIC if days is None or not counts else now - timedelta(days=days + 1)
            counts.update(hourly(load(self._state, start=hour_of(recent), end=hour_of(now + HOUR))))
        counts = {hour: count for hour, count in sorted(counts.items()) if hour >= now - TRAFFIC - DAY}
        self._documents.put("traffic.json", {hour_of(hour): count for hour, count in counts.items()})
        return counts

    def model(self, day: Aggregate, summary: RunSummary) -> ModelPeriod | None:
        """The current model, and since which hour; None before any prediction.

        Parameters
        ----------
        day
            Captures of the last 24 hours.
        """
        latest = self._latest
        known, since = latest.get("model"), latest.get("model_since")
        before = None if known is None else ModelPeriod(str(known), str(since or ""), "", 0)
        found = models(day)
        if not found:
            return before
        if before is not None and before.model == found[-1].model:
            return before
        # As long as nothing else is known, all captures may be of this model; an earlier version of this function named none.
        unknown = not latest or ("model" in latest and known is None)
        first = summary.hours[0] if summary.hours and unknown else found[-1].first
        return found[-1]._replace(first=first)

    def reference(self, summary: RunSummary, model: ModelPeriod | None) -> Reference | None:
        """The stored reference; without one it is made of the model's first captures once they are enough, and stored.

        One that was made of another model's captures is replaced. One that somebody put there stays, and is not compared with
        another model if it names its own.

        Raises
        ------
        MonitoringError
            The stored document is not a reference.
        """
        stored = self._documents.get(reference_file.FILE)
        if stored is not None:
            try:
                found = parse_reference(stored, self._documents.address(reference_file.FILE))
            except MonitoringError as error:
                raise MonitoringError(f"{error} Or delete or replace it.") from None
            if found.of(model.model if model else None):
                return found
            if not found.until:
                return None
        if model is None or not model.first or not summary.complete:
            return None
        begin = moment_of(model.first)
        first = load(self._state, start=model.first, end=hour_of(begin + 14 * DAY))
        made = first_reference(of_model(first, model.model))
        if made is None:
            return None
        self._documents.put(
            reference_file.FILE, {**made.sample.to_json(), "until": made.until, "model": model.model}
        )
        return made
