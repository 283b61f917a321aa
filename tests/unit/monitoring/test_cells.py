"""Cells and histograms: what is computed from the integers."""

from __future__ import annotations

import hashlib
import json
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
    CellKey,
    Health,
    Series,
    Uncertain,
    Volume,
)
from monitoring.aggregates.digests import digests
from monitoring.aggregates.histograms import (
    BINS,
    FAMILIARITY_BINS,
    add,
    bin_of,
    dense,
    quantile,
    share_at_least,
    units,
)
from monitoring.drift.sample import Moments
from monitoring.drift.windows import sample_of

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
    assert sample_of([("a", cell)]).images == {}


def test_moments_of_images_are_those_of_their_pixels():
    sizes = np.array([32, 64, 4000])
    cell = Cell()
    for size in sizes.tolist():
        values = [size, 2 * size, 10, 1500, 0]
        cell.merge(Cell(images=1, image_sums=values, image_squares=[v * v for v in values]))
    moments = sample_of([("a", cell)]).images
    width, brightness = moments["width"], moments["brightness"]
    assert (width.mean, width.deviation) == pytest.approx((sizes.mean(), sizes.std(ddof=1)))
    assert (brightness.mean, brightness.deviation) == (1.5, 0.0)


def test_only_the_least_certain_are_stored():
    series = Series(UNKNOWN, "e", "v")
    total = Aggregate()
    everything = [Uncertain(m, f"{m:016x}", 0, "f", 1, 0, "a", 5) for m in range(40)]
    for found in everything[::-1]:
        total.add_uncertain(series, [found, found])
    assert total.uncertain[series] == everything[:LEAST_CERTAIN]
    assert LEAST_CERTAIN == 12


def test_health_names_the_first_bad_lines_only():
    total = Health()
    for part in range(3):
        total.merge(Health(bad_lines=600, bad=[BadLine(f"{part}", n, "x") for n in range(600)]))
    assert (total.bad_lines, len(total.bad), total.bad[-1]) == (1800, 1000, BadLine("1", 399, "x"))


def test_window_and_labels():
    total = Aggregate()
    for hour in ("2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z", UNKNOWN):
        total.cell(CellKey(hour, "e", "v", "b")).merge(Cell(count=1))
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


HOUR, NEXT = "2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z"


def numbered(kind, start=1):
    """A struct whose numbers are all different."""
    images = {"image_sums": [1] * 5, "image_squares": [1] * 5} if kind is Cell else {}
    return kind(**{name: start + at for at, name in enumerate(numbers_of(kind))}, **images)


def numbers_of(kind):
    return [name for name in kind.__struct_fields__ if getattr(kind(), name) == 0]


@pytest.mark.parametrize(("kind", "count"), [(Cell, 8), (Volume, 4), (Health, 15)])
def test_every_number_begins_at_zero_and_is_added(kind, count):
    names = numbers_of(kind)
    assert len(names) == count
    assert {type(getattr(kind(), name)) for name in names} == {int}
    total, other = numbered(kind), numbered(kind, 100)
    total.merge(other)
    assert [getattr(total, name) for name in names] == [101 + 2 * at for at in range(count)]
    assert [getattr(other, name) for name in names] == [100 + at for at in range(count)]


def test_means_are_sums_of_billionths_by_their_own_counts():
    cell = Cell(
        count=2, confidence=1_500_000_000, histogram={0: 1, 999: 1}, familiarity_histogram={0: 2, 99: 3},
    )  # fmt: skip
    assert cell.mean_confidence() == 0.75
    for bins, size, values in ((cell.bins(), 1000, (1, 1)), (cell.familiarity_bins(), 100, (2, 3))):
        assert (bins.shape, bins.dtype, bins.sum()) == ((size,), np.int64, sum(values))
        assert (bins[0], bins[-1]) == values
    assert dense({}, 3).tolist() == [0, 0, 0]
    cell = Cell(images=2, image_sums=[4, 4, 4, 4000, 4000], image_squares=[10, 8, 8, 10_000_000, 8_000_000])
    assert sample_of([("a", cell)]).images == {
        "width": Moments(2, 4, 10),
        "height": Moments(2, 4, 8),
        "bytes": Moments(2, 4, 8),
        "brightness": Moments(2, 4, 10),
        "sharpness": Moments(2, 4, 8),
    }


