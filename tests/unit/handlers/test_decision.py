"""Decisions: confidence against thresholds, familiarity first, ties rejected."""

from __future__ import annotations

import math

import pytest

from dropsort.contract.predictions import Prediction
from handlers.decision import Decision, decide


def prediction(*probabilities: float, familiarity: float | None = None) -> Prediction:
    labels = ("bicycle", "motorcycle", "car")[: len(probabilities)]
    return Prediction(probabilities, labels, familiarity)


@pytest.mark.parametrize(
    ("confidence", "outcome"),
    [
        (0.93, "classified"),
        (1.0, "classified"),
        (math.nextafter(0.93, 0), "low-confidence"),
        (0.6, "low-confidence"),
    ],
)
def test_the_threshold_itself_is_enough(confidence: float, outcome: str) -> None:
    decision = decide(prediction(confidence, 1 - confidence), threshold=0.93)
    assert (decision.outcome, decision.label, decision.confidence) == (outcome, "bicycle", confidence)
    assert (decision.rejection is None) == (outcome == "classified")


def test_a_label_may_have_a_threshold_of_its_own() -> None:
    thresholds = {"motorcycle": 0.8}
    assert decide(prediction(0.15, 0.85), threshold=0.9, label_thresholds=thresholds).outcome == "classified"
    bicycle = decide(prediction(0.85, 0.15), threshold=0.9, label_thresholds=thresholds)
    assert (bicycle.outcome, bicycle.threshold) == ("low-confidence", 0.9)
    strict = decide(prediction(0.95, 0.05), threshold=0.9, label_thresholds={"bicycle": 0.99})
    assert strict.rejection is not None
    assert strict.rejection.reason() == {
        "code": "below_threshold",
        "message": "The confidence is below the threshold. 0.9500 < 0.99.",
        "retryable": False,
    }


@pytest.mark.parametrize(
    ("familiarity", "outcome"),
    [
        (None, "classified"),
        (0.02, "classified"),
        (0.0199, "low-confidence"),
        (0, "low-confidence"),
        (1, "classified"),
    ],
)
def test_an_unfamiliar_image_is_not_classified_however_sure_the_model(
    familiarity: float | None, outcome: str
) -> None:
    decision = decide(
        prediction(1.0, 0.0, familiarity=familiarity), threshold=0.93, familiarity_threshold=0.02
    )
    assert decision.outcome == outcome
    if outcome == "low-confidence":
        assert decision.rejection is not None
        assert decision.rejection.code == "unfamiliar"
        assert f"{familiarity:.4f} < 0.02" in decision.rejection.reason()["message"]


def test_unfamiliar_is_reported_before_unsure() -> None:
    decision = decide(prediction(0.6, 0.4, familiarity=0.0), threshold=0.93, familiarity_threshold=0.02)
    assert decision.rejection is not None
    assert decision.rejection.code == "unfamiliar"


def test_a_familiarity_threshold_of_0_requires_nothing() -> None:
    unfamiliar = prediction(1.0, 0.0, familiarity=0.0)
    assert decide(unfamiliar, threshold=0.93, familiarity_threshold=0).outcome == "classified"
    assert decide(unfamiliar, threshold=0.93).outcome == "classified", "that is the default"


def test_the_choice_of_the_model_counts_where_it_is_not_the_largest_probability() -> None:
    chosen = Prediction((0.6, 0.4), ("bicycle", "motorcycle"), None, choice=1)
    decision = decide(chosen, threshold=0.4)
    assert (decision.label, decision.confidence, decision.outcome) == ("motorcycle", 0.4, "classified")


@pytest.mark.parametrize("probabilities", [(0.5, 0.5), (0.4, 0.2, 0.4), (1 / 3, 1 / 3, 1 / 3)])
def test_ties_are_rejected_by_name(probabilities: tuple[float, ...]) -> None:
    decision = decide(prediction(*probabilities), threshold=0.1)
    assert decision.rejection is not None
    assert "bicycle, " in str(decision.rejection)
    assert decision == Decision("failed", None, None, None, decision.rejection)
    assert decision.rejection.code == "tied_prediction"


def test_a_tie_of_the_others_does_not_matter() -> None:
    assert decide(prediction(0.1, 0.8, 0.1), threshold=0.5).label == "motorcycle"


def test_one_class_is_certain() -> None:
    assert decide(prediction(1.0), threshold=1.0).outcome == "classified"
