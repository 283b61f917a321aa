"""The outcome of a simulation as one HTML page: figures, and what went on over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader

from benchmarks.capacity_figures import Assumptions, SimulationResult, TimePoint
from dropsort.contract.text import number_of
from dropsort.pages import html
from dropsort.pages.chart import Axis, Chart, Line, Rule, number_axis
from dropsort.pages.parts import Fact, SummaryTile

_UNITS = ((2 * 86_400, 86_400, "days"), (2 * 3600, 3600, "hours"), (300, 60, "minutes"), (0, 1, "seconds"))


def write(
    page: Path,
    outcome: SimulationResult,
    samples: Sequence[TimePoint],
    assumed: Assumptions,
    uploads: int,
    seconds: float,
) -> None:
    """Write the page.

    Parameters
    ----------
    samples
        Those of the simulation, in order of time.
    uploads, seconds
        So many uploads within so many seconds.

    Raises
    ------
    PageError
        It cannot be written.
    """
    env = html.environment()
    assert env.loader
    env.loader = ChoiceLoader([env.loader, FileSystemLoader(Path(__file__).with_name("templates"))])
    header = [
        f"{number_of(uploads, 'upload')} in {_duration(seconds)}, simulated event by event; not checked against an AWS account."
    ]
    if outcome.simulated < uploads:
        header.append(
            f"The charts show the first {outcome.simulated:,} uploads; the figures are extrapolated from them."
        )
    text = html.render(
        "capacity.html",
        env=env,
        title="Capacity",
        header=header,
        tiles=_tiles(outcome, uploads),
        charts=charts(
            samples, assumed, min(uploads, outcome.simulated), seconds * outcome.simulated / uploads
        ),
        costs=_costs(outcome, uploads),
        assumptions=[Fact(name.replace("_", " "), _text(value)) for name, value in asdict(assumed).items()],
    )
    html.save(page, text)


def _tiles(outcome: SimulationResult, uploads: int) -> list[SummaryTile]:
    return [
        SummaryTile("results", f"{outcome.results:,}", f"of {number_of(uploads, 'upload')}"),
        SummaryTile(
            "failed or without a result", f"{outcome.failed + outcome.without_result:,}", "at the end"
        ),
        SummaryTile(
            "finished after", _duration(outcome.drained_seconds), "from the first upload to the last result"
        ),
        SummaryTile(
            "functions at once",
            f"{outcome.max_concurrent_functions:,}",
            f"{outcome.max_concurrency:,} of them Classify",
        ),
        SummaryTile("by the backlog", f"{outcome.redriven:,}", f"in {number_of(outcome.runs, 'run')}"),
        SummaryTile(
            "dollars per million", f"{outcome.dollars / uploads * 1e6:.2f}", "apart from the endpoint"
        ),
    ]


def _costs(outcome: SimulationResult, uploads: int) -> list[Fact]:
    return [
        Fact(
            "apart from the endpoint",
            f"{outcome.dollars:,.2f}",
            f"{outcome.dollars / uploads * 1e6:.2f} a million images",
        ),
        Fact(
            "endpoint, until it finished",
            f"{outcome.endpoint_dollars:,.2f}",
            f"up to {number_of(outcome.max_instances, 'instance')}",
        ),
    ]


def charts(samples: Sequence[TimePoint], assumed: Assumptions, uploads: int, seconds: float) -> list[Chart]:
    """What went on over time.

    Parameters
    ----------
    uploads, seconds
        So many of the uploads were simulated, within so many seconds.
    """
    last = max(samples[-1].seconds, seconds, 1e-9)
    unit, name = next((unit, name) for least, unit, name in _UNITS if last >= least)
    time = number_axis(0, last / unit, name)

    def line(values: Mapping[float, float], title: str, style: int) -> Line:
        return Line(tuple((at / unit, value) for at, value in values.items()), f"series{style}", title)

    def of(member: str) -> dict[float, float]:
        return {sample.seconds: float(getattr(sample, member)) for sample in samples}

    def axis(*found: Mapping[float, float], least: float = 1.0) -> Axis:
        return number_axis(0, max(least, *(max(values.values()) for values in found)) * 1.05, whole=True)

    results, waiting, lost = of("results"), of("waiting"), of("without_result")
    functions, classify, instances = of("functions"), of("classify"), of("instances")
    arrived = {0.0: 0.0, seconds: float(uploads), last: float(uploads)}
    limits = (Rule(float(assumed.concurrency), "ClassifyConcurrency"),) if assumed.concurrency else ()
    found = [
        Chart(
            "Results",
            time,
            axis(arrived),
            (line(arrived, "uploads", 1), line(results, "results", 0)),
            "Uploads that had come, and those that had their result.",
        ),
        Chart(
            "Functions at once",
            time,
            axis(functions, least=float(assumed.concurrency or 1)),
            (line(functions, "all functions", 1), line(classify, "Classify", 0), *limits),
            "The most at one time within each step.",
        ),
    ]
    if any(waiting.values()) or any(lost.values()):
        marks = (line(waiting, "retryable failures", 0), line(lost, "without a result", 1))
        about = "Uploads that wait for a run of the backlog."
        found.append(Chart("Waiting", time, axis(waiting, lost), marks, about))
    if len(set(instances.values())) > 1:
        found.append(
            Chart("Instances", time, axis(instances), (line(instances, "instances", 0),), "Of the endpoint.")
        )
    return found


def _duration(seconds: float) -> str:
    for least, unit, name in _UNITS:
        if seconds >= least:
            return f"{seconds / unit:,.1f} {name}".replace(".0 ", " ")
    raise ValueError(seconds)


def _text(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value:g}"
