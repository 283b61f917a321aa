"""How a long operation reports: `OnStep` gets a sentence a step, `Progress` how much is done."""

from __future__ import annotations

from typing import Protocol


class OnStep(Protocol):
    """Called with one sentence for each step of an operation."""

    def __call__(self, sentence: str, /) -> None:
        """Report a step, such as "Creating stack dropsort"."""


class Progress(Protocol):
    """Called with what is done so far and what there is to do, in the unit that the operation documents."""

    def __call__(self, done: int, total: int, /) -> None:
        """Report how far the operation is; `total` is 0 while it is unknown."""


def no_steps(_sentence: str, /) -> None:
    """Report to nobody."""


def no_progress(_done: int, _total: int, /) -> None:
    """Report to nobody."""
