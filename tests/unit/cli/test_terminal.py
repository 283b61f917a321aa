"""What is written where: lines at once, prompts on standard error, progress that ends, a browser only where there is a screen."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import threading
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.progress import Progress

from dropsort.cli import output as show
from dropsort.client.drop import Uploaded
from dropsort.client.files import LocalFile
from dropsort.client.results import Result
from dropsort.client.wait import FinishedUpload


def waiting(name: str = "a.jpg") -> Result:
    """A failure that the service tries again by itself."""
    return Result(
        f"failed/{name}.json",
        {
            "source": {"key": f"incoming/{name}"},
            "outcome": "failed",
            "reason": {"code": "endpoint_busy", "retryable": True},
        },
    )


def drawn(what: Any, width: int = 100) -> str:
    """What a terminal of so many columns shows."""
    shown = Console(width=width, file=io.StringIO())
    shown.print(what)
    return shown.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_line_is_there_at_once_also_in_a_pipe() -> None:
    # GIVEN a process that prints a line and goes on
    code = "import sys; from dropsort.cli.output import echo; echo('now'); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    ) as process:
        assert process.stdin
        assert process.stdout
        reader = threading.Thread(target=process.stdout.readline, daemon=True)
        # THEN a reader has the line while it runs
        reader.start()
        reader.join(60)
        there = not reader.is_alive()
        process.stdin.write("\n")
        process.stdin.close()
        process.wait(60)
    assert there


def test_a_prompt_is_not_part_of_the_output() -> None:
    result = CliRunner().invoke(click.command()(lambda: show.confirmed(False)), input="n\n")
    assert (result.stdout.strip(), "Continue?" in result.stderr) == ("", True)


def test_ctrl_c_at_the_prompt_is_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_text: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.termui.visible_prompt_func", interrupted)
    with pytest.raises(click.Abort):
        show.confirmed(False)


def test_on_a_terminal_steps_change_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with show.Steps() as steps:
        steps("Starting the endpoint")
    plain = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", capfd.readouterr().err)
    assert "Starting the endpoint" not in [line.rpartition("\r")[2] for line in plain.split("\n")]


def test_progress_that_stands_still_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setattr(show, "note", printed.append)
    progress = Progress(disable=True)
    progress.add_task("uploaded", total=3)
    passes = iter([False, False, False, True])
    show._print_lines(progress, SimpleNamespace(wait=lambda _: next(passes)))  # type: ignore[arg-type]
    assert printed == ["0 of 3 uploaded"]
    assert show.LINE_SECONDS == 10  # as the documentation says


def test_nothing_goes_on_after_progress() -> None:
    before = set(threading.enumerate())
    with show.bars():
        (started,) = set(threading.enumerate()) - before
    started.join(60)
    assert not started.is_alive()


def test_a_failure_for_now_is_shown_as_waiting_and_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    line = drawn(show.ResultsTable([waiting()])).splitlines()[1]
    assert re.split(r"\s{2,}", line.strip()) == ["a.jpg", "waiting", "endpoint_busy, tried again by itself"]
    retrying = show.Retrying()
    for name in ("a.jpg", "b.jpg"):
        upload = Uploaded(LocalFile(Path(name), f"incoming/{name}", 1), "etag", finished=datetime.now(UTC))
        retrying(FinishedUpload(upload, waiting(name)))
    assert capsys.readouterr().err.count("busy or unavailable (endpoint_busy)") == 1


def test_a_table_takes_64_columns() -> None:
    assert drawn(show.ResultsTable([waiting()]), 64).split()[:2] == ["image", "outcome"]
    assert drawn(show.ResultsTable([waiting()]), 63).split()[0] == "a.jpg"


def test_values_are_no_markup() -> None:
    assert drawn(show.facts_table([("a [b]b[/b]", "[red]c")])).split() == ["a", "[b]b[/b]", "[red]c"]


def test_each_stream_has_its_own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a terminal for standard output alone
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert (show.console(stderr=True).width, show.console().width) == (120, 50)


@pytest.mark.parametrize("screen", ["", "DISPLAY", "WAYLAND_DISPLAY"])
def test_a_browser_opens_where_there_is_a_screen(
    screen: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "open", opened.append)  # which returns nothing: it failed
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if screen:
        monkeypatch.setenv(screen, ":0")
    show.open_in_browser("http://page")
    assert opened == (["http://page"] if screen else [])
    assert ("Open http://page manually" in capsys.readouterr().err) == bool(screen)


def test_outcomes_have_their_colours() -> None:
    assert show.STYLES == {
        "classified": "green", "low-confidence": "yellow", "failed": "red", "waiting": "cyan"
    }  # fmt: skip
    assert list(show.STYLES)[-1] == show.WAITING


@pytest.mark.parametrize("stderr", [False, True])
def test_a_terminal_shows_no_colours_of_its_own_accord_and_breaks_lines(
    stderr: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr" if stderr else "stdout", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr(stream, "isatty", lambda: True)
    show.console(stderr=stderr).print("12 'words' True http://a")
    assert [line.rstrip() for line in stream.getvalue().splitlines()] == ["12 'words' True", "http://a"]


class Recorder:
    """A console or a changing line that records what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *given: self.calls.append((name, *(getattr(one, "plain", one) for one in given)))


