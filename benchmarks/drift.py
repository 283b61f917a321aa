"""False alarms and power of drift detection, by simulation: ``python -m benchmarks.drift``.

Whole days are simulated hour by hour and checked as the hourly function checks them (monitoring/drift/windows.py): every check, both
windows, silence and all signals. A day counts as alarmed if any of it alarmed. Then shifts of stated sizes are put into
single windows of growing size, to see how many images it takes to find nine of ten.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from dropsort.contract.defaults import THRESHOLD
from dropsort.contract.statistics import wilson
from monitoring.aggregates.cells import Aggregate, Cell, CellKey, Series
from monitoring.aggregates.histograms import bin_of, units
from monitoring.drift.assess import assess
from monitoring.drift.sample import Moments, Sample
from monitoring.drift.windows import HOUR, check, hour_of

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
BRIGHTNESS = 110.0  # grey levels


@dataclass(frozen=True)
class Population:
    """What the images and the model are like: the defaults are a good two-class model."""

    share: float = 0.5  # of the first label
    sure: float = 0.87  # of the images, with confidence near 1; the rest are spread over [0.5, 1]
    unfamiliar: float = 0.02
    brightness: float = BRIGHTNESS

    def draw(
        self, random: np.random.Generator, n: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """First-label flags, confidences, familiarities and brightness, (n,) each."""
        sure = random.random(n) < self.sure
        confidence = np.where(sure, random.beta(60, 1, n) * 0.5 + 0.5, random.beta(1.5, 1, n) * 0.5 + 0.5)
        familiar = random.random(n)
        strange = random.random(n) < (self.unfamiliar - 0.02) / 0.98
        familiar = np.where(strange, familiar * 0.02, familiar)
        # Log-normal, as skewed as real brightness and sharpness are at their worst.
        bright = self.brightness * np.exp(random.normal(0, 0.4, n) - 0.08)
        return random.random(n) < self.share, confidence, familiar, bright


SAME = Population()


def sample(population: Population, random: np.random.Generator, n: int) -> Sample:
    """One window of n captures."""
    first, confidence, familiar, bright = population.draw(random, n)
    counts = Sample.of(np.where(first, "bicycle", "motorcycle").tolist(), confidence, familiar)
    moments = Moments(n, float(bright.sum()), float((bright**2).sum()))
    return Sample(counts.labels, counts.confidence, counts.familiarity, {"brightness": moments})


def put_hour(
    total: Aggregate, hour: str, population: Population, random: np.random.Generator, n: int
) -> None:
    """One hour of n captures into an aggregate."""
    if not n:
        return
    first, confidence, familiar, bright = population.draw(random, n)
    for label, chosen in (("bicycle", first), ("motorcycle", ~first)):
        count = int(chosen.sum())
        if count:
            grey = (bright[chosen] * 1000).astype(np.int64)
            total.cells[CellKey(hour, "bikes", "AllTraffic", label)] = Cell(
                count=count,
                confidence=int(units(confidence[chosen]).sum()),
                histogram=_counted(bin_of(units(confidence[chosen]))),
                familiar=count,
                familiarity_histogram=_counted(bin_of(units(familiar[chosen]), 100)),
                images=count,
                image_sums=[32 * count, 32 * count, 2500 * count, int(grey.sum()), 1000 * count],
                image_squares=[
                    1024 * count,
                    1024 * count,
                    2500**2 * count,
                    int((grey**2).sum()),
                    10**6 * count,
                ],
            )
    volume = total.volume(Series(hour, "bikes", "AllTraffic"))
    volume.records = volume.predictions = n


def _counted(bins: np.ndarray) -> dict[int, int]:
    found, counts = np.unique(bins, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def traffic(kind: str, random: np.random.Generator) -> Callable[[datetime], int]:
    """Captures of an hour. 'office' knows nights, weekends and good and bad days; 'even' is Poisson."""
    name, daily = kind.split(":")
    moods: dict[int, float] = {}

    def hours(at: datetime) -> int:
        if name == "even":
            return int(random.poisson(int(daily) / 24))
        mood = moods.setdefault(at.toordinal(), float(random.gamma(8, 1 / 8)))
        shape = max(0.02, np.sin((at.hour - 5) / 15 * np.pi)) if 5 < at.hour < 20 else 0.02
        weekend = 0.1 if at.weekday() >= 5 else 1.0
        return int(random.poisson(int(daily) / 9.8 * mood * shape * weekend))

    return hours


def alarmed_days(kind: str, reference_size: int, days: int, seed: int) -> list[str]:
    """Look at ``days`` days without any change; what alarmed on each ('' for nothing).

    A new reference and a new history every 5 days: the guarantee is over references too. ``reference_size`` 0: the
    first captures are the reference.
    """
    random = np.random.default_rng(seed)
    found: list[str] = []
    while len(found) < days:
        count, total = traffic(kind, random), Aggregate()
        reference = sample(SAME, random, reference_size) if reference_size else None
        for hour in range(10 * 24):
            at = START + hour * HOUR
            put_hour(total, hour_of(at), SAME, random, count(at))
        for day in range(min(5, days - len(found))):
            alarms = ""
            for hour in range(24):
                at = START + timedelta(days=10 + day) + hour * HOUR
                put_hour(total, hour_of(at), SAME, random, count(at))
                if not alarms:
                    alarms = "; ".join(
                        check(total, at + HOUR, threshold=THRESHOLD, reference=reference).alarms
                    )
            found.append(alarms)
    return found


SHIFTS: dict[str, list[Population]] = {
    "label share 50 % to {share:.0%}": [Population(share=s) for s in (0.6, 0.65, 0.7, 0.8)],
    "sure of 87 % to {sure:.0%}": [Population(sure=s) for s in (0.8, 0.75, 0.7, 0.6)],
    "unfamiliar 2 % to {unfamiliar:.0%}": [Population(unfamiliar=u) for u in (0.08, 0.12, 0.22)],
    "brightness 110 to {brightness:.0f}": [Population(brightness=b) for b in (125, 140, 165)],
}
SIZES = (30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000, 3000, 5000)


def power(population: Population, reference_size: int, size: int, tries: int, seed: int) -> float:
    """Share of windows of this size, out of the changed population, that alarm."""
    random = np.random.default_rng(seed)
    hits = sum(
        bool(
            assess(
                sample(SAME, random, reference_size), sample(population, random, size), threshold=THRESHOLD
            ).alarms
        )
        for _ in range(tries)
    )
    return hits / tries


def needed(
    population: Population, reference_size: int, tries: int, wanted: float = 0.9
) -> tuple[int | None, float]:
    """The smallest of `SIZES` at which the share ``wanted`` is found, and the share found there."""
    low, high = 0, len(SIZES) - 1
    best: tuple[int | None, float] = (None, 0.0)
    while low <= high:
        middle = (low + high) // 2
        found = power(population, reference_size, SIZES[middle], tries, seed=SIZES[middle])
        if found >= wanted:
            best, high = (SIZES[middle], found), middle - 1
        else:
            low = middle + 1
    return best


def false_alarms(days: int, pool: ProcessPoolExecutor) -> Iterator[str]:
    """The table of false alarms, a line at a time."""
    yield f"{'traffic a day':>16} {'reference':>14} {'days':>6} {'alarmed':>8} {'share':>7} {'95 % up to':>11}"
    everything = alarmed = 0
    for kind, size in itertools.product(("even:20", "even:500", "office:500", "office:5000"), (0, 200, 1000)):
        chunks = [pool.submit(alarmed_days, kind, size, days // 4, seed) for seed in range(4)]
        found = [alarm for chunk in chunks for alarm in chunk.result()]
        hits = sum(map(bool, found))
        everything, alarmed = everything + len(found), alarmed + hits
        yield (
            f"{kind:>16} {size or 'first captures':>14} {len(found):>6} {hits:>8} {hits / len(found):>7.2%} "
            f"{wilson(hits, len(found)).high:>11.2%}"
        )
        yield from (f"    {alarm}" for alarm in sorted({a for a in found if a})[:3])
    yield (
        f"all: {alarmed} of {everything} days alarmed, {alarmed / everything:.3%} "
        f"(95 %: up to {wilson(alarmed, everything).high:.3%}; limit: 1 %)"
    )


def powers(tries: int, pool: ProcessPoolExecutor) -> Iterator[str]:
    """The table of power, a line at a time."""
    yield f"{'change':>32} {'reference':>10} {'found with 90 % power within':>30}"
    rows = [
        (form, one, size)
        for form, changed in SHIFTS.items()
        for one in changed
        for size in (200, 1000, 10_000)
    ]
    jobs = [pool.submit(needed, population, size, tries) for _, population, size in rows]
    for (form, population, size), job in zip(rows, jobs, strict=True):
        count, share = job.result()
        found = f"{count} images ({share:.0%})" if count else f"not within {SIZES[-1]}"
        yield f"{form.format(**vars(population)):>32} {size:>10} {found:>30}"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--days", type=int, default=200, help="simulated days for each kind of traffic (default 200)"
    )
    parser.add_argument(
        "--tries", type=int, default=100, help="windows for each size of change (default 100)"
    )
    parser.add_argument("--only", choices=("alarms", "power"), help="one of the two tables")
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    with ProcessPoolExecutor(chosen.processes) as pool:
        alarms = false_alarms(chosen.days, pool) if chosen.only != "power" else ()
        table = powers(chosen.tries, pool) if chosen.only != "alarms" else ()
        for line in itertools.chain(alarms, table):
            print(line, flush=True)


if __name__ == "__main__":
    main()
