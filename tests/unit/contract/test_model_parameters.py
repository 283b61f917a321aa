"""Template parameters by the figures of a model: without rounding, and nothing that CloudFormation would reject."""

from __future__ import annotations

import pytest

from dropsort.contract.clients import is_missing_endpoint
from dropsort.contract.defaults import threshold_parameters, version_parameter


@pytest.mark.parametrize(
    ("version", "parameter"),
    [
        ("bikes 1.0.0", "bikes 1.0.0"),
        ("x" * 256, "x" * 256),
        ("x" * 257, ""),
        ("fahrräder", ""),
        ("bikes\n1", ""),
        (5, ""),
        (None, ""),
    ],
)
def test_the_version_of_a_model(version: object, parameter: str) -> None:
    assert version_parameter({"model": version}) == {"ModelVersion": parameter}
    assert version_parameter({}) == {"ModelVersion": ""}


def test_the_thresholds_of_a_model() -> None:
    figures = {"threshold": 0.1 + 0.2, "familiarity_threshold": 1, "wanted_precision": 0.99, "accuracy": 0.9}
    assert threshold_parameters(figures) == {
        "Threshold": "0.30000000000000004",
        "FamiliarityThreshold": "1.0",
        "Precision": "0.99",
    }
    assert threshold_parameters({"threshold": "0.5", "familiarity_threshold": None}) == {}


def test_an_endpoint_that_does_not_exist_is_known_by_its_message() -> None:
    assert is_missing_endpoint({"Error": {"Message": 'Could not find endpoint "arn".'}})
    assert not is_missing_endpoint({"Error": {"Message": "not authorized"}})
    assert not is_missing_endpoint({"Error": {}})
