"""`dropsort watch`: one line for each result and each problem, whatever a file or a label is called."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from dropsort.cli.output import Retrying
from dropsort.cli.watch import watch
from dropsort.client import deployed_service
from dropsort.client import watch as watching
from dropsort.client.drop import Uploaded
from dropsort.client.files import LocalFile
from dropsort.client.results import Result
from dropsort.client.wait import FinishedUpload


def finished(
    path: Path, outcome: str, label: str | None, confidence: float | None, code: str = ""
) -> FinishedUpload:
    reason = {"reason": {"code": code}} if code else {}
    return FinishedUpload(
        Uploaded(LocalFile(path, "incoming/a", 1), "e"),
        Result("", {"outcome": outcome, "label": label, "confidence": confidence, **reason}),
    )


def test_each_result_and_problem_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN results of files whose names would break a line, or a terminal
    def run(_watched: Any, _stop: Any, *, once: bool, done: Any, problem: Any) -> None:
        assert once
        done(finished(tmp_path / "a\nb\x1b.jpg", "classified", "bi\ncycle", 0.98765))
        done(finished(tmp_path / "cam" / "c.jpg", "failed", None, None, "not_an_image"))
        problem("no\nspace")

    monkeypatch.setattr(
        deployed_service, "find", lambda *_: SimpleNamespace(bucket="images", ignored=lambda _: False)
    )
    monkeypatch.setattr(watching, "run", run)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    # WHEN they are shown THEN each has one line
    shown = CliRunner().invoke(watch, [str(tmp_path), "--once"], catch_exceptions=False)
    assert shown.stdout.splitlines() == [
        "a\ufffdb\ufffd.jpg: classified, bi\ufffdcycle 0.988",
        "cam/c.jpg: failed, not_an_image",
    ]
    assert shown.stderr.splitlines()[1:] == ["no\ufffdspace"]
    # AND a copy is named, and one that was not made
    copies = iter([Path("/sorted/bicycle/a.jpg"), None])
    monkeypatch.setattr(watching, "store", lambda *_: next(copies))
    shown = CliRunner().invoke(
        watch, [str(tmp_path), "--once", "--sort-into", "/sorted"], catch_exceptions=False
    )
    first, second = shown.stdout.splitlines()
    assert first.endswith("cycle 0.988 → /sorted/bicycle/a.jpg")
    assert second.endswith("not_an_image (changed since: not copied)")


@pytest.mark.parametrize("arguments", [[], ["--once"]])
def test_it_goes_on_unless_it_is_to_end_and_says_that_images_failed_for_now(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a service that is busy: the result of an image is a failure that it tries again
    class Watched:
        def __init__(self, *_: Any, **options: Any) -> None:
            self.options = options

    def run(watched: Any, _stop: Any, *, once: bool, **_: Any) -> None:
        assert once is bool(arguments)
        for name in ("a.jpg", "b.jpg"):
            watched.options["retrying"](finished(tmp_path / name, "failed", None, None, "endpoint_busy"))

    monkeypatch.setattr(
        deployed_service, "find", lambda *_: SimpleNamespace(bucket="images", ignored=lambda _: False)
    )
    monkeypatch.setattr(watching, "Watch", Watched)
    monkeypatch.setattr(watching, "run", run)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    # WHEN it is watched THEN one line reports it
    shown = CliRunner().invoke(watch, [str(tmp_path), *arguments], catch_exceptions=False)
    assert shown.stderr.count("endpoint_busy") == 1


def test_the_folder_is_watched_with_the_options_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, Any] = {}
    service = SimpleNamespace(bucket="images", ignored=lambda _: False)

    class Watched:
        def __init__(self, _s3: Any, *given: Any, **options: Any) -> None:
            found.update(options, given=given)

    def run(watched: Any, stop: Any, *, once: bool, done: Any, problem: Any) -> None:
        assert not stop.is_set()
        found["once"] = once
        done(finished(tmp_path / "a.jpg", "low-confidence", "b", None))

    monkeypatch.setattr(deployed_service, "find", lambda _client, stack: {"bikes": service}[stack])
    monkeypatch.setattr(watching, "Watch", Watched)
    monkeypatch.setattr(watching, "run", run)
    monkeypatch.setattr(watching, "is_stored", lambda *given: found.update(stored=given) or True)
    monkeypatch.setattr(watching, "store", lambda *given: found.update(copied=given) or Path("/sorted/a"))
    options = [
        "--prefix",
        "p",
        "--exclude",
        "x",
        "--include",
        "y",
        "--region",
        "eu-west-1",
        "--stack",
        "bikes",
    ]
    shown = CliRunner().invoke(watch, [str(tmp_path), *options], standalone_mode=False)
    assert (shown.return_value, shown.exception) == (0, None)
    retrying = found.pop("retrying")
    assert isinstance(retrying, Retrying)
    assert found == {
        "given": ("images", tmp_path, "p"), "exclude": ("x",), "include": ("y",), "ignored": service.ignored, "once": False
    }  # fmt: skip
    assert shown.stdout == "a.jpg: low-confidence, b\n"
    assert shown.stderr == f"Watching {tmp_path}; Ctrl-C stops it.\n"
    # AND a copy is made where that is wanted
    into = tmp_path.parent / "sorted"
    shown = CliRunner().invoke(
        watch, [str(tmp_path), *options, "--sort-into", str(into)], standalone_mode=False
    )
    assert shown.stdout == "a.jpg: low-confidence, b → /sorted/a (there already)\n"
    assert found["stored"][1:] == found["copied"][1:] == (tmp_path, into)


def test_folders_that_contain_one_another_are_wrong_usage(tmp_path: Path) -> None:
    for into in (tmp_path, tmp_path / "sorted", tmp_path.parent):
        shown = CliRunner().invoke(watch, [str(tmp_path), "--sort-into", str(into)])
        assert (
            shown.exit_code,
            "contain one another: copies would be uploaded, too." in " ".join(shown.output.split()),
        ) == (2, True)
