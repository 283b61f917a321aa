"""`dropsort watch`: one line for each result and each problem, whatever a file or a label is called."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

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
