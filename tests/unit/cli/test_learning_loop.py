"""The whole loop on real images: train on half, review what is doubtful, make a dataset, train again, compare.

Small, so that it is quick: what a second model gains is measured by `python -m benchmarks.learning_loop`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests import needs

needs.installed("training", "torch")
needs.installed("training", "onnx")

from dropsort.cli.compare import compare  # noqa: E402
from dropsort.cli.dataset import dataset as dataset_command  # noqa: E402
from training import dataset, train  # noqa: E402
from training.dataset import LabelledImage  # noqa: E402
from training.evaluation.held_out import load_model, predict  # noqa: E402

pytestmark = pytest.mark.xdist_group("torch")
SETTINGS = train.TrainingSettings(arch="resnet8", epochs=2, validation=0.2)


def output(command: Any, *arguments: str) -> dict[str, Any]:
    shown = CliRunner().invoke(command, [*arguments, "--json", "-"], catch_exceptions=False)
    document: dict[str, Any] = json.loads(shown.stdout)
    return document


def some(real_data: Path, part: str, first: int, count: int) -> list[LabelledImage]:
    """Real images, as many of each label."""
    folder = real_data / "bicycle-motorcycle" / part
    return [
        LabelledImage(path, label, part)
        for label in ("bicycle", "motorcycle")
        for path in sorted((folder / label).iterdir())[first : first + count]
    ]


def test_a_model_learns_from_reviews(real_data: Path, record: Callable[..., None], tmp_path: Path) -> None:
    # GIVEN a model that was trained on some of the images, and the others as uploads
    earlier = some(real_data, "train", 0, 20) + some(real_data, "test", 0, 8)
    labels = ["bicycle", "motorcycle"]
    split = dataset.split(dataset.Dataset(labels, earlier), validation=SETTINGS.validation)
    train.train(split, tmp_path / "first", SETTINGS)
    model, figures = load_model(tmp_path / "first")
    uploads = some(real_data, "train", 30, 8)
    sure = predict(model, uploads).classified(
        max(0.6, figures["threshold"]), figures["familiarity_threshold"]
    )
    # WHEN the doubtful ones are reviewed by their true labels, and a dataset is made of them and the earlier images
    for number, (image, classified) in enumerate(zip(uploads, sure, strict=True)):
        outcome = "classified" if classified else "low-confidence"
        decided = () if classified else ("label", image.label)
        record(number, outcome, *decided, body=image.path.read_bytes())
    manifest = tmp_path / "earlier.csv"
    rows = [f"{image.path},{image.label},{image.part}" for image in earlier]
    manifest.write_text("\n".join(["file,label,split", *rows]) + "\n")
    options = ("--images", str(manifest), "--model", str(tmp_path / "first"), "--test", "0")
    made = output(dataset_command, str(tmp_path / "joined"), *options)
    # THEN it has these, and the old test set as it was
    doubtful = [image for image, classified in zip(uploads, sure, strict=True) if not classified]
    assert doubtful
    assert made["reviewed"] + len(made["left_out"]) == len(doubtful)
    joined = dataset.read(tmp_path / "joined")
    assert {image.path for image in joined.part("test")} == {i.path for i in earlier if i.part == "test"}
    bodies = {image.path.read_bytes(): image.label for image in joined.part("train")}
    assert made["reviewed"] == sum(bodies.get(image.path.read_bytes()) == image.label for image in doubtful)
    # WHEN a second model is trained on it THEN both are compared on the old test set, which neither has seen
    second = dataset.split(joined, validation=SETTINGS.validation)
    train.train(second, tmp_path / "second", replace(SETTINGS, seed=1))
    found = output(
        compare,
        str(tmp_path / "second"),
        "--model",
        str(tmp_path / "first"),
        "--images",
        str(tmp_path / "joined"),
    )
    assert found["images"] == 16
    assert found["overlap"] == 0
    assert found["verdict"] in ("roll out", "do not roll out", "undecided")
