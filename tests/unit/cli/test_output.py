"""Progress where there is no terminal, asking where there may be nobody, and control characters of others."""

from __future__ import annotations

import ast
import errno
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from dropsort.cli import main, totals
from dropsort.cli import output as show
from dropsort.cli.documents import write_json, write_json_lines
from dropsort.cli.errors import sentence
from dropsort.client.results import Result
from dropsort.contract.errors import DropsortError


def test_progress_without_a_terminal_is_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN work that moves on, stands still, and moves on again
    monkeypatch.setattr(show, "LINE_SECONDS", 0.01)
    said: list[str] = []
    monkeypatch.setattr(show, "note", said.append)
    with show.bars() as progress:
        task = progress.add_task("uploaded", total=3)
        progress.add_task("results", total=3, visible=False)
        progress.add_task("unknown", total=None)
        for count in (1, 2):
            progress.advance(task)
            while f"{count} of 3 uploaded" not in said:
                time.sleep(0.01)

    # THEN each state is one line of those tasks whose total is known
    assert len(said) == len(set(said))
    assert set(said) <= {f"{count} of 3 uploaded" for count in (0, 1, 2)}


def test_nothing_is_printed_for_what_ends_at_once_or_has_lines_of_its_own(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with show.bars() as progress:
        progress.add_task("uploaded", total=3)
    monkeypatch.setattr(show, "LINE_SECONDS", 0.01)
    with show.bars(lines=False) as progress:
        progress.add_task("epoch", total=3)
        time.sleep(0.05)
    assert capfd.readouterr().err == ""


STACK_STEPS = [
    "Updating stack dropsort: 65 to modify",
    "UPDATE_COMPLETE      AlarmTopic (AWS::SNS::Topic)",
    "UPDATE_FAILED        Bucket (AWS::S3::Bucket): no",
    "UPDATE_ROLLBACK_COMPLETE dropsort (AWS::CloudFormation::Stack)",
]


@pytest.mark.parametrize(("events", "shown"), [(False, [0, 2, 3]), (True, [0, 1, 2, 3])])
@pytest.mark.parametrize("terminal", [False, True])
def test_of_the_events_of_a_stack_failures_are_lines_unless_all_are_wanted(
    events: bool,
    shown: list[int],
    terminal: bool,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if terminal:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with show.Steps(lines=True, events=events) as steps:
        for step in STACK_STEPS:
            steps(step)
    # What is a line stays; the changing line has a sign before it.
    plain = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", capfd.readouterr().err)
    lines = [line.rpartition("\r")[2] for line in plain.split("\n")]
    assert [line for line in lines if line in STACK_STEPS] == [STACK_STEPS[at] for at in shown]


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        ("y\n", 0, "went on"),
        ("n\n", 3, "Continue?"),
        ("\n", 3, "Continue?"),
        ("", 1, "Confirmation is needed"),
    ],
)
def test_only_a_person_confirms(typed: str, code: int, said: str) -> None:
    @click.command()
    @click.pass_context
    def ask(context: Any) -> None:
        context.exit(3) if not show.confirmed(False) else click.echo("went on")

    result = CliRunner().invoke(ask, input=typed)
    assert (result.exit_code, said in result.output) == (code, True)


def test_who_has_confirmed_is_not_prompted() -> None:
    assert show.confirmed(True)


# Title of the window, colours, a request for identification, backspace, DEL, the C1 forms of ESC [ and ESC ], a reversed name.
HOSTILE = "a\x1b]0;title\x07\x1b[31m\x05\x08\x7f\x9b31m\x9d0;t\x9c\u202egpj.b"
CONTROL = set(HOSTILE) - set("a]0;title[31m0;tgpj.b")


def result(
    key: str, outcome: str, label: str, confidence: float | None, code: str = "", reviewer: str = ""
) -> Result:
    document = {"source": {"key": key}, "outcome": outcome, "label": label, "confidence": confidence}
    return Result(
        "",
        document
        | {"reason": {"code": code} if code else None, "review": {"by": reviewer} if reviewer else None},
    )


RESULT = result(f"incoming/{HOSTILE}", "failed", HOSTILE, 0.5, HOSTILE, HOSTILE)


def test_of_many_results_those_that_are_not_classified_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    # GIVEN a failed result and a reviewed one at the end of many
    many = [result(f"incoming/{n}.jpg", "classified", "a", 0.9) for n in range(1, 4)]
    many.insert(0, result("incoming/0.jpg", "classified", "a", 0.9, reviewer="ada"))
    many.append(result("incoming/4.jpg", "failed", "a", 0.9, "not_an_image"))

    # WHEN only three are shown THEN it is among them, and they are in their order
    show.console().print(show.ResultsTable(many, limit=3))

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["0.jpg", "1.jpg", "4.jpg", "…"]
    assert lines[1].endswith("reviewed by ada")
    assert lines[3].split()[-1] == "not_an_image"


