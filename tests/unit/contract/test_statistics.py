"""The statistics of quality, held against SciPy, against definitions written out slowly, and at their edges."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dropsort.contract.statistics import (
    CALIBRATION_BINS,
    Estimate,
    Interval,
    Stratum,
    auroc,
    binary_brier,
    brier,
    calibration_bins,
    calibration_error,
    mcnemar,
    paired_difference,
    stratified,
    trials_for,
    weighted_sum,
    wilson,
)

pytestmark = pytest.mark.xdist_group("scipy")  # its import takes more than a second

scores = some.lists(
    some.tuples(
        some.one_of(some.sampled_from([0.1, 0.2, 0.5, 0.55, 0.9, 1.0, 0.0]), some.floats(0, 1)),
        some.booleans(),
    ),
    max_size=40,
)


@given(some.integers(0, 200), some.integers(1, 200))
def test_wilson_is_scipys(k: int, n: int) -> None:
    """GIVEN successes of trials WHEN the interval is computed THEN it is SciPy's Wilson interval."""
    from scipy import stats

    k = min(k, n)
    expected = stats.binomtest(k, n).proportion_ci(method="wilson")

    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_at_its_edges() -> None:
    """GIVEN no trials, and 10 of 10 WHEN intervals are computed THEN everything, and the textbook's lower bound."""
    assert wilson(0, 0) == (0, 1)
    assert wilson(10, 10).low == pytest.approx(0.7225, abs=1e-4)
    assert all(wilson(n, n).high <= 1 and wilson(0, n).low >= 0 for n in range(1, 300))


@given(scores)
def test_auroc_is_the_share_of_pairs_in_order(rows: list[tuple[float, bool]]) -> None:
    """GIVEN scores WHEN the AUROC is computed THEN it is the share of right-wrong pairs in order, ties counted half."""
    good, bad = [s for s, hit in rows if hit], [s for s, hit in rows if not hit]
    found = auroc(good, bad)

    if not good or not bad:
        assert math.isnan(found)
    else:
        pairs = [(g > b) + 0.5 * (g == b) for g in good for b in bad]
        assert found == pytest.approx(sum(pairs) / len(pairs))


@given(scores)
def test_calibration_error_is_the_obvious_loops(rows: list[tuple[float, bool]]) -> None:
    """GIVEN confidences WHEN the ECE is computed THEN it is the weighted gap of each of 15 bins."""
    total = 0.0
    for i in range(15):
        inside = [(s, hit) for s, hit in rows if min(14, int(s * 15)) == i]
        total += abs(sum(s for s, _ in inside) - sum(hit for _, hit in inside))
    found = calibration_error([s for s, _ in rows], [hit for _, hit in rows])

    assert math.isnan(found) if not rows else found == pytest.approx(total / len(rows))
    if rows:
        assert 0 <= found <= 1
    assert sum(b.size for b in calibration_bins([s for s, _ in rows], [h for _, h in rows])) == len(rows)


def test_calibration_bins_of_known_numbers() -> None:
    """GIVEN values at the edges of bins WHEN counted THEN an edge begins its bin, and 1.0 is in the last one."""
    assert CALIBRATION_BINS == 15
    found = calibration_bins([0.0, 1 / 15, 0.999, 1.0], [False, True, True, False])

    assert [(b.size, b.accuracy) for b in found] == [(1, 0.0), (1, 1.0), (2, 0.5)]
    # AND two bins, confidence 0.6 with half right and confidence 0.9 with all right: (0.1 + 0.1) / 2
    assert calibration_error([0.6, 0.6, 0.9, 0.9], [True, False, True, True]) == pytest.approx(0.1)


def test_brier_scores_by_hand() -> None:
    """GIVEN vectors WHEN the Brier score is computed THEN 0 for certainty, 2 for certainty in another class."""
    assert brier([[1.0, 0.0]], [0]) == 0
    assert brier([[1.0, 0.0]], [1]) == 2
    # AND a class that the model does not know counts as one more, of probability 0
    assert brier([[0.5, 0.5]], [None]) == pytest.approx(1.5)
    assert brier([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], [0, 1, 0]) == pytest.approx(2 / 3)
    assert binary_brier([0.9, 0.2], [True, False]) == pytest.approx((0.01 + 0.04) / 2)
    assert math.isnan(brier([], []))
    assert math.isnan(binary_brier([], []))


def test_ten_thousand_values_are_quick() -> None:
    """GIVEN 10,000 predictions WHEN all four are computed THEN in well under a second of CPU time."""
    values = [i * 7919 % 10_000 / 10_000 for i in range(10_000)]
    right = [i * 104_729 % 3 > 0 for i in range(10_000)]
    begun = time.process_time()
    auroc(values[:5000], values[5000:])
    calibration_error(values, right)
    brier([[v, 1 - v] for v in values], [int(r) for r in right])
    wilson(sum(right), len(right))

    assert time.process_time() - begun < 1


