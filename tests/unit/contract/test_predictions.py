"""The forms of a model's output: each is read, by the workflow and by monitoring alike; what is no probability is named."""

from __future__ import annotations

import doctest
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropsort.contract import predictions as contract
from dropsort.contract.predictions import InvalidPrediction, normalise
from monitoring.ingest.predictions import predictions as of_capture

LABELS = ("bicycle", "motorcycle")
TWO = (0.25, 0.75)
FORMS: dict[str, Any] = {
    "list": [0.25, 0.75],
    "nested": [[0.25, 0.75]],
    "deeply nested": [[[0.25, 0.75]]],
    "prediction": {"prediction": [0.25, 0.75]},
    "predictions": {"predictions": [[0.25, 0.75]]},
    "outputs": {"outputs": [[0.25, 0.75]]},
    "scores": {"scores": [0.25, 0.75]},
    "wrapped": {"SageMakerOutput": [0.25, 0.75]},
    "probabilities": {"probabilities": [0.25, 0.75]},
    "verbose": {"probabilities": [0.25, 0.75], "labels": list(LABELS), "familiarity": 0.5, "model": "v1"},
    "pairs": [{"label": "bicycle", "score": 0.25}, {"label": "motorcycle", "score": 0.75}],
    "pairs of a batch": [[{"label": "bicycle", "score": 0.25}, {"label": "motorcycle", "score": 0.75}]],
    "value": 0.75,
    "value in a list": [0.75],
    "value in a batch": {"predictions": [[0.75]]},
    "score": {"score": 0.75},
    "score of class 1": {"predicted_label": 1, "score": 0.75},
}


def encoded(output: Any) -> bytes:
    return json.dumps(output).encode()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same(form: str) -> None:
    found = normalise(encoded(FORMS[form]), LABELS)
    assert (found.probabilities, found.labels) == (TWO, LABELS)


@pytest.mark.parametrize("body", [b"0.25,0.75", b"0.25, 0.75\n", b"2.5e-1,7.5e-1\r\n"])
def test_comma_separated_values(body: bytes) -> None:
    assert normalise(body, LABELS).probabilities == TWO


def same(output: Any, labels: tuple[str, ...]) -> None:
    """Hold both users to one prediction."""
    ours = normalise(encoded(output), labels)
    (theirs,) = of_capture(json.dumps(output), "JSON", labels)
    assert theirs.probabilities is not None
    assert ours.probabilities == pytest.approx(theirs.clipped(), abs=1e-12)
    assert ours.labels == (theirs.labels or tuple(str(index) for index in range(len(ours.labels))))
    assert ours.familiarity == theirs.familiarity


@pytest.mark.parametrize("form", FORMS)
def test_workflow_and_monitoring_read_every_form_alike(form: str) -> None:
    same(FORMS[form], LABELS)


WRAPPERS = (
    lambda values: values,
    lambda values: [values],
    lambda values: {"prediction": values},
    lambda values: {"predictions": [values]},
    lambda values: {"outputs": [values]},
    lambda values: {"scores": values},
    lambda values: {"probabilities": values},
    lambda values: [{"label": f"class {index}", "score": value} for index, value in enumerate(values)],
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=12), st.sampled_from(WRAPPERS))
def test_both_agree_on_any_distribution_in_any_form(weights: list[float], wrap: Any) -> None:
    same(wrap([weight / sum(weights) for weight in weights]), ())


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 0.999), st.sampled_from(WRAPPERS[:6]))
def test_both_agree_on_the_value_of_a_binary_model(value: float, wrap: Any) -> None:
    same(wrap([value]), LABELS)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-20, 20), min_size=2, max_size=6).filter(
        lambda values: min(values) < -0.01 or max(values) > 1.01
    )
)
def test_both_refuse_logits(values: list[float]) -> None:
    with pytest.raises(InvalidPrediction):
        normalise(encoded(values))
    assert not of_capture(json.dumps(values), "JSON", ())


@pytest.mark.parametrize("steps", [255, 256])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=40))
def test_a_quantised_softmax_is_scaled_to_1(steps: int, weights: list[float]) -> None:
    quantised = [round(weight / sum(weights) * steps) / steps for weight in weights]
    found = normalise(encoded(quantised))
    assert sum(found.probabilities) == pytest.approx(1, abs=2e-3)
    assert len(found.probabilities) == len(weights)


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ([3.1, -2.0], "logits"),
        ([98, 2], "percentages"),
        ([0.9, 0.2], "add up to 1.1"),
        ({"label": "bicycle", "score": 0.9}, "alone"),
        ([{"label": "bicycle", "score": 0.9}], "add up to 0.9"),
        ([[0.9, 0.1], [0.2, 0.8]], "Expected a list"),
        ({"classes": ["a"]}, "Expected a list"),
    ],
)
def test_what_is_no_distribution_is_named(output: Any, what: str) -> None:
    with pytest.raises(InvalidPrediction, match=what):
        normalise(encoded(output))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_prediction_or_invalid(body: bytes) -> None:
    try:
        found = normalise(body)
    except InvalidPrediction:
        return
    assert abs(sum(found.probabilities) - 1) < 0.01


def test_examples() -> None:
    assert doctest.testmod(contract).failed == 0
