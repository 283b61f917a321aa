"""What commands pass on of their options, and what they say of what they get: with stand-ins for what takes long."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from dropsort.cli import evaluate as evaluating
from dropsort.cli import status_line
from dropsort.cli.compare import compare
from dropsort.cli.cost import cost
from dropsort.cli.environment import export_line
from dropsort.cli.locations import locate
from dropsort.cli.models import figures
from dropsort.cli.registry import register, rollout
from dropsort.cli.sagemaker import DRY_RUN_REGION, image_address, print_requests, region_of
from dropsort.cli.status import status
from dropsort.client import deployed_service
from dropsort.client import status as reading
from dropsort.client.aws import Aws
from dropsort.client.status import Status
from dropsort.contract import reference
from dropsort.contract.resources import DEFAULT_MODEL
from dropsort.local.activity import RecordedResult
from monitoring.cloudwatch import alarms
from training.evaluation import compare as comparing
from training.evaluation import held_out
from training.evaluation.compare import PairedShare
from training.registry import rollout as rolling

NOBODY = Aws(None, "eu-west-1")


def run(command: Any, *arguments: str) -> Result:
    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    assert result.exception is None, result.output
    return result


def test_shares_of_a_bill_are_percentages_and_days_are_many_a_month(tmp_path: Path) -> None:
    def bill(*arguments: str) -> dict[str, Any]:
        run(cost, *arguments, "--json", str(tmp_path / "bill.json"))
        found: dict[str, Any] = json.loads((tmp_path / "bill.json").read_text())
        return found

    assert bill("--uploads", "1000", "--per", "day")["uploads_a_month"] == 30_400
    whole, half, none = (
        bill("--captured", percent)["million_with_endpoint"]["total"] for percent in ("100", "50", "0")
    )
    assert whole - half == pytest.approx(half - none, rel=0.1)
    assert 0 < whole - none < whole
    small, some, large = (bill("--large", percent)["million"]["total"] for percent in ("0", "50", "100"))
    assert large - some == pytest.approx(some - small, rel=0.1)
    assert small < large < 100 * small


def test_values_of_variables_are_quoted_for_a_shell() -> None:
    line = export_line({"A": "b c", "D": "$(rm -rf .)"})
    assert shlex.split(line) == ["export", "A=b c", "D=$(rm -rf .)"]


@pytest.mark.parametrize("watched", [False, True])
def test_status_is_shown_once_or_again_and_again(watched: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a state that takes 4 seconds to read, and alarms in each of the three states
    clock, pauses, judged = [0.0], list[float](), list[bool]()

    def read(_client: Any, _service: Any, in_alarm: Any) -> Status:
        clock[0] += 4
        judged[:] = [in_alarm({"AlarmName": name}) for name in (alarms.OK, alarms.ALARM, alarms.NO_DATA)]
        return Status(endpoint_name="bikes")

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(deployed_service, "find", lambda _client, name: {"bikes": None}[name])
    monkeypatch.setattr(reading, "read", read)
    monkeypatch.setattr(alarms, "state", lambda _client, alarm, _now: alarm["AlarmName"])
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr("dropsort.cli.status.time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    result = CliRunner().invoke(
        status, ["--stack", "bikes", *(["--watch"] if watched else [])], standalone_mode=False
    )
    # THEN only what is in alarm is, and reading takes a part in ten of the time
    assert judged == [False, True, False]
    assert (pauses, result.stdout.count("endpoint")) == (([40, 40], 2) if watched else ([], 1))
    # AND an empty line is between two tables
    assert (result.stdout.count("\n\nuploads"), result.return_value) == ((1, None) if watched else (0, 0))


def test_of_many_results_the_latest_are_shown_and_the_others_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(status_line, "console", lambda **_: shown)
    found = [RecordedResult(f"incoming/{number}.jpg", "classified", "a", 0.9) for number in range(7)]

    class Activity:
        counts = SimpleNamespace(images=0)

        def __init__(self) -> None:
            self.waiting = [found[:5], found]

        def take_recent(self) -> list[RecordedResult]:
            return self.waiting.pop(0)

    with status_line.StatusLine(Activity(), quiet=False) as live:  # type: ignore[arg-type]
        live.show()
        assert "more" not in shown.file.getvalue()  # type: ignore[attr-defined]
        live.show()
    text = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", shown.file.getvalue())  # type: ignore[attr-defined]
    assert [text.count(f"{number}.jpg") for number in range(7)] == [1, 1, 2, 2, 2, 1, 1]
    assert "… 2 more" in text


def test_the_last_demo_is_where_it_was_and_a_named_service_comes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    demo = Path(".dropsort/last-demo")
    (demo / "captures").mkdir(parents=True)
    assert locate(None, None, None, None, NOBODY).reference == ""
    (demo / reference.FILE).write_text("[]")
    assert locate(None, None, None, None, NOBODY).reference == str(demo / reference.FILE)
    # AND folders are the same however they are written
    assert locate(str(demo), None, None, None, NOBODY).source == str(tmp_path / demo)
    # AND a service's captures are a part of its invocations
    given = {
        "CaptureSamplingPercentage": "25",
        "Threshold": "0.8",
        "FamiliarityThreshold": "0.02",
        "Precision": "0.9",
    }
    service = deployed_service.DeployedService("bikes", "images", "arn", "bikes", {}, given)
    monkeypatch.setattr(deployed_service, "find", lambda *_: service)
    found = locate(None, None, None, "bikes", NOBODY)
    assert (found.source, found.stack) == ("s3://images/captures", "bikes")
    assert (found.capture_percent, found.threshold, found.familiarity_threshold, found.precision) == (
        25,
        0.8,
        0.02,
        0.9,
    )


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems only take UTF-8")
def test_a_folder_of_captures_whose_name_is_no_utf8_is_found(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    assert locate(str(folder), None, None, None, NOBODY).source == str(folder)


@pytest.mark.parametrize("labels", ["a", "a,", "a,a", ","])
def test_labels_are_two_or_more_different_ones(labels: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="two or more different labels"):
        locate(str(tmp_path), None, labels, None, NOBODY)


def test_a_comparison_is_with_the_precision_that_was_given_and_says_what_was_gained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a candidate that gains three of ten images and loses one
    before = np.array([True] * 5 + [False] * 5)
    after = np.array([True] * 4 + [False] * 3 + [True] * 3)
    paired, seen = PairedShare.of(before, after), dict[str, Any]()
    side = {"unfamiliar": 0, "ece": 0.1, "milliseconds": 2.0}
    found = SimpleNamespace(
        rejected=[],
        overlap=[Path("seen.jpg")],
        truth=range(10),
        precision=0.9,
        accuracy=lambda: paired,
        decisive=lambda: SimpleNamespace(accuracy=lambda: PairedShare.of(before[2:], after[2:])),
        coverage=lambda: paired,
        coverage_at_precision=lambda: paired,
        summary=lambda: {"current": side, "candidate": side, "sentence": "Roll out.", "verdict": "roll out"},
    )

    def compared(*_: Any, **options: Any) -> Any:
        seen.update(options)
        return found

    monkeypatch.setattr(comparing, "compare", compared)
    monkeypatch.setattr("training.dataset.read", lambda _: None)
    result = run(compare, str(DEFAULT_MODEL), "--images", str(tmp_path), "--precision", "0.9")
    assert seen["precision"] == 0.9
    assert "50.0% → 70.0%, +20.0 points" in result.stdout
    assert re.search(r"… of 8 without near-duplicates +37.5% → 62.5%, \+25.0 points", result.stdout)
    assert "newly right, wrong" in result.stdout
    assert "3, 1" in result.stdout
    assert "left out, as the model was made from it: seen.jpg" in result.stderr


def test_an_evaluation_is_of_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def evaluated(*_: Any, **options: Any) -> Any:
        seen.update(options)
        overlap = [Path(f"{number}.jpg") for number in range(11)]
        return SimpleNamespace(rejected=[(Path("b.jpg"), "no image")], overlap=overlap, summary=dict)

    monkeypatch.setattr(held_out, "evaluate_path", evaluated)
    for name in ("others", "held"):
        (tmp_path / name).mkdir()
    arguments = ["--others", str(tmp_path / "others"), "--choose-on", str(tmp_path / "held")]
    result = run(
        evaluating.evaluate, "--images", str(tmp_path), *arguments, "--precision", "0.9", "--threshold", "0.7"
    )
    del seen["progress"]
    assert seen == {
        "others": tmp_path / "others",
        "choose_on": tmp_path / "held",
        "precision": 0.9,
        "threshold": 0.7,
    }
    assert result.stderr.count("left out, as the model was made from it") == evaluating.NAMED == 10
    assert "... and 1 more" in result.stderr
    assert "skipped: b.jpg: no image" in result.stderr


@pytest.mark.parametrize(("share", "warned"), [(0.03, False), (0.031, True), (None, False)])
def test_a_threshold_that_rejects_many_genuine_images_is_warned_of(
    share: float | None, warned: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluating.note_unfamiliar({"guard_cost": share, "familiarity_threshold": 0.01})
    assert ("Warning" in capsys.readouterr().err) is warned


def test_figures_of_a_model_are_an_object_or_none(tmp_path: Path) -> None:
    for content, found in (("[1]", {}), ('{"threshold": 0.9}', {"threshold": 0.9})):
        (tmp_path / "metrics.json").write_text(content)
        assert figures(tmp_path) == found


def test_a_folder_without_labels_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    (tmp_path / "images").mkdir()
    result = CliRunner().invoke(compare, [str(tmp_path), "--images", str(tmp_path / "images")])
    assert (result.exit_code, "has no labels.json" in result.output) == (2, True)


def test_requests_are_shown_without_bytes_and_images_by_their_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from training.aws.requests import AwsRequest

    print_requests([AwsRequest("s3", "PutObject", {"Bucket": "b", "Key": "k", "Body": b"12345"})], None)
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["parameters"]["Body"] == "5 bytes"
    assert region_of(NOBODY, True) == region_of(NOBODY, False) == "eu-west-1"
    assert region_of(Aws(None, None), True) == Aws(None, None).session.region_name or DRY_RUN_REGION
    for address in ("account.dkr.ecr/image:1", "account.dkr.ecr/image"):
        assert image_address(address, "eu-west-1") == address
    assert "/pytorch-inference:" in image_address("pytorch-inference", "eu-west-1")


def requests_of(command: Any, *arguments: str) -> str:
    return run(command, *arguments, "--dry-run", "--region", "eu-west-1").stdout


def test_a_registration_is_in_the_bucket_that_was_given_and_needs_labels() -> None:
    artifact = ["--artifact", "s3://jobs/model.tar.gz"]
    shown = requests_of(register, *artifact, "--labels", "a, b", "--bucket", "mine", "--note", "better")
    assert '"Bucket": "mine"' in shown
    assert '"a,b"' in shown
    assert '"better"' in shown
    result = CliRunner().invoke(register, [*artifact, "--dry-run", "--region", "eu-west-1"])
    assert (result.exit_code, "needs --labels" in result.output) == (2, True)


@pytest.mark.parametrize("keep", [False, True])
def test_thresholds_are_the_models_unless_they_are_to_stay(
    keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def execute(*_: Any, **options: Any) -> Any:
        seen.update(options)
        package = SimpleNamespace(version=2)
        return SimpleNamespace(executed=True, changed={}, package=package, document=dict)

    monkeypatch.setattr(rolling, "execute", execute)
    options = ["--keep-thresholds"] if keep else []
    run(rollout, "--yes", "--region", "eu-west-1", "--version", "2", "--instances", "3", *options)
    assert (seen["thresholds"], seen["version"], seen["instances"]) == (not keep, 2, 3)
    words = "the version's labels are added" if keep else "labels and thresholds of the version are added"
    assert words in requests_of(rollout, *options)
