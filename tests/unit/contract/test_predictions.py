"""The forms of a model's output: each is read, by the workflow and by monitoring alike; what is not a probability is named."""

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
from monitoring.ingest.outputs import predictions as of_capture

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


@given(st.binary(max_size=200))
def test_any_bytes_are_a_prediction_or_invalid(body: bytes) -> None:
    try:
        found = normalise(body)
    except InvalidPrediction:
        return
    assert abs(sum(found.probabilities) - 1) < 0.01


def test_examples() -> None:
    assert doctest.testmod(contract).failed == 0


def read(output: Any, labels: tuple[str, ...] = ()) -> Prediction | str:
    """The only prediction of an output, or what is wrong with it."""
    (found,) = contract.read(output if isinstance(output, str) else json.dumps(output), labels)
    return found if isinstance(found, Prediction) else str(found)


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("output", "taken"),
    [
        # Multiples of 1/256 and 1/255: half a step for each value, upwards for those that are not 0.
        ([127 / 256, 128 / 256], True), ([126 / 256, 128 / 256], False), ([128 / 256, 129 / 256], True), ([129 / 256, 129 / 256], False),
        ([128 / 256, 129 / 256, 0.0], True), ([128 / 256, 129 / 256, 1 / 256], False), ([127 / 255, 127 / 255], True),
        ([126 / 255, 127 / 255], False), ([128 / 255, 128 / 255], True), ([127 / 256, 127 / 256, 0.0], False),
        ([126 / 256, 127 / 256, 0.0, 0.0], False),
        ([0.4983, 0.4983], False), ([0.0, 0.0], False),
        # Others may miss 1 by a thousandth, and be less than 0 or more than 1 by as much.
        ([0.5, 0.501], True), ([0.5, 0.5011], False), ([0.5, 0.499], True), ([0.5, 0.4989], False),
        ([-0.001, 1.0], True), ([-0.0011, 1.0], False), ([1.001, 0.0], True), ([1.0011, -0.0011], False),
        # Lists and members within each other: up to eight.
        (nested([0.5, 0.5], 7), True), (nested([0.5, 0.5], 8), False), ({"predictions": nested([0.5, 0.5], 6)}, True),
        ({"predictions": nested([0.5, 0.5], 7)}, False), ({"probabilities": nested([0.5, 0.5], 6)}, True),
        ({"probabilities": nested([0.5, 0.5], 7)}, False),
        # One value, of class 1.
        (0.0, True), (0.999, True), (1.0, False), (0, False), (-0.1, False), ([0.3], True), ([1], False), ([[0.3]], True),
    ],
)  # fmt: skip
def test_what_is_a_distribution_up_to_its_bounds(output: Any, taken: bool) -> None:
    found = read(output)
    assert isinstance(found, Prediction) is taken, found
    if isinstance(found, Prediction):
        assert sum(found.probabilities) == pytest.approx(1, abs=1.1e-3)
        assert all(0 <= value <= 1 for value in found.probabilities)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"prediction": "cat", "score": 0.9, "familiarity": 0.5, "model": "v1"},
         Prediction((0.9,), ("cat",), 0.5, "v1", complete=False)),
        ({"prediction": "cat", "confidence": 0.9}, Prediction((0.9,), ("cat",), complete=False)),
        ({"predictions": [{"prediction": "cat", "confidence": 1}]}, Prediction((1.0,), ("cat",), complete=False)),
        ({"prediction": "cat", "score": 1.01}, "score of label 'cat' is 1.01, not between 0 and 1"),
        ({"prediction": "cat"}, "score of label 'cat' is None"),
        ({"prediction": " ", "score": 0.9}, "got the label ' '"),
        ({"label": ["__label__a", "__label__b"], "prob": [0.9, 0.1]}, Prediction((0.9,), ("__label__a",), complete=False)),
        ({"label": [], "prob": []}, "got the label None"),
        ({"label": "cat", "confidence": 0.9}, Prediction((0.9,), ("cat",), complete=False)),
        ({"label": "cat", "score": 0.0}, Prediction((0.0,), ("cat",), complete=False)),
        ({"label": "cat", "score": -0.1}, "not between 0 and 1"),
        ({"label": 1, "score": 1}, Prediction((0.0, 1.0), ("0", "1"), choice=1)),
        ({"label": 0, "score": 0}, Prediction((1.0, 0.0), ("0", "1"), choice=0)),
        ({"label": 0, "score": 1.1}, "score of class 1 is 1.1"),
        ({"label": 2, "score": 0.9}, Prediction((0.9,), ("2",), complete=False)),
        ({"label": 1, "confidence": 0.9}, Prediction((0.9,), ("1",), complete=False)),
        ({"probabilities": [0.6, 0.4], "label": "1"}, Prediction((0.6, 0.4), ("0", "1"), choice=1)),
        ({"probabilities": [0.6, 0.4], "label": 2}, Prediction((0.6, 0.4), ("0", "1"))),
        ({"probabilities": [0.6, 0.4], "label": -1}, Prediction((0.6, 0.4), ("0", "1"))),
        ({"probabilities": [0.6, 0.4], "label": "b", "labels": ["a", "b"]}, Prediction((0.6, 0.4), ("a", "b"), choice=1)),
        ({"probabilities": [0.6, 0.4], "label": "x"}, Prediction((0.6, 0.4), ("0", "1"))),
        ({"probabilities": [1]}, Prediction((1.0,), ("0",))),
        ({"score": 0.3}, Prediction((0.7, 0.3), ("0", "1"))), ({"prob": 0.25}, Prediction((0.75, 0.25), ("0", "1"))),
        ({"probability": 0.25}, Prediction((0.75, 0.25), ("0", "1"))),
        ({"prediction": [0.25, 0.75], "probability": 0.9}, Prediction((0.25, 0.75), ("0", "1"))),
        ([100, 0], "percentages"), ([50, 49.51], "percentages"), ([50, 49.5], "logits"), ([-1, 101], "logits"),
        ([60, 40.49], "percentages"),
        ([60, 40.5], "logits"), (2, "The value is not between 0 and 1"), (1, "may be a class"), (0, "may be a class"),
        ({"probabilities": [1], "familiarity": 0}, Prediction((1.0,), ("0",), 0)),
        ({"probabilities": [1], "familiarity": 1}, Prediction((1.0,), ("0",), 1)),
        ({"probabilities": [1], "familiarity": 1.01}, "Familiarity 1.01 is not between"),
        ("cat,0.8", Prediction((0.8,), ("cat",), complete=False)), ('"cat",0.8', Prediction((0.8,), ("cat",), complete=False)),
        ("\ufeff0.2,0.8", Prediction((0.2, 0.8), ("0", "1"))), ("[0.5, 0.5", "got '[0.5, 0.5'"), ("cat,dog,0.1", "got 'cat,dog,0.1'"),
        ("0.2,cat", "got [0.2, 'cat']"), (",0.5", "got ',0.5'"),
        ([{"label": "a", "score": 0.5}, {"label": "b", "score": 0.5}], Prediction((0.5, 0.5), ("a", "b"))),
        ([{"label": "a", "score": 0.5}, {"label": "b", "score": 0.2}], Prediction((0.5, 0.2), ("a", "b"), complete=False)),
        ([{"label": "a", "score": 0.5}, {"label": "b", "score": "x"}], "Not every score is a number"),
        ([{"label": "a", "score": 0.3}, {"label": "b", "score": 0.3}], Prediction((0.3, 0.3), ("a", "b"), complete=False)),
        ({"label": ["a"], "prob": 0.9}, "got the label"), ({"label": "a", "prob": [0.9]}, "score of label 'a' is None"),
        ([], "Expected a list of probabilities"), ({"probabilities": []}, "Expected a list of probabilities"),
        ({"score": [0.25, 0.75]}, Prediction((0.25, 0.75), ("0", "1"))), ({"scores": 0.75}, Prediction((0.25, 0.75), ("0", "1"))),
        ({"probabilities": [0.25, 0.75], "labels": ["a", "a"]}, "do not fit the labels"),
        ({"probabilities": [0.25, 0.75], "labels": ["a", "b", "c"]}, "do not fit the labels"),
    ],
)  # fmt: skip
def test_what_a_form_is_read_as(output: Any, expected: Prediction | str) -> None:
    found = read(output)
    if isinstance(expected, str):
        assert expected in str(found)
    else:
        assert isinstance(found, Prediction), found
        assert found._replace(probabilities=()) == expected._replace(probabilities=())
        assert found.probabilities == pytest.approx(expected.probabilities)


