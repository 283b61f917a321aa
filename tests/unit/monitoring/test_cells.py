"""Cells and histograms: what is computed from the integers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.aggregates.cells import (
    LEAST_CERTAIN,
    UNKNOWN,
    Aggregate,
    BadLine,
    Cell,
    Health,
    Key,
    Series,
    Uncertain,
)
from monitoring.aggregates.digests import digests
from monitoring.aggregates.histograms import BINS, bin_of, dense, quantile, share_at_least, units

SHARES = st.floats(0, 1)


@given(st.lists(SHARES, min_size=1, max_size=200))
def test_a_histogram_gives_what_the_values_would(values):
    # GIVEN confidences in a histogram
    bins = np.bincount(bin_of(units(values)), minlength=BINS)
    kept = units(values) / 1e9
    # THEN every threshold of three decimals has its exact share, and every quantile is within a bin's width
    for threshold in (0.0, 0.001, 0.29, 0.57, 0.93, 1.0):
        expected = np.mean(kept >= threshold) if threshold < 1 else np.mean(bin_of(units(values)) == BINS)
        assert share_at_least(bins, threshold) == pytest.approx(expected, abs=1e-12)
    for q in (0.0, 0.25, 0.5, 1.0):
        exact = np.quantile(kept, q, method="inverted_cdf")
        assert abs(quantile(bins, q) - exact) <= 1.001 / BINS


def test_value_at_a_threshold_is_at_least_it():
    for threshold in (t / 1000 for t in range(1000)):
        bins = dense({int(bin_of(units(threshold))): 1}, BINS)
        assert share_at_least(bins, threshold) == 1.0, threshold


def test_empty_cell_has_no_mean():
    cell = Cell()
    assert all(math.isnan(v) for v in (cell.mean_confidence(), cell.quantile(0.5), cell.share_at_least(0.5)))
    assert all(math.isnan(v) for v in (cell.mean_entropy(), cell.mean_margin(), cell.mean_familiarity()))
    assert cell.image_moments() == {}


def test_moments_of_images_are_those_of_their_pixels():
    sizes = np.array([32, 64, 4000])
    cell = Cell()
    for size in sizes.tolist():
        values = [size, 2 * size, 10, 1500, 0]
        cell.merge(Cell(images=1, image_sums=values, image_squares=[v * v for v in values]))
    moments = cell.image_moments()
    assert moments["width"] == pytest.approx((sizes.mean(), sizes.std()))
    assert moments["brightness"] == (1.5, 0.0)


def test_only_the_least_certain_are_stored():
    series = Series(UNKNOWN, "e", "v")
    total = Aggregate()
    everything = [Uncertain(m, f"{m:016x}", 0, "f", 1, 0, "a", 5) for m in range(40)]
    for found in everything[::-1]:
        total.add_uncertain(series, [found, found])
    assert total.uncertain[series] == everything[:LEAST_CERTAIN]


def test_health_names_the_first_bad_lines_only():
    total = Health()
    for part in range(3):
        total.merge(Health(bad_lines=600, bad=[BadLine(f"{part}", n, "x") for n in range(600)]))
    assert (total.bad_lines, len(total.bad), total.bad[-1]) == (1800, 1000, BadLine("1", 399, "x"))


def test_window_and_labels():
    total = Aggregate()
    for hour in ("2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z", UNKNOWN):
        total.cell(Key(hour, "e", "v", "b")).merge(Cell(count=1))
        total.volume(Series(hour, "e", "v")).records += 1
    part = total.window("2026-11-21T10", "2026-11-22")
    assert [key.hour for key in part.cells] == part.hours() == ["2026-11-21T10:00:00Z"]
    assert total.labels() == ["b"]


@pytest.mark.parametrize("text", [b"[]", b'{"schema": 0}'])
def test_other_documents_are_no_aggregates(text):
    with pytest.raises(ValueError, match="not an aggregate"):
        Aggregate.from_json(text)


@given(st.lists(st.text(max_size=40), unique=True, max_size=50))
def test_digests_depend_on_nothing_but_the_text(ids):
    together = digests(ids)
    assert len(set(together.tolist())) == len(ids)
    assert [int(digests([one])[0]) for one in ids] == together.tolist()
