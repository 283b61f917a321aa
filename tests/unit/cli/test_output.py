"""Progress where there is no terminal, and asking where there may be nobody."""

from __future__ import annotations

import time
from typing import Any

import click
import pytest
from click.testing import CliRunner

from dropsort.cli import output as show


def test_progress_without_a_terminal_is_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN work that moves on, stands still, and moves on again
    monkeypatch.setattr(show, "LINE_SECONDS", 0.01)
    said: list[str] = []
    monkeypatch.setattr(show, "note", said.append)
    with show.bars() as progress:
        task = progress.add_task("uploaded", total=3)
        progress.add_task("sorted", total=3, visible=False)
        progress.add_task("unknown", total=None)
        for count in (1, 2):
            progress.advance(task)
            while f"{count} of 3 uploaded" not in said:
                time.sleep(0.01)

    # THEN each state is one line of those tasks that can be told
    assert len(said) == len(set(said))
    assert set(said) <= {f"{count} of 3 uploaded" for count in (0, 1, 2)}


def test_nothing_is_said_by_what_ends_at_once_or_has_lines_of_its_own(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with show.bars() as progress:
        progress.add_task("uploaded", total=3)
    monkeypatch.setattr(show, "LINE_SECONDS", 0.01)
    with show.bars(lines=False) as progress:
        progress.add_task("epoch", total=3)
        time.sleep(0.05)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [("y\n", 0, "went on"), ("n\n", 3, "Continue?"), ("", 1, "Confirmation is needed")],
)
def test_only_a_person_says_yes(typed: str, code: int, said: str) -> None:
    @click.command()
    @click.pass_context
    def ask(context: Any) -> None:
        context.exit(3) if not show.confirmed(False) else click.echo("went on")

    result = CliRunner().invoke(ask, input=typed)
    assert (result.exit_code, said in result.output) == (code, True)


def test_who_has_said_yes_is_not_asked() -> None:
    assert show.confirmed(True)
