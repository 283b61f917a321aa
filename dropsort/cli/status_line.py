"""The line below a running service: images in, results by outcome, images waiting; and the latest results above it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from dropsort.cli.output import STYLES, WAITING, console
from dropsort.contract.keys import CLASSIFIED, FAILED, INCOMING, LOW_CONFIDENCE
from dropsort.contract.text import number_of, printable

if TYPE_CHECKING:
    from rich.text import Text

    from dropsort.local.activity import Activity, ExecutionCounts, RecordedResult

SHOWN = 5  # results at a time; more are counted


class StatusLine:
    """Shows what a service does, on a terminal; nothing where it is quiet or there is no terminal.

    Parameters
    ----------
    activity
        What is shown.
    quiet
        Show nothing.
    """

    def __init__(self, activity: Activity, quiet: bool) -> None:
        self._activity, self._console = activity, console(stderr=True)
        self._status: Any = None
        self._quiet = quiet or not self._console.is_terminal

    def __enter__(self) -> StatusLine:
        if not self._quiet:
            from rich.live import Live

            # Nothing is drawn in between: a spinner would cost more than the service that waits.
            self._status = Live(
                self._line(), console=self._console, auto_refresh=False, transient=True, redirect_stdout=False
            )
            self._status.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def show(self) -> None:
        """Show what is new."""
        if not self._status:
            return
        found = self._activity.take_recent()
        if len(found) > SHOWN:
            self._console.print(f"  … {len(found) - SHOWN} more", style="dim")
        for one in found[-SHOWN:]:
            self._console.print(row(one), soft_wrap=True)
        self._status.update(self._line(), refresh=True)

    def _line(self) -> Text:
        from rich.text import Text

        return Text(sentence(self._activity.counts), style="bold")


def sentence(counts: ExecutionCounts) -> str:
    """The counts in one line."""
    if not counts.images:
        return "Waiting for images."
    parts = [f"{number_of(counts.images, 'image')} in"]
    for number, name in (
        (counts.classified, CLASSIFIED),
        (counts.low_confidence, LOW_CONFIDENCE),
        (counts.failed, FAILED),
        (counts.without_result, "replaced or ignored"),
        (counts.waiting, "waiting"),
    ):
        if number:
            parts.append(f"{number:,} {name}")
    if counts.retryable:
        parts[-1] += f", {counts.retryable:,} of them tried again soon"
    return " · ".join(parts)


def row(one: RecordedResult) -> Text:
    """One result in one line."""
    from rich.text import Text

    what = one.label if one.confidence is None else f"{one.label} {one.confidence:.3f}"
    text = Text(f"{datetime.now():%H:%M:%S}  {printable(one.key.removeprefix(INCOMING))}  ")
    outcome = WAITING if one.retryable else one.outcome
    text.append(outcome, STYLES[outcome])
    text.append(f"  {printable(' '.join(filter(None, (what, one.reason))))}")
    return text
