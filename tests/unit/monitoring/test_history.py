"""What the monitoring function stores between its runs: how far back, and what a stored audit says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.contract.metrics import AUDITED_PRECISION, PROMISE_BROKEN
from monitoring.history import AUDIT, TRAFFIC, History

NOW = datetime(2026, 11, 26, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Documents(dict[str, Any]):
    """Documents of a bucket."""

    def put(self, name: str, document: Any) -> None:
        """Store one."""
        self[name] = document


def history(**documents: Any) -> tuple[History, Documents]:
    stored = Documents({name.replace("_", "."): value for name, value in documents.items()})
    return History(stored, "nowhere"), stored  # type: ignore[arg-type]


def test_traffic_is_stored_for_as_long_as_it_is_compared_and_a_day_more() -> None:
    ages = (timedelta(0), TRAFFIC, TRAFFIC + DAY - HOUR, TRAFFIC + DAY, TRAFFIC + DAY + HOUR)
    found, stored = history(traffic_json={f"{NOW - age:%Y-%m-%dT%H:%M:%SZ}": 7 for age in ages})
    counts = found.traffic(SimpleNamespace(hours=[]), NOW, 1.0)  # type: ignore[arg-type]
    assert counts == {NOW - age: 7 for age in ages[:-1]}
    assert len(stored["traffic.json"]) == 4


@pytest.mark.parametrize(("verdict", "broken"), [("holds", 0), ("open", 0), ("broken", 1)])
def test_only_a_broken_promise_is_reported_as_one(verdict: str, broken: int) -> None:
    found, stored = history()
    stored[AUDIT] = {"verdict": verdict, "precision": 0.97}
    assert found.audit() == {AUDITED_PRECISION: 0.97, PROMISE_BROKEN: broken}
    stored[AUDIT] = {"verdict": verdict, "precision": None}
    assert found.audit() == {}
