"""docs/reference/cli.md and the command say the same: every command, every option, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from dropsort.cli.main import MODULES, dropsort

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "cli.md"
VERBS = [verb for verbs in MODULES.values() for verb in verbs]


def command(verb: str) -> click.Command:
    found = dropsort.get_command(click.Context(dropsort), verb)
    assert found is not None
    return found


def section(verb: str) -> str:
    match = re.search(rf"^### {verb}\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert match, f"docs/reference/cli.md has no section {verb}"
    return match[1]


def documented(verb: str) -> set[str]:
    rows = [row for row in section(verb).splitlines() if row.startswith("| `-")]
    return {option for row in rows for option in re.findall(r"`(--[a-z-]+)", row.split("|")[1])}


def options(verb: str) -> set[str]:
    names = {name for item in command(verb).params for name in (*item.opts, *item.secondary_opts)}
    return {name for name in names if name.startswith("--")}


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_documented_and_every_documented_one_exists(verb: str) -> None:
    assert documented(verb) == options(verb)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_help_and_every_command_a_sentence(verb: str) -> None:
    assert command(verb).help
    assert command(verb).get_short_help_str(60)[-1] == "."
    for item in command(verb).params:
        if isinstance(item, click.Option):
            assert item.help, f"{verb} {item.opts}"


def test_every_documented_command_exists() -> None:
    assert re.findall(r"^### ([a-z]+)$", PAGE.read_text(), re.MULTILINE) == VERBS
