"""`dropsort monitor`, `report`, `dashboard`: what the endpoint captured, and what the service measured."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.options import DEFAULT_STACK, Aws, aws_options, json_option, write_json
from cli.places import HOME, Place, place
from cli.show import bars, console, facts_table, note, printable
from monitoring.defaults import THRESHOLD

if TYPE_CHECKING:
    from monitoring.runs.run import Summary

source_argument = click.argument("source", metavar="[SOURCE]", required=False)
stack_choice = click.option(
    "--stack",
    metavar="NAME",
    envvar="DROPSORT_STACK",
    show_envvar=True,
    help="Captures of this service.  [default: the last demo's, or those of stack dropsort]",
)
state_option = click.option(
    "--state",
    metavar="PLACE",
    help="Where aggregates are kept, a folder or s3://bucket/prefix.  [default: .dropsort/monitoring; of a service: its bucket]",
)
anew_option = click.option("--anew", is_flag=True, help="Forget what was aggregated into that folder before.")
labels_option = click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="labels.json of the model, for captures that are bare lists of probabilities.",
)
images_option = click.option(
    "--images", is_flag=True, help="Decode captured pictures too, for statistics of images."
)
processes_option = click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that read.  [default: as the amount needs]",
)
open_option = click.option(
    "--open/--no-open", "open_", default=True, show_default=True, help="Open the page in a browser."
)


@click.command(short_help="Aggregate capture files.")
@source_argument
@state_option
@anew_option
@labels_option
@images_option
@processes_option
@json_option
@stack_choice
@aws_options
def monitor(
    source: str | None,
    state: str | None,
    anew: bool,
    labels: Path | None,
    images: bool,
    processes: int | None,
    json_file: Path | None,
    stack: str | None,
    aws: Aws,
) -> int:
    """Aggregate SageMaker capture files: those of a folder, of s3://bucket/prefix, or of a service.

    Only what is new is read; records are counted once, whatever is copied or comes late. Lines that cannot be read are
    counted, and named by file and line.
    """
    where = place(source, state, labels, stack, aws)
    summary = _aggregate(where, anew, images, processes, aws)
    document = summary.to_json()
    facts = [
        ("captures", where.name),
        ("records", f"{document['records']:,}"),
        ("duplicates", f"{document['duplicates']:,}"),
        ("bad lines", f"{document['bad_lines']:,}"),
        ("files", f"{document['files']:,}, {summary.files_read:,} of them new"),
        ("hours", f"{document['first_hour'] or '–'} to {document['last_hour'] or '–'}"),
        ("aggregates", where.state),
    ]
    console(stderr=str(json_file) == "-").print(
        facts_table([(name, printable(value)) for name, value in facts])
    )
    write_json(json_file, document)
    for failed in summary.failed[:10]:
        note(f"not read: {printable(failed.file)}: {failed.reason}")
    return 1 if summary.failed else 0


@click.command(short_help="Show captures in one page.")
@source_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=HOME / "report.html",
    show_default=True,
    metavar="FILE",
    help="The page to write.",
)
@click.option("--png", is_flag=True, help="Also write the charts as PNGs beside it.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="P",
    help=f"Confidence that counts as classified.  [default: the service's; {THRESHOLD} for a folder]",
)
@click.option(
    "--ground-truth",
    "truth",
    metavar="PLACE",
    help="Ground truth to measure by, a folder or s3://bucket/prefix.",
)
@open_option
@state_option
@anew_option
@labels_option
@images_option
@processes_option
@stack_choice
@aws_options
def report(
    source: str | None,
    out: Path,
    png: bool,
    threshold: float | None,
    truth: str | None,
    open_: bool,
    state: str | None,
    anew: bool,
    labels: Path | None,
    images: bool,
    processes: int | None,
    stack: str | None,
    aws: Aws,
) -> int:
    """Show what the endpoint captured in one page: confidence over time, drift, what-if, the least certain pictures.

    Without SOURCE it is about the last demo in this folder, or with --stack about a service.
    """
    from monitoring import report as writing
    from monitoring.aggregate import load

    where = place(source, state, labels, stack, aws)
    _aggregate(where, anew, images, processes, aws)
    access = _access(aws)
    quality = None
    if truth:
        from monitoring.quality import assess_sources

        quality = assess_sources(where.source, truth, where.labels, access)
    page = writing.write(
        load(where.state, access=access),
        out,
        threshold=where.threshold if threshold is None else threshold,
        familiarity_threshold=where.familiarity_threshold,
        source=where.name,
        lines=_lines(where.source, aws),
        invoked=where.invoked,
        quality=quality,
        png=png,
    )
    click.echo(page)
    _open(page, open_)
    return 0


@click.command(short_help="Draw the service's dashboard.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=HOME / "dashboard.html",
    show_default=True,
    metavar="FILE",
    help="The page to write.",
)
@click.option(
    "--hours",
    type=click.FloatRange(min=0.1),
    default=24.0,
    show_default=True,
    metavar="N",
    help="How far back it shows.",
)
@open_option
@click.option(
    "--stack",
    metavar="NAME",
    default=DEFAULT_STACK,
    show_default=True,
    envvar="DROPSORT_STACK",
    help="The service's stack.",
)
@aws_options
def dashboard(out: Path, hours: float, open_: bool, stack: str, aws: Aws) -> int:
    """Draw the service's CloudWatch dashboard in one page, of AWS or of the service on this machine."""
    from client.stack import find
    from monitoring.dashboard import body_of, render

    name = find(aws.client, stack).outputs.get("DashboardName")
    if not name:
        raise click.ClickException(f"Stack {stack} has no dashboard: deploy it again with `dropsort deploy`.")
    cloudwatch = aws.client("cloudwatch")
    now = datetime.now(UTC)
    page = render(
        cloudwatch, body_of(cloudwatch, name), out, start=now - timedelta(hours=hours), end=now, title=name
    )
    click.echo(page)
    _open(page, open_)
    return 0


