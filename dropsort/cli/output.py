"""Terminal output of commands: progress on standard error, tables on standard output."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dropsort.cli.documents import is_standard_output
from dropsort.contract.keys import INCOMING, OUTCOMES
from dropsort.contract.text import printable

if TYPE_CHECKING:
    import click
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.progress import Progress
    from rich.table import Table

    from dropsort.client.results import Result
    from dropsort.client.wait import FinishedUpload
    from dropsort.contract.progress import Progress as OnProgress

_STACK_EVENT = re.compile(r"(CREATE|UPDATE|DELETE|ROLLBACK|IMPORT)_[A-Z_]+ ")
_FAILURE = re.compile(r"FAILED|ROLLBACK")

_NARROW = 64  # columns of a terminal
LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal

WAITING = "waiting"  # in place of an outcome: a failure that the service tries again by itself
STYLES = dict(zip((*OUTCOMES, WAITING), ("green", "yellow", "red", "cyan"), strict=True))


def console(stderr: bool = False) -> Console:
    """A console; without a terminal it is plain and as wide as a table needs. It shows no control characters of others."""
    from rich.console import Console
    from rich.segment import Segment

    class Printable(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(_lines(segment.text), segment.style)

    plain = None if (sys.stderr if stderr else sys.stdout).isatty() else 120
    return Printable(stderr=stderr, width=plain, highlight=False, soft_wrap=False)


def output_console(json_file: Path | None) -> Console:
    """The console for what a command shows: standard output, or standard error if ``--json`` writes to standard output."""
    return console(stderr=is_standard_output(json_file))


def echo(text: str | Path, err: bool = False) -> None:
    """A text on standard output, its lines as they stand but for control characters."""
    print(_lines(str(text)), file=sys.stderr if err else sys.stdout, flush=True)


def show_usage(error: click.UsageError) -> None:
    """A usage error as click shows it: usage, where there is help, and what is wrong."""
    import click

    parameters = error.ctx.command.params if error.ctx else []
    names = any(isinstance(one, click.Argument) for one in parameters)
    if names and isinstance(error, click.NoSuchOption) and not error.possibilities:
        hint = " Write -- before a name that begins with a hyphen."
        error = click.UsageError(error.format_message() + hint, error.ctx)
    shown = io.StringIO()
    error.show(shown)
    note(shown.getvalue().rstrip("\n"))


def note(text: str) -> None:
    """A sentence on standard error."""
    echo(text, err=True)


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


class Steps:
    """A line that changes while something takes long; without a terminal, one line per step.

    Events of the stack, hundreds in one deployment, only change the line, but for failures where there is no terminal.

    Parameters
    ----------
    lines
        Print steps as lines on a terminal too, and failed events with them.
    events
        Print every event of the stack.
    """

    def __init__(self, *, lines: bool = False, events: bool = False) -> None:
        self._lines, self._events = lines, events
        self._console = console(stderr=True)
        self._status: Any = None

    def __enter__(self) -> Steps:
        if self._console.is_terminal:
            self._status = self._console.status("Starting")
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove the changing line; further steps are printed as lines."""
        if self._status:
            self._status.stop()
            self._status = None

    def __call__(self, sentence: str) -> None:
        from rich.text import Text

        event = _STACK_EVENT.match(sentence)
        passing = event is not None and not self._events and not _FAILURE.search(event[0])
        if self._status and (passing or not self._lines):
            self._status.update(Text(sentence))
        elif self._status:
            self._console.print(Text(sentence))
        elif not passing:
            note(sentence)


