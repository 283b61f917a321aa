"""How long `drop_and_wait` goes on, by a clock of the test: until nothing has come for as long as its patience."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.client import drop_and_wait as module
from dropsort.client.drop import Uploaded
from dropsort.client.errors import MissingResultsError
from dropsort.client.files import LocalFile

NOW = datetime(2026, 11, 26, tzinfo=UTC)
FILES = [LocalFile(Path(name), f"incoming/{name}", 1) for name in ("a", "b", "c")]
ITEMS = [SimpleNamespace(upload=Uploaded(file, "e", "1", NOW, NOW)) for file in FILES]
Poll = Callable[["Waiter"], list[Any]]


class Waiter:
    """Results as a script has them: one entry for each poll, nothing after the last one."""

    script: Iterator[Poll]
    clock: Any

    def __init__(self, *_: Any, retrying: Any = None, **__: Any) -> None:
        self.retrying, self.missing, self.retryable = retrying, [file.key for file in FILES], 0
        self.failed: list[Any] = []

    def expect(self, _: Any) -> list[Any]:
        return []

    def poll(self) -> list[Any]:
        return next(Waiter.script, nothing)(self)

    def end_retries(self) -> list[Any]:
        for item in self.failed:
            self.missing.remove(item.upload.file.key)
        return self.failed


def nothing(_: Waiter) -> list[Any]:
    return []


def result(number: int) -> Poll:
    def poll(waiter: Waiter) -> list[Any]:
        waiter.missing.remove(FILES[number].key)
        return [ITEMS[number]]

    return poll


def failure(number: int) -> Poll:
    """A failure that the service tries again."""

    def poll(waiter: Waiter) -> list[Any]:
        waiter.failed = [ITEMS[number]]
        waiter.retrying(ITEMS[number])
        return []

    return poll


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Waits with a patience of 25 seconds, where each poll comes ten seconds after the one before; returns results and seconds."""
    clock = SimpleNamespace(now=0.0)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += 10

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep))
    monkeypatch.setattr(module, "Waiter", Waiter)
    # Uploads have ended before the first poll.
    ended = SimpleNamespace(start=lambda: None, is_alive=lambda: False)

    def thread(*, daemon: bool = False, **_: Any) -> Any:
        assert daemon  # an upload that hangs does not keep the command from ending
        return ended

    monkeypatch.setattr(module, "threading", SimpleNamespace(**vars(module.threading) | {"Thread": thread}))

    def run(*script: Poll, patience_seconds: float = 25, **options: Any) -> tuple[list[Any], float]:
        Waiter.script, Waiter.clock = iter(script), clock
        options |= {"patience_seconds": patience_seconds}
        try:
            return module.drop_and_wait(None, "images", FILES, **options), clock.now  # type: ignore[arg-type]
        except MissingResultsError as error:
            return [error], clock.now

    run.slept = slept  # type: ignore[attr-defined]
    return run


def test_each_result_renews_the_patience(wait: Callable[..., Any]) -> None:
    found, seconds = wait(
        nothing, nothing, result(0), nothing, nothing, result(1), nothing, nothing, result(2)
    )
    assert (found, seconds) == (ITEMS, 90)


def test_without_a_result_it_ends_after_its_patience(wait: Callable[..., Any]) -> None:
    (error,), seconds = wait(result(0))
    assert isinstance(error, MissingResultsError)
    assert "2 of 3 uploads have no result, and none came for 25 seconds (incoming/b is one of them)" in str(
        error
    )
    assert seconds == 30


def test_a_failure_that_is_tried_again_renews_the_patience_and_is_the_result_in_the_end(
    wait: Callable[..., Any],
) -> None:
    retried: list[Any] = []
    done: list[Any] = []
    found, seconds = wait(
        result(0), result(1), nothing, nothing, failure(2), retrying=retried.append, done=done.append
    )
    assert (found, retried, done) == (ITEMS, [ITEMS[2]], ITEMS)
    assert seconds == 70


def test_without_a_callback_a_failure_that_is_tried_again_is_a_result(wait: Callable[..., Any]) -> None:
    def plain(waiter: Waiter) -> list[Any]:
        assert waiter.retrying is None
        waiter.missing.clear()
        return ITEMS

    assert wait(plain) == (ITEMS, 10)


def test_the_longer_nothing_comes_the_fewer_polls_there_are(wait: Callable[..., Any]) -> None:
    def slow(waiter: Waiter) -> list[Any]:
        waiter.clock.now += 4
        return []

    wait(nothing, slow, result(0), slow, patience_seconds=400)
    slept = wait.slept  # type: ignore[attr-defined]
    # Half of the time that a poll takes, at least; after a result the shortest pause again
    assert slept[:5] == [0.02, 2.0, 0.02, 2.0, pytest.approx(0.02 * 1.2**2)]
    # AND five seconds at most
    assert slept[32] == pytest.approx(0.02 * 1.2**30)
    assert set(slept[33:]) == {5.0}
