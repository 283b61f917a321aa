"""What the monitoring function stores in the bucket between runs, besides the aggregates.

=====================  ===============================================================
``reference.json``     what drift is compared with: put there, or made of the first captures
``traffic.json``       captures by hour of the last weeks, for silence
``latest.json``        the response of the latest run, with the time until which everything was read
=====================  ===============================================================
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from dropsort.contract import reference as reference_file
from monitoring.drift.reference import Reference, parse_reference
from monitoring.drift.windows import DAY, HOUR, first_reference, hour_of, hourly, moment_of
from monitoring.errors import MonitoringError
from monitoring.incremental.run import load
from monitoring.incremental.summary import Summary
from monitoring.storage.documents import JsonDocuments

TRAFFIC = timedelta(days=30)  # how far back traffic is stored


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
        with contextlib.suppress(MonitoringError, KeyError, TypeError, ValueError):
            return datetime.fromisoformat(self._documents.get("latest.json")["read"]).astimezone(UTC)
        return None

    def store_latest(self, response: Mapping[str, object]) -> None:
        """Store the response of this run."""
        self._documents.put("latest.json", response)

    def traffic(self, summary: Summary, now: datetime, days: float | None) -> dict[datetime, int]:
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

    def reference(self, summary: Summary) -> Reference | None:
        """The stored reference; without one it is made of the first captures once they are enough, and stored.

        Raises
        ------
        MonitoringError
            The stored document is not a reference.
        """
        stored = self._documents.get(reference_file.FILE)
        if stored is not None:
            try:
                return parse_reference(stored, self._documents.address(reference_file.FILE))
            except MonitoringError as error:
                raise MonitoringError(f"{error} Or delete or replace it.") from None
        if not summary.hours or not summary.complete:
            return None
        begin = moment_of(summary.hours[0])
        found = first_reference(load(self._state, start=summary.hours[0], end=hour_of(begin + 14 * DAY)))
        if found is None:
            return None
        self._documents.put(reference_file.FILE, {**found.sample.to_json(), "until": found.until})
        return found
