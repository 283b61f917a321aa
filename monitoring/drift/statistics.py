"""Exact tests and distances on counts, in NumPy alone.

Everything here takes counts (successes, histograms), so that it costs the same for a thousand captures and for a
billion. SciPy would do for most of it and weighs 100 MB, too much for a Lambda function; the tests hold these
functions against SciPy.
"""

from __future__ import annotations

import math
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def log_gamma(x: ArrayLike) -> Floats:
    """log Γ(x) of positive numbers, to about 1e-14 relative: Stirling's series after a shift by eight."""
    x = np.asarray(x, dtype=np.float64)
    product = x * (x + 1) * (x + 2) * (x + 3) * (x + 4) * (x + 5) * (x + 6) * (x + 7)  # finite up to 1e38
    y = x + 8
    inverse = 1.0 / (y * y)
    series = 1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse / 1188)))
    result: Floats = (y - 0.5) * np.log(y) - y + 0.5 * math.log(2 * math.pi) + series / y - np.log(product)
    return result


def fisher_exact(successes: int, trials: int, successes_0: int, trials_0: int) -> float:
    """Two-sided p-value of Fisher's exact test that two proportions are one.

    Exact for every size: under no change, p ≤ a happens in at most a share a of all samples.
    """
    total, wins = trials + trials_0, successes + successes_0
    if trials == 0 or trials_0 == 0 or wins in (0, total):
        return 1.0
    low, high = max(0, trials - (total - wins)), min(trials, wins)
    # 45 standard deviations either side hold all but 1e-400; keeps the support short for millions of trials.
    mean = trials * wins / total
    spread = math.sqrt(max(1.0, mean * (1 - wins / total) * trials_0 / total))
    low = max(low, min(successes, math.floor(mean - 45 * spread)))
    high = min(high, max(successes, math.ceil(mean + 45 * spread)))
    k = np.arange(low, high + 1, dtype=np.float64)
    weight = -(
        log_gamma(k + 1)
        + log_gamma(wins - k + 1)
        + log_gamma(trials - k + 1)
        + log_gamma(total - wins - trials + k + 1)
    )
    weight = np.exp(weight - weight.max())
    # 1e-7: outcomes as likely as the observed one count, whatever the rounding.
    observed = weight[successes - low] * (1 + 1e-7)
    return float(min(1.0, weight[weight <= observed].sum() / weight.sum()))


def negative_binomial_cdf(k: int, mean: float, size: float) -> float:
    """P(X ≤ k) for a count with this mean and variance mean + mean²/size; ``size`` inf is the Poisson law."""
    if mean <= 0:
        return 1.0
    x = np.arange(0, k + 1, dtype=np.float64)
    if math.isinf(size):
        terms = x * math.log(mean) - mean - log_gamma(x + 1)
    else:
        # log1p keeps precision for large size, where the law is almost Poisson's.
        odds = math.log(mean) - math.log(mean + size)
        terms = (
            log_gamma(x + size)
            - log_gamma(np.array(size))
            - log_gamma(x + 1)
            - size * math.log1p(mean / size)
            + x * odds
        )
    return float(min(1.0, np.exp(terms).sum()))


def jensen_shannon(a: ArrayLike, b: ArrayLike) -> float:
    """Jensen-Shannon distance of two histograms [bins] over the same bins: 0 the same, 1 no bin in common."""
    p, q = _normalised(a), _normalised(b)
    return float(math.sqrt(max(0.0, _divergence(p[None, :], q)[0])))


def wasserstein(a: ArrayLike, b: ArrayLike) -> float:
    """Wasserstein-1 distance of two histograms [bins] over the same equal bins of [0, 1].

    The distance is how far an observation has to move, on average, to make one histogram of the other.
    """
    p, q = _normalised(a), _normalised(b)
    return float(np.abs(np.cumsum(p - q)[:-1]).sum() / len(p))


class Permutation(NamedTuple):
    """How two histograms differ, and how far they would without any change."""

    p_wasserstein: float
    p_jensen_shannon: float
    usual_wasserstein: float  # 95th percentile under no change, from the same pool of observations
    usual_jensen_shannon: float


