"""Does the audit's interval cover the true precision as often as it should?

    python -m benchmarks.audit [--services 2000]

Simulates services: days of different volume and precision, trends, reviewers that are equally far with every day, further with
the latest, or anywhere. Each reviews the beginning of a random order (`monitoring.quality.audit`). Printed for each true precision:
how often the 95 % interval of the precision, and that of the accuracy of the whole stream, contains the true one of that
service's images, and how wide it is.
"""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dropsort.contract.keys import CLASSIFIED, LOW_CONFIDENCE
from dropsort.contract.statistics import Stratum
from monitoring.quality.audit import OutcomeStrata, assess

PRECISIONS = (0.90, 0.95, 0.99)
PROGRESS = ("even", "latest first", "anywhere")
DOUBTFUL = 0.75  # accuracy of low-confidence images


class Coverage(NamedTuple):
    """Shares of services whose interval contains the truth, and its mean width."""

    precision: float
    accuracy: float
    precision_width: float
    accuracy_width: float


class _Days(NamedTuple):
    volume: NDArray[np.int64]
    shares: NDArray[np.float64]  # reviewed, of each day


def simulate(precision: float, services: int, seed: int = 1) -> Coverage:
    """Simulate services of one true precision on average; each one's own is what its interval should contain."""
    random = np.random.default_rng(seed)
    hits, width = np.zeros(2), np.zeros(2)
    for number in range(services):
        days = _days(random, PROGRESS[number % len(PROGRESS)])
        doubtful = random.uniform(0.1, 0.4)
        classified, right = _outcome(random, days, 1.0, precision)
        low, low_right = _outcome(random, days, doubtful, DOUBTFUL)
        found = assess({CLASSIFIED: classified, LOW_CONFIDENCE: low}, precision)
        sizes = found.classified.size, found.classified.size + found.outcomes[LOW_CONFIDENCE].size
        for i, (interval, true) in enumerate(
            (
                (found.classified.estimate.interval, right / sizes[0]),
                (found.accuracy_interval, (right + low_right) / sizes[1]),
            )
        ):
            hits[i] += interval.low - 1e-12 <= true <= interval.high + 1e-12
            width[i] += interval.high - interval.low
    return Coverage(*(hits / services).tolist(), *(width / services).tolist())


def _days(random: np.random.Generator, progress: str) -> _Days:
    """Volumes of one to thirty days, and how much of each is reviewed: 60 to 2,000 reviews of 1,000 to 100,000 results."""
    count = int(random.integers(1, 31))
    volume = np.exp(random.normal(0, 0.7, count))
    volume = np.maximum(
        1, volume / volume.sum() * math.exp(random.uniform(math.log(1000), math.log(100_000)))
    )
    weight = {
        "even": np.ones(count),
        "latest first": np.linspace(0.05, 1, count),
        "anywhere": random.uniform(0.02, 1, count),
    }[progress]
    reviews = math.exp(random.uniform(math.log(60), math.log(2000)))
    return _Days(np.round(volume).astype(np.int64), np.minimum(1, weight * reviews / (volume * weight).sum()))


def _outcome(
    random: np.random.Generator, days: _Days, share: float, correct: float
) -> tuple[OutcomeStrata, int]:
    """The counts of an outcome, and how many of its predictions are right."""
    count = len(days.volume)
    trend = random.choice([0, 0, -0.02]) * np.arange(count)
    odds = math.log(correct / (1 - correct)) + random.normal(0, random.uniform(0, 0.5), count) + trend
    sizes = np.maximum(1, np.round(share * days.volume)).astype(np.int64)
    right = random.binomial(sizes, 1 / (1 + np.exp(-odds)))
    drawn = random.binomial(sizes, days.shares)
    hits = random.hypergeometric(right, sizes - right, drawn)
    strata = [Stratum(*map(int, day)) for day in zip(sizes, drawn, hits, strict=True)]
    return OutcomeStrata(strata), int(right.sum())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--services", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(f"{arguments.services} services each; 95 % intervals")
    print(
        "| true precision | interval of the precision covers it | width | interval of the accuracy covers it | width |"
    )
    print("|---|---|---|---|---|")
    for precision in PRECISIONS:
        found = simulate(precision, arguments.services, arguments.seed)
        print(
            f"| {precision:.2f} | {found.precision:.1%} | {found.precision_width:.3f} "
            f"| {found.accuracy:.1%} | {found.accuracy_width:.3f} |"
        )


if __name__ == "__main__":
    main()
