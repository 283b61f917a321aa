"""Captures with more classes or longer ids than there are: the same figures and digests in each way, and none of what no model has."""

from __future__ import annotations

import io

import numpy as np
import pytest

from dropsort.contract.predictions import MAX_CLASSES
from monitoring.aggregates.digests import digests, digests_of_rows
from monitoring.ingest import prediction_arrays
from monitoring.ingest.reader import Reader
from tests.unit.monitoring.capture_cases import line


@pytest.mark.parametrize("shape", [(1, 2), (1, 1000), (3, 7), (40, 5)])
def test_figures_by_row_are_those_by_column(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).dirichlet(np.full(shape[1], 0.1), shape[0])
    values[0] = 1 / shape[1]  # all the same: the first class counts
    values[-1, 0] = 0.0
    by_row = prediction_arrays._by_row(values)
    for one, other in zip(by_row, prediction_arrays._by_column(np.ascontiguousarray(values.T)), strict=True):
        assert one.tolist() == other.tolist()


@pytest.mark.parametrize("repeated", [False, True])
def test_an_output_of_too_many_classes_is_no_prediction_and_hides_no_other(repeated: bool) -> None:
    # GIVEN captures of 200 KB, of which the fast path learns how they begin, with more classes than any model has
    wide = [line("[" + "0," * MAX_CLASSES + "1]", event=f"e-{number}") for number in range(1 + repeated)]
    good = line("[0.75, 0.25]", event="good")
    reader = Reader(())
    batches = list(reader.read("a.jsonl", io.BytesIO(b"\n".join([good, *wide, good])).readinto))
    # THEN the others count
    assert [value for batch in (*batches, *reader.finish()) for value in batch.confidence.tolist()] == [
        750_000_000
    ] * 2


def test_a_prediction_may_have_as_many_classes_as_the_bound() -> None:
    reader = Reader(())
    list(reader.read("a.jsonl", io.BytesIO(line("[" + "0," * (MAX_CLASSES - 1) + "1]")).readinto))
    (batch,) = reader.finish()
    assert batch.confidence.tolist() == [1_000_000_000]
    assert [key.label for key in batch.keys] == [str(MAX_CLASSES - 1)]


@pytest.mark.parametrize("length", [1024, 1025, 300_000])
def test_the_digest_of_a_long_id_is_of_all_of_it_and_the_same_in_both_ways(length: int) -> None:
    ids = ["x" * length, "x" * (length - 1) + "y", "y" + "x" * (length - 1)]
    found = digests(ids)
    assert len(set(found.tolist())) == 3
    rows = np.frombuffer("".join(ids).encode(), np.uint8).reshape(3, length)
    assert found.tolist() == digests_of_rows(rows).tolist() == digests([*ids, "short"]).tolist()[:3]