def test_a_window_has_the_hours_from_its_start_to_before_its_end():
    total = Aggregate()
    for hour in (HOUR, NEXT, UNKNOWN, ""):
        total.cell(CellKey(hour, "e", "v", "b", "m")).count += 1
        total.volume(Series(hour, "e", "v")).records += 1
        total.add_uncertain(Series(hour, "e", "v"), [Uncertain(1, "d", 0, "f", 1, 0, "a", 5)])
    total.health.files = 7
    windows = (
        (HOUR, NEXT, [HOUR]),
        (HOUR, "2026-11-21T11", [HOUR, NEXT]),
        (NEXT, NEXT, []),
        (HOUR, "v", [HOUR, NEXT]),
    )
    for start, end, hours in windows:
        part = total.window(start, end)
        for found in (part.cells, part.volumes, part.uncertain):
            assert [key.hour for key in found] == hours
        assert part.health.files == 7
    assert total.hours() == ["", HOUR, NEXT]


def test_an_aggregate_is_what_it_was_after_json_and_older_ones_have_no_model():
    total = Aggregate()
    for model, label in (("m", "b"), ("m", "a"), ("", "a")):
        total.cells[CellKey(HOUR, "e", "v", label, model)] = numbered(Cell)
    total.cell(CellKey(HOUR, "e", "v", "b")).histogram = {9: 1, 3: 2}
    total.volume(Series(HOUR, "e", "v")).merge(numbered(Volume))
    least = Uncertain(3, "d", 0, "f", 1, 0, "a", 5)
    assert (least.event_id, least.inference_id, least.model) == ("", "", "")
    total.add_uncertain(
        Series(HOUR, "e", "v"), [least, Uncertain(2, "d", 0, "f", 1, 0, "a", 5, "event", "id", "m")]
    )
    total.health.merge(numbered(Health))
    total.health.bad = [BadLine("f", 1, "x")]
    document = json.loads(total.to_json())
    assert list(document) == ["schema", "cells", "volumes", "uncertain", "health"]
    assert [(one["label"], one["model"]) for one in document["cells"]] == [
        ("a", ""),
        ("a", "m"),
        ("b", ""),
        ("b", "m"),
    ]
    assert list(document["cells"][2]["histogram"]) == ["3", "9"]
    assert [one["margin"] for one in document["uncertain"]] == [2, 3]
    found = Aggregate.from_json(total.to_json())
    assert found == total
    assert (found.cells, found.health.bad) == (total.cells, total.health.bad)
    assert found.cells[CellKey(HOUR, "e", "v", "b")].histogram == {3: 2, 9: 1}
    for row in document["cells"]:
        del row["model"]
    document["cells"] = document["cells"][:1]
    older = Aggregate.from_json(json.dumps(document).encode())
    assert list(older.cells) == [CellKey(HOUR, "e", "v", "a", "")]
    document["cells"][0].pop("variant")
    with pytest.raises((TypeError, KeyError)):
        Aggregate.from_json(json.dumps(document).encode())
    assert total != "an aggregate"


def test_merging_is_the_sum_of_everything():
    one, other = Aggregate(), Aggregate()
    for total, size in ((one, 1), (other, 10)):
        for model in ("m", str(size)):
            values = [size, 2 * size, 3 * size, 4 * size, 5 * size]
            total.cell(CellKey(HOUR, "e", "v", "a", model)).merge(
                Cell(
                    count=size,
                    histogram={5: size},
                    familiarity_histogram={6: size},
                    images=1,
                    image_sums=values,
                    image_squares=[v * v for v in values],
                )
            )
        total.volume(Series(HOUR, "e", "v")).records = size
        total.add_uncertain(Series(HOUR, "e", "v"), [Uncertain(size, "d", 0, "f", 1, 0, "a", 5)])
        total.health.records = size
    assert one.merge(other) is one
    cell = one.cells[CellKey(HOUR, "e", "v", "a", "m")]
    assert (cell.count, cell.histogram, cell.familiarity_histogram, cell.images) == (11, {5: 11}, {6: 11}, 2)
    assert (cell.image_sums, cell.image_squares) == ([11, 22, 33, 44, 55], [101, 404, 909, 1616, 2525])
    assert {key.model: found.count for key, found in one.cells.items()} == {"m": 11, "1": 1, "10": 10}
    assert (one.volumes[Series(HOUR, "e", "v")].records, one.health.records) == (11, 11)
    assert [found.margin for found in one.uncertain[Series(HOUR, "e", "v")]] == [1, 10]
    # What was added stays as it was, also where it came first.
    empty = Aggregate().merge(other)
    empty.merge(one)
    assert other.cells[CellKey(HOUR, "e", "v", "a", "10")].histogram == {5: 10}


