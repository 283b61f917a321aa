"""What the gate costs: the service with and without it, in turns: ``python -m benchmarks.gate``.

Two services run side by side, of which one has no gate in front of its embedded AWS and its endpoint. A round sends the same images
through both, each first in every other round; what is compared is the ratio within a round, so that whatever else the machine does hits
both. docs/performance.md says how to read the table.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

from benchmarks import pipeline, pipeline_rounds, ungated_emulator
from benchmarks.pipeline_arms import Ours
from dropsort.contract.progress import OnStep
from dropsort.local import embedded, endpoint_process
from dropsort.local.service import LocalService

TARGET = 0.97
# Uploaders, images of a round: so many that a round takes some seconds.
LOADS = ((1, 15), (16, 60))
RESAMPLES = 2000
ENDPOINT = "benchmarks.ungated_endpoint"


@dataclass(frozen=True)
class Ratios:
    """What the gate does to one figure: with it divided by without it, by round.

    Parameters
    ----------
    median
        Over all rounds.
    low, high
        95 % interval of the median (bootstrap over the rounds).
    first, third
        Quartiles of the rounds.
    rounds
        How many there were.
    """

    median: float
    low: float
    high: float
    first: float
    third: float
    rounds: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its table; 1 if the throughput is certainly below the target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, metavar="N", help="at most so many of each load")
    parser.add_argument("--minutes", type=float, default=6.0, metavar="N", help="and no longer than this")
    parser.add_argument(
        "--images", default="100", metavar="N|DIR", help="drawn samples, or the images of a folder"
    )
    parser.add_argument(
        "--control", action="store_true", help="both services have the gate: what the ratio is of itself"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    images = pipeline.load(options.images)
    rounds = measure(
        images,
        options.rounds,
        options.minutes * 60,
        lambda text: print(text, file=sys.stderr, flush=True),
        control=options.control,
    )
    figures = {name: {what: ratios(values) for what, values in one.items()} for name, one in rounds.items()}
    if options.json:
        found = {name: {what: asdict(one) for what, one in by.items()} for name, by in figures.items()}
        options.json.write_text(json.dumps({"ratios": found, "rounds": rounds}, indent=1), encoding="utf-8")
    print(text(figures))
    return int(any(one["throughput"].high < TARGET for one in figures.values()))


@contextmanager
def without_gate() -> Iterator[None]:
    """Services that are created in the block have no gate."""
    program = Path(ungated_emulator.__file__)
    with (
        mock.patch.object(embedded, "PROGRAM", program),
        mock.patch.object(endpoint_process, "MODULE", ENDPOINT),
    ):
        yield


def measure(
    images: Sequence[bytes], rounds: int, seconds: float, on_step: OnStep, *, control: bool = False
) -> dict[str, dict[str, list[float]]]:
    """Ratios of throughput and median latency, by clients and round."""
    found: dict[str, dict[str, list[float]]] = {}
    numbered = list(enumerate(images))
    with LocalService() as gated:
        with nullcontext() if control else without_gate():
            other = LocalService()
            other.__enter__()
        try:
            arms = {"with": (gated, Ours(gated)), "without": (other, Ours(other))}
            chance = random.Random(1)
            for clients, count in LOADS:
                begin, name = time.monotonic(), f"{clients} clients" if clients > 1 else "1 client"
                ratio = found.setdefault(name, {"throughput": [], "latency": []})
                number = -2  # rounds that are not counted, with cold functions
                while number < rounds and (number < 2 or time.monotonic() - begin < seconds / len(LOADS)):
                    chosen = chance.sample(numbered, min(count, len(numbered)))
                    order = list(arms) if number % 2 else list(arms)[::-1]
                    done = {
                        arm: pipeline_rounds.run(*arms[arm], chosen, clients, f"gate-{clients}-{number}")
                        for arm in order
                    }
                    one, two = done["with"], done["without"]
                    on_step(f"{name}, round {number}: {one.rate:.1f} and {two.rate:.1f} images/s")
                    if number >= 0:
                        ratio["throughput"].append(one.rate / two.rate)
                        ratio["latency"].append(one.latency(0.5) / two.latency(0.5))
                    number += 1
        finally:
            other.__exit__(None, None, None)
    return found


def ratios(values: Sequence[float], seed: int = 1) -> Ratios:
    """Median and spread.

    Examples
    --------
    >>> ratios([1.0, 1.0, 1.0])
    Ratios(median=1.0, low=1.0, high=1.0, first=1.0, third=1.0, rounds=3)
    """
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES))
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return Ratios(
        statistics.median(values),
        medians[int(0.025 * RESAMPLES)],
        medians[int(0.975 * RESAMPLES)],
        first,
        third,
        len(values),
    )


def text(figures: dict[str, dict[str, Ratios]]) -> str:
    """The table."""
    rows = [f"{'with the gate / without':<26}median   95 % interval    half of the rounds   rounds"]
    for name, by in figures.items():
        for what, one in by.items():
            spread = f"{one.low:.3f} to {one.high:.3f}   {one.first:.3f} to {one.third:.3f}"
            rows.append(f"{f'{name}, {what}':<26}{one.median:.3f}    {spread}       {one.rounds}")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