@contextmanager
def bars(lines: bool = True) -> Iterator[Progress]:
    """Progress bars on standard error; without a terminal one line every ten seconds, unless the caller prints its own."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    output = console(stderr=True)
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    if output.is_terminal:
        with Progress(*columns, console=output, transient=True) as progress:
            yield progress
        return
    progress = Progress(*columns, console=output, disable=True)
    done = threading.Event()
    if lines:
        threading.Thread(target=_print_lines, args=(progress, done), name="progress", daemon=True).start()
    try:
        yield progress
    finally:
        done.set()


def stages(progress: Progress) -> Callable[[str], OnProgress]:
    """A bar for each stage, by its name."""

    def begin(stage: str) -> OnProgress:
        task = progress.add_task(stage, total=None)
        return lambda done, total: progress.update(task, completed=done, total=total)

    return begin


def _print_lines(progress: Progress, done: threading.Event) -> None:
    printed = ""
    while not done.wait(LINE_SECONDS):
        tasks = [task for task in progress.tasks if task.visible and task.total is not None]
        line = ", ".join(f"{task.completed:.0f} of {task.total:.0f} {task.description}" for task in tasks)
        if line and line != printed:
            note(line)
        printed = line


def open_in_browser(address: str) -> None:
    """Open an address, or say that it could not be opened; where there is no screen, do nothing."""
    import os
    import webbrowser

    screen = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if screen and not webbrowser.open(address):
        note(f"No browser could be opened. Open {address} manually.")


def confirmed(yes: bool) -> bool:
    """Ask for confirmation, unless `yes`; without a terminal to ask at, raise an error."""
    import click

    if yes:
        return True
    try:
        return click.confirm("Continue?", err=True)
    except click.Abort as error:
        if isinstance(error.__context__, EOFError):
            raise click.ClickException(
                "Confirmation is needed, but standard input has ended: --yes continues without it."
            ) from None
        raise


class Retrying:
    """Says once that images failed for now and are tried again: so no failure of the moment is taken for a result."""

    def __init__(self) -> None:
        self._said = False

    def __call__(self, item: FinishedUpload) -> None:
        """Take note of one."""
        if not self._said:
            self._said = True
            code = printable(str(item.result.reason.get("code")))
            note(
                f"The service is busy or unavailable ({code}). It tries such images again by itself; their results are waited for."
            )


class ResultsTable:
    """Results in their order; of more than `limit`, classified ones are left out first, and a last line counts what is left out.

    One line per result, or two in a terminal of less than 64 columns: a name is never cut for the other columns.
    """

    def __init__(self, results: Sequence[Result], limit: int | None = None) -> None:
        self._results, self._limit = results, limit

    def _shown(self) -> Iterator[Result]:
        by_need = sorted(range(len(self._results)), key=lambda at: -OUTCOMES.index(self._results[at].outcome))
        for at in sorted(by_need[: self._limit]):
            yield self._results[at]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.text import Text

        if options.max_width < _NARROW:
            for result in self._shown():
                name, outcome, label, confidence, why = _cells(result)
                yield Text(name, overflow="fold")
                yield Text.assemble(
                    "  ", (outcome, STYLES[outcome]), " ", " ".join(filter(None, (label, confidence, why)))
                )
        else:
            yield self._table()
        if self._limit is not None and len(self._results) > self._limit:
            yield Text(f"… and {len(self._results) - self._limit} more", style="dim")

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("image", overflow="fold")
        table.add_column("outcome", no_wrap=True)
        table.add_column("label", no_wrap=True)
        table.add_column("confidence", justify="right", no_wrap=True)
        table.add_column("reason", overflow="fold")
        for result in self._shown():
            name, outcome, label, confidence, why = _cells(result)
            table.add_row(
                Text(name), Text(outcome, style=STYLES[outcome]), Text(label), confidence, Text(why)
            )
        return table


def _cells(result: Result) -> tuple[str, str, str, str, str]:
    """Name, outcome, label, confidence, and the reason or who reviewed."""
    why = [result.reason["code"]] if result.reason.get("code") else []
    why += ["tried again by itself"] if result.retryable else []
    why += [f"reviewed by {result.reviewer}"] if result.reviewer else []
    confidence = "" if result.confidence is None else f"{result.confidence:.3f}"
    name, label = result.key.removeprefix(INCOMING), result.label or ""
    outcome = WAITING if result.retryable else result.outcome
    return printable(name), outcome, printable(label), confidence, printable(", ".join(why))


def facts_table(facts: Sequence[tuple[str, str]]) -> Table:
    """Names and values, one per line."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(Text(printable(name)), Text(printable(value)))
    return table
