"""`dropsort dashboard`: the CloudWatch dashboard of the service as a page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import click

from dropsort.cli.locations import HOME
from dropsort.cli.options import amount, aws_options, page_options, stack_option, zone_option
from dropsort.cli.output import echo, open_in_browser
from dropsort.client.aws import Aws


@click.command(short_help="Draw the CloudWatch dashboard of the service.")
@page_options(HOME / "dashboard.html")
@zone_option
@amount("--hours", click.FloatRange(min=0.1), "Time range in hours.", default=24.0)
@stack_option
@aws_options
def dashboard(out: Path, zone: tzinfo, hours: float, open_: bool, stack: str, aws: Aws) -> int:
    """Draw the CloudWatch dashboard of the service as one HTML page."""
    from dropsort.client.deployed_service import find
    from dropsort.pages.dashboard import write
    from monitoring.cloudwatch.dashboard import body_of, fetch

    name = find(aws.client, stack).outputs.get("DashboardName")
    if not name:
        raise click.ClickException(f"Stack {stack} has no dashboard: deploy it again with `dropsort deploy`.")
    cloudwatch = aws.client("cloudwatch")
    now = datetime.now(UTC)
    found = fetch(cloudwatch, body_of(cloudwatch, name), start=now - timedelta(hours=hours), end=now)
    page = write(found, out, title=name, zone=zone)
    echo(page)
    if open_:
        open_in_browser(page.resolve().as_uri())
    return 0


COMMANDS = [dashboard]
