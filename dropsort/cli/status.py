"""`dropsort status`: what is in progress, what waits, what failed, and what is in alarm."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropsort.cli.documents import write_json
from dropsort.cli.options import aws_options, json_option, stack_option
from dropsort.cli.output import facts_table, output_console
from dropsort.client.aws import Aws
from dropsort.contract.text import printable

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricAlarmTypeDef

    from dropsort.client.status import Status

WATCH_SECONDS = 5.0
SHARE = 10  # --watch reads at most in one part of so many of the time


@click.command(short_help="Show what is in progress, waits, failed.")
@click.option("--watch", is_flag=True, help="Repeat until Ctrl-C.")
@json_option
@stack_option
@aws_options
def status(watch: bool, json_file: Path | None, stack: str, aws: Aws) -> int:
    """Show uploads in progress and waiting, images to review, failures by reason, the backlog, the endpoint and alarms.

    Lists all uploads, results and reviews: $0.01 for a million images.
    """
    from dropsort.client import deployed_service
    from dropsort.client import status as reading
    from monitoring.cloudwatch import alarms

    service = deployed_service.find(aws.client, stack)
    output = output_console(json_file)
    cloudwatch = aws.client("cloudwatch")

    def in_alarm(alarm: MetricAlarmTypeDef) -> bool:
        return alarms.state(cloudwatch, alarm, datetime.now(UTC)) == alarms.ALARM

    while True:
        begun = time.monotonic()
        found = reading.read(aws.client, service, in_alarm)
        output.print(facts_table(facts(found)))
        write_json(json_file, found.to_json())
        if not watch:
            return 0
        time.sleep(max(WATCH_SECONDS, SHARE * (time.monotonic() - begun)))
        output.print()


def facts(found: Status) -> list[tuple[str, str]]:
    """The lines of the table."""
    rows = [
        ("uploads", f"{found.uploads:,}"),
        ("in progress", f"{found.in_progress:,}"),
        ("waiting", f"{found.retryable:,} retryable, {found.without_result:,} without a result"),
    ]
    if found.oldest_uploaded:
        rows.append(
            (
                "oldest without a result",
                f"{printable(found.oldest)}, uploaded {found.oldest_uploaded:%Y-%m-%d %H:%M:%S} UTC",
            )
        )
    oldest = found.oldest_unreviewed
    since = f", the oldest since {oldest:%Y-%m-%d %H:%M:%S} UTC" if oldest else ""
    rows.append(("to review", f"{found.unreviewed:,} of low confidence{since}"))
    rows += [("failed", f"{count:,} {printable(code)}") for code, count in found.failed.most_common()]
    if found.run:
        items = ", ".join(f"{count:,} {name}" for name, count in found.run_items.items() if count)
        rows.append(
            ("backlog", f"{found.run.uploads:,} uploads since {found.run.started}: {items or 'starting'}")
        )
    else:
        rows.append(("backlog", "no run in progress"))
    rows.append(("endpoint", f"{printable(found.endpoint_name)}: {found.endpoint}"))
    if found.model:
        rows.append(("model", printable(found.model)))
    thresholds = ", ".join(f"{name} {printable(value)}" for name, value in found.thresholds.items())
    rows.append(("thresholds", thresholds or "the template's"))
    rows.append(("alarms", ", ".join(found.alarms) or "none"))
    return rows


COMMANDS = [status]
