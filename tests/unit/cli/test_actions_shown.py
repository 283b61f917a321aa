"""What commands that list, remove, start or price something write: each line and each member of their documents."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropsort.cli import cost as pricing
from dropsort.cli.audit import audit
from dropsort.cli.cost import cost
from dropsort.cli.drop import interrupted
from dropsort.cli.forget import forget
from dropsort.cli.redrive import estimate, redrive
from dropsort.cli.results import hint_prefix
from dropsort.client import deployed_service, reviewed
from dropsort.client import forget as forgetting
from dropsort.client import redrive as redriving
from dropsort.contract.resources import TEMPLATE
from monitoring.prices import redrive_dollars
from monitoring.quality import audit as auditing
from monitoring.storage import documents
from training.aws.template import Template

MARK = "\N{REPLACEMENT CHARACTER}"
IGNORED = object()


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> Any:
    found = SimpleNamespace(bucket="images", model="m-1", precision=0.9, ignored=IGNORED)
    monkeypatch.setattr(deployed_service, "find", lambda _client, stack: found if stack == "bikes" else None)
    monkeypatch.setenv("DROPSORT_STACK", "bikes")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    return found


def run(command: Any, *arguments: str | Path, typed: str = "") -> Result:
    result = CliRunner().invoke(command, list(map(str, arguments)), input=typed, standalone_mode=False)
    assert result.exception is None, result.exception
    return result


@pytest.mark.parametrize(("verdict", "code"), [("missed", 1), ("met", 0), ("open", 0)])
def test_an_audit_shows_what_was_reviewed_and_what_is_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdict: str, code: int
) -> None:
    seen: dict[str, Any] = {}
    strata = SimpleNamespace(size=12345, reviewed=1000, elsewhere=2000)
    found = SimpleNamespace(
        outcomes={"classified": strata}, sentences=lambda: ["At least [90 %]."], to_json=lambda: {"verdict": verdict}, verdict=verdict
    )  # fmt: skip
    following = [SimpleNamespace(key=f"incoming/[b]{'x' * 200}\n.jpg")]

    def with_results(_s3: Any, bucket: str, prefix: str, *, unreadable: Any) -> Any:
        unreadable("a review is damaged")
        return bucket, prefix

    class Documents:
        def __init__(self, _s3: Any, *where: str) -> None:
            seen["where"] = where

        def put(self, name: str, document: Any) -> None:
            seen["stored"] = name, document

    monkeypatch.setattr(reviewed, "with_results", with_results)
    monkeypatch.setattr(auditing, "audited_results", lambda *given: given)
    monkeypatch.setattr(auditing, "audit", lambda *given: seen.update(audit=given) or found)
    monkeypatch.setattr(auditing, "of_model", lambda items, model: (items, model))
    monkeypatch.setattr(
        auditing, "next_to_review", lambda items, count: seen.update(next=(items, count)) or following
    )
    monkeypatch.setattr(documents, "JsonDocuments", Documents)
    shown = run(audit, "--prefix", "cam/", "--next", "3", "--json", tmp_path / "a.json")
    assert shown.return_value == code
    assert seen == {"audit": (("images", "cam/"), 0.9, "m-1"), "next": ((("images", "cam/"), "m-1"), 3)}
    assert shown.stdout.splitlines() == [
        "classified, as predicted  12,345 before any review, 1,000 reviewed at random, 2,000 reviewed otherwise",
        "At least [90 %].",
        f"incoming/[b]{'x' * 200}{MARK}.jpg",
    ]
    assert shown.stderr == "a review is damaged\n"
    assert json.loads((tmp_path / "a.json").read_text()) == {"verdict": verdict, "next": [following[0].key]}
    # AND a target of zero is one; what is stored is what was found
    run(audit, "--precision", "0", "--store")
    assert seen["audit"] == (("images", ""), 0.0, "m-1")
    assert seen["next"][1] == 0
    assert seen["where"] == ("images", "monitoring")
    assert seen["stored"][1] == {"verdict": verdict}


def stored(key: str, *counts: int) -> SimpleNamespace:
    names = ("uploads", "results", "reviews", "captured", "labelled")
    return SimpleNamespace(key=key, **dict(zip(names, counts, strict=True)), empty=not any(counts))


def test_what_is_stored_of_images_is_shown_before_it_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, service: Any
) -> None:
    every = {
        "incoming/a\n[b].jpg": (1, 2000, 3000, 1, 1),
        "incoming/b.jpg": (0, 0, 0, 0, 0),
        "incoming/c.jpg": (2, 1, 0, 5, 0),
    }
    requested: list[Any] = []
    removed: list[str] = []

    def find(_s3: Any, given: Any, key: str, truth: str) -> Any:
        requested.append((given is service, key, truth))
        return stored(key, *every[key])

    monkeypatch.setattr(forgetting, "find", find)
    monkeypatch.setattr(forgetting, "remove", lambda _s3, given, item: removed.append(item.key))
    keys = ("a\n[b].jpg", "s3://images/incoming/b.jpg", "incoming/c.jpg", "c.jpg")
    shown = run(forget, *keys, "--ground-truth", "truth/", "--json", tmp_path / "f.json", typed="y\n")
    assert requested == [(True, key, "truth/") for key in every]
    assert shown.stdout.splitlines() == [
        f"incoming/a{MARK}[b].jpg: 1 version of the upload, 2,000 of results, 3,000 of its review, 1 capture, 1 line of ground truth",
        "incoming/b.jpg: nothing is stored",
        "incoming/c.jpg: 2 versions of the upload, 1 of results, 0 of its review, 5 captures, 0 lines of ground truth",
        "2 images removed.",
    ]
    assert "Log lines that name these keys expire after LogRetentionDays." in shown.stderr
    assert removed == ["incoming/a\n[b].jpg", "incoming/c.jpg"]
    names = ("uploads", "results", "reviews", "captures", "ground_truth")
    assert json.loads((tmp_path / "f.json").read_text()) == {
        "images": [{"key": key, **dict(zip(names, counts, strict=True))} for key, counts in every.items()]
    }
    # AND where nothing is stored nobody is to confirm
    assert "removed" not in run(forget, "b.jpg").stdout


@pytest.mark.parametrize(
    ("count", "seconds", "words"),
    [(1, 0.2, "1 upload, about 1 second, about $0.00"), (2, 1.4, "2 uploads, about 1 second,"), (2, 1.6, "2 uploads, about 2 seconds,"),
     (2, 119.9, "about 120 seconds,"), (2, 120, "about 2 minutes,"), (2, 600_000, "about 10,000 minutes,")],
)  # fmt: skip
def test_an_estimate_has_its_units(count: int, seconds: float, words: str) -> None:
    assert words in estimate(count, seconds, 0.001)
    assert estimate(1, 1, 1234.567).endswith("about $1,234.57 without the endpoint.")


@pytest.fixture
def selected(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two uploads, one of which was uploaded at a time, and what was given to select and to start them."""
    found: dict[str, Any] = {"uploads": 2}

    def select(
        _s3: Any, bucket: str, selection: Any, *, unreadable: Any, too_young: Any, **options: Any
    ) -> Any:
        found.update(options, bucket=bucket, selection=selection)
        unreadable("a result is damaged")
        for number in range(1500):
            too_young(str(number))
        for number in range(found["uploads"]):
            when = datetime(2026, 11, 26, tzinfo=UTC) if number else None
            yield SimpleNamespace(key=f"incoming/[b]{number}\n", uploaded=when, why="no result")

    def start(_client: Any, _service: Any, uploads: Any, at_once: int) -> Any:
        found["started"] = uploads.count, at_once
        return SimpleNamespace(id="run-1")

    monkeypatch.setattr(redriving, "select", select)
    monkeypatch.setattr(redriving, "start", start)
    monkeypatch.setattr(redriving, "concurrency", lambda _: 5)
    monkeypatch.setattr(redriving, "estimated_seconds", lambda count, at_once: 100.0 * count / at_once)
    return found


