"""Limits of options, and what commands do with what they get: exit codes, what is named, what is left alone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from dropsort.cli import deployment as deploying
from dropsort.cli import environment
from dropsort.cli import monitoring as watching
from dropsort.cli import redrive as redriving
from dropsort.cli.main import dropsort
from dropsort.client import deployed_service, forget
from dropsort.client.captures import CaptureLocation
from dropsort.contract.backlog import UploadList
from dropsort.deployment import artifacts
from dropsort.local import running
from monitoring.aggregates.cells import BadLine
from monitoring.incremental.summary import RunSummary
from monitoring.storage.state import OBJECTS
from training import train as training
from training.registry import registry


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(dropsort, list(map(str, arguments)))


def run_alone(*arguments: str | Path) -> Result:
    """What a command returns, which `dropsort.cli.main.main` makes the exit code."""
    result = CliRunner().invoke(dropsort, list(map(str, arguments)), standalone_mode=False)
    assert result.exception is None, result.output
    return result


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "--threshold", "1.01"], ["report", "--threshold", "-0.1"], ["train", "--folds", "11"], ["train", "--folds", "-1"],
        ["train", "--precision", "1.5"], ["redrive", "--concurrency", "0"], ["redrive", "--concurrency", "10001"],
        ["redrive", "--min-age", "-1"], ["backfill", "s3://a/b", "--rate", "0.05"], ["monitor", "--processes", "0"],
        ["rollout", "--instances", "0"], ["approve", "--version", "0"], ["drop", ".", "--timeout", "0.5"], ["results", "--limit", "-1"],
        ["dataset", "a", "--test", "1.1"], ["audit", "--precision", "1.1"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_number_out_of_its_range_is_wrong_usage(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "is not in the range" in result.output


@pytest.mark.parametrize("name", ["report", "dashboard"])
def test_a_page_is_opened_unless_that_is_declined(name: str) -> None:
    command = dropsort.get_command(click.Context(dropsort), name)
    assert command is not None
    assert [one.default for one in command.params if one.name == "open_"] == [True]


def test_a_dry_run_of_a_roll_out_has_the_two_instances_of_a_canary() -> None:
    for given, expected in (([], "2"), (["--instances", "3"], "3")):
        shown = run("rollout", "--dry-run", "--region", "eu-west-1", *given)
        create = next(one for one in json.loads(shown.stdout) if one["operation"] == "CreateChangeSet")
        values = {
            one["ParameterKey"]: one.get("ParameterValue") for one in create["parameters"]["Parameters"]
        }
        assert values["EndpointInstanceCount"] == expected


def test_a_decision_has_its_version_and_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {}

    def approve(group: str, *_: Any, **given: Any) -> Any:
        found.update(given, group=group)
        return SimpleNamespace(version=3, status="Rejected", document=dict)

    monkeypatch.setattr(registry, "approve", approve)
    result = run_alone("approve", "--version", "3", "--reject", "--note", "too slow", "--group", "bikes")
    assert result.return_value == 0
    assert found == {"group": "bikes", "version": 3, "reject": True, "note": "too slow"}


def test_warnings_of_a_training_are_one_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = SimpleNamespace(rejected=[], counts=dict)
    monkeypatch.setattr(training, "gather", lambda *_, **__: data)
    monkeypatch.setattr(training, "train", lambda *_, **__: SimpleNamespace(figures={"model": "m"}))
    monkeypatch.setattr("training.dataset.splitting.scarce", lambda _: ["few of '\n[31m'"])
    result = run("train", "--images", tmp_path, "--model", tmp_path / "model")
    assert "Warning: few of '\N{REPLACEMENT CHARACTER}[31m'." in result.stderr


@pytest.mark.parametrize(("failed", "expected"), [([], 0), ([BadLine("a.jsonl", 0, "denied")], 1)])
def test_a_file_of_captures_that_cannot_be_read_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: list[BadLine], expected: int
) -> None:
    # GIVEN twelve bad lines, in a file whose name has a line feed
    summary = RunSummary("captures", "state", failed=failed)
    summary.health.bad = [BadLine("\na.jsonl", number, "cut off") for number in range(1, 13)]
    summary.health.bad_lines = 12
    where = CaptureLocation("captures", "state", "captures")
    monkeypatch.setattr(watching, "locate", lambda *_: where)
    monkeypatch.setattr(watching, "_aggregate", lambda *_: summary)
    result = run_alone("monitor", tmp_path)
    assert result.return_value == expected
    lines = [line for line in result.stderr.splitlines() if "bad line" in line]
    assert lines[0] == "bad line: \N{REPLACEMENT CHARACTER}a.jsonl, line 1: cut off"
    assert len(lines) == 11
    assert lines[-1].startswith("... and 2 more bad lines")
    # AND all of ten are named
    summary.health.bad = summary.health.bad[:10]
    summary.health.bad_lines = 10
    assert "more bad lines" not in run("monitor", tmp_path).stderr


def test_only_aggregates_are_deleted(tmp_path: Path) -> None:
    for name in (*OBJECTS, "a.partial"):
        (tmp_path / name).touch()
    (tmp_path / "images").mkdir()
    with pytest.raises(click.UsageError, match="something other than aggregates, images"):
        watching._forget(str(tmp_path))
    assert len(list(tmp_path.iterdir())) == len(OBJECTS) + 2
    with pytest.raises(click.UsageError, match="deletes a local folder only"):
        watching._forget("s3://bucket/monitoring")
    (tmp_path / "images").rmdir()
    watching._forget(str(tmp_path))
    assert not tmp_path.exists()


def test_an_estimate_is_in_minutes_from_two_on_and_a_document_names_ten_thousand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        redriving.estimate(1, 119.0, 0.5) == "1 upload, about 119 seconds, about $0.50 without the endpoint."
    )
    assert "about 2 minutes," in redriving.estimate(2, 120.0, 0.5)
    many = (SimpleNamespace(key=f"incoming/\x1b{n}", uploaded=None, why="no result") for n in range(10_001))
    console = redriving.output_console(None)
    with UploadList() as uploads:
        named = redriving._collect(uploads, "b", many, None)  # type: ignore[arg-type]
        assert (uploads.count, len(named)) == (10_001, 10_000)
        one = SimpleNamespace(key="incoming/\na", uploaded=None, why="no result")
        redriving._collect(uploads, "b", [one], console)  # type: ignore[list-item]
    assert capsys.readouterr().out == "incoming/\N{REPLACEMENT CHARACTER}a  (no result)\n"


def test_only_what_is_stored_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []

    def find(_s3: Any, _service: Any, key: str, _truth: str) -> Any:
        count = int(key == "incoming/b.jpg")
        return SimpleNamespace(
            key=key, uploads=count, results=0, reviews=0, captured=0, labelled=0, empty=not count
        )

    monkeypatch.setattr(deployed_service, "find", lambda *_: SimpleNamespace(bucket="images"))
    monkeypatch.setattr(forget, "find", find)
    monkeypatch.setattr(forget, "remove", lambda _s3, _service, item: removed.append(item.key))
    result = run("forget", "a.jpg", "b.jpg", "--yes")
    assert removed == ["incoming/b.jpg"], result.output
    assert "1 image removed." in result.output
    assert "incoming/a.jpg: nothing is stored" in result.output


@pytest.mark.parametrize("is_folder", [True, False])
def test_thresholds_are_taken_from_a_model_folder_and_not_from_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_folder: bool
) -> None:
    """An archive may be of a model that was trained elsewhere, whose figures nobody has compared with the service's."""
    monkeypatch.setattr(artifacts, "upload_digested", lambda *_: "models/a/model.tar.gz")
    monkeypatch.setattr("training.model.artifact.write_artifact", lambda folder, target, on_step: target)
    monkeypatch.setattr("training.model.artifact.read_figures", lambda path: {"threshold": 0.5})
    monkeypatch.setattr(deploying, "figures", lambda folder: {"threshold": 0.6})
    model = tmp_path / "model"
    model.mkdir() if is_folder else model.touch()
    found: list[Any] = []
    plan: Any = SimpleNamespace(with_model=lambda *given, **more: found.append((*given, more)))
    deploying._with_model(plan, SimpleNamespace(client=lambda _: None), model, "bucket")  # type: ignore[arg-type]
    assert found == [
        (
            "s3://bucket/models/a/model.tar.gz",
            {"threshold": 0.6 if is_folder else 0.5},
            {"thresholds": is_folder},
        )
    ]


