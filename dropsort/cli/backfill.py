"""`dropsort backfill`: classify everything below a prefix of another bucket, or of this one."""

from __future__ import annotations

from pathlib import Path

import click

from dropsort.cli.documents import write_json
from dropsort.cli.options import amount, aws_options, json_option, stack_option, yes_option
from dropsort.cli.output import bars, confirmed, note, output_console
from dropsort.cli.redrive import estimate
from dropsort.client.aws import Aws


@click.command(short_help="Classify what is below another prefix.")
@click.argument("url", metavar="s3://BUCKET/PREFIX")
@click.option("--to", metavar="PREFIX", help="Folder below incoming/.  [default: the path of the source]")
@amount("--rate", click.FloatRange(min=0.1), "Objects to copy per second.", default=50.0)
@click.option("--storage-class", metavar="CLASS", help="Storage class of the copies.  [default: S3's]")
@click.option("--dry-run", is_flag=True, help="Only show count, time and cost.")
@yes_option
@json_option
@stack_option
@aws_options
def backfill(
    url: str,
    to: str | None,
    rate: float,
    storage_class: str | None,
    dry_run: bool,
    yes: bool,
    json_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Classify everything below a prefix: copy it into incoming/, on the server's side.

    Shows count, time and cost and waits for confirmation. After Ctrl-C the same command continues where it stopped.
    """
    from dropsort.client import backfill as filling
    from dropsort.client import deployed_service
    from monitoring.prices import ResourceUse, price

    service = deployed_service.find(aws.client, stack)
    s3 = aws.client("s3")
    origin = filling.source(url, to, service.bucket)
    after = filling.resumed_after(s3, service.bucket, origin)
    if after:
        note(f"Continues after {after}.")
    plan = filling.plan(s3, origin, after)
    seconds = plan.objects / rate
    dollars = plan.objects * ResourceUse().dollars()  # its two PUT requests are the copy and the result
    stored = plan.bytes / 1e9 * price("s3-gb-month")
    note(estimate(plan.objects, seconds, dollars))
    note(f"The copies take {plan.bytes / 1e9:,.2f} GB, ${stored:,.2f} a month in S3 Standard.")
    copied = 0
    if plan.objects and not dry_run:
        if not confirmed(yes):
            raise click.ClickException("Nothing was copied.")
        with bars() as progress:
            task = progress.add_task("copied", total=plan.objects)
            copied = filling.copy(
                s3,
                service.bucket,
                origin,
                per_second=rate,
                storage_class=storage_class,
                after=after,
                done=lambda count: progress.update(task, completed=count),
            )
    output_console(json_file).print(
        f"{copied} objects were copied to s3://{service.bucket}/incoming/{origin.to}", markup=False
    )
    write_json(
        json_file,
        {
            "objects": plan.objects,
            "bytes": plan.bytes,
            "copied": copied,
            "estimated_seconds": seconds,
            "estimated_dollars": dollars,
            "estimated_storage_dollars_a_month": stored,
        },
    )
    return 0


COMMANDS = [backfill]
