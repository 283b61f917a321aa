"""Tests, intervals and distances against SciPy, and against their error rates."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from monitoring.drift import statistics as st

pytestmark = pytest.mark.xdist_group("scipy")  # its import takes more than a second

counts = some.lists(some.integers(0, 50), min_size=2, max_size=40).filter(lambda c: sum(c) > 0)


@given(some.integers(0, 60), some.integers(1, 60), some.integers(0, 80), some.integers(1, 80))
def test_fisher_is_scipys(a: int, n: int, b: int, m: int) -> None:
    """GIVEN a two-by-two table WHEN tested THEN the p-value is SciPy's."""
    from scipy import stats

    a, b = min(a, n), min(b, m)

    assert st.fisher_exact(a, n, b, m) == pytest.approx(
        stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue, rel=1e-7
    )


@pytest.mark.parametrize(
    ("table"), [(900, 10_000, 80_000, 1_000_000), (0, 500_000, 30, 500_000), (1, 1, 999_999, 1_000_000)]
)
def test_fisher_of_millions(table: tuple[int, int, int, int]) -> None:
    """GIVEN a table of a million WHEN tested THEN the p-value still is SciPy's."""
    from scipy import stats

    a, n, b, m = table

    assert st.fisher_exact(*table) == pytest.approx(
        stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue, rel=1e-6
    )


@given(some.floats(1e-3, 1e9))
def test_log_gamma(x: float) -> None:
    """GIVEN a positive number WHEN log_gamma is taken THEN it is the library's."""
    assert float(st.log_gamma(x)) == pytest.approx(math.lgamma(x), rel=1e-11, abs=1e-11)


@given(some.integers(0, 50), some.floats(0.01, 200), some.one_of(some.floats(0.05, 1e4), some.just(math.inf)))
def test_negative_binomial_is_scipys(k: int, mean: float, size: float) -> None:
    """GIVEN mean and size WHEN the probability of at most k is computed THEN it is SciPy's, Poisson's at the limit."""
    from scipy import stats

    expected = (
        stats.poisson.cdf(k, mean) if math.isinf(size) else stats.nbinom.cdf(k, size, size / (size + mean))
    )

    assert st.negative_binomial_cdf(k, mean, size) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@pytest.mark.parametrize(("mean", "size"), [(10, math.inf), (50, 10.0)])
def test_no_probability_is_more_than_one(mean: float, size: float) -> None:
    """GIVEN terms that add up to more by rounding WHEN the probability is computed THEN it is 1."""
    assert st.negative_binomial_cdf(400, mean, size) == 1.0


@given(counts, some.data())
def test_distances_are_scipys(a: list[int], data: some.DataObject) -> None:
    """GIVEN two histograms WHEN their distances are taken THEN they are SciPy's."""
    from scipy import stats
    from scipy.spatial import distance

    b = data.draw(
        some.lists(some.integers(0, 50), min_size=len(a), max_size=len(a)).filter(lambda c: sum(c) > 0)
    )
    at = (np.arange(len(a)) + 0.5) / len(a)

    assert st.wasserstein(a, b) == pytest.approx(stats.wasserstein_distance(at, at, a, b), abs=1e-12)
    assert st.jensen_shannon(a, b) == pytest.approx(float(distance.jensenshannon(a, b, base=2)), abs=1e-7)
    assert st.jensen_shannon(a, a) == pytest.approx(0, abs=1e-7)


def test_relabelling_is_calibrated() -> None:
    """GIVEN samples of one distribution WHEN tested 2,000 times THEN p ≤ a happens in about a share a of them."""
    random = np.random.default_rng(7)
    shape = np.array([0.6, 0.2, 0.1, 0.05, 0.05])
    p = np.array(
        [
            st.permutation_test(
                random.multinomial(60, shape), random.multinomial(90, shape), range(5), draws=400
            )[:2]
            for _ in range(2000)
        ]
    )

    for level in (0.3, 0.1, 0.05):
        share = (p <= level).mean(axis=0)
        assert (share <= level + 4 * math.sqrt(level * (1 - level) / 2000)).all(), (level, share)
        assert (share >= 0.6 * level).all(), (level, share)