@pytest.mark.parametrize(
    ("value", "index"),
    [
        (1, 1), (1.0, 1), (True, 1), ("1", 1), (0, 0), (-1, -1), (1.5, None), ("1.0", None), ("", None), (None, None), ("\u0661", None),
        (999_999_999, 999_999_999), (10**9, None), (-(10**9), None), (1e9, None), ("999999999", 999_999_999), ("1000000000", None),
        ("-1", None), ([1], None),
    ],
)  # fmt: skip
def test_what_is_the_index_of_a_class(value: Any, index: int | None) -> None:
    assert contract.index_of(value) == index


def test_a_label_is_named_by_its_index_or_by_itself() -> None:
    assert [contract.label_of(value, ("a", "b")) for value in (0, 1, 2, -1, "1", "c", "", None, 1.5)] == [
        "a", "b", "2", "-1", "b", "c", None, None, None
    ]  # fmt: skip
    assert contract.label_of(0) == "0"


def test_pairs_with_more_labels_than_are_known_come_after_those() -> None:
    pairs = [{"label": name, "score": score} for name, score in (("c", 0.25), ("b", 0.5), ("a", 0.25))]
    (found,) = contract.read(json.dumps(pairs), ("b", "a"))
    assert found == Prediction((0.5, 0.25, 0.25), ("b", "a", "c"))


def test_pairs_of_which_one_is_no_share_are_those_of_several_images() -> None:
    pairs = [{"label": "a", "score": 0.5}, {"label": "b", "score": -0.1}]
    assert [type(found) for found in contract.read(json.dumps(pairs))] == [Prediction, InvalidPrediction]


def test_several_predictions_and_none_are_named() -> None:
    assert [type(found) for found in contract.read("0.2,0.8\n0.3,0.7\n\n2,3")] == [
        Prediction,
        Prediction,
        InvalidPrediction,
    ]
    for body, fault in (
        (b"0.2,0.8\n0.3,0.7", "holds 2 predictions"), (b"", "It is empty"), (b"\xff", "neither JSON nor comma-separated numbers"),
        (b"cat,0.8", "label 'cat' alone, and not of every label: the values add up to 0.8"), (b"0.2,0.8\n5,3", "holds 2 predictions"),
    ):  # fmt: skip
        with pytest.raises(InvalidPrediction, match=fault):
            normalise(body)
