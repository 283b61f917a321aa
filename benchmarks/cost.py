"""What a million images cost, beside the notebooks' workflow: ``python -m benchmarks.cost``.

An estimate from one table of prices, `monitoring.cloudwatch.prices`, which a reader can correct; times are
assumptions of `ResourceUse`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from monitoring.cloudwatch.prices import INSTANCES, ResourceUse

OURS = ResourceUse()
STANDARD = ResourceUse(express=False, transitions=5)
# Three functions of 512 MB on x86, five transitions, no result, an execution started by hand.
NOTEBOOKS = ResourceUse(
    express=False, transitions=5, event=False, gb_seconds=0.15, architecture="x86", puts=1, gets=2
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, US dollars a million images."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument(
        "--instance", default="ml.m5.xlarge", choices=sorted(INSTANCES), help="endpoint's instance"
    )
    instance = parser.parse_args(arguments).instance
    columns = {"Dropsort": OURS.parts(), "as Standard": STANDARD.parts(), "notebooks": NOTEBOOKS.parts()}
    print(f"{'US dollars a million images':28}" + "".join(f"{name:>14}" for name in columns))
    for part in OURS.parts():
        print(f"{part:28}" + "".join(f"{parts[part] * 1e6:14.2f}" for parts in columns.values()))
    print(
        f"{'without the endpoint':28}"
        + "".join(f"{sum(parts.values()) * 1e6:14.2f}" for parts in columns.values())
    )
    day = 24 * INSTANCES[instance]
    print(f"The endpoint, one {instance}, costs {day:.2f} a day, busy or idle.")


if __name__ == "__main__":
    main()
