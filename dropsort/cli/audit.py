"""`dropsort audit`: is the target precision met? From reviews of images that were drawn at random."""

from __future__ import annotations

from pathlib import Path

import click

from dropsort.cli.documents import write_json
from dropsort.cli.errors import EXIT_FAILURE
from dropsort.cli.options import amount, aws_options, json_option, prefix_option, stack_option
from dropsort.cli.output import facts_table, note, output_console
from dropsort.client.aws import Aws
from dropsort.contract.text import printable


@click.command(short_help="Estimate the precision from random reviews.")
@amount(
    "--precision",
    click.FloatRange(0, 1),
    "Target precision.  [default: that the model was trained for]",
    metavar="SHARE",
)
@amount("--next", click.IntRange(min=0), "Also print the keys of the N images to review next.", default=0)
@click.option(
    "--store",
    is_flag=True,
    help="Store the findings in the bucket, for the metric AuditedPrecision and the alarm precision.",
)
@prefix_option
@json_option
@stack_option
@aws_options
def audit(
    precision: float | None, next: int, store: bool, prefix: str, json_file: Path | None, stack: str, aws: Aws
) -> int:
    """Estimate how many of the classified images are right, from reviews in random order.

    Predictions of the model that the service runs count, by their outcome before any review. The order is that of the inference ids.
    Reviews of other images do not count, as they were chosen for their low confidence. The
    exit code is 1 if the target precision is missed.
    """
    from dropsort.client import deployed_service, reviewed
    from dropsort.contract.reference import STATE_PREFIX
    from monitoring.history import AUDIT
    from monitoring.quality import audit as auditing
    from monitoring.storage.documents import JsonDocuments

    if store and prefix:
        raise click.UsageError("--store is for the whole service: leave --prefix out.")
    service = deployed_service.find(aws.client, stack)
    items = auditing.audited_results(
        *reviewed.with_results(aws.client("s3"), service.bucket, prefix, unreadable=note)
    )
    found = auditing.audit(items, service.precision if precision is None else precision, service.model)
    waiting = [one.key for one in auditing.next_to_review(auditing.of_model(items, service.model), next)]
    output = output_console(json_file)
    output.print(
        facts_table(
            [
                (
                    f"{name}, as predicted",
                    f"{one.size:,} before any review, {one.reviewed:,} reviewed at random, {one.elsewhere:,} reviewed otherwise",
                )
                for name, one in found.outcomes.items()
            ]
        )
    )
    for sentence in found.sentences():
        output.print(sentence, markup=False)
    for key in waiting:
        output.print(printable(key), markup=False, soft_wrap=True)
    write_json(json_file, {**found.to_json(), "next": waiting})
    if store:
        JsonDocuments(aws.client("s3"), service.bucket, STATE_PREFIX).put(AUDIT, found.to_json())
    return EXIT_FAILURE if found.verdict == "missed" else 0


COMMANDS = [audit]