def test_relabelling_finds_a_change_and_repeats_itself() -> None:
    """GIVEN samples of two distributions WHEN tested THEN p is as small as the draws allow, and the same again."""
    found = [st.permutation_test([90, 10, 0], [10, 10, 80], [0, 1, 2], draws=999) for _ in range(2)]

    assert found[0] == found[1]
    assert found[0].p_wasserstein == found[0].p_jensen_shannon == 1 / 1000


def test_each_distance_has_its_own_p() -> None:
    # GIVEN samples that share no bin, each of which is next to one of the other
    found = st.permutation_test([5, 0] * 10, [0, 5] * 10, range(20), draws=200)
    assert found.p_wasserstein > 0.5
    assert found.p_jensen_shannon == 1 / 201
    # The twentieth hit in the last of 40 draws ends it as it would have before.
    assert st._sequential_p(np.array([False] * 20 + [True] * 20), 20) == 0.5
    assert st._sequential_p(np.array([False] * 21 + [True] * 19), 20) == 20 / 41


@pytest.mark.parametrize(("a", "b"), [([0, 0], [5, 5]), ([5, 0], [7, 0]), ([0, 0], [0, 0])])
def test_relabelling_of_what_cannot_differ(a: list[int], b: list[int]) -> None:
    """GIVEN an empty sample or a single bin WHEN tested THEN p is 1."""
    assert st.permutation_test(a, b, [0.0, 1.0], draws=100)[:2] == (1, 1)


@given(counts)
@example([1] * 24 + [0])
def test_coarse_bins_keep_order_and_count(pool: list[int]) -> None:
    """GIVEN fine bins WHEN they are grouped THEN groups ascend by one, at most 24, and no count is lost."""
    groups = st.coarse_bins(pool)

    assert (np.diff(groups) >= 0).all()
    assert (np.diff(groups) <= 1).all()
    assert groups[0] == 0
    assert groups[-1] < 24
    assert st.regroup(pool, groups).sum() == sum(pool)


def test_small_tables_and_empty_histograms() -> None:
    assert st.fisher_exact(1, 1, 0, 5) == pytest.approx(1 / 6)
    assert st.fisher_exact(0, 5, 1, 1) == pytest.approx(1 / 6)
    assert st.fisher_exact(0, 0, 1, 5) == st.fisher_exact(1, 5, 0, 0) == 1.0
    assert st.fisher_exact(0, 5, 0, 5) == st.fisher_exact(5, 5, 5, 5) == 1.0
    # Of nothing, every distance is that from nothing.
    assert st.jensen_shannon([0, 0], [5, 5]) == pytest.approx(math.sqrt(0.5))
    assert st.wasserstein([0, 0], [0, 5]) == 0.0
    assert st.wasserstein([5, 0, 0], [0, 0, 5]) == pytest.approx(2 / 3)


def test_the_usual_distances_are_the_95th_percentiles_of_relabellings() -> None:
    window, reference = np.array([30, 10]), np.array([40, 80])
    found = st.permutation_test(window, reference, [0.25, 0.75], draws=4000, stop=4001)
    first = np.random.default_rng(1).hypergeometric(70, 90, 40, 4000)
    rows = np.stack((first, 40 - first), axis=1)
    apart = [st.jensen_shannon(row, window + reference - row) for row in rows]
    moved = 0.5 * np.abs(first / 40 - (70 - first) / 120)
    assert found.usual_wasserstein == pytest.approx(np.quantile(moved, 0.95), rel=0.1)
    assert found.usual_jensen_shannon == pytest.approx(np.quantile(apart, 0.95), rel=0.1)


def test_relabelling_ends_with_the_twentieth_hit_unless_another_number_is_given() -> None:
    p = [
        st.permutation_test([30, 30], [35, 25], [0, 1], draws=4000, **stop)[:2]
        for stop in ({}, {"stop": 20}, {"stop": 19}, {"stop": 21})
    ]
    assert p[0] == p[1]
    assert p[0] not in p[2:]