@pytest.mark.parametrize(
    ("counts", "q", "value"),
    [
        ([0, 4, 0, 0], 0.0, 0.25), ([0, 4, 0, 0], 0.5, 0.375), ([0, 4, 0, 0], 1.0, 0.5), ([2, 0, 0, 2], 0.5, 0.25),
        ([2, 0, 0, 2], 0.25, 0.125), ([2, 0, 0, 2], 0.75, 0.875), ([1, 1, 1, 1], 0.5, 0.5), ([1, 1, 1, 1], 0.6, 0.6),
    ],
)  # fmt: skip
def test_a_quantile_is_linear_within_its_bin(counts, q, value):
    assert quantile(np.array(counts), q) == pytest.approx(value)
    assert math.isnan(quantile(np.zeros(4, np.int64), q))


def test_values_are_rounded_half_up_to_billionths_and_binned_from_there():
    assert units([0.0, 0.4e-9, 0.5e-9, 1.0]).tolist() == [0, 0, 1, 1_000_000_000]
    assert bin_of([0, 999_999, 1_000_000, 999_999_999, 1_000_000_000]).tolist() == [0, 0, 1, 999, 999]
    assert bin_of([9_999_999, 10_000_000, 1_000_000_000], 100).tolist() == [0, 1, 99]
    assert (BINS, FAMILIARITY_BINS) == (1000, 100)
    assert share_at_least(np.array([1, 2, 3, 4]), 0.0) == 1.0
    assert share_at_least(np.array([1, 2, 3, 4]), 0.25) == 0.9
    assert share_at_least(np.array([1, 2, 3, 4]), -0.5) == 1.0
    assert share_at_least(np.array([1, 2, 3, 4]), 1.0) == 0.0
    assert math.isnan(share_at_least(np.zeros(4, np.int64), 0.5))
    into = {1: 2}
    add(into, {1: 3, 2: 1})
    assert into == {1: 5, 2: 1}


def test_digests_are_the_same_for_ever():
    # They are stored between runs: another value makes every capture a new one.
    assert [f"{one:016x}" for one in digests(["", "a", "abcdefgh", "abcdefghi"]).tolist()] == [
        "0000000000000000", "4f5da978776a9db1", "316b8c803e266f0b", "a006e2346706447a"
    ]  # fmt: skip
    for ids in (["ab", "cd"], ["a", "bc"], ["a", "\ud800"], ["\ud800", "\ud801"]):
        assert digests(ids).tolist() == [int(digests([one])[0]) for one in ids]
        assert len(set(digests(ids).tolist())) == 2
    assert digests(["ä", "aa", "日本"]).tolist() == [int(digests([one])[0]) for one in ("ä", "aa", "日本")]
    # From 1025 bytes on they are the first bytes of SHA-256, the lowest first.
    for text in ("a" * 1025, "é" * 513):
        expected = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
        assert digests([text, "b"]).tolist() == [expected, *digests(["b"]).tolist()]
        assert int(digests([text[:-1]])[0]) != expected
    longest = "a" * 1024
    assert int(digests([longest])[0]) != int.from_bytes(
        hashlib.sha256(longest.encode()).digest()[:8], "little"
    )


@pytest.mark.parametrize(
    ("one", "other", "latest"), [(-1, -1, -1), (-1, 0, 0), (0, -1, 0), (5, 6, 6), (6, 5, 6)]
)
def test_the_later_time_of_two_cells_counts(one, other, latest):
    cell, added = Cell(latest=one), Cell(latest=other)
    cell.merge(added)
    assert (cell.latest, added.latest) == (latest, other)


def test_images_of_one_cell_alone_are_those_of_the_sum():
    values = [1, 2, 3, 4, 5]
    seen, nothing = Cell(images=1, image_sums=values, image_squares=values[::-1]), Cell()
    for one, other in ((seen, nothing), (Cell(), seen)):
        one.merge(other)
        assert (one.images, one.image_sums, one.image_squares) == (1, values, values[::-1])
    assert (nothing.images, nothing.image_sums, nothing.image_squares) == (0, [], [])


def test_bad_lines_of_two_healths_are_named_once_in_order():
    a, b, c = (BadLine(name, 1, "x") for name in "abc")
    one, other = Health(bad=[b, c]), Health(bad=[a, b])
    one.merge(other)
    assert (one.bad, other.bad) == ([a, b, c], [a, b])
