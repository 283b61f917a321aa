"""`dropsort drop`, `results`, `redrive`: images in, results out, the rest again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropsort.cli.errors import EXIT_FAILURE
from dropsort.cli.options import (
    Aws,
    amount,
    aws_options,
    json_option,
    json_to,
    prefix_option,
    stack_option,
    write_json,
)
from dropsort.cli.output import bars, console, facts_table, note, printable, results_table
from dropsort.contract.keys import OUTCOMES

if TYPE_CHECKING:
    from dropsort.client.files import Skipped
    from dropsort.client.wait import Sorted


@click.command(short_help="Upload images to be sorted.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--prefix", default="", metavar="TEXT", help="Put before each name: incoming/TEXT/...")
@click.option("--again", is_flag=True, help="Upload also what is there already, byte for byte.")
@click.option("--wait", "wait_", is_flag=True, help="Wait for the results and show them.")
@amount(
    "--timeout",
    click.FloatRange(min=1),
    "With --wait: give up when no result came for so long.",
    default=120.0,
    metavar="SECONDS",
)
@json_option
@stack_option
@aws_options
def drop(
    paths: tuple[Path, ...],
    prefix: str,
    again: bool,
    wait_: bool,
    timeout: float,
    json_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Upload images, files or whole folders, to be sorted.

    Every file below a folder is taken, whatever its name; its name relative to that folder becomes its name below
    incoming/. A file that is there already is not uploaded again, so that an interrupted drop can be repeated.
    """
    from dropsort.client import files
    from dropsort.client import stack as stacks
    from dropsort.client.drop import Uploaded
    from dropsort.client.drop import drop as upload
    from dropsort.client.sort import sort
    from dropsort.client.summary import summarise

    found, skipped = files.walk(paths, prefix)
    _tell_skipped(skipped)
    service = stacks.find(aws.client, stack)
    s3 = aws.client("s3")
    uploads: list[Uploaded] = []
    document: dict[str, Any] = {}
    with bars() as progress:
        uploading = progress.add_task("uploaded", total=len(found))
        sorting = progress.add_task("sorted", total=len(found), visible=wait_)

        def uploaded(item: Uploaded) -> None:
            uploads.append(item)
            progress.advance(uploading)

        ordered: list[Sorted] = []
        try:
            if wait_:
                ordered = sort(
                    s3,
                    service.bucket,
                    found,
                    again=again,
                    patience_seconds=timeout,
                    uploaded=uploaded,
                    done=lambda _: progress.advance(sorting),
                )
            else:
                upload(s3, service.bucket, found, again=again, done=uploaded)
        except KeyboardInterrupt:
            note(
                f"{len(uploads)} of {len(found)} are uploaded and will be sorted; the same command goes on with the rest."
            )
            raise
    fresh = sum(item.fresh for item in uploads)
    document = {"bucket": service.bucket, "uploaded": fresh, "unchanged": len(uploads) - fresh}
    document["skipped"] = [{"path": str(item.path), "reason": item.reason} for item in skipped]
    if wait_:
        document |= summarise(len(found), ordered)
    output = console(stderr=str(json_file) == "-")
    if wait_ and ordered:
        output.print(
            results_table(sorted((item.result for item in ordered), key=lambda item: item.key), limit=100)
        )
    output.print(
        f"{fresh} uploaded to s3://{service.bucket}/incoming/, {len(uploads) - fresh} were there already."
    )
    write_json(json_file, document)
    return EXIT_FAILURE if skipped or not found else 0


@click.command(short_help="Show results.")
@click.option(
    "--outcome", type=click.Choice(OUTCOMES), multiple=True, help="Only this outcome; may be repeated."
)
@click.option("--label", metavar="LABEL", help="Only this label.")
@prefix_option
@amount("--limit", click.IntRange(min=0), "Rows of the table; the counts are of all.", default=50)
@json_to("Write the results there, one JSON object a line, - for standard output.")
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
    """Show results: a table, counts, and the accuracy where folders are labels."""
    import json

    from dropsort.client import results as reading
    from dropsort.client import stack as stacks
    from dropsort.client.summary import accuracy

    service = stacks.find(aws.client, stack)
    unreadable: list[str] = []
    found = list(
        reading.iterate(
            aws.client("s3"),
            service.bucket,
            outcomes=outcome or OUTCOMES,
            label=label,
            prefix=prefix,
            unreadable=unreadable.append,
        )
    )
    for problem in unreadable:
        note(problem)
    if json_file is not None:
        if str(json_file) != "-":
            json_file.parent.mkdir(parents=True, exist_ok=True)
        with click.open_file(str(json_file), "w", encoding="utf-8", atomic=str(json_file) != "-") as target:
            for item in found:
                target.write(json.dumps(item.document, ensure_ascii=False) + "\n")
    output = console(stderr=str(json_file) == "-")
    if limit:
        output.print(results_table(found, limit))
    counts = Counter(item.outcome for item in found)
    facts = [("results", f"{len(found)} in s3://{service.bucket}")]
    facts += [(name, str(counts[name])) for name in OUTCOMES if counts[name]]
    by_folder = accuracy(found)
    if by_folder.accuracy is not None:
        facts.append(
            (
                "accuracy",
                f"{by_folder.accuracy:.3f} ({by_folder.right} of {by_folder.images} in folders of a label)",
            )
        )
    output.print(facts_table(facts))
    return EXIT_FAILURE if unreadable else 0


@click.command(short_help="Sort again what has no result.")
@prefix_option
@amount(
    "--min-age",
    click.FloatRange(min=0),
    "Leave out younger uploads: they may be on their way.",
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
    """Sort again what has no result, an outdated one, or one that failed for a reason that may have passed."""
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
    write_json(
        json_file,
        {
            "started": 0 if dry_run else len(unsorted),
            "uploads": [{"key": item.key, "uploaded": item.uploaded, "why": item.why} for item in unsorted],
        },
    )
    return 0


def _tell_skipped(skipped: list[Skipped]) -> None:
    for item in skipped:
        note(f"not uploaded: {printable(str(item.path))}: {item.reason}")


COMMANDS = [drop, results, redrive]