def test_only_differences_of_positions_count() -> None:
    found = [
        st.permutation_test([5, 9, 2], [4, 3, 9], np.array([0, 1, 3]) + start, draws=200) for start in (0, 8)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("pool", "most", "groups"),
    [
        ([1] * 48, 24, [at // 2 for at in range(48)]), ([10], 24, [0]), ([1, 1, 2], 2, [0, 0, 1]), ([2, 2], 2, [0, 1]),
        ([0, 4, 0, 4, 0], 2, [0, 0, 1, 1, 1]), ([0, 0], 2, [0, 0]), ([3, 1, 4], 4, [0, 1, 2]), ([1, 9], 24, [0, 1]),
        ([1, 1, 1, 1], 3, [0, 1, 1, 2]),
    ],
)  # fmt: skip
def test_bins_are_grouped_by_the_middle_of_their_counts(
    pool: list[int], most: int, groups: list[int]
) -> None:
    found = st.coarse_bins(pool, most)
    assert (found.tolist(), found.dtype) == (groups, np.int64)
    regrouped = st.regroup(pool, found)
    assert regrouped.dtype == np.int64
    assert regrouped.tolist() == [
        sum(count for count, group in zip(pool, groups, strict=True) if group == one)
        for one in range(max(groups) + 1)
    ]


def test_there_are_24_groups_unless_another_number_is_given() -> None:
    assert [int(st.coarse_bins([1] * 100, *most)[-1]) + 1 for most in ([], [24], [23], [25])] == [
        24,
        24,
        23,
        25,
    ]


@pytest.mark.parametrize(
    ("window", "draws", "sizes"),
    [
        ([90, 10, 0], 7000, [100, 400, 1600, 4000, 900]), ([90, 10, 0], 100, [100]), ([90, 10, 0], 101, [100, 1]),
        ([90, 10, 0], 99, [99]), ([10, 10, 80], 7000, [100]),
    ],
)  # fmt: skip
def test_relabellings_are_drawn_in_growing_parts_until_there_are_enough(
    monkeypatch: pytest.MonkeyPatch, window: list[int], draws: int, sizes: list[int]
) -> None:
    drawn, real = [], np.random.default_rng
    reference = [10, 10, 80]

    class Random:
        def __init__(self, seed: int) -> None:
            counts = np.array([window, reference], np.int64)
            assert seed == zlib.crc32(counts.tobytes()), "their checksum"
            self._random = real(seed)

        def multivariate_hypergeometric(self, pool: np.ndarray, count: int, size: int) -> np.ndarray:
            assert (pool.tolist(), count) == (np.add(window, reference).tolist(), 100)
            drawn.append(size)
            return self._random.multivariate_hypergeometric(pool, count, size=size)

    monkeypatch.setattr(st.np.random, "default_rng", Random)
    st.permutation_test(window, reference, [0, 1, 2], draws=draws)
    assert drawn == sizes


def test_relabelling_goes_on_while_one_of_both_distances_has_too_few_hits() -> None:
    # GIVEN one distance that every relabelling reaches, and one that none does
    found = st.permutation_test([5, 0] * 10, [0, 5] * 10, range(20), draws=5000)
    assert found.p_jensen_shannon == 1 / 5001
    assert found.p_wasserstein > 0.5


@pytest.mark.parametrize(
    ("hits", "stop", "p"),
    [
        ([0, 0, 0], 2, 1 / 4), ([0, 1, 0], 2, 2 / 4), ([1, 1, 0], 2, 2 / 2), ([1, 0, 1], 2, 2 / 3), ([0, 1, 1, 1], 2, 2 / 3),
        ([1, 0], 1, 1.0), ([0, 0, 1, 0], 1, 1 / 3),
    ],
)  # fmt: skip
def test_p_is_that_of_the_last_hit_that_counts_or_of_all_draws(hits: list[int], stop: int, p: float) -> None:
    assert st._sequential_p(np.array(hits, bool), stop) == p


@pytest.mark.parametrize(
    ("window", "reference"), [([0, 0], [5, 5]), ([5, 5], [0, 0]), ([5, 0], [7, 0]), ([0, 0], [0, 0])]
)
def test_what_cannot_differ_has_no_distance(window: list[int], reference: list[int]) -> None:
    assert st.permutation_test(window, reference, [0.0, 1.0], draws=100) == (1.0, 1.0, 0.0, 0.0)