EVENT, FAILURE = "UPDATE_COMPLETE      A", "UPDATE_FAILED        B"


@pytest.mark.parametrize(
    ("lines", "events", "changed", "printed"),
    [
        (False, False, ["step", EVENT, FAILURE], []), (True, False, [EVENT], ["step", FAILURE]),
        (True, True, [], ["step", EVENT, FAILURE]), (False, True, ["step", EVENT, FAILURE], []),
    ],
)  # fmt: skip
def test_what_changes_the_line_and_what_is_a_line_of_its_own(
    lines: bool, events: bool, changed: list[str], printed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    steps = show.Steps(lines=lines, events=events)
    console, status = Recorder(), Recorder()
    steps._console, steps._status = console, status  # type: ignore[assignment]
    for sentence in ("step", EVENT, FAILURE):
        steps(sentence)
    assert status.calls == [("update", sentence) for sentence in changed]
    assert console.calls == [("print", sentence) for sentence in printed]
    # AND once the changing line is gone, all but passing events are lines
    steps.stop()
    steps.stop()
    assert status.calls[-1] == ("stop",)
    assert status.calls.count(("stop",)) == 1
    for sentence in ("step", EVENT, FAILURE):
        steps(sentence)
    assert capsys.readouterr().err.splitlines() == ["step", *([EVENT] if events else []), FAILURE]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_changing_line_begins_with_the_block_on_a_terminal_alone(terminal: bool) -> None:
    steps, begun, status = show.Steps(), list[str](), Recorder()

    def begin(text: str) -> Recorder:
        begun.append(text)
        return status

    steps._console = SimpleNamespace(is_terminal=terminal, status=begin)  # type: ignore[assignment]
    with steps:
        pass
    assert begun == (["Starting"] if terminal else [])
    assert status.calls == ([("start",), ("stop",)] if terminal else [])


def test_a_terminal_has_bars_that_go_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(show, "console", lambda stderr: shown if stderr else None)
    with show.bars() as progress:
        report = show.stages(progress)("uploaded")
        report(2, 5)
        (task,) = progress.tasks
        assert (task.description, task.completed, task.total) == ("uploaded", 2, 5)
        assert (progress.console, progress.live.transient) == (shown, True)
    assert progress.live.is_started is False


def test_a_prompt_of_a_person_who_stops_is_an_abort_and_one_at_the_end_of_input_an_error() -> None:
    result = CliRunner().invoke(click.command()(lambda: show.confirmed(False)), input="")
    assert (result.exit_code, "--yes continues without it" in result.output) == (1, True)


@pytest.mark.parametrize(
    ("argument", "hint"), [(["FILE"], True), ([], False)], ids=["names are arguments", "no arguments"]
)
def test_a_name_that_begins_with_a_hyphen_is_explained_where_there_are_names(
    argument: list[str], hint: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    command = click.Command("work", params=[click.Argument([name]) for name in argument])
    with pytest.raises(click.NoSuchOption) as error:
        command.main(["-q"], standalone_mode=False)
    show.show_usage(error.value)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Usage: ")
    assert lines[-1] == "Error: No such option '-q'." + (
        " Write -- before a name that begins with a hyphen." if hint else ""
    )
    show.show_usage(click.UsageError("odd"))
    assert capsys.readouterr().err == "Error: odd\n"
