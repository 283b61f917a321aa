"""How the deployment on AWS drains a burst: ``python -m benchmarks.capacity --uploads 10000 --seconds 5 --rate 150 --json FILE``.

A simulation: limits and retriers are those of the template, what the template does not say are assumptions, each an option. What fails
is started again by runs of the backlog, until everything has its result. A million uploads take minutes; of more, only the first million
and their half are simulated, and the figures are a straight line through both.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from benchmarks import capacity_embedded, capacity_page, capacity_template
from benchmarks.capacity_figures import Assumptions, extrapolated
from benchmarks.capacity_simulation import Simulation
from benchmarks.capacity_template import Deployment
from dropsort.deployment.quotas import classify_concurrency

_OF_THE_TEMPLATE = ("concurrency", "instances", "max_instances")


def _parser(deployment: Deployment) -> argparse.ArgumentParser:
    """The options, with defaults of the template and of `Assumptions`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__)
    parser.add_argument("--uploads", type=int, default=10_000, help="uploads (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="in so many seconds (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=7, help="of the jitter (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file for the outcome")
    parser.add_argument("--html", type=Path, help="file for a page of the outcome")
    parser.add_argument(
        "--most",
        type=int,
        default=1_000_000,
        help="uploads to simulate; more are extrapolated from these and their first half (default: %(default)s)",
    )
    parser.add_argument(
        "--check-embedded",
        action="store_true",
        help="compare with the embedded service, whose limits are then simulated; all other options are ignored",
    )
    parser.add_argument(
        "--concurrency",
        type=int,
        help="ClassifyConcurrency; 0: none (default: what `dropsort deploy` proposes)",
    )
    parser.add_argument(
        "--instances",
        type=int,
        default=deployment.instances,
        help="EndpointInstanceCount (default: %(default)s)",
    )
    parser.add_argument(
        "--max-instances",
        type=int,
        default=deployment.max_instances,
        help="EndpointMaxInstanceCount (default: %(default)s)",
    )
    for field in fields(Assumptions):
        if field.name in _OF_THE_TEMPLATE:
            continue
        option = "--" + field.name.replace("_", "-")
        if isinstance(field.default, bool):
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(
                option, type=type(field.default), default=field.default, help="(default: %(default)s)"
            )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate and print the outcome; 1 if the simulation differs from the embedded service, where it is compared."""
    deployment = capacity_template.read()
    options = vars(_parser(deployment).parse_args(arguments))
    uploads, seconds, seed, most = (options.pop(name) for name in ("uploads", "seconds", "seed", "most"))
    file, page, check = (options.pop(name) for name in ("json", "html", "check_embedded"))
    if check:
        return capacity_embedded.main()
    if options["concurrency"] is None:
        instances = max(options["instances"], options["max_instances"])
        options["concurrency"] = classify_concurrency(options["account_concurrency"], instances)
    assumed = Assumptions(**options)
    begin = min(uploads, most)
    simulation = Simulation(deployment, assumed, begin, seconds * begin / uploads, seed)
    outcome = simulation.run()
    if begin < uploads:
        half = Simulation(deployment, assumed, begin // 2, seconds * (begin // 2) / uploads, seed).run()
        outcome = extrapolated(half, outcome, uploads)
    document = {
        **asdict(outcome),
        "dollars_per_million": outcome.dollars / uploads * 1e6,
        "uploads": uploads,
        "seconds": seconds,
        "assumptions": asdict(assumed),
    }
    for name, value in document.items():
        if not isinstance(value, dict):
            print(
                f"{name.replace('_', ' '):26}{value:>14,.2f}"
                if isinstance(value, float)
                else f"{name.replace('_', ' '):26}{value:>14,}"
            )
    if file:
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if page:
        capacity_page.write(page, outcome, simulation.samples, assumed, uploads, seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
