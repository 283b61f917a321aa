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
