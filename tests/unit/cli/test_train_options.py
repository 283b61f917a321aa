"""What `dropsort train` passes on: every option of the training, also where its value is zero or no, here and on SageMaker."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropsort.cli.train import train
from training import dataset
from training import train as training
from training.dataset import channels
from training.jobs import submission


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(train, list(arguments), standalone_mode=False)
    assert result.exception is None, result.output
    return result


def test_options_that_are_zero_or_no_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: list[Any] = []

    def gathered(_images: Path, _validation: None, given: Any, *, progress: Any) -> Any:
        settings.append(given)
        progress("images")(1, 3)
        return SimpleNamespace(
            rejected=[(Path("bad.jpg"), "no image")], counts=lambda: {"train": {"a": 3}}, labels=["a", "b"]
        )

    monkeypatch.setattr(training, "gather", gathered)
    monkeypatch.setattr("training.dataset.splitting.scarce", lambda _: ["a has 3 images"])
    monkeypatch.setattr(training, "train", lambda *_, **__: SimpleNamespace(figures={"model": "m"}))
    result = run(
        "--images",
        str(tmp_path),
        "--model",
        str(tmp_path / "model"),
        "--no-mirror",
        "--test",
        "0",
        "--seed",
        "0",
    )
    (given,) = settings
    assert (given.mirror, given.test, given.seed) == (False, 0.0, 0)
    assert "skipped: bad.jpg: no image" in result.stderr
    assert "Warning: a has 3 images." in result.stderr


def create(*arguments: str) -> dict[str, Any]:
    """CreateTrainingJob of a dry run."""
    shown = run("--on", "sagemaker", "--dry-run", "--region", "eu-west-1", *arguments)
    found: dict[str, Any] = json.loads(shown.stdout)[-1]["parameters"]
    return found


def test_a_job_has_the_options_that_differ_from_their_defaults() -> None:
    plain = create()
    assert (list(plain["HyperParameters"]), plain["EnableManagedSpotTraining"]) == (["checkpoints"], True)
    other = create("--no-spot", "--epochs", "3", "--no-mirror", "--instance-type", "ml.c5.xlarge")
    assert other["HyperParameters"] == {"epochs": "3", "mirror": "False"}
    assert (other["EnableManagedSpotTraining"], other["ResourceConfig"]["InstanceType"]) == (
        False,
        "ml.c5.xlarge",
    )
    assert create("--kind", "built-in", "--epochs", "3", "--no-mirror")["HyperParameters"]["epochs"] == "3"
    assert create("--kind", "built-in")["HyperParameters"]["epochs"] == "30"


def test_a_job_is_of_the_images_and_every_request_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def split(_data: Any, *, validation: float, test: float) -> Any:
        seen["shares"] = validation, test
        return SimpleNamespace(labels=["a", "b", "c"], part=lambda _: range(7))

    def submit(job: Any, _session: Any, on_request: Any) -> str:
        seen["job"] = job.classes, job.samples, job.bucket, job.role
        on_request(SimpleNamespace(service="sagemaker", operation="CreateTrainingJob"))
        return "job-1"

    monkeypatch.setattr(dataset, "read", lambda _: None)
    monkeypatch.setattr(dataset, "split", split)
    monkeypatch.setattr(channels, "upload", lambda *_, **__: None)
    monkeypatch.setattr(submission, "submit", submit)
    result = run(
        "--on", "sagemaker", "--images", str(tmp_path), "--validation", "0.2", "--test", "0.1", "--no-wait",
        "--bucket", "mine", "--role", "arn", "--region", "eu-west-1", "--json", str(tmp_path / "job.json"),
    )  # fmt: skip
    assert seen == {"shares": (0.2, 0.1), "job": (3, 7, "mine", "arn")}
    assert "sagemaker CreateTrainingJob" in result.stderr
    assert json.loads((tmp_path / "job.json").read_text()) == {"job": "job-1"}
    error = CliRunner().invoke(train, ["--on", "sagemaker", "--region", "eu-west-1"])
    assert (error.exit_code, "--images FOLDER is missing" in error.output) == (2, True)
