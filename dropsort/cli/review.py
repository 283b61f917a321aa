"""`dropsort review`: a page on this machine on which people decide what the model could not."""

from __future__ import annotations

import getpass
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click

from dropsort.cli.errors import EXIT_FAILURE
from dropsort.cli.options import aws_options, stack_option
from dropsort.cli.output import echo, note, open_in_browser
from dropsort.client.aws import Aws
from dropsort.contract.keys import LOW_CONFIDENCE, OUTCOMES
from dropsort.contract.text import number_of
from dropsort.review import ORDERS


@click.command(short_help="Review images on a page in your browser.")
@click.option(
    "--reviewer",
    metavar="NAME",
    help="Name that is recorded with your decisions.  [default: your user name here]",
)
@click.option(
    "--order",
    type=click.Choice(ORDERS),
    default=ORDERS[0],
    show_default=True,
    help="Which images come first; the page can change it.",
)
@click.option("--open/--no-open", "opens", default=False, help="Open the page in the browser.")
@click.option(
    "--outcome",
    type=click.Choice(OUTCOMES),
    multiple=True,
    help="With --export: every image of this outcome, reviewed ones too; may be repeated."
    "  [default: low-confidence ones that nobody has reviewed]",
)
@click.option(
    "--export",
    "export_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Instead of a page: write the images to FILE.csv, FILE.json (Label Studio) or FILE.manifest (Ground Truth).",
)
@click.option(
    "--import",
    "import_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Instead of a page: store the labels of such a file as decisions.",
)
@stack_option
@aws_options
def review(
    reviewer: str | None,
    order: str,
    opens: bool,
    outcome: tuple[str, ...],
    export_file: Path | None,
    import_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Review images: serve a page on 127.0.0.1 that shows them in groups, and record what people decide.

    Prints an address that can be opened once. Decisions become results and ground truth; everything can be undone.
    Ctrl-C ends it.
    """
    if export_file and import_file:
        raise click.UsageError("--export and --import exclude each other.")
    from dropsort.client import deployed_service
    from dropsort.contract.reviews import is_reviewer
    from dropsort.review import labels
    from dropsort.review.errors import ReviewError

    for file in filter(None, (export_file, import_file)):
        try:
            labels.form_of(file)
        except ReviewError as error:
            raise click.UsageError(str(error)) from error

    name = reviewer if reviewer is not None else getpass.getuser()
    if not is_reviewer(name):
        raise click.UsageError("--reviewer: a name has 1 to 128 visible characters on one line.")
    service = deployed_service.find(aws.client, stack)
    if export_file:
        return _export(aws, service.bucket, outcome, export_file)
    if import_file:
        return _import(aws, service.bucket, name, import_file)
    from dropsort.review.server import Server
    from dropsort.review.session import Session

    session = Session(aws.client("s3"), service.bucket, name)
    session.start()
    server = Server(session, order=order)
    try:
        echo(f"Review s3://{service.bucket} as {name}: {server.address}")
        note("The address is valid once, in one browser. Ctrl-C ends the page.")
        with _opened(server.address) if opens else nullcontext():
            server.run()
    finally:
        session.stop()
    return 0


@contextmanager
def _opened(address: str) -> Iterator[None]:
    """Open an address in the browser, until the block ends by way of a file of this user.

    The arguments of a browser's process can be read by every user of the machine, and the address has a token. The file lies in
    the home folder, as some browsers may read no other.
    """
    try:
        # Mode 0600
        handle, name = tempfile.mkstemp(prefix="dropsort-review-", suffix=".html", dir=Path.home())
    except OSError as error:
        note(f"No browser was opened, as no file can be written into {Path.home()}: {error.strerror}.")
        yield
        return
    file = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as content:
            content.write(redirection(address))
        open_in_browser(file.as_uri())
        yield
    finally:
        file.unlink(missing_ok=True)


def redirection(address: str) -> str:
    """A page that leads to an address."""
    return f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={address}"><title>Review</title>\n'


def _export(aws: Aws, bucket: str, outcomes: tuple[str, ...], file: Path) -> int:
    from dropsort.client import results
    from dropsort.review import labels

    found = results.iterate(aws.client("s3"), bucket, outcomes=outcomes or (LOW_CONFIDENCE,), unreadable=note)
    chosen = (one.document for one in found if outcomes or not one.reviewer)
    echo(f"{file}: {number_of(labels.export(chosen, bucket, file), 'image')}.")
    return 0


def _import(aws: Aws, bucket: str, reviewer: str, file: Path) -> int:
    from dropsort.review import imports, labels
    from dropsort.review.errors import ReviewError

    given = labels.read(file, bucket)
    if not given:
        raise ReviewError(f"{file} has no labels: {labels.WHERE[file.suffix.lower()]}, then import it again.")
    found = imports.take_over(aws.client("s3"), bucket, reviewer, given, note)
    echo(", ".join(f"{found[name]} {name}" for name in imports.STATES) + ".")
    return EXIT_FAILURE if found[imports.CONFLICT] or found[imports.MISSING] else 0


COMMANDS = [review]
