"""What a kind of fault is, and all of them by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.faults.batch import ImageBatch
    from benchmarks.faults.target import FaultTarget


class Skipped(Exception):
    """The kind cannot be injected on this machine; the text says why."""


Injection = Callable[["FaultTarget", "ImageBatch"], None]


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault in the shared service.

    ``run`` uploads the images of its batch, injects the fault, and returns when the fault is over.
    """

    name: str
    sentence: str
    run: Injection


SHARED: dict[str, FaultKind] = {}


def kind(name: str, sentence: str) -> Callable[[Injection], Injection]:
    """Register a function as a kind of fault."""

    def register(run: Injection) -> Injection:
        SHARED[name] = FaultKind(name, sentence, run)
        return run

    return register
