"""Probabilities at the bounds of what rounding explains: the bound itself, one step below, one above."""

from __future__ import annotations

import json
import math
import re

import pytest

from dropsort.contract.predictions import SUM_TOLERANCE, InvalidPrediction, normalise

HIGHEST, LOWEST = 1 + SUM_TOLERANCE, -SUM_TOLERANCE


@pytest.mark.parametrize(
    ("values", "valid"),
    [
        ([HIGHEST, 0.0], True),
        ([math.nextafter(HIGHEST, 0), 0.0], True),
        ([math.nextafter(HIGHEST, 2), -1e-9], False),
        ([1.0, LOWEST], True),
        ([1.0, math.nextafter(LOWEST, 0)], True),
        ([1.0, math.nextafter(LOWEST, -1), 1e-9], False),
    ],
)
def test_a_value_may_miss_its_range_by_rounding_alone(values: list[float], valid: bool) -> None:
    body = json.dumps(values).encode()
    if valid:
        assert normalise(body).probabilities == (1.0, 0.0)
    else:
        with pytest.raises(InvalidPrediction):
            normalise(body)


@pytest.mark.parametrize("name", ["predicted_label", "label", "class"])
@pytest.mark.parametrize(
    ("named", "choice"), [(-1, None), (0, 0), (1, 1), (2, None), ("b", 1), ("c", None), (None, None)]
)
def test_a_class_that_is_named_next_to_probabilities(
    name: str, named: int | str | None, choice: int | None
) -> None:
    document = {"probabilities": [0.4, 0.6], "labels": ["a", "b"], name: named}
    assert normalise(json.dumps(document).encode()).choice == choice


def test_half_a_surrogate_pair_in_the_version_of_a_model_is_replaced() -> None:
    assert normalise(b'{"probabilities": [0.4, 0.6], "model": "m\\ud800"}').model == "m?"


@pytest.mark.parametrize("cut", ["[0.5, 0.2", '["a", 0.5', '{"a", 0.5'])
@pytest.mark.parametrize("before", ["", " ", "\t "])
def test_json_that_was_cut_off_is_named_as_it_is_and_no_row_of_values(before: str, cut: str) -> None:
    with pytest.raises(InvalidPrediction, match=re.escape(repr(before + cut))):
        normalise(f"{before}{cut}".encode())
