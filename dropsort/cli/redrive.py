"""`dropsort redrive`: start the workflow again for uploads without a final result."""

from __future__ import annotations

from pathlib import Path

import click

from dropsort.cli.documents import write_json
from dropsort.cli.options import Aws, amount, aws_options, json_option, prefix_option, stack_option
from dropsort.cli.output import bars, console
from dropsort.cli.results import hint_prefix
from dropsort.contract.text import printable


@click.command(short_help="Start uploads without a result again.")
@prefix_option
@amount(
    "--min-age",
    click.FloatRange(min=0),
    "Leave out younger uploads: they may still be in progress.",
    default=300.0,
    metavar="SECONDS",
)
@amount("--rate", click.FloatRange(min=0.1), "Executions to start per second.", default=20.0)
@click.option("--dry-run", is_flag=True, help="Only show what would be started.")
@json_option
@stack_option
@aws_options
def redrive(
    prefix: str, min_age: float, rate: float, dry_run: bool, json_file: Path | None, stack: str, aws: Aws
) -> int:
    """Start the workflow again for uploads with no result, an outdated one, or one that is marked retryable.

    Harmless if run twice: the same upload gives the same result.
    """
    from dropsort.client import redrive as redriving
    from dropsort.client import stack as stacks

    service = stacks.find(aws.client, stack)
    unsorted = redriving.find(aws.client("s3"), service.bucket, prefix=prefix, min_age_seconds=min_age)
    output = console(stderr=str(json_file) == "-")
    if dry_run:
        for item in unsorted:
            output.print(f"{printable(item.key)}  ({item.why})", markup=False)
    else:
        with bars() as progress:
            task = progress.add_task("started", total=len(unsorted))
            redriving.start(
                aws.client("stepfunctions"),
                service.state_machine,
                service.bucket,
                unsorted,
                per_second=rate,
                done=lambda _: progress.advance(task),
            )
    output.print(f"{len(unsorted)} uploads {'would be' if dry_run else 'were'} started again.")
    if not unsorted:
        hint_prefix(prefix)
    write_json(
        json_file,
        {
            "started": 0 if dry_run else len(unsorted),
            "uploads": [{"key": item.key, "uploaded": item.uploaded, "why": item.why} for item in unsorted],
        },
    )
    return 0


COMMANDS = [redrive]
