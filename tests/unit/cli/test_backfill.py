"""`dropsort backfill`: what it says before it copies, what it copies, and the document it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropsort.cli.backfill import backfill
from dropsort.client import backfill as filling
from dropsort.client import deployed_service

PLAN = filling.CopyPlan(3000, 2_500_000_000)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is copied, of a source with 3,000 objects of which the last run copied some."""
    calls: list[Any] = []

    def copy(*given: Any, done: Any, **options: Any) -> int:
        calls.append((given[1:], options))
        done(PLAN.objects)
        return PLAN.objects

    monkeypatch.setattr(deployed_service, "find", lambda *_: SimpleNamespace(bucket="images"))
    monkeypatch.setattr(
        filling,
        "resumed_after",
        lambda _s3, bucket, origin: {("images", "old/"): "old/a\x1b.jpg"}[bucket, origin.prefix],
    )
    left = {"old/a\x1b.jpg": PLAN}  # after that key
    monkeypatch.setattr(filling, "plan", lambda _s3, _origin, after="": left[after])
    monkeypatch.setattr(filling, "copy", copy)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return calls


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(backfill, ["s3://others/old/", *arguments], input=typed, catch_exceptions=False)


def test_a_dry_run_says_what_it_would_take_and_copies_nothing(copied: list[Any], tmp_path: Path) -> None:
    shown = run("--dry-run", "--rate", "10", "--json", str(tmp_path / "b.json"))
    assert (shown.exit_code, copied) == (0, [])
    assert "Continues after old/a\ufffd.jpg." in shown.stderr
    assert "3,000 uploads, about 5 minutes, about $0." in shown.stderr
    assert "The copies take 2.50 GB, $0.06 a month in S3 Standard." in shown.stderr
    assert shown.stdout == "0 objects were copied to s3://images/incoming/old/\n"
    found = json.loads((tmp_path / "b.json").read_text())
    assert 0.01 < found.pop("estimated_dollars") < 0.1
    assert found.pop("estimated_storage_dollars_a_month") == pytest.approx(2.5 * 0.023)
    assert found == {"objects": 3000, "bytes": 2_500_000_000, "copied": 0, "estimated_seconds": 300.0}


def test_it_copies_at_the_rate_and_into_the_class_that_were_given(copied: list[Any]) -> None:
    shown = run("--to", "cam1", "--rate", "7", "--storage-class", "GLACIER_IR", typed="y\n")
    origin = filling.CopySource("others", "old/", "cam1/")
    assert copied == [
        (
            ("images", origin),
            {"per_second": 7.0, "storage_class": "GLACIER_IR", "after": "old/a\x1b.jpg"},
        )
    ]
    assert "3000 objects were copied to s3://images/incoming/cam1/\n" in shown.stdout


def test_it_copies_fifty_a_second_unless_it_is_given(copied: list[Any]) -> None:
    assert "about 60 seconds" in run("--yes").stderr
    ((_, options),) = copied
    assert (options["per_second"], options["storage_class"]) == (50.0, None)


def test_nothing_to_copy_needs_no_confirmation(copied: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "plan", lambda *_: filling.CopyPlan(0, 0))
    monkeypatch.setattr(filling, "resumed_after", lambda *_: "")
    shown = run()
    assert (shown.exit_code, copied) == (0, [])
    assert "Continues" not in shown.stderr