@pytest.mark.parametrize("columns", [20, 40, 60])
def test_a_narrow_terminal_shows_names_whole(columns: int) -> None:
    # GIVEN a long outcome, label and reason
    long = result("incoming/cam1/a.jpg", "low-confidence", "motorcycle", 0.5, "below_threshold")
    shown = Console(width=columns, file=io.StringIO())

    # WHEN a narrow terminal shows them THEN the name is on a line of its own, and nothing is cut
    shown.print(show.ResultsTable([long]))

    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert text.splitlines()[0] == "cam1/a.jpg"
    assert text.split() == ["cam1/a.jpg", "low-confidence", "motorcycle", "0.500", "below_threshold"]


def _table() -> None:
    show.console().print(show.ResultsTable([RESULT] * 3, limit=2))


def _facts() -> None:
    show.console().print(
        show.facts_table([(HOSTILE, HOSTILE), *totals.totals({**SUMMARY, "lost": [HOSTILE]})])
    )


def _console() -> None:
    show.console(stderr=True).print(HOSTILE, markup=False)


def _steps() -> None:
    with show.Steps() as steps:
        steps(HOSTILE)


def _errors() -> None:
    for error in (
        DropsortError(HOSTILE),
        ValueError(HOSTILE),
        OSError(errno.ENOENT, "No such file", HOSTILE),
    ):
        show.note(sentence(error))


SUMMARY: dict[str, Any] = {
    "images": 1,
    "results": 1,
    "outcomes": {},
    "accuracy": None,
    "images_per_second": None,
    "latency_seconds": {"p50": None, "p95": None},
    "skipped": [],
}


@pytest.mark.parametrize(
    "write",
    [
        _table,
        _facts,
        _console,
        _steps,
        _errors,
        lambda: show.note(HOSTILE),
        lambda: show.echo(HOSTILE),
        lambda: write_json(Path("-"), {HOSTILE: [HOSTILE]}),
        lambda: write_json_lines(Path("-"), [{HOSTILE: HOSTILE}]),
    ],
)
@pytest.mark.parametrize("terminal", [False, True])
def test_control_characters_of_others_reach_no_terminal(
    write: Callable[[], None],
    terminal: bool,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # GIVEN a terminal without colours, so that every control character in the output is somebody else's
    if terminal:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("NO_COLOR", "1")
    # WHEN something of others is written
    write()
    out, err = capfd.readouterr()
    # THEN its control characters are not
    shown = out + err
    assert "gpj.b" in shown.replace("\n", "")
    harmless = {"\x1b"} if terminal else set()  # rich's own: bold, cursor of the changing line
    assert not (set(shown) & CONTROL) - harmless
    assert "\x1b]" not in shown
    assert "\x1b[31m" not in shown


def test_json_on_standard_output_means_what_it_meant(capfd: pytest.CaptureFixture[str]) -> None:
    write_json(Path("-"), {HOSTILE: [HOSTILE]})
    assert json.loads(capfd.readouterr().out) == {HOSTILE: [HOSTILE]}


@pytest.mark.parametrize(
    "arguments", [[HOSTILE], ["drop", f"--{HOSTILE}"], ["results", "--json", f"{HOSTILE}/\0"]]
)
def test_errors_of_arguments_have_none(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(arguments)
    assert not set(capfd.readouterr().err) & CONTROL


def test_commands_write_through_one_module_only() -> None:
    # GIVEN every call in the modules of the commands
    folder = Path(show.__file__).parent
    for path in folder.glob("*.py"):
        if path.name in ("output.py", "documents.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                # THEN none writes by itself
                assert name not in ("print", "click.echo", "click.secho", "Console"), f"{path.name}: {name}"
                assert not name.startswith(("sys.stdout.write", "sys.stderr.write")), f"{path.name}: {name}"


def test_a_line_feed_of_others_makes_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    broken = result("incoming/a\nb", "failed", "c\nd", None, "e\nf", "g\nh")
    show.console().print(show.ResultsTable([broken]))
    show.console().print(show.facts_table([("i\nj", "k\nl")]))
    _, row, fact = capsys.readouterr().out.splitlines()
    assert row.split() == ["a\ufffdb", "failed", "c\ufffdd", "e\ufffdf,", "reviewed", "by", "g\ufffdh"]
    assert fact.split() == ["i\ufffdj", "k\ufffdl"]
