"""Probabilities at the bounds of what rounding explains: the bound itself, one step below, one above."""

from __future__ import annotations

import json
import math

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
