"""The forms of a model's output: each is read, by the workflow and by monitoring alike; what is no probability is named."""

from __future__ import annotations

import doctest
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropsort.contract import predictions as contract
from dropsort.contract.predictions import InvalidPrediction, Prediction, normalise
from handlers.decision import decide
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


def agree(text: str, labels: tuple[str, ...] = ()) -> Prediction | None:
    """Check that both users read the same prediction from any text; returns that of the workflow."""
    body = text.encode(errors="replace")  # half a surrogate pair can only be escaped
    theirs = of_capture(body.decode(), "CSV", labels)
    try:
        ours = normalise(body, labels)
    except InvalidPrediction as error:
        if "predictions. Expected" in str(error):  # of several images: monitoring counts each
            assert len(theirs) >= 1
        elif "alone" in str(error):
            assert [item.complete for item in theirs] == [False]
        else:
            assert theirs == []
        return None
    assert [item._replace(model=None) for item in theirs] == [ours._replace(model=None)]
    return ours


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


@pytest.mark.parametrize("steps", [255, 256])
@settings(max_examples=60)
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
        ([1.0], "may be a class"),
        (1, "may be a class"),
        ({"prediction": 0}, "may be a class"),
        ({"prediction": 1, "probability": 0.85}, "a class or a probability"),
        ([1, 1] + [0] * 600, "add up to 2"),
        ([0] * 600, "add up to 0"),
        ([{"label": "a", "score": 3.5}, {"label": "b", "score": -1.2}], "alone|not between|holds"),
        ([float("nan"), 1.0], "finite"),
        ([[[[[[[[[[0.9, 0.1]]]]]]]]]], "nested"),
    ],
)
def test_what_is_no_distribution_is_named(output: Any, what: str) -> None:
    with pytest.raises(InvalidPrediction, match=what):
        normalise(encoded(output))


@pytest.mark.parametrize(
    ("output", "labels"),
    [
        ([1.0], LABELS), ([0.3], ("a", "b", "c")), ([0.2, 0.3, 0.5], LABELS), ([0.7, 0.3], ("a",)), ({"probabilities": [1]}, LABELS),
        ({"probabilities": [0.7, 0.3], "labels": ["a"]}, LABELS),
        ([{"label": "a", "score": 0.5}, {"label": "b", "score": 0.2}], ("b", "a")),
    ],
)  # fmt: skip
def test_a_wrong_length_for_the_labels_is_invalid(output: Any, labels: tuple[str, ...]) -> None:
    assert agree(json.dumps(output), labels) is None


def test_the_first_of_many_labels_are_enough() -> None:
    # GIVEN what a hub returns of a thousand classes: the best few, in order
    pairs = [
        {"label": "tabby", "score": 0.62},
        {"label": "tiger cat", "score": 0.21},
        {"label": "lynx", "score": 0.03},
    ]
    found = agree(json.dumps(pairs))
    # THEN the best is known, and that the others are not
    assert found == Prediction((0.62, 0.21, 0.03), ("tabby", "tiger cat", "lynx"), complete=False)
    # AND in another order, or adding up to more, they are no such list
    for other in (pairs[::-1], [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.8}]):
        assert agree(json.dumps(other)) is None


def test_pairs_have_one_order_whatever_the_scores() -> None:
    pairs = [{"label": "motorcycle", "score": 0.9}, {"label": "bicycle", "score": 0.1}]
    for labels, order in (
        ((), ("bicycle", "motorcycle")),
        (("motorcycle", "bicycle"), ("motorcycle", "bicycle")),
    ):
        assert (
            normalise(encoded(pairs), labels).labels
            == normalise(encoded(pairs[::-1]), labels).labels
            == order
        )


def test_members_around_a_prediction_belong_to_it() -> None:
    output = {"predictions": [[0.25, 0.75]], "labels": list(LABELS), "familiarity": 0.5, "model": "v1"}
    assert normalise(encoded(output)) == Prediction(TWO, LABELS, 0.5, "v1")
    assert agree(json.dumps(output | {"familiarity": 2})) is None


def test_the_label_that_a_model_names_itself_is_that_of_the_prediction() -> None:
    # GIVEN a model with a threshold of its own, 0.4 say
    outputs = ({"predicted_label": 1, "score": 0.49}, {"predicted_label": "1", "probabilities": [0.51, 0.49]})
    for output in outputs:
        found = agree(json.dumps(output))
        assert found is not None
        assert (found.probabilities, found.choice) == ((0.51, 0.49), 1)
        decision = decide(found, threshold=0.3)
        assert (decision.label, decision.confidence) == ("1", 0.49)


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


@given(st.binary(max_size=200))
def test_any_bytes_are_a_prediction_or_invalid(body: bytes) -> None:
    try:
        found = normalise(body)
    except InvalidPrediction:
        return
    assert abs(sum(found.probabilities) - 1) < 0.01


def test_examples() -> None:
    assert doctest.testmod(contract).failed == 0
