"""What `dropsort train` does here and on SageMaker, with stand-ins for the training: every option, line and file."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropsort.cli import jobs
from dropsort.cli import train as commands
from dropsort.cli.train import train
from dropsort.client import deployed_service
from training import dataset
from training import train as training
from training.dataset import channels, splitting
from training.jobs import submission
from training.settings import TrainingSettings

MARK = "\N{REPLACEMENT CHARACTER}"


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(train, list(map(str, arguments)), standalone_mode=False)
    assert result.exception is None, result.output
    return result


class Bars:
    """Instead of progress bars: which were made, and how they were moved."""

    def __init__(self, terminal: bool = False) -> None:
        self.lines, self.tasks, self.updates = list[bool](), list[Any](), list[Any]()
        self.console = SimpleNamespace(is_terminal=terminal)

    @contextmanager
    def __call__(self, lines: bool = True) -> Any:
        self.lines.append(lines)
        yield self

    def add_task(self, name: str, total: int | None) -> str:
        self.tasks.append((name, total))
        return name

    def update(self, task: str, **given: Any) -> None:
        self.updates.append((task, given))

    def advance(self, task: str, by: float = 1) -> None:
        self.updates.append((task, by))


def progress() -> Any:
    """The fourth of five epochs of the second of three trainings."""
    return SimpleNamespace(training=2, trainings=3, epoch=SimpleNamespace(number=4, of=5))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the functions of the training were given."""
    found: dict[str, Any] = {}
    data = SimpleNamespace(
        rejected=[(Path("b\n.jpg"), "no image")], counts=lambda: {"train": {"a": 3, "b": 4}, "test": {"a": 1}}
    )

    def gather(images: Path, validation: None, settings: Any, *, progress: Any) -> Any:
        found.update(images=images, validation=validation, settings=settings, progress=progress)
        return data

    def trained(given: Any, model: Path, settings: Any, *, progress: Any) -> Any:
        found.update(data=given is data, model=model, same=settings is found["settings"])
        progress(found["step"])
        return SimpleNamespace(figures={"model": "m", "guard_cost": 0.5, "familiarity_threshold": 0.01})

    monkeypatch.setattr(training, "gather", gather)
    monkeypatch.setattr(training, "train", trained)
    monkeypatch.setattr(
        training, "check_folder", lambda *given, **options: found.update(checked=(given, options))
    )
    monkeypatch.setattr(splitting, "scarce", lambda _: ["few of a"])
    monkeypatch.setattr(commands, "progress_line", lambda done: f"epoch {done.epoch.number}")
    found["step"] = progress()
    return found


