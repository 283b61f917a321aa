"""What a million images cost, beside the notebooks' workflow: ``python -m benchmarks.cost``.

An estimate from one table of prices, `monitoring.cloudwatch.prices`, which a reader can correct; times are
assumptions of `ResourceUse`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks import capacity_template
from dropsort.contract.metrics import MONITORING, WITH_LABEL, WORKFLOW
from dropsort.contract.resources import TEMPLATE
from monitoring.cloudwatch.prices import INSTANCES, ResourceUse, price

OURS = ResourceUse()
STANDARD = ResourceUse(express=False, transitions=5)
# Three functions of 512 MB on x86, five transitions, no result, an execution started by hand.
NOTEBOOKS = ResourceUse(
    express=False, transitions=5, event=False, gb_seconds=0.15, architecture="x86", puts=1, gets=2, traced=0
)


def monthly(labels: int) -> dict[str, float]:
    """Dollars a month that do not depend on traffic, but for the endpoint: metrics of the service and alarms of the template."""
    names = WORKFLOW | MONITORING
    metrics = len(names.keys() - WITH_LABEL) + labels * len(WITH_LABEL)
    alarmed = sum(
        sum("MetricStat" in row for row in alarm.get("Metrics", ())) or 1
        for alarm in capacity_template.alarms(TEMPLATE)
    )
    return {
        f"{metrics} metrics, {labels} labels": metrics * price("metric-month"),
        f"{alarmed} metrics of alarms": alarmed * price("alarm-month"),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, US dollars a million images."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument(
        "--instance", default="ml.m5.xlarge", choices=sorted(INSTANCES), help="endpoint's instance"
    )
    parser.add_argument("--labels", type=int, default=2, help="labels of the model (default: %(default)s)")
    options = parser.parse_args(arguments)
    columns = {"Dropsort": OURS.parts(), "as Standard": STANDARD.parts(), "notebooks": NOTEBOOKS.parts()}
    upload = price("s3-put") * 1e6

    def line(name: str, values: Sequence[float]) -> None:
        print(f"{name:36}" + "".join(f"{value:14.2f}" for value in values))

    print(f"{'US dollars a million images':36}" + "".join(f"{name:>14}" for name in columns))
    for part in OURS.parts():
        line(part, [parts[part] * 1e6 for parts in columns.values()])
    totals = [sum(parts.values()) * 1e6 for parts in columns.values()]
    line("without the endpoint", totals)
    line("… and without the upload's own PUT", [total - upload for total in totals])
    print("\nUS dollars a month, whatever the traffic")
    for part, dollars in monthly(options.labels).items():
        line(part, [dollars])
    line(f"endpoint, one {options.instance}, busy or idle", [30.4 * 24 * INSTANCES[options.instance]])


if __name__ == "__main__":
    main()
