"""`dropsort drop`: upload images, and wait for their results on request."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropsort.cli.documents import write_json
from dropsort.cli.errors import EXIT_FAILURE
from dropsort.cli.options import amount, aws_options, json_option, stack_option, walk_options
from dropsort.cli.output import ResultsTable, Retrying, bars, facts_table, note, output_console
from dropsort.cli.totals import totals
from dropsort.client.aws import Aws
from dropsort.contract.defaults import PATIENCE_SECONDS
from dropsort.contract.keys import INCOMING, path_of
from dropsort.contract.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from dropsort.client.deployed_service import DeployedService
    from dropsort.client.drop import Uploaded
    from dropsort.client.errors import MissingResultsError
    from dropsort.client.files import FoundFiles, LocalFile
    from dropsort.client.wait import FinishedUpload


def _files_are(count: int) -> str:
    return "1 file is" if count == 1 else f"{count} files are"


def _existing(
    _context: click.Context, _parameter: click.Parameter, paths: tuple[Path, ...]
) -> tuple[Path, ...]:
    for path in paths:
        # A link whose target is missing exists: it is reported with the files that cannot be uploaded.
        if not os.path.lexists(path):
            raise click.BadParameter(f"Path '{path}' does not exist.")
    return paths


@click.command(short_help="Upload images to be classified.")
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
    callback=_existing,
)
@walk_options("Leave out files or folders like this, for example *.txt; may be repeated.")
@click.option("--again", is_flag=True, help="Upload files again that are already there, byte for byte.")
@click.option("--wait", "wait_", is_flag=True, help="Wait for the results and show them.")
@amount(
    "--timeout",
    click.FloatRange(min=1),
    "With --wait: stop when no result arrived for so long.",
    default=PATIENCE_SECONDS,
    metavar="SECONDS",
)
@json_option
@stack_option
@aws_options
def drop(
    paths: tuple[Path, ...],
    prefix: str,
    exclude: tuple[str, ...],
    include: tuple[str, ...],
    again: bool,
    wait_: bool,
    timeout: float,
    json_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Upload images, files or whole folders, to be classified.

    Every file below a folder is uploaded, whatever its name, except files of operating systems (._*, Thumbs.db,
    .DS_Store, @eaDir, *.part and the like); its path relative to that folder becomes its path below incoming/. A file
    that is already there is not uploaded again, so an interrupted drop can be repeated.
    """
    from dropsort.client import deployed_service

    found = _find_files(paths, prefix, exclude, include)
    service = deployed_service.find(aws.client, stack)
    ignored = _ignored(service, found.files)
    images = len(found.files) - len(ignored)
    uploads, ordered, missing = _upload(aws, service, found.files, images, again, timeout if wait_ else None)
    fresh = sum(item.fresh for item in uploads)
    document: dict[str, Any] = {
        "bucket": service.bucket,
        "uploaded": fresh,
        "unchanged": len(uploads) - fresh,
        "left_out": found.left_out,
        "ignored": len(ignored),
        "skipped": [{"path": str(item.path), "reason": item.reason} for item in found.skipped],
    }
    output = output_console(json_file)
    if wait_:
        document |= _show_results(output, images, ordered)
    there = len(uploads) - fresh
    output.print(
        f"{fresh} uploaded to s3://{service.bucket}/{INCOMING}, {there} {'was' if there == 1 else 'were'} already there."
    )
    write_json(json_file, document)
    if missing:
        raise missing
    if waiting := document.get("retryable", 0):
        note(
            f"{waiting} of {len(found.files)} images have no result yet. To wait for them, run the same command again; "
            "`dropsort status` shows how many wait."
        )
    return EXIT_FAILURE if found.skipped or waiting else 0


