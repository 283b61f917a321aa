"""The temperature of the softmax: fitted on other images than it is judged on, and only where it helps."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation import calibration, scores


def test_calibration_only_where_it_helps() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (2000, 2)).astype(np.float32)
    truth = (random.random(2000) < 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))).astype(np.int64)

    helped, why = calibration.calibrate(logits * 3, truth)
    assert helped == pytest.approx(3, rel=0.15)
    assert why.startswith("temperature")
    assert calibration.calibrate(logits[:1], truth[:1])[0] == 1.0
    # AND images without a mistake are no reason to be surer
    easy = np.tile(np.array([[2, 0], [0, 2]], np.float32), (20, 1))
    assert calibration.calibrate(easy, np.tile([0, 1], 20))[0] == 1.0
    # AND one half of the images is all right, the other all wrong: no temperature serves both
    logits = np.array([[4, 0], [0, 4], [0, 4], [4, 0]], np.float32)
    nothing, why = calibration.calibrate(logits, np.array([0, 0, 1, 1]))
    assert nothing == 1.0
    assert why.startswith("none")


@pytest.mark.parametrize(("mistakes", "expected"), [(4, "none: 4 mistakes among 400"), (5, "temperature")])
def test_five_mistakes_are_evidence_for_a_sharper_softmax(mistakes: int, expected: str) -> None:
    # GIVEN a model that is too unsure of 400 images, of which it has a few wrong, in both halves
    logits = np.tile(np.array([[0.5, 0], [0, 0.5]], np.float32), (200, 1))
    truth = np.tile([0, 1], 200)
    wrong = np.arange(mistakes) * 41  # even and odd places in turn
    truth[wrong] = 1 - truth[wrong]

    value, why = calibration.calibrate(logits, truth)

    assert why.startswith(expected)
    assert (value < 1) is (mistakes == 5)


def test_the_losses_of_both_halves_are_in_the_reason() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (300, 2)).astype(np.float32) * 3
    truth = (random.random(300) < 1 / (1 + np.exp((logits[:, 0] - logits[:, 1]) / 3))).astype(np.int64)
    before = scores.log_loss(scores.softmax(logits), truth)
    after = 0.0
    for part, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        temperature = scores.fit_temperature(logits[other], truth[other])
        after += scores.log_loss(scores.softmax(logits[part], temperature), truth[part]) / 2
    assert calibration.calibrate(logits, truth) == (
        scores.fit_temperature(logits, truth),
        f"temperature: held-out log-loss from {before:.4f} to {after:.4f}",
    )


def test_one_image_cannot_be_divided() -> None:
    logits = np.array([[1.0, 0.0]], np.float32)
    assert calibration.calibrate(logits, np.array([0])) == (1.0, "none: too few held-out images")


def test_two_images_of_which_none_gains_say_what_it_would_cost() -> None:
    logits = np.array([[2.0, 0.0], [2.0, 0.0]], np.float32)
    value, why = calibration.calibrate(np.tile(logits, (10, 1)), np.tile([0, 1], 10))
    assert value == 1.0
    assert why.startswith("none: held-out log-loss would go from 1.1269 to ")


def test_few_mistakes_do_not_keep_a_softmax_from_being_less_sure() -> None:
    # GIVEN four mistakes among 40 images, of which the model is as sure as if it had one in 55
    logits = np.tile(np.array([[4, 0], [0, 4]], np.float32), (20, 1))
    truth = np.tile([0, 1], 20)
    truth[[0, 9, 20, 31]] ^= 1
    value, why = calibration.calibrate(logits, truth)
    assert value == pytest.approx(4 / np.log(9), rel=1e-3)
    assert why.startswith("temperature")
