"""Every interleaving of several recorders of one key, against an S3 in memory that knows conditions.

A recorder is a deterministic generator: what it does next follows from the responses it got. So a state of the world is the store and
each recorder's responses, states that were seen are not followed again, and all interleavings of a few recorders are a few thousand states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

from dropsort.contract import keys
from handlers.recording import CONDITION_FAILED, Delete, Entry, Head, Operation, Put, Response, record

PLACES = keys.result_keys("cam1/a.jpg")
Store = tuple[tuple[str, str, Entry], ...]  # key, ETag, what lies there; sorted by key


class Recorder:
    """One run of the last function: what it records, how often it was killed, the responses since it started.

    Runs that start alike and get the same responses are the same object, so that states are compared quickly.
    """

    def __init__(
        self,
        entry: Entry,
        number: int,
        attempt: int = 0,
        answers: tuple[Any, ...] = (),
        runs: dict[int, Recorder] | None = None,
    ) -> None:
        self.entry, self.number, self.attempt, self.answers = entry, number, attempt, answers
        self._runs = {} if runs is None else runs  # by attempt, at their start
        self._after: dict[Any, Recorder] = {}

    @cached_property
    def _next(self) -> Operation | bool:
        steps = record(self.entry, PLACES)
        try:
            operation = next(steps)
            for answer in self.answers:
                operation = steps.send((answer[0], dict(answer[1])) if isinstance(answer, tuple) else answer)
        except StopIteration as stop:
            return bool(stop.value)
        return operation

    @cached_property
    def ended(self) -> bool:
        """Whether it has a result."""
        return isinstance(self._next, bool)

    def next(self) -> Operation | bool:
        """The call that it makes next, or its result."""
        return self._next

    def with_response(self, answer: Response) -> Recorder:
        """After one more response."""
        kept = (answer[0], tuple(answer[1].items())) if isinstance(answer, tuple) else answer
        if kept not in self._after:
            answers = (*self.answers, kept)
            self._after[kept] = Recorder(self.entry, self.number, self.attempt, answers, self._runs)
        return self._after[kept]

    def again(self) -> Recorder:
        """Killed and retried: the same upload and outcome, recorded later."""
        attempt = self.attempt + 1
        if attempt not in self._runs:
            later = replace(self.entry, recorded=f"{self.entry.recorded}+{attempt}")
            self._runs[attempt] = Recorder(later, self.number, attempt, runs=self._runs)
        return self._runs[attempt]


def call(store: Store, operation: Operation, etag: str) -> tuple[Store, Response]:
    """What S3 makes of one call."""
    objects = {key: (tag, entry) for key, tag, entry in store}
    there = objects.get(operation.key)
    answer: Response = None
    match operation:
        case Put(key, if_match, entry):
            if (there[0] if there else None) != if_match:
                return store, CONDITION_FAILED
            objects[key] = (etag, entry)
            answer = etag
        case Head(key):
            answer = (there[0], there[1].to_metadata()) if there else None
        case Delete(key, if_match):
            if there and there[0] != if_match:
                return store, CONDITION_FAILED
            objects.pop(key, None)
    return tuple(sorted((key, tag, entry) for key, (tag, entry) in objects.items())), answer


def step(store: Store, recorder: Recorder) -> tuple[Store, Recorder]:
    """One call of one recorder."""
    operation = recorder.next()
    assert not isinstance(operation, bool)
    # An ETag says who wrote and when in that writer's run: no two writes share one.
    etag = f"{recorder.number}.{recorder.attempt}.{len(recorder.answers)}"
    store, answer = call(store, operation, etag)
    return store, recorder.with_response(answer)


def ends(entries: list[Entry], start: Store = (), kills: int = 0) -> Iterator[tuple[Store, tuple[bool, ...]]]:
    """Every end that recorders of these entries can come to: what is stored, and what each of them returned.

    Parameters
    ----------
    kills
        How often each recorder may be killed, after any of its calls, and retried.
    """
    first = tuple(Recorder(entry, number) for number, entry in enumerate(entries))
    seen: set[Any] = set()
    # Equal stores are one object, known by its identity: the hash of a store is worked out once for each step.
    stores = {start: start}
    # A step does not depend on the other recorders.
    steps: dict[tuple[int, Recorder], tuple[Store, Recorder]] = {}
    open_states = [(start, first)]
    while open_states:
        state = open_states.pop()
        store, recorders = state
        if (id(store), recorders) in seen:
            continue
        seen.add((id(store), recorders))
        at_work = [(index, recorder) for index, recorder in enumerate(recorders) if not recorder.ended]
        if not at_work:
            yield store, tuple(bool(recorder.next()) for recorder in recorders)
            continue
        for index, recorder in at_work:
            before, after = recorders[:index], recorders[index + 1 :]
            if (id(store), recorder) not in steps:
                new_store, moved = step(store, recorder)
                steps[id(store), recorder] = stores.setdefault(new_store, new_store), moved
            new_store, moved = steps[id(store), recorder]
            open_states.append((new_store, (*before, moved, *after)))
            if recorder.attempt < kills:
                # Killed after the call: its effect stays, its response is lost.
                open_states.append((new_store, (*before, recorder.again(), *after)))
