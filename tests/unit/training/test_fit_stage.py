"""What each training gets, and what each stage takes of which images: with a training that only notes what it got."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests import needs
from tests.deferred import Deferred

needs.installed("training", "torch")
needs.module("training", "onnx")

from training import dataset  # noqa: E402
from training.dataset import Dataset, fingerprints  # noqa: E402
from training.inference import decode  # noqa: E402
from training.model import card  # noqa: E402
from training.progress import EpochProgress  # noqa: E402
from training.settings import TrainingSettings  # noqa: E402
from training.stages import evaluate  # noqa: E402

pytestmark = pytest.mark.xdist_group("torch")
torch, fit_stage = (Deferred(name) for name in ("torch", "training.stages.fit"))


@pytest.fixture
def data(image_tree: Callable[..., Path]) -> Dataset:
    """Sixteen images of each label: ten to train on, four for validation and two for the test."""
    parts = ["train"] * 10 + ["validation"] * 4 + ["test"] * 2
    images = [
        replace(image, part=parts[int(image.path.stem)], group=int(image.path.stem) - 1)
        for image in dataset.read(image_tree(16)).images
    ]
    return Dataset(["blue", "red"], images)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[SimpleNamespace]]:
    """What each training got; its logits of an image are that image's first pixel."""
    found: list[SimpleNamespace] = []

    def train_classifier(
        arch: str, classes: int, images: Any, labels: Any, validation: Any = None, **options: Any
    ) -> Any:
        found.append(
            SimpleNamespace(
                arch=arch, classes=classes, images=images, labels=labels, validation=validation, options=options,
                threads=torch.get_num_threads(),
            )
        )  # fmt: skip
        return SimpleNamespace(logits=lambda given: given[:, 0, 0, :2].astype(np.float32))

    monkeypatch.setattr(fit_stage.get(), "train_classifier", train_classifier)
    threads = torch.get_num_threads()
    yield found
    torch.set_num_threads(threads)


def pixels(data: Dataset, *parts: str) -> Any:
    return dataset.load([image for part in parts for image in data.part(part)], 32)


def test_without_folds_the_logits_are_those_of_the_validation_part(
    data: Dataset, trainings: list[SimpleNamespace], tmp_path: Path
) -> None:
    settings = TrainingSettings(
        arch="resnet8", epochs=5, batch=7, seed=3, patience=2, mirror=False, threads=2, checkpoints=tmp_path
    )
    steps: list[EpochProgress] = []
    fitted = fit_stage.fit(data, settings, steps.append)

    (only,) = trainings
    only.options["progress"]("an epoch")
    assert steps == [(1, 1, "an epoch")]
    assert np.array_equal(only.images, pixels(data, "train"))
    assert np.array_equal(only.validation[0], pixels(data, "validation"))
    assert np.array_equal(fitted.logits, pixels(data, "validation")[:, 0, 0, :2])
    assert fitted.truth.tolist() == only.validation[1].tolist() == [0] * 4 + [1] * 4
    assert np.array_equal(fitted.images, only.images)
    del only.options["progress"]
    assert only.options == {
        "epochs": 5, "batch": 7, "seed": 3, "patience": 2, "mirror": False, "checkpoints": tmp_path,
    }  # fmt: skip
    assert (only.arch, only.classes, only.threads) == ("resnet8", 2, 2)
    # Group 0 is a group, and -1 none: such images are in no group with another.
    assert fitted.groups.tolist() == [-2, *range(9), -12, *range(9)]


def test_with_folds_each_image_is_left_out_once_and_the_last_training_has_all(
    data: Dataset, trainings: list[SimpleNamespace], tmp_path: Path
) -> None:
    steps: list[EpochProgress] = []
    fitted = fit_stage.fit(
        data, TrainingSettings(arch="resnet8", folds=3, checkpoints=tmp_path, threads=0), steps.append
    )
    for one in trainings:
        one.options["progress"]("an epoch")
    assert steps == [(number, 4, "an epoch") for number in (1, 2, 3, 4)]

    every = pixels(data, "train", "validation")
    *others, last = trainings
    assert np.array_equal(last.images, every)
    assert [len(every) - len(one.images) for one in others] != [0, 0, 0]
    assert len(others) == 3
    assert np.array_equal(fitted.logits, every[:, 0, 0, :2])
    assert len(fitted.truth) == len(every)
    # A checkpoint is of one training, and no training chooses its end by images that it is judged on.
    assert [one.options.get("checkpoints") for one in trainings] == [None] * 3 + [tmp_path]
    assert {one.validation for one in trainings} == {None}
    assert {one.options["epochs"] for one in trainings} == {None}
    assert {one.threads for one in trainings} == {1}


FIGURES: dict[str, Any] = {
    "model": "new-1", "threshold": 0.7, "wanted_precision": 0.95, "familiarity_threshold": 0.02, "calibration": "none",
    "training": {"arch": "resnet8", "images": 20, "seed": 0, "cpu_seconds": 1.0},
    "held_out": {"how": "validation part", "images": 8, "accuracy": {"value": 1.0, "low": 0.9, "high": 1.0},
                 "precision_met": True},
}  # fmt: skip


def test_a_model_knows_what_it_was_made_from_and_is_judged_on_the_test_alone(
    data: Dataset, model_folder: Path
) -> None:
    # GIVEN a test image that is nearly one of the validation part
    test, validation = data.part("test")[0], data.part("validation")[0]
    test.path.write_bytes(validation.path.read_bytes())

    figures = evaluate.evaluate(model_folder, data, TrainingSettings(), FIGURES)

    # THEN the figures of the training stay, and those of the test are of what the model was not made from
    assert FIGURES.items() <= figures.items()
    assert (figures["images"], figures["overlap"]) == (3, 1)
    assert (model_folder / "metrics.json").read_text() == json.dumps(figures, indent=2) + "\n"
    assert (model_folder / "card.md").read_text() == card.card(figures, data)
    assert len(json.loads((model_folder / "reference.json").read_text())) == 3
    made_from = [*data.part("train"), *data.part("validation")]
    assert fingerprints.read(model_folder).pixels == {
        fingerprints.pixel_digest(decode(image.path.read_bytes())) for image in made_from
    }


def test_without_a_test_part_an_older_models_reference_goes_with_folds(
    data: Dataset, model_folder: Path
) -> None:
    untested = Dataset(data.labels, [image for image in data.images if image.part != "test"])
    (model_folder / "reference.json").write_text("[]")
    evaluate.evaluate(model_folder, untested, TrainingSettings(), FIGURES)
    assert len(json.loads((model_folder / "reference.json").read_text())) == 8
    for _ in range(2):
        evaluate.evaluate(model_folder, untested, TrainingSettings(folds=2), FIGURES)
        assert not (model_folder / "reference.json").exists()
