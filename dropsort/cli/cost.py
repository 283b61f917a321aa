"""`dropsort cost`: what the service costs, item by item, before it is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropsort.cli.documents import is_standard_output, write_json
from dropsort.cli.options import amount, json_option
from dropsort.cli.output import console

if TYPE_CHECKING:
    from monitoring.bill import Bill

DAYS = {"day": 30.4, "month": 1.0}  # in a month
TITLES = {  # of the parts of the JSON document
    "million": "A million images",
    "million_with_endpoint": "A million images, with an endpoint of the stack's own",
    "stored_month": "A month for a million images that stay",
    "fixed_month": "A month, whatever the traffic",
}


@click.command(short_help="Estimate the cost of the service.")
@amount("--uploads", click.IntRange(min=1), "Images.", default=1_000_000)
@click.option(
    "--per", type=click.Choice(list(DAYS)), default="month", show_default=True, help="Period of --uploads."
)
@amount("--kilobytes", click.FloatRange(min=0.1), "Size of a usual upload.", default=100.0)
@amount("--labels", click.IntRange(min=2), "Labels of the model.", default=2)
@amount(
    "--captured",
    click.IntRange(0, 100),
    "Percentage of requests that data capture records.",
    default=100,
    metavar="PERCENT",
)
@click.option(
    "--instance-type",
    default="ml.m5.xlarge",
    show_default=True,
    metavar="TYPE",
    help="Instance type of the endpoint.",
)
@amount("--instances", click.IntRange(min=1), "Instances of the endpoint.", default=1)
@amount(
    "--large",
    click.FloatRange(0, 100),
    "Percentage of uploads that take more than 250 MB to decode, such as a PNG of 20 megapixels.",
    default=0.0,
    metavar="PERCENT",
)
@click.option("--standard", is_flag=True, help="With WorkflowType=STANDARD.")
@click.option("--tracing", is_flag=True, help="With Tracing=Active.")
@click.option("--events", is_flag=True, help="With an EventBusName: an event for each recorded result.")
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
    events: bool,
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
        events,
    )
    found = bill.month(traffic, _alarms())
    if not is_standard_output(json_file):
        _print(found, f"Estimate by prices of {AS_OF}, us-east-1, US dollars")
        count = f"{instances} {instance_type}"
        console().print(f"The endpoint, {count}, busy or idle: {found.idle:,.2f} a month.")
        console().print(
            f"A month with {monthly:,.0f} images: {found.month:,.2f}, of which {found.idle:,.2f} for the endpoint's instances."
        )
    document = {
        "prices_as_of": AS_OF,
        "uploads_a_month": round(monthly),
        **{name: {"items": items, "total": found.totals[name]} for name, items in found.parts.items()},
        "endpoint_idle_month": found.idle,
        "month": found.month,
    }
    write_json(json_file, document)
    return 0


def _alarms() -> list[Mapping[str, object]]:
    """The properties of the template's alarms."""
    from dropsort.contract.resources import TEMPLATE
    from training.aws.template import Template

    resources = Template(TEMPLATE, {}).document["Resources"].values()
    return [item["Properties"] for item in resources if item["Type"] == "AWS::CloudWatch::Alarm"]


def _print(found: Bill, title: str) -> None:
    from rich.table import Table

    table = Table(box=None, title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, items in found.parts.items():
        table.add_row(f"[bold]{TITLES[name]}", f"[bold]{found.totals[name]:,.2f}")
        for item, dollars in items.items():
            table.add_row(f"  {item}", f"{dollars:,.2f}")
    console().print(table)


COMMANDS = [cost]
