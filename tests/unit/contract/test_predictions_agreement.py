"""Workflow and monitoring read every output of a model alike, valid or not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropsort.contract.predictions import InvalidPrediction, normalise
from monitoring.ingest.outputs import predictions as of_capture
from tests.unit.contract.test_predictions import FORMS, LABELS, agree, encoded


def same(output: Any, labels: tuple[str, ...]) -> None:
    """Hold both users to one prediction."""
    assert agree(json.dumps(output), labels) is not None


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


@settings(max_examples=300)
@given(st.lists(st.floats(0.001, 1), min_size=2, max_size=12), st.sampled_from(WRAPPERS))
def test_both_agree_on_any_distribution_in_any_form(weights: list[float], wrap: Any) -> None:
    same(wrap([weight / sum(weights) for weight in weights]), ())


@settings(max_examples=200)
@given(st.floats(0, 0.999), st.sampled_from(WRAPPERS[:6]))
def test_both_agree_on_the_value_of_a_binary_model(value: float, wrap: Any) -> None:
    same(wrap([value]), LABELS)


@settings(max_examples=200)
@given(
    st.lists(st.floats(-20, 20), min_size=2, max_size=6).filter(
        lambda values: min(values) < -0.01 or max(values) > 1.01
    )
)
def test_both_reject_logits(values: list[float]) -> None:
    with pytest.raises(InvalidPrediction):
        normalise(encoded(values))
    assert not of_capture(json.dumps(values), "JSON", ())


numbers = st.one_of(
    st.floats(0, 1), st.floats(), st.integers(-2, 2), st.integers(0, 256).map(lambda n: n / 256), st.sampled_from([0.0, 1.0, -0.0, 10**400])
)  # fmt: skip


vectors = st.lists(numbers, max_size=4) | st.lists(st.floats(0.001, 1), min_size=2, max_size=5).map(
    lambda weights: [weight / sum(weights) for weight in weights]
)


names = (
    st.sampled_from(["a", "b", "bicycle", "0", "1", "", " ", "a\n", "\ud800"])
    | st.integers(0, 2)
    | st.none()
    | st.booleans()
)


pairs = st.lists(st.fixed_dictionaries({"label": names, "score": numbers}), max_size=4)


leaves = vectors | pairs | numbers | names


MEMBERS = [
    *(
        "predictions",
        "prediction",
        "outputs",
        "SageMakerOutput",
        "probabilities",
        "score",
        "scores",
        "probability",
        "prob",
        "confidence",
    ),
    *("label", "labels", "predicted_label", "class", "familiarity", "model", "x"),
]


outputs = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            MEMBERS
        ),
        inner, max_size=4,
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300)
@given(outputs, st.sampled_from([(), ("a",), LABELS, ("a", "b", "c"), ("a", "a")]), st.data())
def test_both_agree_on_whatever_is_returned(
    output: Any, labels: tuple[str, ...], data: st.DataObject
) -> None:
    text = json.dumps(output)
    if data.draw(st.booleans()):  # damaged: cut off, a part of it doubled, or a character replaced
        at = data.draw(st.integers(0, len(text)))
        rest = data.draw(st.sampled_from([0, 1, -1, len(text)]))
        text = (
            text[:at]
            + data.draw(st.sampled_from(["", ",", "\n", "[", '"', "\x00", "\ufeff"]))
            + text[at + rest :]
        )
    agree(text, labels)


@settings(max_examples=150)
@given(st.lists(st.lists(numbers | names, min_size=1, max_size=3), max_size=3), st.sampled_from([(), LABELS]))
def test_both_agree_on_comma_separated_values(rows: list[list[Any]], labels: tuple[str, ...]) -> None:
    agree("\n".join(",".join(map(str, row)) for row in rows), labels)
