"""`dropsort cost`: what the service costs, item by item, before it is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from dropsort.cli.documents import write_json
from dropsort.cli.options import json_option
from dropsort.cli.output import console

DAYS = {"day": 30.4, "month": 1.0}  # in a month


@click.command(short_help="Estimate the cost of the service.")
@click.option(
    "--uploads", type=click.IntRange(min=1), default=1_000_000, show_default=True, metavar="N", help="Images."
)
@click.option(
    "--per", type=click.Choice(list(DAYS)), default="month", show_default=True, help="Period of --uploads."
)
@click.option(
    "--kilobytes",
    type=click.FloatRange(min=0.1),
    default=100.0,
    show_default=True,
    metavar="N",
    help="Size of a usual upload.",
)
@click.option(
    "--labels",
    type=click.IntRange(min=2),
    default=2,
    show_default=True,
    metavar="N",
    help="Labels of the model.",
)
@click.option(
    "--captured",
    type=click.IntRange(0, 100),
    default=100,
    show_default=True,
    metavar="PERCENT",
    help="Percentage of requests that data capture records.",
)
@click.option(
    "--instance-type",
    default="ml.m5.xlarge",
    show_default=True,
    metavar="TYPE",
    help="Instance type of the endpoint.",
)
@click.option(
    "--instances",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Instances of the endpoint.",
)
@click.option(
    "--large",
    type=click.FloatRange(0, 100),
    default=0.0,
    show_default=True,
    metavar="PERCENT",
    help="Percentage of uploads that take more than 250 MB to decode, such as a PNG of 20 megapixels.",
)
@click.option("--standard", is_flag=True, help="With WorkflowType=STANDARD.")
@click.option("--tracing", is_flag=True, help="With Tracing=Active.")
@json_option
def cost(
    uploads: int,
    per: str,
    kilobytes: float,
    labels: int,
    captured: int,
    instance_type: str,
    instances: int,
    large: float,
    standard: bool,
    tracing: bool,
    json_file: Path | None,
) -> int:
    """Print what the service costs, item by item, in US dollars.

    An estimate by the prices of us-east-1, without free tiers. It needs no account.
    """
    from monitoring import bill
    from monitoring.prices import AS_OF, INSTANCES

    if instance_type not in INSTANCES:
        raise click.BadParameter(
            f"the price of {instance_type} is not known here; known are {', '.join(sorted(INSTANCES))}.",
            param_hint="--instance-type",
        )
    monthly = uploads * DAYS[per]
    traffic = bill.Traffic(
        monthly,
        kilobytes,
        labels,
        captured / 100,
        instance_type,
        instances,
        not standard,
        large / 100,
        tracing,
    )
    sections = {
        "A million images": bill.per_million(traffic),
        "A million images, with an endpoint of the stack's own": bill.endpoint_per_million(traffic),
        "A month for a million images that stay": bill.stored_per_million(traffic),
        "A month, whatever the traffic": bill.fixed(traffic, _alarms()),
    }
    idle = bill.endpoint_idle(traffic)
    millions = monthly / bill.MILLION
    totals = {name: sum(items.values()) for name, items in sections.items()}
    first, with_endpoint, stays, fixed = totals.values()
    apart = first * millions + fixed
    whole = apart + (with_endpoint + stays) * millions + idle
    if str(json_file) != "-":
        _print(sections, totals, f"Estimate by prices of {AS_OF}, us-east-1, US dollars")
        count = f"{instances} {instance_type}"
        console().print(f"The endpoint, {count}, busy or idle: {idle:,.2f} a month.", markup=False)
        console().print(
            f"A month with {monthly:,.0f} images: {whole:,.2f}, of it {idle:,.2f} for the endpoint's instances.",
            markup=False,
        )
    document = {
        "prices_as_of": AS_OF,
        "uploads_a_month": round(monthly),
        "million": {"items": sections["A million images"], "total": first},
        "million_with_endpoint": {"items": list(sections.values())[1], "total": with_endpoint},
        "stored_month": {"items": list(sections.values())[2], "total": stays},
        "fixed_month": {"items": list(sections.values())[3], "total": fixed},
        "endpoint_idle_month": idle,
        "month": whole,
    }
    write_json(json_file, document)
    return 0


def _alarms() -> list[Mapping[str, object]]:
    """The properties of the template's alarms."""
    from dropsort.contract.resources import TEMPLATE
    from training.aws.template import Template

    resources = Template(TEMPLATE, {}).document["Resources"].values()
    return [item["Properties"] for item in resources if item["Type"] == "AWS::CloudWatch::Alarm"]


def _print(sections: Mapping[str, Mapping[str, float]], totals: Mapping[str, float], title: str) -> None:
    from rich.table import Table

    table = Table(box=None, title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, items in sections.items():
        table.add_row(f"[bold]{name}", f"[bold]{totals[name]:,.2f}")
        for item, dollars in items.items():
            table.add_row(f"  {item}", f"{dollars:,.2f}")
    console().print(table)


COMMANDS = [cost]
