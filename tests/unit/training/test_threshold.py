"""The chosen threshold, from the held-out images to the stack's parameter: exact to the last bit all the way."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dropsort.contract.defaults import threshold_parameters
from training.evaluation.figures import Evaluation, Predictions
from training.evaluation.threshold import choose_threshold
from training.registry import model_packages


@st.composite
def confidences(draw: st.DrawFn) -> float:
    """A confidence, often one of a few, or one of their nearest neighbours among 64-bit numbers."""
    value = draw(st.one_of(st.sampled_from([0.5, 0.75, 0.93, 0.98765, 1.0]), st.floats(0.0, 1.0)))
    for _ in range(draw(st.integers(0, 3))):
        value = math.nextafter(value, draw(st.sampled_from([0.0, 1.0])))
    return value


scores = st.lists(st.tuples(confidences(), st.booleans()), min_size=1, max_size=40)


def split(pairs: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p for p, _ in pairs]), np.array([c for _, c in pairs], bool)


@given(scores, st.floats(0.5, 1.0), st.floats(0.0, 0.5))
@example([(0.5, False), (0.5000000000000001, True)], 1.0, 0.5)
@settings(max_examples=200)
def test_a_threshold_includes_exactly_the_images_of_its_precision(
    pairs: list[tuple[float, bool]], precision: float, chance: float
) -> None:
    confidence, correct = split(pairs)

    chosen = choose_threshold(confidence, correct, precision, chance)

    included = confidence >= chosen.value
    assert chosen.coverage == included.mean()
    assert chosen.precision == correct[included].mean()
    assert chosen.met == (chosen.precision >= precision)
    # AND no lower threshold would do; AND if none does, none has a higher precision
    others = {c: correct[confidence >= c].mean() for c in set(confidence)}
    if chosen.met:
        assert all(others[c] < precision for c in others if c < chosen.value)
    else:
        assert max(others.values()) == chosen.precision


@given(scores, st.floats(0.5, 1.0))
@example([(0.5, False), (0.5000000000000001, True)], 1.0)
@example([(0.98765, False), (0.98766, True)], 1.0)
@settings(max_examples=100)
def test_it_reaches_the_stack_by_every_path_unchanged(
    pairs: list[tuple[float, bool]], precision: float
) -> None:
    confidence, correct = split(pairs)
    chosen = choose_threshold(confidence, correct, precision)

    # WHEN metrics.json holds it, and `deploy` reads it
    figures = json.loads(json.dumps({"threshold": chosen.value}))
    assert float(threshold_parameters(figures)["Threshold"]) == chosen.value

    # AND WHEN the registry holds it, and a roll-out reads it
    requests = model_packages.plan_register(
        "bikes",
        bucket="b",
        artifact="s3://b/m.tar.gz",
        image="an/image:1",
        labels=["a", "b"],
        metrics=figures,
    )
    version = requests[-1].parameters
    package = model_packages.read(
        {
            **version,
            "ModelPackageArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/bikes/1",
            "ModelPackageVersion": 1,
        }
    )
    assert float(threshold_parameters(package.metrics)["Threshold"]) == chosen.value

    # AND WHEN an evaluation reports it
    probabilities = np.stack([confidence, 1 - confidence], 1)
    predictions = Predictions([], probabilities, np.ones(len(confidence)))
    found = Evaluation(
        model="m",
        labels=["a", "b"],
        predictions=predictions,
        truth=np.zeros(len(confidence), np.int64),
        near_duplicate=np.zeros(len(confidence), bool),
        threshold=chosen.value,
        familiarity_threshold=0.0,
        threshold_from="given",
    )
    assert json.loads(json.dumps(found.summary()))["threshold"] == chosen.value


def test_a_threshold_is_short_where_confidences_are_apart() -> None:
    chosen = choose_threshold(np.array([0.4312987, 0.8765432]), np.array([False, True]), 1.0)

    assert chosen.value == 0.6539


def test_32_bit_confidences_are_compared_as_64_bit_numbers() -> None:
    low = np.float32(0.7)
    confidence = np.array([low, np.nextafter(low, np.float32(1))], np.float32)

    chosen = choose_threshold(confidence, np.array([False, True]), 1.0)

    assert [float(c) >= chosen.value for c in confidence] == [False, True]


def test_threshold_without_a_mistake_lies_between_the_least_sure_and_a_guess() -> None:
    chosen = choose_threshold(np.array([0.9, 0.8]), np.array([True, True]), 0.99, chance=0.5)

    assert chosen.value == pytest.approx(0.65)
    assert chosen.coverage == 1.0


def test_threshold_says_when_no_threshold_does() -> None:
    chosen = choose_threshold(np.array([0.9, 0.8]), np.array([False, True]), 0.99)

    assert not chosen.met
    assert chosen.precision == 0.5


def test_nothing_has_no_threshold() -> None:
    value, precision, coverage, met = choose_threshold(np.array([]), np.array([], bool))
    assert (value, coverage, met) == (1.0, 0.0, False)
    assert math.isnan(precision)


@pytest.mark.parametrize(("right", "met"), [(99, True), (98, False)])
def test_the_precision_is_99_percent_by_default(right: int, met: bool) -> None:
    correct = np.arange(100) < right
    chosen = choose_threshold(np.full(100, 0.5), correct)
    assert (chosen.met, chosen.precision, chosen.coverage, chosen.value) == (met, right / 100, 1.0, 0.25)


def test_of_thresholds_with_the_same_precision_the_lowest_covers_most() -> None:
    chosen = choose_threshold(np.array([0.9, 0.8, 0.7, 0.6]), np.array([False, True, False, True]), 0.99, 0.5)
    assert chosen == (0.55, 0.5, 1.0, False)


@pytest.mark.parametrize(
    ("below", "above", "chance", "value"),
    [
        (0.50001, 0.50009, 0.0, 0.50005),  # as many decimals as it takes
        (0.5, 0.5002, 0.0, 0.5001),
        (0.2, 0.9, 0.0, 0.55),
        (0.123456, 0.765432, 0.0, 0.4444),  # four are enough
        (None, 0.8, 0.9, 0.8),  # a guess is no surer than the least sure
        (None, 0.8, 0.5, 0.65),
    ],
)
def test_the_value_is_half_way_to_the_next_lower_one(
    below: float | None, above: float, chance: float, value: float
) -> None:
    confidence = [above] if below is None else [above, below]
    chosen = choose_threshold(np.array(confidence), np.array([True, False][: len(confidence)]), 1.0, chance)
    assert chosen.value == value


@pytest.mark.parametrize(
    ("confidence", "correct", "precision", "expected"),
    [
        (
            [0.9, 0.8, 0.7, 0.6],
            [True, True, True, False],
            0.7,
            (0.3, 0.75, 1.0, True),
        ),  # the lowest that does
        (
            [0.9, 0.8, 0.8],
            [True, True, False],
            0.99,
            (0.85, 1.0, pytest.approx(1 / 3), True),
        ),  # equal ones together
        ([0.8, 0.9, 0.7, 0.9], [True, True, False, True], 0.99, (0.75, 1.0, 0.75, True)),  # in any order
    ],
)
def test_the_lowest_threshold_that_reaches_the_precision(
    confidence: list[float], correct: list[bool], precision: float, expected: tuple[float, float, float, bool]
) -> None:
    assert choose_threshold(np.array(confidence), np.array(correct), precision) == expected


def test_a_threshold_is_not_above_a_confidence_that_is_less_than_chance() -> None:
    found = choose_threshold(np.array([0.4, 0.3]), np.array([True, True]), 0.9, 0.5)
    assert found.value == 0.3
