"""`dropsort redrive`: classify uploads again, as a run of the backlog."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropsort.cli.documents import write_json
from dropsort.cli.options import (
    amount,
    aws_options,
    json_option,
    prefix_option,
    stack_option,
    yes_option,
)
from dropsort.cli.output import confirmed, note, output_console
from dropsort.cli.results import hint_prefix
from dropsort.client.aws import Aws
from dropsort.contract.backlog import UploadList
from dropsort.contract.defaults import LONGEST_EXECUTION
from dropsort.contract.keys import OUTCOMES
from dropsort.contract.reasons import REASONS
from dropsort.contract.text import number_of, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from dropsort.client.redrive import UnfinishedUpload

MOST_NAMED = 10_000  # uploads in the JSON document; the count is always whole


def estimate(uploads: int, seconds: float, dollars: float) -> str:
    """A sentence about count, time and cost."""
    minutes = (
        f"{seconds / 60:,.0f} minutes" if seconds >= 120 else number_of(max(1, round(seconds)), "second")
    )
    return f"{number_of(uploads, 'upload')}, about {minutes}, about ${dollars:,.2f} without the endpoint."


@click.command(short_help="Classify uploads again.")
@click.option("--all", "everything", is_flag=True, help="Every upload.")
@click.option(
    "--reason",
    type=click.Choice(sorted(REASONS)),
    multiple=True,
    metavar="CODE",
    help="Uploads whose result has this reason code; may be repeated.",
)
@click.option(
    "--outcome",
    type=click.Choice(OUTCOMES),
    multiple=True,
    help="Uploads whose result has this outcome; may be repeated.",
)
@click.option("--label", metavar="LABEL", help="Uploads whose result has this label.")
@click.option(
    "--model-before",
    metavar="VERSION",
    help="Uploads whose prediction is of a model version before VERSION.",
)
@prefix_option
@amount(
    "--min-age",
    click.FloatRange(min=0),
    "Leave out younger uploads, which may still be in progress; not those that are selected by their result.",
    default=LONGEST_EXECUTION.total_seconds(),
    metavar="SECONDS",
)
@amount(
    "--concurrency", click.IntRange(1, 10_000), "Uploads at the same time.  [default: BacklogConcurrency]"
)
@click.option("--dry-run", is_flag=True, help="Only show what would be started.")
@yes_option
@json_option
@stack_option
@aws_options
def redrive(
    everything: bool,
    reason: tuple[str, ...],
    outcome: tuple[str, ...],
    label: str | None,
    model_before: str | None,
    prefix: str,
    min_age: float,
    concurrency: int | None,
    dry_run: bool,
    yes: bool,
    json_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Classify uploads again: those with no result, an outdated one, or one that is marked retryable, or what the options select.

    Shows how many they are, how long they take and what they cost, and waits for confirmation. Harmless if run twice.
    """
    from dropsort.client import deployed_service
    from dropsort.client import redrive as redriving
    from monitoring.prices import redrive_dollars

    selection = redriving.Selection(everything, reason, outcome, label, model_before)
    if everything and selection.by_result:
        raise click.UsageError("--all selects every upload: leave out the other criteria.")
    service = deployed_service.find(aws.client, stack)
    at_once = concurrency or redriving.concurrency(service)
    output = output_console(json_file)
    young = 0

    def too_young(_key: str) -> None:
        nonlocal young
        young += 1

    with UploadList() as uploads:
        selected = redriving.select(
            aws.client("s3"),
            service.bucket,
            selection,
            prefix=prefix,
            min_age_seconds=min_age,
            ignored=service.ignored,
            unreadable=note,
            too_young=too_young,
        )
        named = _collect(uploads, service.bucket, selected, output if dry_run else None)
        count = uploads.count
        seconds, dollars = redriving.estimated_seconds(count, at_once), redrive_dollars(count)
        if count:
            note(estimate(count, seconds, dollars))
        run = None
        if count and not dry_run:
            if not confirmed(yes):
                raise click.ClickException("Nothing was started.")
            run = redriving.start(aws.client, service, uploads, at_once)
    was = "would be" if dry_run else "was" if count == 1 else "were"
    output.print(f"{number_of(count, 'upload')} {was} started again." if count else "Nothing to redrive.")
    if young:
        note(
            f"{young:,} younger than {min_age:,.0f} seconds left out, as they may be in progress (--min-age 0 includes them)."
        )
    if not count:
        hint_prefix(prefix)
    document = {"started": count if run else 0, "run": run.id if run else None, "uploads": named}
    write_json(json_file, document | {"estimated_seconds": seconds, "estimated_dollars": dollars})
    return 0


def _collect(
    uploads: UploadList, bucket: str, selected: Iterable[UnfinishedUpload], output: Console | None
) -> list[dict[str, object]]:
    """Put uploads on the list, and print them to `output`; return the first ones for the JSON document."""
    named: list[dict[str, object]] = []
    for item in selected:
        uploads.add(bucket, item.key)
        if len(named) < MOST_NAMED:
            named.append({"key": item.key, "uploaded": item.uploaded, "why": item.why})
        if output is not None:
            output.print(f"{printable(item.key)}  ({item.why})", markup=False)
    return named


COMMANDS = [redrive]
