"""A command whose question was declined ends with exit code 1, a sentence, and without having done anything."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from dropsort.cli.main import dropsort
from dropsort.client import backfill, deployed_service, forget, redrive
from dropsort.deployment import destroy
from training.registry import rollout

SERVICE = SimpleNamespace(bucket="images", ignored=())
KEY = "incoming/a.jpg"
FOUND = SimpleNamespace(
    key=KEY,
    uploads=1,
    results=1,
    reviews=0,
    captured=0,
    labelled=0,
    empty=False,
    uploaded=None,
    why="no result",
)


@pytest.mark.parametrize(
    ("arguments", "planned", "done", "sentence"),
    [
        (["destroy"], (destroy, "plan", SimpleNamespace(sentences=lambda _: [])), (destroy, "destroy"), "Nothing was deleted."),
        (["forget", KEY], (forget, "find", FOUND), (forget, "remove"), "Nothing was removed."),
        (["redrive"], (redrive, "select", [FOUND]), (redrive, "start"), "Nothing was started."),
        (["backfill", "s3://others/a/"], (backfill, "plan", SimpleNamespace(objects=1, bytes=1)), (backfill, "copy"),
         "Nothing was copied."),
    ],
    ids=["destroy", "forget", "redrive", "backfill"],
)  # fmt: skip
@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("y\n", 0)])
def test_only_a_yes_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    planned: tuple[Any, str, Any],
    done: tuple[Any, str],
    sentence: str,
    typed: str,
    code: int,
) -> None:
    # GIVEN a command that has found what to do
    calls: list[str] = []
    module, name, found = planned
    monkeypatch.setattr(module, name, lambda *_, **__: found)
    monkeypatch.setattr(deployed_service, "find", lambda *_: SERVICE)
    monkeypatch.setattr(redrive, "concurrency", lambda _: 1)
    monkeypatch.setattr(backfill, "resumed_after", lambda *_: "")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")

    def act(*_: Any, **__: Any) -> Any:
        calls.append("called")
        return [] if name == "plan" and module is destroy else SimpleNamespace(id="run")

    monkeypatch.setattr(*done, act)
    # WHEN a person types
    result = CliRunner().invoke(dropsort, [*arguments, "--stack", "bikes"], input=typed)
    # THEN it acts if that was a yes, and never otherwise
    assert (calls, result.exit_code) == (["called"] * (code == 0), code), result.output
    assert (sentence in result.output) is (code == 1)
    assert name != "select" or code or "1 upload was started again." in result.output


@pytest.mark.parametrize(
    ("typed", "arguments", "goes_on"), [("n\n", [], False), ("y\n", [], True), ("", ["--yes"], True)]
)
def test_only_a_yes_rolls_out(
    monkeypatch: pytest.MonkeyPatch, typed: str, arguments: list[str], goes_on: bool
) -> None:
    # GIVEN a roll-out that has found what changes
    confirmations: list[bool] = []

    def execute(*_: Any, confirm: Any, **__: Any) -> Any:
        changed = {"ModelData": ("old", "new")}
        confirmations.append(confirm(changed))
        package = SimpleNamespace(version=2)
        return SimpleNamespace(executed=confirmations[-1], changed=changed, package=package, document=dict)

    monkeypatch.setattr(rollout, "execute", execute)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    result = CliRunner().invoke(dropsort, ["rollout", "--stack", "bikes", *arguments], input=typed)
    assert (confirmations, result.exit_code) == ([goes_on], 0 if goes_on else 1), result.output
    assert "ModelData: old → new" in result.output
    assert ("Nothing was changed." in result.output) is not goes_on
    assert ("Version 2 is in service." in result.output) is goes_on


def test_a_plain_return_is_no_yes_and_the_end_of_input_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployed_service, "find", lambda *_: SERVICE)
    monkeypatch.setattr(forget, "find", lambda *_, **__: FOUND)
    monkeypatch.setattr(forget, "remove", lambda *_, **__: pytest.fail("it goes on"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for typed, sentence in (("\n", "Nothing was removed."), ("", "--yes continues without it")):
        result = CliRunner().invoke(dropsort, ["forget", KEY, "--stack", "bikes"], input=typed)
        assert result.exit_code == 1, result.output
        assert sentence in result.output
