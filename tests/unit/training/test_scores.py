"""Figures against definitions written out slowly, and their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation import scores

samples = st.lists(st.tuples(st.floats(0.5, 1.0), st.booleans()), min_size=1, max_size=60)


def split(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p for p, _ in pairs]), np.array([c for _, c in pairs], bool)


@given(samples)
def test_risk_coverage_ends_with_everything(pairs: list[tuple[float, bool]]) -> None:
    confidence, correct = split(pairs)

    points = scores.risk_coverage(confidence, correct)

    assert points[-1] == pytest.approx((1.0, 1 - correct.mean()))
    assert [c for c, _ in points] == sorted({c for c, _ in points})


def test_wilson_interval() -> None:
    # GIVEN 10 of 10: the textbook's lower bound
    share = scores.share(10, 10)

    assert share.value == 1.0
    assert share.low == pytest.approx(0.7225, abs=1e-4)
    assert share.high == pytest.approx(1.0)
    assert scores.share(0, 0).low == 0.0


def test_temperature_finds_the_one_that_was_applied() -> None:
    # GIVEN labels drawn from calibrated probabilities, and logits that are three times too sure
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (4000, 3))
    labels = np.array([random.choice(3, p=p) for p in scores.softmax(logits)])

    found = scores.fit_temperature(logits * 3, labels)

    assert found == pytest.approx(3, rel=0.1)


def test_confusion_counts_rows_by_truth() -> None:
    assert scores.confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2) == [[1, 1], [0, 1]]


def test_log_loss_of_certainty() -> None:
    assert scores.log_loss(np.array([[1.0, 0.0]]), np.array([0])) == 0


def test_a_share_has_its_interval_and_number() -> None:
    found = scores.share(3, 4)
    assert (found.value, found.of) == (0.75, 4)
    assert (found.low, found.high) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    nothing = scores.share(0, 0)
    assert math.isnan(nothing.value)
    assert nothing[1:] == (0.0, 1.0, 0)


def test_log_loss_by_hand() -> None:
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]])
    found = scores.log_loss(probabilities, np.array([0, 1, 1]))
    assert found == pytest.approx((math.log(2) + math.log(4) + 12 * math.log(10)) / 3)


def test_risk_and_coverage_by_hand() -> None:
    found = scores.risk_coverage(np.array([0.7, 0.8, 0.9, 0.8]), np.array([False, False, True, True]))
    assert found == [(0.25, 0.0), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert scores.risk_coverage(np.array([]), np.array([], bool)) == []


def test_a_confusion_of_three_classes() -> None:
    found = scores.confusion(np.array([2, 2, 0]), np.array([1, 1, 0]), 3)
    assert found == [[1, 0, 0], [0, 0, 0], [0, 2, 0]]


def test_softmax_by_hand() -> None:
    logits = np.log(np.array([[1.0, 3.0], [4.0, 1.0]]))
    assert scores.softmax(logits) == pytest.approx(np.array([[0.25, 0.75], [0.8, 0.2]]))
    assert scores.softmax(logits, 0.5) == pytest.approx(np.array([[0.1, 0.9], [16 / 17, 1 / 17]]))
    assert scores.softmax(np.array([[1000.0, 0.0, 1000.0]])) == pytest.approx(np.array([[0.5, 0.0, 0.5]]))
    apart = scores.softmax(np.array([[2000.0, 2000.0], [0.0, 0.0]]))
    assert apart == pytest.approx(np.full((2, 2), 0.5)), "each image by its own largest logit"


def test_the_temperature_is_that_of_the_smallest_loss_from_a_tenth_to_ten() -> None:
    from scipy import optimize

    random = np.random.default_rng(0)
    logits, truth = random.normal(0, 3, (50, 3)), random.integers(0, 3, 50)
    best = optimize.minimize_scalar(
        lambda t: scores.log_loss(scores.softmax(logits, t), truth), bounds=(0.1, 10), options={"xatol": 1e-9}
    )
    assert scores.fit_temperature(logits, truth) == pytest.approx(best.x, rel=1e-4)
    large = np.array([[5000.0, 4998.0]] * 4)
    assert scores.fit_temperature(large, np.array([0, 0, 0, 1])) == pytest.approx(2 / math.log(3))
    sure = np.array([[2.0, 0.0]])
    assert scores.fit_temperature(sure, np.array([0])) == pytest.approx(0.1)
    assert scores.fit_temperature(sure, np.array([1])) == pytest.approx(10)


def test_a_softmax_is_made_row_by_row() -> None:
    found = scores.softmax(np.array([[1000.0, 999.0], [-1000.0, -1001.0]], np.float32))
    assert found.tolist() == [pytest.approx([1 / (1 + math.exp(-1)), 1 / (1 + math.e)], rel=1e-5)] * 2
