"""`dropsort results`: a table of results, counts, accuracy, and how many uploads have none yet."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from dropsort.cli.documents import write_json_lines
from dropsort.cli.errors import EXIT_FAILURE
from dropsort.cli.options import Aws, amount, aws_options, json_to, prefix_option, stack_option
from dropsort.cli.output import console, facts_table, note, results_table
from dropsort.contract.keys import INCOMING, OUTCOMES


@click.command(short_help="Show results.")
@click.option(
    "--outcome", type=click.Choice(OUTCOMES), multiple=True, help="Only this outcome; may be repeated."
)
@click.option("--label", metavar="LABEL", help="Only this label.")
@prefix_option
@amount("--limit", click.IntRange(min=0), "Rows of the table; the counts include all results.", default=50)
@json_to("Write the results to FILE, one JSON object a line; - for standard output.")
@stack_option
@aws_options
def results(
    outcome: tuple[str, ...],
    label: str | None,
    prefix: str,
    limit: int,
    json_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Show results: a table, counts, accuracy where folders are labels, and how many uploads have no result yet."""
    from dropsort.client import redrive
    from dropsort.client import results as reading
    from dropsort.client import stack as stacks
    from dropsort.client.summary import accuracy

    service = stacks.find(aws.client, stack)
    s3 = aws.client("s3")
    unreadable: list[str] = []
    found = list(
        reading.iterate(
            s3,
            service.bucket,
            outcomes=outcome or OUTCOMES,
            label=label,
            prefix=prefix,
            unreadable=unreadable.append,
        )
    )
    waiting = sum(item.why == redrive.NO_RESULT for item in redrive.find(s3, service.bucket, prefix=prefix))
    for problem in unreadable:
        note(problem)
    write_json_lines(json_file, (item.document for item in found))
    output = console(stderr=str(json_file) == "-")
    if limit:
        output.print(results_table(found, limit))
    counts = Counter(item.outcome for item in found)
    facts = [("results", f"{len(found)} in s3://{service.bucket}")]
    facts += [(name, str(counts[name])) for name in OUTCOMES if counts[name]]
    by_folder = accuracy(found)
    if by_folder.accuracy is not None and not outcome and not label:  # of a selection it would mislead
        images = f"{by_folder.right} of {by_folder.images} in folders named like a label"
        facts.append(("accuracy", f"{by_folder.accuracy:.3f} ({images})"))
    output.print(facts_table(facts))
    if waiting:
        output.print(f"{waiting} {'upload has' if waiting == 1 else 'uploads have'} no result yet.")
    if not found and not waiting:
        hint_prefix(prefix)
    return EXIT_FAILURE if unreadable else 0


def hint_prefix(prefix: str) -> None:
    """Print a hint if a prefix that matches nothing begins with ``incoming/``."""
    if prefix.startswith(INCOMING):
        note(f"--prefix is relative to {INCOMING}: try --prefix {prefix.removeprefix(INCOMING) or '...'}")


COMMANDS = [results]