def test_the_variables_are_those_of_one_service_and_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = [
        SimpleNamespace(
            folder=str(tmp_path / name), environment={"AWS_ENDPOINT_URL": f"http://{name}; rm -rf ."}
        )
        for name in ("one", "two")
    ]
    monkeypatch.setattr(running, "services", lambda: services)
    several = run("env")
    assert several.exit_code == 1
    assert "2 services run on this machine: choose one with --data" in several.output
    monkeypatch.chdir(tmp_path)
    chosen = run("env", "--data", "two")
    assert chosen.stdout == "export AWS_ENDPOINT_URL='http://two; rm -rf .'\n"
    assert f"the service in {tmp_path / 'two'}" in chosen.stderr


@pytest.mark.parametrize(
    ("started", "found", "name"),
    [
        ("/venv/bin/dropsort", "/venv/bin/dropsort", "dropsort"), ("/venv/bin/dropsort", "/usr/bin/dropsort", "/venv/bin/dropsort"),
        ("/my venv/dropsort", None, "'/my venv/dropsort'"), ("/x/__main__.py", None, "dropsort"), ("/x/__main__.py", "/y", "dropsort"),
    ],
)  # fmt: skip
def test_a_command_is_named_as_it_can_be_typed_again(
    monkeypatch: pytest.MonkeyPatch, started: str, found: str | None, name: str
) -> None:
    monkeypatch.setattr("sys.argv", [started])
    monkeypatch.setattr("shutil.which", lambda wanted: found if wanted == Path(started).name else "no")
    assert environment.invoked_as() == name


def test_services_that_are_not_there_or_too_many_are_named_by_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: list[Any] = []
    monkeypatch.setattr(running, "services", lambda: services)
    assert "No service runs on this machine: start one" in run("env").output
    shown = run("env", "--data", tmp_path)
    assert (shown.exit_code, f"No service with its data in {tmp_path} runs" in shown.output) == (1, True)
    services += [SimpleNamespace(folder=name, environment={"A": "b"}) for name in ("/one", "/two")]
    assert "choose one with --data (/one, /two)." in run("env").output
    del services[1]
    services[0].environment["C"] = "d e"
    shown = run_alone("env")
    assert (shown.return_value, shown.stdout) == (0, "export A=b C='d e'\n")