@pytest.mark.parametrize("terminal", [False, True])
def test_a_training_here_reports_what_it_uses_does_and_found(
    seen: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    bars = Bars(terminal)
    monkeypatch.setattr(commands, "bars", bars)
    monkeypatch.setattr(commands, "stages", lambda found: ("stages", found is bars))
    model = tmp_path / "model"
    shown = run(
        "--images", tmp_path, "--model", model, "--replace", "--epochs", "5", "--json", tmp_path / "f.json"
    )
    assert seen["checked"] == ((model,), {"replace_model": True})
    assert (seen["images"], seen["validation"], seen["progress"]) == (tmp_path, None, ("stages", True))
    assert (seen["data"], seen["model"], seen["same"]) == (True, model, True)
    assert vars(seen["settings"]) == vars(TrainingSettings(epochs=5))
    # AND progress is that of all trainings; without a terminal it is lines
    assert (bars.lines, bars.tasks) == ([True, False], [("epoch", None)])
    assert bars.updates == [("epoch", {"total": 15, "completed": 9})]
    lines = shown.stderr.splitlines()
    assert lines[:4] == [
        f"skipped: b{MARK}.jpg: no image",
        "train: 3 a, 4 b",
        "test: 1 a",
        "Warning: few of a.",
    ]
    assert lines[4:-2] == ([] if terminal else ["epoch 4"])
    assert lines[-2].startswith("Warning: the service would not classify 50.0% of these images")
    assert lines[-1].startswith(f"Next: dropsort evaluate --model {model} --images DIR, ")
    assert shown.stdout.split() == ["model", "m"]
    assert json.loads((tmp_path / "f.json").read_text())["model"] == "m"


def test_a_training_here_needs_images() -> None:
    result = CliRunner().invoke(train, [])
    assert result.exit_code == 2
    assert "--images is required: the folder or manifest of the labelled images." in " ".join(
        result.output.split()
    )


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the functions of a training job were given."""
    found: dict[str, Any] = {}
    data = SimpleNamespace(labels=["a", "b"], part=lambda name: range(7) if name == "train" else None)

    def upload(given: Any, _s3: Any, bucket: str, prefix: str, progress: Any) -> None:
        found["uploaded"] = (given is data, bucket, prefix)
        progress(1, 2, "file")

    def submit(given: Any, _session: Any, on_request: Any) -> str:
        found["job"] = given
        on_request(SimpleNamespace(service="sagemaker", operation="CreateTrainingJob"))
        return "job-1"

    def wait(name: str, _session: Any, on_step: Any) -> Any:
        on_step(f"{name} is in progress")
        return SimpleNamespace(
            model_data="s3://m/model.tar.gz", document=lambda: {"model_data": "s3://m/model.tar.gz"}
        )

    monkeypatch.setattr(dataset, "read", lambda images: images)
    monkeypatch.setattr(
        dataset, "split", lambda images, **shares: found.update(split=(images, shares)) or data
    )
    monkeypatch.setattr(channels, "upload", upload)
    monkeypatch.setattr(submission, "submit", submit)
    monkeypatch.setattr(submission, "wait", wait)
    return found


SAGEMAKER = ("--on", "sagemaker", "--region", "eu-west-1")
GIVEN = (*SAGEMAKER, "--bucket", "mine", "--role", "arn")


def test_a_job_gets_the_images_and_is_waited_for(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars, images, target = Bars(), tmp_path / "bikes", tmp_path / "job.json"
    images.mkdir()
    monkeypatch.setattr(jobs, "bars", bars)
    shown = run(
        *GIVEN,
        "--images",
        images,
        "--instance-type",
        "ml.c5.xlarge",
        "--no-spot",
        "--seed",
        "3",
        "--json",
        target,
    )
    default = TrainingSettings()
    assert job["split"] == (images, {"validation": default.validation, "test": default.test})
    found = job["job"]
    bucket, _, prefix = found.data.removeprefix("s3://").partition("/")
    assert prefix.endswith("/data/bikes")
    assert job["uploaded"] == (True, "mine", prefix)
    assert (bucket, found.bucket, found.role, found.region) == ("mine", "mine", "arn", "eu-west-1")
    assert (found.kind, found.instance_type, found.spot) == ("script", "ml.c5.xlarge", False)
    assert (found.hyperparameters, found.classes, found.samples) == ({"seed": "3"}, 2, 7)
    assert (bars.tasks, bars.updates) == ([("uploaded", None)], [("uploaded", {"completed": 1, "total": 2})])
    assert shown.stdout == "Training job job-1 has started.\n"
    assert shown.stderr.splitlines() == [
        "sagemaker CreateTrainingJob",
        "job-1 is in progress",
        "Next: dropsort register --artifact s3://m/model.tar.gz --labels a,b",
    ]
    assert json.loads(target.read_text()) == {"job": "job-1", "model_data": "s3://m/model.tar.gz"}


def test_a_job_of_the_built_in_algorithm_is_registered_with_its_image_and_not_waited_for_if_that_is_declined(
    job: dict[str, Any], tmp_path: Path
) -> None:
    shown = run(*GIVEN, "--images", tmp_path, "--kind", "built-in", "--json", "-")
    assert "--labels a,b --image image-classification\n" in shown.stderr
    assert (job["job"].kind, job["job"].hyperparameters) == ("built-in", {})
    assert json.loads(shown.stdout) == {"job": "job-1", "model_data": "s3://m/model.tar.gz"}
    assert "Training job job-1 has started." in shown.stderr
    shown = run(*GIVEN, "--images", tmp_path, "--kind", "built-in", "--epochs", "3", "--no-wait")
    assert job["job"].hyperparameters == {"epochs": "3"}
    assert "Next" not in shown.stderr
    assert "in progress" not in shown.stderr


def test_a_dry_run_uploads_nothing(job: dict[str, Any], tmp_path: Path) -> None:
    shown = run(*SAGEMAKER, "--images", tmp_path, "--dry-run", "--stack", "s")
    assert "uploaded" not in job
    assert "job" not in job
    text = shown.stdout
    assert "arn:aws:iam::123456789012:role/s-training" in text
    assert f"/data/{tmp_path.stem}" in text
    assert "/data/images" in run(*SAGEMAKER, "--dry-run").stdout


def test_bucket_and_role_are_those_of_the_stack(
    job: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {"TrainingRoleArn": "the stack's"}
    service = SimpleNamespace(parameters={"ArtifactBucket": "artifacts"}, outputs=outputs)
    monkeypatch.setattr(deployed_service, "find", lambda _, stack: service if stack == "s" else None)
    run(*SAGEMAKER, "--images", tmp_path, "--stack", "s", "--no-wait")
    assert (job["job"].bucket, job["job"].role) == ("artifacts", "the stack's")
    outputs.clear()
    error = CliRunner().invoke(train, [*SAGEMAKER, "--images", str(tmp_path), "--stack", "s"])
    assert (error.exit_code, "Stack s has no training role" in error.output) == (2, True)
