"""Held-out images: what the temperature and the threshold are chosen on was never trained on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dropsort.contract.statistics import calibration_error
from training.evaluation import calibration, scores
from training.settings import TrainingSettings
from training.stages.calibrate import calibrate
from training.stages.out_of_fold import out_of_fold


def test_each_image_gets_its_logits_from_a_model_that_saw_neither_it_nor_its_near_duplicates() -> None:
    # GIVEN 60 images, each with a near-duplicate, of two classes; the first pixel is the number of the image
    images = np.zeros((120, 2, 2, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(120)
    truth, groups = np.arange(120) // 2 % 2, np.arange(120) // 2
    trained: list[tuple[int, set[int]]] = []

    def train(number: int, part: np.ndarray, labels: np.ndarray) -> Any:
        seen = {int(image[0, 0, 0]) for image in part}
        trained.append((number, seen))
        assert [int(image[0, 0, 0]) // 2 % 2 for image in part] == labels.tolist()

        def logits(left_out: np.ndarray) -> np.ndarray:
            numbers = [int(image[0, 0, 0]) for image in left_out]
            assert not {number // 2 for number in numbers} & {number // 2 for number in seen}
            return np.array([[number, -number] for number in numbers], np.float32)

        return SimpleNamespace(logits=logits)

    # WHEN they are left out in four folds THEN each has its own logits, and each model saw the other three folds
    found = out_of_fold(images, truth, groups, count=4, seed=0, train=train)
    assert found.tolist() == [[number, -number] for number in range(120)]
    assert found.dtype == np.float32
    assert [number for number, _ in trained] == [1, 2, 3, 4]
    assert all(85 <= len(seen) <= 95 for _, seen in trained)


@pytest.mark.parametrize(("folds", "how"), [(0, "validation part"), (5, "out of fold, 5 folds")])
def test_the_threshold_is_chosen_on_calibrated_probabilities_of_the_held_out_images(
    folds: int, how: str
) -> None:
    # GIVEN a model that is three times too sure of 2,000 held-out images
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (2000, 2)).astype(np.float32)
    truth = (random.random(2000) < 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))).astype(np.int64)
    fitted: Any = SimpleNamespace(logits=logits * 3, truth=truth)

    found = calibrate(fitted, TrainingSettings(precision=0.95, folds=folds))

    assert (found.temperature, found.reason) == calibration.calibrate(logits * 3, truth)
    probabilities = scores.softmax(logits * 3, found.temperature)
    above = probabilities.max(1) >= found.threshold.value
    correct = probabilities.argmax(1) == truth
    assert correct[above].mean() >= 0.95
    assert found.figures["how"] == how
    assert found.figures["images"] == 2000
    assert found.figures["accuracy"]["value"] == pytest.approx(correct.mean(), abs=1e-4)
    error = calibration_error(probabilities.max(1).tolist(), correct.tolist())
    assert error < 0.05, "that of the calibrated probabilities"
    assert [found.figures[name] for name in ("ece", "precision", "coverage")] == [
        round(value, 4) for value in (error, float(correct[above].mean()), float(above.mean()))
    ]
    assert found.figures["precision_met"] is True


def test_below_the_lowest_confidence_is_that_of_a_guess() -> None:
    # GIVEN three classes, and 30 images that are all right with the same confidence
    truth = np.arange(30) % 3
    logits = (np.eye(3)[truth] * 3).astype(np.float32)
    found = calibrate(SimpleNamespace(logits=logits, truth=truth), TrainingSettings(precision=0.95))  # type: ignore[arg-type]
    confidence = float(scores.softmax(logits)[0].max())
    assert found.temperature == 1.0
    assert found.threshold.value == pytest.approx((confidence + 1 / 3) / 2, abs=1e-4)
