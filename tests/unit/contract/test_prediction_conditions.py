"""Outputs that a single condition decides: each is read differently, or as nothing, without it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dropsort.contract.predictions import (
    MAX_CLASSES,
    InvalidPrediction,
    Prediction,
    index_of,
    is_name,
    normalise,
    read,
)

ABC = ("a", "b", "c")


def pairs(**scores: Any) -> list[dict[str, Any]]:
    return [{"label": label, "score": score} for label, score in scores.items()]


def named(label: str, score: float) -> Prediction:
    return Prediction((score,), (label,), complete=False)


@pytest.mark.parametrize(
    ("output", "labels", "expected"),
    [
        # A score goes before a confidence; either makes a number that is named a class or a probability.
        ({"label": "a", "score": 0.9, "confidence": 0.5}, (), [named("a", 0.9)]),
        ({"label": 1, "score": 0.75, "confidence": 0.5}, (), [Prediction((0.25, 0.75), ("0", "1"), choice=1)]),
        ({"prediction": 1, "confidence": 0.85}, (), ["prediction 1 with a score is a class or a probability"]),
        # A score belongs to class 1 of two, not of three.
        ({"label": 1, "score": 0.75}, ("a", "b"), [Prediction((0.25, 0.75), ("a", "b"), choice=1)]),
        ({"label": 1, "score": 0.75}, ABC, [named("b", 0.75)]),
        ({"label": 1}, (), ["score of class 1 is None"]),
        ({"label": 1, "score": -0.1}, (), ["score of class 1 is -0.1"]),
        ({"other": 1}, (), ["got {'other': 1}"]),
        # Neither a list nor a number
        (True, (), ["got True"]), ("a", (), ["got 'a'"]), (None, (), ["got None"]), ([True, False], (), ["got [True, False]"]),
        ([0.5, "0.5"], (), ["got [0.5, '0.5']"]),
        # Numbers that no float can hold
        ([10**301, 0], (), ["Expected a list"]), ([-(10**301), 0], (), ["Expected a list"]), ([10**299, 0], (), ["logits"]),
        ([0.5, 3.0], (), ["Not every value is between 0 and 1"]), ([float("inf"), 0], (), ["finite"]),
        ([0.5, float("nan"), 7], (), ["finite"]),
        # A class alone
        ({"labels": ["a"], "predictions": [1.0]}, (), [Prediction((1.0,), ("a",))]),
        ([1.0], ("a",), [Prediction((1.0,), ("a",))]), ([[1]], ("a",), [Prediction((1.0,), ("a",))]),
        ({"labels": ["a"], "predictions": [0.3]}, (), ["add up to 0.3"]),
        # Labels that are none
        ({"labels": "a", "predictions": [0.3]}, (), ["Labels are not a list of names"]),
        ({"labels": "ab", "predictions": [0.3, 0.7]}, (), ["Labels are not a list of names"]),
        ({"labels": 5, "predictions": [0.3]}, (), ["Labels are not a list of names"]),
        ({"labels": [1, 2], "predictions": [0.3, 0.7]}, (), ["Labels are not a list of names"]),
        ({"labels": ["a", "\n"], "predictions": [0.3, 0.7]}, (), ["Labels are not a list of names"]),
        ({"labels": ["a", "b", "a"], "predictions": [0.3, 0.7]}, (), ["do not fit"]),
        ({"labels": ["a", "a"], "predictions": [0.3, 0.7]}, (), ["do not fit"]),
        ({"label": 1, "score": 0.75, "labels": ["x", "y"]}, (), [Prediction((0.25, 0.75), ("x", "y"), choice=1)]),
        # Labels with scores of one image, or the best of several
        (pairs(a=1.0), (), [named("a", 1.0)]),
        (pairs(a=0.5) + pairs(a=0.5), (), [named("a", 0.5), named("a", 0.5)]),
        ([{"label": 7, "score": 0.5}, {"label": 8, "score": 0.5}], (), [named("7", 0.5), named("8", 0.5)]),
        ([{"label": "\n", "score": 0.5}, {"label": "b", "score": 0.5}], (), ["got the label '\\n'", named("b", 0.5)]),
        ([{"label": [], "score": 0.5}, {"label": "b", "score": 0.5}], (), ["got the label []", named("b", 0.5)]),
        ([{"label": "a", "score": 0.5}, [0.5, 0.5]], (), [named("a", 0.5), Prediction((0.5, 0.5), ("0", "1"))]),
        ([{"label": "a", "score": 0.5, "x": 1}, {"label": "b", "score": 0.5}], (), [named("a", 0.5), named("b", 0.5)]),
        (pairs(a=0.5, b=0.2), ABC, [Prediction((0.5, 0.2), ("a", "b"), complete=False)]),
        (pairs(a=0.5, b=0.2), ("a", "b"), ["add up to 0.7"]),
        (pairs(a=0.2, b=0.5), ABC, [named("a", 0.2), named("b", 0.5)]),
        (pairs(a=0.9, b=0.8), (), [named("a", 0.9), named("b", 0.8)]),
        (pairs(a=0.6, b=0.4), (), [Prediction((0.6, 0.4), ("a", "b"))]),
        (pairs(a=0.8, b=0.0), (), [Prediction((0.8, 0.0), ("a", "b"), complete=False)]),
        (pairs(b=0.5, a=0.5), ("b", "a", "c"), [Prediction((0.5, 0.5), ("a", "b"))]),
        # What is known besides
        ({"probabilities": [0.5, 0.5], "familiarity": "high"}, (), ["Familiarity 'high' is not between"]),
        ({"probabilities": [0.5, 0.5], "familiarity": True}, (), ["Familiarity True is not between"]),
        ({"probabilities": [0.5, 0.5], "familiarity": -0.01}, (), ["Familiarity -0.01 is not between"]),
        ({"probabilities": [0.5, 0.5], "model": 3}, (), [Prediction((0.5, 0.5), ("0", "1"), model="3")]),
        ({"labels": ["a", "b"], "familiarity": 0.5, "model": "m", "predictions": {"probabilities": [0.5, 0.5]}}, ("x", "y"),
         [Prediction((0.5, 0.5), ("a", "b"), 0.5, "m")]),
        ({"probabilities": 0.25}, (), [Prediction((0.75, 0.25), ("0", "1"))]),
        ([[[[[[[[[0.5, 0.5]]]]]]]]], (), ["=It is nested too deeply."]),
        ({"probabilities": [0.5, 0.5], "label": 1.5}, (), [Prediction((0.5, 0.5), ("0", "1"))]),
        ({"probabilities": [[0.5, 0.5], [2, 3]], "label": 1}, (), [Prediction((0.5, 0.5), ("0", "1"), choice=1), "logits"]),
    ],
)  # fmt: skip
def test_what_a_condition_decides(
    output: Any, labels: tuple[str, ...], expected: list[Prediction | str]
) -> None:
    found = read(json.dumps(output), labels)
    assert len(found) == len(expected), found
    for one, what in zip(found, expected, strict=True):
        assert what in f"={one}" if isinstance(what, str) else one == what, one


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.25,0.75\n \t\n", [Prediction((0.25, 0.75), ("0", "1"))]),
        (' "cat" , 0.5', [named("cat", 0.5)]),
        ("[0.5, 0.5]\n\n[0.25, 0.75]\n", [Prediction((0.5, 0.5), ("0", "1")), Prediction((0.25, 0.75), ("0", "1"))]),
        ("true", ["got True"]),
        ("[" * 100_000, ["=It is nested too deeply."]),
        ('{"a":' * 100_000, ["=It is nested too deeply."]),
    ],
)  # fmt: skip
def test_what_a_condition_decides_of_a_text(text: str, expected: list[Prediction | str]) -> None:
    found = read(text)
    assert len(found) == len(expected), found
    for one, what in zip(found, expected, strict=True):
        assert what in f"={one}" if isinstance(what, str) else one == what, one


def test_a_softmax_over_one_class_is_a_whole_prediction() -> None:
    assert normalise(b'{"probabilities": [1]}') == Prediction((1.0,), ("0",))


def test_more_classes_than_can_be_handled_are_named() -> None:
    assert len(normalise(json.dumps([1] + [0] * (MAX_CLASSES - 1)).encode()).probabilities) == MAX_CLASSES
    with pytest.raises(InvalidPrediction, match="100,001 classes, more than 100,000"):
        normalise(json.dumps([1] + [0] * MAX_CLASSES).encode())


def test_the_version_of_a_model_is_read_up_to_its_length() -> None:
    assert normalise(json.dumps({"probabilities": [1], "model": "m" * 257}).encode()).model == "m" * 256


def test_the_index_of_a_class_is_a_whole_number() -> None:
    assert {type(index_of(value)) for value in (1, 1.0, True, "1")} == {int}


@pytest.mark.parametrize(
    ("value", "valid"),
    [("a", True), ("a b", True), (" a", True), ("", False), (" ", False), ("a\nb", False),
      ("\x7f", False), (None, False), (1, False), (["a"], False)],
)  # fmt: skip
def test_a_label_is_text_that_is_visible_and_on_one_line(value: Any, valid: bool) -> None:
    assert is_name(value) is valid
