"""`dropsort forget`: remove everything that is stored of images."""

from __future__ import annotations

from pathlib import Path

import click

from dropsort.cli.documents import write_json
from dropsort.cli.options import aws_options, json_option, stack_option, yes_option
from dropsort.cli.output import confirmed, note, output_console
from dropsort.client.aws import Aws
from dropsort.contract.text import number_of, printable


@click.command(short_help="Remove everything stored of images.")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option(
    "--ground-truth",
    default="",
    metavar="PREFIX",
    help="Also remove lines of these images from ground truth below this prefix of the bucket.",
)
@yes_option
@json_option
@stack_option
@aws_options
def forget(
    keys: tuple[str, ...], ground_truth: str, yes: bool, json_file: Path | None, stack: str, aws: Aws
) -> int:
    """Remove all versions of uploads, of their results and reviews, and their captured copies. KEY is a path below incoming/.

    Shows what is stored first and waits for confirmation. It cannot be undone.
    """
    from dropsort.client import deployed_service
    from dropsort.client import forget as forgetting
    from dropsort.client.image_history import upload_key

    service = deployed_service.find(aws.client, stack)
    s3 = aws.client("s3")
    output = output_console(json_file)
    whole = dict.fromkeys(upload_key(key, service.bucket) for key in keys)
    found = [forgetting.find(s3, service, key, ground_truth) for key in whole]
    for item in found:
        what = (
            f"{number_of(item.uploads, 'version')} of the upload, {item.results:,} of results, {item.reviews:,} of its review, "
            f"{number_of(item.captured, 'capture')}, {number_of(item.labelled, 'line')} of ground truth"
        )
        output.print(f"{printable(item.key)}: {'nothing is stored' if item.empty else what}", markup=False)
    stored = [item for item in found if not item.empty]
    if stored:
        if not confirmed(yes):
            raise click.ClickException("Nothing was removed.")
        for item in stored:
            forgetting.remove(s3, service, item)
        output.print(f"{number_of(len(stored), 'image')} removed.")
        note("Log lines that name these keys expire after LogRetentionDays.")
    write_json(
        json_file,
        {
            "images": [
                {
                    "key": item.key,
                    "uploads": item.uploads,
                    "results": item.results,
                    "reviews": item.reviews,
                    "captures": item.captured,
                    "ground_truth": item.labelled,
                }
                for item in found
            ]
        },
    )
    return 0


COMMANDS = [forget]