def test_uploads_are_started_with_what_was_selected(selected: dict[str, Any], tmp_path: Path) -> None:
    shown = run(
        redrive, "--reason", "throttled", "--outcome", "failed", "--label", "a", "--model-before", "m-2", "--prefix", "cam/",
        "--min-age", "1200", "--concurrency", "4", "--yes", "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert selected["selection"] == redriving.Selection(False, ("throttled",), ("failed",), "a", "m-2")
    assert (selected["bucket"], selected["prefix"], selected["min_age_seconds"]) == ("images", "cam/", 1200)
    assert selected["ignored"] is IGNORED
    assert selected["started"] == (2, 4)
    assert shown.stdout == "2 uploads were started again.\n"
    assert shown.stderr.splitlines() == [
        "a result is damaged",
        estimate(2, 50.0, redrive_dollars(2)),
        "1,500 younger than 1,200 seconds left out, as they may be in progress (--min-age 0 includes them).",
    ]
    assert json.loads((tmp_path / "r.json").read_text()) == {
        "started": 2, "run": "run-1", "estimated_seconds": 50.0, "estimated_dollars": redrive_dollars(2),
        "uploads": [{"key": "incoming/[b]0\n", "uploaded": None, "why": "no result"},
                    {"key": "incoming/[b]1\n", "uploaded": "2026-11-26T00:00:00.000Z", "why": "no result"}],
    }  # fmt: skip


def test_a_dry_run_names_uploads_and_starts_none(selected: dict[str, Any], tmp_path: Path) -> None:
    shown = run(redrive, "--all", "--dry-run", "--json", tmp_path / "r.json")
    assert selected["selection"] == redriving.Selection(True, (), (), None, None)
    assert selected["min_age_seconds"] == 600
    assert "started" not in selected
    assert shown.stdout.splitlines() == [
        f"incoming/[b]0{MARK}  (no result)", f"incoming/[b]1{MARK}  (no result)", "2 uploads would be started again."
    ]  # fmt: skip
    found = json.loads((tmp_path / "r.json").read_text())
    assert (found["started"], found["run"], found["estimated_seconds"]) == (0, None, 40.0)


@pytest.mark.parametrize(("count", "words"), [(0, "Nothing to redrive."), (1, "1 upload was started again.")])
def test_none_and_one_have_words_of_their_own(selected: dict[str, Any], count: int, words: str) -> None:
    selected["uploads"] = count
    shown = run(redrive, "--prefix", "incoming/cam/", "--yes")
    assert shown.stdout == f"{words}\n"
    assert ("--prefix is relative to incoming/: try --prefix cam/" in shown.stderr) is (count == 0)
    assert ("about $" in shown.stderr) is bool(count)
    assert ("started" in selected) is bool(count)


@pytest.mark.parametrize(
    "criterion", ["--reason=throttled", "--outcome=failed", "--label=a", "--model-before=m"]
)
def test_all_excludes_every_criterion(selected: dict[str, Any], criterion: str) -> None:
    result = CliRunner().invoke(redrive, ["--all", criterion])
    assert (result.exit_code, "--all selects every upload" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("incoming/", "leave it out for all\n"),
        ("incoming/a", "try --prefix a\n"),
        ("a/incoming/", ""),
        ("", ""),
    ],
)
def test_a_prefix_that_is_a_key_is_explained(
    prefix: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hint_prefix(prefix)
    assert capsys.readouterr().err == (f"--prefix is relative to incoming/: {words}" if words else "")


def test_an_interrupted_drop_says_what_is_there() -> None:
    again = "files are uploaded and will be classified; run the same command again to"
    assert interrupted(2, 3) == f"2 of 3 {again} upload the rest."
    assert interrupted(3, 3) == f"3 of 3 {again} wait for their results."


def test_a_bill_has_its_title_its_parts_and_both_sums() -> None:
    shown = run(cost, "--uploads", "2000000", "--instances", "3").stdout
    lines = [re.sub(r"\s+", " ", line.strip()) for line in shown.splitlines()]
    assert re.match(r"Estimate by prices of \d{4}-\d\d.*, us-east-1, US dollars$", lines[0])
    assert [
        words for words in pricing.TITLES.values() if not any(line.startswith(words) for line in lines)
    ] == []
    assert list(pricing.TITLES.values()) == [
        "A million images", "A million images, with an endpoint of the stack's own", "A month for a million images that stay",
        "A month, whatever the traffic",
    ]  # fmt: skip
    assert lines[-2] == "The endpoint, 3 ml.m5.xlarge, busy or idle: 503.42 a month."
    assert re.match(
        r"A month with 2,000,000 images: [\d.,]+, of which 503.42 for the endpoint's instances\.$", lines[-1]
    )
    assert "alarms" in shown


def test_a_bill_on_standard_output_is_json_alone() -> None:
    found = json.loads(run(cost, "--json", "-").stdout)
    assert found["uploads_a_month"] == 1_000_000
    assert {name for name in found if isinstance(found[name], dict)} == {
        "million", "million_with_endpoint", "fixed_month", "stored_month"
    }  # fmt: skip
    alarms = [
        one
        for one in Template(TEMPLATE, {}).document["Resources"].values()
        if one["Type"] == "AWS::CloudWatch::Alarm"
    ]
    assert any(f"({len(alarms)}" in name or "alarm" in name for name in found["fixed_month"]["items"])