@given(some.integers(0, 300), some.integers(0, 300))
def test_mcnemar_is_scipys_binomial_test(gained: int, lost: int) -> None:
    from scipy import stats

    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected, rel=1e-9)


def test_a_large_number_of_changes_is_no_overflow() -> None:
    assert mcnemar(20_000, 19_000) < 1e-5


def test_a_paired_difference_has_the_sign_of_the_gain_and_stays_within_its_bounds() -> None:
    low, high = paired_difference(30, 5, 400)
    assert 0 < low < 25 / 400 < high
    assert paired_difference(5, 30, 400) == pytest.approx((-high, -low))
    assert paired_difference(3, 0, 3).high == 1
    # Bonett and Price: (13 - 3) / 202, and of that the standard error.
    low, high = paired_difference(12, 2, 200)
    half = 1.959964 * math.sqrt((16 / 202 - (10 / 202) ** 2) / 202)
    assert (low, high) == pytest.approx((10 / 202 - half, 10 / 202 + half))
    assert paired_difference(0, 3, 3).low == -1


def test_equal_sampling_rates_give_wilsons_interval_with_the_finite_population_correction() -> None:
    found = stratified([Stratum(1_000_000, 100, 95), Stratum(1_000_000, 100, 99)])
    assert found.value == 0.97
    assert found.interval == pytest.approx(wilson(194, 200), abs=1e-4)
    # Drawn whole, nothing is left to estimate.
    assert stratified([Stratum(10, 10, 9)]) == (0.9, (0.9, 0.9), math.inf)
    # Without a trial nothing is known; a stratum without one adds nothing.
    value, interval, trials = stratified([Stratum(10, 0, 0)])
    assert math.isnan(value)
    assert (interval, trials) == ((0, 1), 0)
    assert stratified([Stratum(10, 5, 4), Stratum(10, 0, 0)]) == stratified([Stratum(10, 5, 4)])
    # All succeeded in strata whose weights do not add up exactly.
    every = stratified([Stratum(1, 1, 1), Stratum(6, 3, 3), Stratum(3, 1, 1)])
    assert (every.value, every.interval.high) == (pytest.approx(1), 1)


def test_unequal_sampling_rates_count_as_fewer_trials() -> None:
    """GIVEN strata of unlike sizes WHEN put together THEN Kish's number of trials, each share with its correction, by hand."""
    found = stratified([Stratum(100, 20, 10), Stratum(300, 30, 15)])
    spread = 0.25**2 * 0.8 / 20 + 0.75**2 * 0.9 / 30
    assert (found.value, found.trials) == (0.5, pytest.approx(1 / spread))
    assert found.interval == pytest.approx(wilson(0.5 / spread, 1 / spread))
    narrow = stratified([Stratum(100, 20, 10), Stratum(300, 30, 15)], 1.0)
    assert narrow.interval == pytest.approx(wilson(0.5 / spread, 1 / spread, 1.0))


def test_a_weighted_sum_has_the_distances_of_its_parts_in_each_direction() -> None:
    parts = [(0.25, Estimate(0.9, Interval(0.8, 0.94), 50)), (0.75, Estimate(0.5, Interval(0.3, 0.6), 20))]
    value, (low, high) = weighted_sum(parts)
    assert value == pytest.approx(0.6)
    assert low == pytest.approx(0.6 - math.hypot(0.25 * 0.1, 0.75 * 0.2))
    assert high == pytest.approx(0.6 + math.hypot(0.25 * 0.04, 0.75 * 0.1))


def test_predictions_and_truths_of_different_number_are_an_error() -> None:
    for score in (binary_brier, calibration_bins):
        with pytest.raises(ValueError, match="zip"):
            score([0.5, 0.5], [True])
    with pytest.raises(ValueError, match="zip"):
        brier([[0.5, 0.5]], [0, 1])


def test_trials_for_a_width_are_the_fewest() -> None:
    found = trials_for(0.95, 0.01)
    for trials, wide in ((found, False), (found - 1, True)):
        low, high = wilson(0.95 * trials, trials)
        assert (high - low > 0.02) is wide
    assert trials_for(0.5, 0.01) == 9600  # where the interval is widest
    assert trials_for(0.5, 0.09, 1.0) == 30  # 0.5 / sqrt(30 + 1) is less than 0.09, 0.5 / sqrt(29 + 1) is not
    assert trials_for(0.5, 0.25, 0.5) == 1
    assert trials_for(0.5, 0.5) == 1  # with one trial, half of the interval is 0.4 long
