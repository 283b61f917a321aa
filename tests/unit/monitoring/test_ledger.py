"""Ledgers of the files that were read: versions, counts that are replaced, and when they are saved."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from monitoring.storage import ledger
from monitoring.storage.ledger import COUNTS, Ledger, Ledgers, partition
from tests.unit.monitoring.test_incremental_parts import counts_of, file


def test_a_ledger_knows_the_files_that_were_read_in_this_version() -> None:
    assert COUNTS == ("size", "lines", "records", "bad_lines", "ground_truth")
    held = Ledger()
    files = [file("a"), file("b"), file("c")]
    assert held.unread(files) == (files, set())
    assert held.new(files) == (files, [])
    added = held.record(files[:2], counts_of((10, 5, 4, 1, 2), (10, 50, 40, 10, 20)))
    assert added.tolist() == [20, 55, 44, 11, 22, 2]
    again = Ledger(held.to_bytes())
    assert again.unread(files) == ([files[2]], set())
    assert again.new([files[2], *files[:2]]) == ([files[2]], files[:2])
    # AND a file of another size or version is read again, and replaces its counts
    for other in (file("a", 11), file("a", version="2")):
        assert again.unread([other, files[1]]) == ([other], {"a"})
    added = again.record([file("a", 11), files[2]], counts_of((11, 7, 7, 0, 0), (1, 1, 1, 1, 1)))
    assert added.tolist() == [11 + 1 - 10, 7 + 1 - 5, 7 + 1 - 4, 0 + 1 - 1, 0 + 1 - 2, 1]
    last = Ledger(again.to_bytes())
    assert last.unread([file("a", 11), *files]) == ([files[0]], {"a"})
    assert len(last.to_bytes()) == 3 * 40


@pytest.mark.parametrize(("hour", "part"), [("2026-11-21T09:00:00Z", "2026-11-21"), ("unknown", "other")])
def test_a_ledger_is_of_a_day(hour: str, part: str) -> None:
    assert partition(hour) == part


def test_ledgers_are_saved_if_they_changed_and_when_many_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ledger._LEDGERS_HELD == 64
    monkeypatch.setattr(ledger, "_LEDGERS_HELD", 2)
    stored: dict[str, bytes] = {}
    state: Any = SimpleNamespace(
        load=lambda kind, part: stored.get(f"{kind}/{part}", b""), save=lambda kind, part, data: stored.update({f"{kind}/{part}": data})
    )  # fmt: skip
    ledgers = Ledgers(state)
    assert ledgers.of("a") is ledgers.of("a")
    ledgers.save()
    assert (stored, ledgers.dirty) == ({}, False)
    ledgers.record("a", [file("x")], counts_of((1, 1, 1, 0, 0)))
    ledgers.of("b")
    assert stored == {}
    ledgers.of("c")
    assert (list(stored), ledgers.dirty) == (["ledgers/a"], True)
    assert ledgers.of("a").unread([file("x")]) == ([], set())
    ledgers.dirty = False
    ledgers.save()
    assert ledgers.dirty is False
