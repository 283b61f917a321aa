"""`dropsort watch`: classify what is put into a local folder, and copy it into a folder for each label."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropsort.cli.options import aws_options, stack_option, walk_options
from dropsort.cli.output import Retrying, echo, note
from dropsort.client.aws import Aws
from dropsort.contract.text import printable

if TYPE_CHECKING:
    from dropsort.client.wait import FinishedUpload


@click.command(short_help="Classify what is put into a folder.")
@click.argument("folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--sort-into",
    "into",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Copy each image into a folder of DIR: its label, or low-confidence, or failed.",
)
@walk_options("Leave out files or folders like this; may be repeated.")
@click.option("--once", is_flag=True, help="Stop when every file in the folder has its result.")
@stack_option
@aws_options
def watch(
    folder: Path,
    into: Path | None,
    prefix: str,
    exclude: tuple[str, ...],
    include: tuple[str, ...],
    once: bool,
    stack: str,
    aws: Aws,
) -> int:
    """Upload every file that is put into FOLDER when it is complete, and show its result, until Ctrl-C.

    Files stay where they are. It can be stopped at any time: after a restart, what is in the bucket is not uploaded
    again, and what is missing in DIR is copied.
    """
    from dropsort.client import deployed_service
    from dropsort.client import watch as watching

    if into is not None and watching.overlapping(folder, into):
        raise click.UsageError(f"{into} and {folder} contain one another: copies would be uploaded, too.")
    service = deployed_service.find(aws.client, stack)
    watched = watching.Watch(
        aws.client("s3"),
        service.bucket,
        folder,
        prefix,
        exclude=exclude,
        include=include,
        ignored=service.ignored,
        retrying=Retrying(),
    )

    def done(item: FinishedUpload) -> None:
        result = item.result
        confidence = "" if result.confidence is None else f" {result.confidence:.3f}"
        what = f"{result.label or result.reason.get('code', '')}{confidence}"
        line = f"{watching.name_of(item.upload.file, folder)}: {result.outcome}, {what}"
        if into is not None:
            there = " (there already)" if watching.is_stored(item, folder, into) else ""
            copy = watching.store(item, folder, into)
            line += f" → {copy}{there}" if copy else " (changed since: not copied)"
        echo(printable(line))

    note(f"Watching {printable(str(folder))}; Ctrl-C stops it.")
    watching.run(watched, threading.Event(), once=once, done=done, problem=lambda text: note(printable(text)))
    return 0


COMMANDS = [watch]
