"""Figures against definitions written out slowly, and their edges."""

from __future__ import annotations

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
