"""What a million images cost, compared with the notebooks' workflow: ``python -m benchmarks.cost``.

An estimate from one table of prices, `monitoring.prices`; ``dropsort cost`` prints the whole bill of the service.
"""

from __future__ import annotations

from collections.abc import Sequence

from monitoring.prices import FunctionUse, ResourceUse

OURS = ResourceUse()
STANDARD = ResourceUse(express=False)
# Three functions of 512 MB on x86, five transitions, no result, an execution started manually; Lambda's own lines in the log.
NOTEBOOKS = ResourceUse(
    functions=(FunctionUse(512, 0.04, 0.004), FunctionUse(512, 0.02, 0.003), FunctionUse(512, 0.0, 0.002)),
    express=False,
    transitions=5,
    event=False,
    architecture="x86",
    log_bytes=1_500,
    puts=0,
    gets=2,
)


def main() -> None:
    """Print the table, US dollars per million images."""
    columns = {"Dropsort": OURS.parts(), "as Standard": STANDARD.parts(), "notebooks": NOTEBOOKS.parts()}

    def line(name: str, values: Sequence[float]) -> None:
        print(f"{name:36}" + "".join(f"{value:14.2f}" for value in values))

    print(f"{'US dollars per million images':36}" + "".join(f"{name:>14}" for name in columns))
    for part in OURS.parts():
        line(part, [parts[part] * 1e6 for parts in columns.values()])
    line("without the endpoint", [sum(parts.values()) * 1e6 for parts in columns.values()])


if __name__ == "__main__":
    main()
