"""Predictions: three forms read into one; what is not a probability distribution is rejected, never a result."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropsort.contract.predictions import Prediction
from handlers.endpoint_response import parse
from handlers.rejections import Rejection


def rejection_of(body: Any, *labels: str) -> str:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Rejection) as rejection:
        parse(data, labels)
    assert rejection.value.code == "invalid_prediction"
    assert len(str(rejection.value)) < 500
    return str(rejection.value)


def test_the_three_forms_say_the_same() -> None:
    expected = Prediction((0.98, 0.02), ("bicycle", "motorcycle"))
    labels = ["bicycle", "motorcycle"]
    assert parse(b"[0.98, 0.02]", labels) == expected
    assert parse(b'{"prediction": [0.98, 0.02]}', labels) == expected
    assert parse(b'{"probabilities": [0.98, 0.02], "labels": ["bicycle", "motorcycle"]}') == expected


def test_the_rich_form_says_more() -> None:
    body = {
        "probabilities": [0.9, 0.1],
        "labels": ["a", "b"],
        "familiarity": 0.43,
        "model": "bikes-1.0.0",
        "new": 1,
    }
    assert parse(json.dumps(body).encode(), ["x", "y"]) == Prediction(
        (0.9, 0.1), ("a", "b"), 0.43, "bikes-1.0.0"
    )


def test_without_labels_the_index_is_the_label() -> None:
    assert parse(b"[0.5, 0.3, 0.2]").labels == ("0", "1", "2")
    assert parse(b'{"probabilities": [1], "labels": []}').labels == ("0",)


def test_integers_are_probabilities_too() -> None:
    assert parse(b"[1, 0]").probabilities == (1.0, 0.0)
    assert all(isinstance(value, float) for value in parse(b"[1, 0]").probabilities)


def test_single_precision_may_be_off_a_little_and_is_cut_to_0_and_1() -> None:
    assert parse(b"[1.0000002, -1e-9]").probabilities == (1.0, 0.0)
    assert parse(b"[0.3333, 0.3333, 0.3333]").labels == ("0", "1", "2")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"\xff\xfe\x00", b"[0.5, 0.5", b"[NaN, 1]", b"[Infinity, 0]", b"[-Infinity, 0]", b"[1e400]",
        b"null", b"5", b'"0.9"', b"{}", b"[]",
        b"true", b'{"prediction": []}', b'{"probabilities": null}', b'{"probabilities": {"a": 1}}', b"[[0.9, 0.1], [0.2, 0.8]]",
        b'["0.9", "0.1"]', b"[true, false]",
        b"[null, 1]", b"[0.9, 0.2]", b"[2, -1]", b"[0, 0]", b"[1.5]", b"[98, 2]", b"[1" + b"0" * 400 + b"]",
        b"[1" + b"0" * 5000 + b"]",
        b"[0.4, 0.6" + b"0" * 10 + b", -0.1]",
    ],
)  # fmt: skip
def test_what_is_no_distribution_is_rejected(body: bytes) -> None:
    rejection_of(body)


@pytest.mark.parametrize(
    "form", ["[{}]", '{{"probabilities": [1], "labels": {}}}', '{{"probabilities": [1], "familiarity": {}}}']
)
def test_deep_nesting_is_rejected(form: str) -> None:
    for depth in (*range(50, 1200, 37), 5_000, 200_000):
        rejection_of(form.format("[" * depth + "]" * depth).encode())


@pytest.mark.parametrize("depth", [100, 900, 5_000])
def test_a_deeply_nested_version_is_no_crash(depth: int) -> None:
    body = b'{"probabilities": [1], "model": ' + b"[" * depth + b"]" * depth + b"}"
    try:
        assert len(parse(body).model or "") <= 256
    except Rejection as rejection:
        assert rejection.code == "invalid_prediction"  # noqa: PT017


@pytest.mark.parametrize(
    "labels",
    [["a"], ["a", "b", "c"], ["a", "a"], ["a", ""], ["a", " "], ["a", 1], ["a", None], "ab", {"a": 1, "b": 2}, ["a",
    "\ud800"], ["a", "b\n"], ["a", "\0"]],
)  # fmt: skip
def test_labels_that_do_not_fit_are_rejected(labels: Any) -> None:
    rejection_of({"probabilities": [0.9, 0.1], "labels": labels})


def test_settings_that_do_not_fit_the_model_are_rejected() -> None:
    assert "2 probabilities do not fit" in rejection_of([0.9, 0.1], "bicycle")


@pytest.mark.parametrize("value", [-0.1, 1.1, "0.5", True, [0.5], 10**400, -(10**400)])
def test_a_familiarity_outside_0_to_1_is_rejected(value: Any) -> None:
    rejection_of({"probabilities": [1], "familiarity": value})


def test_a_familiarity_that_is_no_number_is_rejected() -> None:
    rejection_of(b'{"probabilities": [1], "familiarity": NaN}')


def test_a_version_is_text_of_bounded_length_that_can_be_written() -> None:
    assert parse(b'{"probabilities": [1], "model": 7}').model == "7"
    assert parse(b'{"probabilities": [1], "model": null}').model is None
    assert parse(b'{"probabilities": [1], "model": "\\ud800"}').model == "?"
    long = json.dumps({"probabilities": [1], "model": "v" * 10_000}).encode()
    assert len(parse(long).model or "") == 256


def test_a_thousand_named_classes_fit_and_a_hundred_thousand_do_not() -> None:
    names = [f"class number {n} of ImageNet" for n in range(1000)]
    values = [1 / 3000 + 1e-19 * n for n in range(999)]
    body = {"probabilities": [*values, 1 - sum(values)], "labels": names}
    prediction = parse(json.dumps(body).encode())
    assert len(prediction.labels) == 1000
    assert "do not fit the Step Functions payload limit" in rejection_of([1, *[0] * 99_999])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_prediction_or_rejected(body: bytes) -> None:
    try:
        prediction = parse(body)
    except Rejection:
        return
    assert abs(sum(prediction.probabilities) - 1) < 0.01


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
members = st.sampled_from(["probabilities", "prediction", "labels", "familiarity", "model"])


@given(st.dictionaries(members, json_values, max_size=5) | json_values)
def test_any_json_is_a_prediction_that_can_be_written_or_rejected(answer: Any) -> None:
    try:
        prediction = parse(json.dumps(answer).encode())
    except Rejection:
        return
    assert json.dumps((prediction.labels, prediction.model), ensure_ascii=False).encode()
    assert len(prediction.labels) == len(prediction.probabilities) > 0
    assert all(0 <= value <= 1 for value in prediction.probabilities)


def test_a_prediction_has_at_most_96_kibibytes_of_the_state() -> None:
    # As JSON: [[0.5, 0.5], ["a...", "b"]]
    label = "a" * (96 * 1024 - len(json.dumps([[0.5, 0.5], ["", "b"]])))
    assert parse(b"[0.5, 0.5]", [label, "b"]).labels == (label, "b")
    with pytest.raises(Rejection, match="2 probabilities and their labels do not fit") as error:
        parse(b"[0.5, 0.5]", [label + "a", "b"])
    assert error.value.code == "invalid_prediction"