def permutation_test(
    window: ArrayLike,
    reference: ArrayLike,
    positions: ArrayLike,
    *,
    draws: int,
    stop: int = 20,
) -> Permutation:
    """Are two histograms samples of one distribution? Wasserstein and Jensen-Shannon, by random relabelling.

    Draws the window's size out of the pool of both, without replacement, again and again, and counts how often the
    distance is at least the observed one (Besag and Clifford 1991: stops as soon as both statistics have been
    reached ``stop`` times, so that no change is cheap to confirm and p stays valid). Exact for every size and shape,
    ties included, as long as the observations are independent. The same counts give the same result: the seed is their
    checksum (one seed for all would give every test the same relabellings, and their luck to all).

    Parameters
    ----------
    window, reference
        Counts, (k,) integers.
    positions
        Where the bins are, ascending, (k,); only their differences count.
    draws
        At most this many relabellings: p is never below 1 / (draws + 1).
    """
    w, r = np.asarray(window, np.int64), np.asarray(reference, np.int64)
    pool, n, n_0 = w + r, int(w.sum()), int(r.sum())
    if n == 0 or n_0 == 0 or np.count_nonzero(pool) < 2:
        return Permutation(1.0, 1.0, 0.0, 0.0)
    steps = np.diff(np.asarray(positions, np.float64))
    seen = np.array(_both_distances(w[None, :], pool, n, n_0, steps))[:, 0] * (1 - 1e-9)
    random = np.random.default_rng(zlib.crc32(w.tobytes() + r.tobytes()))
    chunks: list[Floats] = []
    done, reached, size = 0, np.zeros(2, np.int64), 100
    while done < draws and (reached < stop).any():
        size = min(size, draws - done)
        drawn = random.multivariate_hypergeometric(pool, n, size=size)
        distances = np.array(_both_distances(drawn, pool, n, n_0, steps))
        chunks.append(distances)
        reached += (distances >= seen[:, None]).sum(axis=1)
        done, size = done + size, min(4 * size, 4_000)
    every = np.concatenate(chunks, axis=1)
    p = [_sequential_p(every[i] >= seen[i], stop) for i in range(2)]
    usual = np.quantile(every, 0.95, axis=1)
    return Permutation(p[0], p[1], float(usual[0]), float(usual[1]))


def _sequential_p(hits: NDArray[np.bool_], stop: int) -> float:
    """Besag and Clifford's p-value: stop / draws at the stop-th hit, else (hits + 1) / (draws + 1)."""
    reached = np.cumsum(hits)
    if reached[-1] >= stop:
        return float(stop / (int(np.searchsorted(reached, stop)) + 1))
    return float((reached[-1] + 1) / (len(hits) + 1))


def _both_distances(
    drawn: NDArray[np.int64], pool: NDArray[np.int64], n: int, n_0: int, steps: Floats
) -> tuple[Floats, Floats]:
    """Wasserstein and Jensen-Shannon distance of each row of ``drawn`` from the rest of the pool."""
    p, q = drawn / n, (pool - drawn) / n_0
    moved = np.abs(np.cumsum(p - q, axis=1)[:, :-1]) @ steps
    return moved, np.sqrt(np.maximum(_divergence(p, q), 0))


def _divergence(p: Floats, q: Floats) -> Floats:
    """Jensen-Shannon divergence in bits, by row."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.where(p > 0, p * np.log2(p / middle), 0) + np.where(q > 0, q * np.log2(q / middle), 0)
    return np.asarray(parts.sum(axis=1) / 2)


def _normalised(counts: ArrayLike) -> Floats:
    counts = np.asarray(counts, np.float64)
    total = counts.sum()
    return counts / total if total > 0 else counts


def coarse_bins(pool: ArrayLike, most: int = 24) -> NDArray[np.int64]:
    """Group fine bins into at most ``most`` groups of about equal count: the group of every bin, (k,), ascending.

    Chosen from the pool of both samples alone, so that a permutation test on the groups stays exact.
    """
    counts = np.asarray(pool, np.float64)
    before = np.cumsum(counts) - counts / 2
    total = max(1.0, counts.sum())
    group = np.minimum(most - 1, (before * most / total).astype(np.int64))
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def regroup(counts: ArrayLike, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The histogram over groups of bins, [groups], of one over the bins, [bins]; `groups` has the group of each bin, [bins]."""
    return np.bincount(groups, weights=np.asarray(counts, np.float64)).astype(np.int64)
