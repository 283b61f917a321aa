"""Metrics by name: each line's members, and which labels are counted by themselves."""

from __future__ import annotations

import json
import math

import pytest

from dropsort.contract import emf
from dropsort.contract.metrics import (
    LABEL,
    LABELS_COUNTED,
    MODEL,
    STACK,
    counted_label,
    largest_shares,
)

DECLARED = {"A": "Count", "B": "Milliseconds", "C": "None"}


def test_a_line_has_a_directive_for_each_set_of_dimensions() -> None:
    text = emf.line(
        {"A": 1, "B": 2.5, "C": math.nan},
        [(["Stack"], ["A", "C"]), (["Stack", "Label"], ["B"]), (["Model"], ["C"])],
        {"Stack": "s", "Label": "é"},
        DECLARED,
        1_700_000_000_123,
        {"note": "x", "none": None, "A": "a metric is stronger"},
    )
    assert json.loads(text) == {
        "note": "x",
        "_aws": {
            "Timestamp": 1_700_000_000_123,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Dropsort",
                    "Dimensions": [["Stack"]],
                    "Metrics": [{"Name": "A", "Unit": "Count"}],
                },
                {
                    "Namespace": "Dropsort",
                    "Dimensions": [["Stack", "Label"]],
                    "Metrics": [{"Name": "B", "Unit": "Milliseconds"}],
                },
            ],
        },
        "Stack": "s",
        "Label": "é",
        "A": 1,
        "B": 2.5,
    }
    # AND it is short: CloudWatch bills what is written
    assert "é" in text
    assert " " not in text.replace("a metric is stronger", "")


def test_what_is_not_declared_is_an_error_and_notes_may_be_left_out() -> None:
    assert json.loads(emf.line({"A": 1}, [(["Stack"], ["A"])], {"Stack": "s"}, DECLARED, 1))["A"] == 1
    with pytest.raises(KeyError, match=r"not in dropsort/contract/metrics\.py: X1, X2, X3"):
        emf.line({"X3": 1, "A": 1, "X1": 1, "X2": 1}, [], {}, DECLARED, 1)


def test_names_of_dimensions_are_those_that_people_have_in_their_dashboards() -> None:
    assert (STACK, LABEL, MODEL) == ("Stack", "Label", "Model")


def test_a_line_without_a_metric_is_none() -> None:
    assert emf.line({"A": math.inf}, [(["Stack"], ["A"])], {"Stack": "s"}, DECLARED, 5, {"note": "x"}) == ""


def test_metrics_that_are_not_declared_are_named_in_order() -> None:
    with pytest.raises(KeyError, match=r"not in dropsort/contract/metrics\.py: X, Y"):
        emf.line({"Y": 1, "A": 1, "X": 1}, [], {}, DECLARED, 5)


def test_a_dimension_is_ascii_and_bounded() -> None:
    assert emf.dimension("Fahrräder") == "Fahrr\\xe4der"
    assert emf.dimension("x" * 1024 + "y") == "x" * 1024
    assert emf.dimension("x" * 1023 + "y") == "x" * 1023 + "y"


def test_the_first_labels_of_a_model_are_counted_by_themselves() -> None:
    labels = [f"label {number}" for number in range(30)]
    assert LABELS_COUNTED == 20
    assert [counted_label(labels[at], labels) for at in (0, 19, 20)] == ["label 0", "label 19", "other"]


def test_the_largest_shares_are_named_and_the_others_are_one() -> None:
    shares = {f"l{number:02}": 1 / 32 for number in range(21)} | {"m": 0.25, "other": 3 / 32}
    found = largest_shares(shares)
    # Of equal shares the first by name; a label of that name is in the sum of the others
    assert list(found) == ["m", "other", *(f"l{number:02}" for number in range(18))]
    assert found == {"m": 0.25, "other": 6 / 32} | {f"l{number:02}": 1 / 32 for number in range(18)}
    assert largest_shares({"a": 0.25, "b": 0.75}) == {"b": 0.75, "a": 0.25}
    exact = {f"l{number:02}": 1 / 20 for number in range(20)}
    assert largest_shares(exact) == exact
    assert largest_shares({**exact, "z": 0.01})["other"] == 0.01