def _aggregate(where: Place, anew: bool, images: bool, processes: int | None, aws: Aws) -> Summary:
    from monitoring.aggregate import run

    if anew:
        _forget(where.state)
    with bars() as progress:
        task = progress.add_task("files", total=None)
        return run(
            where.source,
            where.state,
            labels=where.labels or None,
            processes=processes,
            progress=lambda files, _: progress.update(task, completed=files),
            images=images or where.images,
            access=_access(aws),
        )


def _forget(state: str) -> None:
    """Delete aggregates in a folder; nothing that is something else."""
    from monitoring.runs.state import State
    from monitoring.stores import open_store

    if state.startswith("s3://"):
        raise click.UsageError(
            "--anew forgets a folder; those in a bucket are the service's own: give --state DIR."
        )
    folder = Path(state)
    if folder.is_dir() and any(folder.iterdir()):
        if not State(open_store(folder)).exists:
            raise click.UsageError(f"{folder} holds something else than aggregates: it is not deleted.")
        shutil.rmtree(folder)


def _access(aws: Aws) -> Any:
    from monitoring.stores.base import Access

    return Access(profile=aws.profile, region=aws.region)


def _lines(source: str, aws: Aws) -> Any:
    from monitoring.page.pictures import bucket_lines, folder_lines

    if source.startswith("s3://"):
        bucket, _, prefix = source.removeprefix("s3://").partition("/")
        return bucket_lines(aws.client("s3"), bucket, prefix)
    return folder_lines(Path(source))


def _open(page: Path, wanted: bool) -> None:
    import os
    import sys
    import webbrowser

    screen = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if wanted and screen and not webbrowser.open(page.resolve().as_uri()):
        note(f"No browser could be opened: open {page.resolve()} yourself.")


COMMANDS = [monitor, report, dashboard]