def _find_files(
    paths: tuple[Path, ...], prefix: str, exclude: tuple[str, ...], include: tuple[str, ...]
) -> FoundFiles:
    """The files to upload; what is not uploaded, and names that look the same, are noted."""
    from dropsort.client import files

    found = files.walk(paths, prefix, exclude=exclude, include=include)
    for item in found.skipped:
        note(f"not uploaded: {printable(str(item.path))}: {item.reason}")
    if found.left_out:
        note(f"{_files_are(found.left_out)} left out: files of operating systems and programs, or --exclude.")
    for group in found.look_alike:
        names = ", ".join(printable(str(file.path)) for file in group)
        note(f"{len(group)} files look the same and differ in how Unicode composes their names: {names}")
    if not found.files:
        names = ", ".join(printable(str(path)) for path in paths)
        raise click.ClickException(f"Nothing to upload: no file in {names} can be read.")
    return found


def _ignored(service: DeployedService, files: list[LocalFile]) -> list[LocalFile]:
    """The files whose names the service ignores, which are noted."""
    ignored = [file for file in files if service.ignored(path_of(file.key))]
    if ignored:
        name = printable(str(ignored[0].path))
        note(
            f"{_files_are(len(ignored))} uploaded, but the service ignores such names: no result follows ({name})."
        )
    return ignored


def _upload(
    aws: Aws,
    service: DeployedService,
    files: list[LocalFile],
    images: int,
    again: bool,
    timeout: float | None,
) -> tuple[list[Uploaded], list[FinishedUpload], MissingResultsError | None]:
    """Upload files with bars of the progress and, with a timeout, wait for the results; these, and the error if some did not come."""
    from dropsort.client.drop import drop as upload

    uploads: list[Uploaded] = []
    finished: list[FinishedUpload] = []
    missing: MissingResultsError | None = None
    with bars() as progress:
        uploading = progress.add_task("uploaded", total=len(files))
        classifying = progress.add_task("results", total=images, visible=timeout is not None)

        def uploaded(item: Uploaded) -> None:
            uploads.append(item)
            progress.advance(uploading)

        def done(item: FinishedUpload) -> None:
            finished.append(item)
            progress.advance(classifying)

        try:
            if timeout is not None:
                missing = _upload_and_wait(aws, service, files, again, timeout, uploaded, done)
            else:
                upload(aws.client("s3"), service.bucket, files, again=again, done=uploaded)
        except KeyboardInterrupt:
            note(interrupted(len(uploads), len(files)))
            raise
    return uploads, finished, missing


def _upload_and_wait(
    aws: Aws,
    service: DeployedService,
    files: list[LocalFile],
    again: bool,
    timeout: float,
    uploaded: Callable[[Uploaded], None],
    done: Callable[[FinishedUpload], None],
) -> MissingResultsError | None:
    """Upload files and wait for their results; return the error if some did not come."""
    from dropsort.client.drop_and_wait import drop_and_wait
    from dropsort.client.errors import MissingResultsError

    try:
        drop_and_wait(
            aws.client("s3"),
            service.bucket,
            files,
            again=again,
            patience_seconds=timeout,
            ignored=service.ignored,
            uploaded=uploaded,
            done=done,
            retrying=Retrying(),
        )
    except MissingResultsError as error:
        return error
    return None


def _show_results(output: Console, images: int, ordered: list[FinishedUpload]) -> dict[str, Any]:
    """Print results and their totals; return the summary."""
    from dropsort.client.summary import cold_starts, summarise, warm_latency

    cold = cold_starts(ordered)
    summary = summarise(images, ordered)
    summary |= {"cold_starts": cold, "warm_latency_seconds": warm_latency(ordered, cold)}
    if ordered:
        rows = sorted((item.result for item in ordered), key=lambda item: item.key)
        output.print(ResultsTable(rows, limit=100))
        output.print()
    output.print(facts_table(totals(summary)))
    return summary


def interrupted(uploaded: int, files: int) -> str:
    """What a Ctrl-C leaves, and what to do."""
    rest = "upload the rest" if uploaded < files else "wait for their results"
    return f"{uploaded} of {files} files are uploaded and will be classified; run the same command again to {rest}."


COMMANDS = [drop]
