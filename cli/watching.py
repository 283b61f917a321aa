"""`dropsort monitor`, `report`, `dashboard`: what the endpoint captured, and what the service measured."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.here import LAST_DEMO
from cli.options import DEFAULT_STACK, Aws, aws_options, json_option, write_json
from cli.show import bars, console, facts_table, note, printable

if TYPE_CHECKING:
    from monitoring.runs import Summary

HOME = Path(".dropsort")
THRESHOLD, FAMILIARITY_THRESHOLD = 0.93, 0.02  # the template's defaults

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


@dataclass(frozen=True)
class Place:
    """Where captures are, where their aggregates go, and what the service decided by."""

    source: str
    state: str
    name: str
    labels: tuple[str, ...] = ()
    threshold: float = THRESHOLD
    familiarity_threshold: float = FAMILIARITY_THRESHOLD
    invoked: int | None = None
    images: bool = False


@click.command()
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
    place = _place(source, state, labels, stack, aws)
    summary = _aggregate(place, anew, images, processes, aws)
    document = summary.to_json()
    facts = [
        ("captures", place.name),
        ("records", f"{document['records']:,}"),
        ("duplicates", f"{document['duplicates']:,}"),
        ("bad lines", f"{document['bad_lines']:,}"),
        ("files", f"{document['files']:,}, {summary.files_read:,} of them new"),
        ("hours", f"{document['first_hour'] or '–'} to {document['last_hour'] or '–'}"),
        ("aggregates", place.state),
    ]
    console(stderr=str(json_file) == "-").print(
        facts_table([(name, printable(value)) for name, value in facts])
    )
    write_json(json_file, document)
    for failed in summary.failed[:10]:
        note(f"not read: {printable(failed.file)}: {failed.reason}")
    return 1 if summary.failed else 0


@click.command()
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
    help="Confidence that counts as classified.  [default: the service's; 0.93 for a folder]",
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

    place = _place(source, state, labels, stack, aws)
    _aggregate(place, anew, images, processes, aws)
    access = _access(aws)
    quality = None
    if truth:
        from monitoring.quality import assess_sources

        quality = assess_sources(place.source, truth, place.labels, access)
    page = writing.write(
        load(place.state, access=access),
        out,
        threshold=place.threshold if threshold is None else threshold,
        familiarity_threshold=place.familiarity_threshold,
        source=place.name,
        lines=_lines(place.source, aws),
        invoked=place.invoked,
        quality=quality,
        png=png,
    )
    click.echo(page)
    _open(page, open_)
    return 0


@click.command()
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


def _place(source: str | None, state: str | None, labels: Path | None, stack: str | None, aws: Aws) -> Place:
    """What the arguments mean: a source that was named, the last demo, or a service."""
    if source and stack:
        raise click.UsageError("Either SOURCE or --stack: a service's captures are in its bucket.")
    names = _labels(labels)
    if source:
        where = source if source.startswith("s3://") else str(Path(source))
        return Place(where, state or str(HOME / "monitoring" / _digest(where)), source, names)
    if not stack and (LAST_DEMO / "captures").is_dir():
        demo = _last_demo()
        return Place(
            str(LAST_DEMO / "captures"),
            state or str(LAST_DEMO / "monitoring"),
            f"the last demo, {demo.get('finished', '')}",
            names,
            demo.get("threshold") or THRESHOLD,
            demo.get("familiarity_threshold") or FAMILIARITY_THRESHOLD,
            demo.get("invoked"),
            images=True,
        )
    from client.stack import find

    service = find(aws.client, stack or DEFAULT_STACK)
    own = tuple(label.strip() for label in service.parameters.get("Labels", "").split(",") if label.strip())
    return Place(
        f"s3://{service.bucket}/captures",
        state or f"s3://{service.bucket}/monitoring",
        f"stack {service.name}, s3://{service.bucket}/captures",
        names or own,
        float(service.parameters.get("Threshold", THRESHOLD)),
        float(service.parameters.get("FamiliarityThreshold", FAMILIARITY_THRESHOLD)),
    )


def _aggregate(place: Place, anew: bool, images: bool, processes: int | None, aws: Aws) -> Summary:
    from monitoring.aggregate import run

    if anew:
        if place.state.startswith("s3://"):
            raise click.UsageError(
                "--anew forgets a folder; aggregates in a bucket are the service's own: give --state DIR."
            )
        shutil.rmtree(place.state, ignore_errors=True)
    with bars() as progress:
        task = progress.add_task("files", total=None)
        return run(
            place.source,
            place.state,
            labels=place.labels or None,
            processes=processes,
            progress=lambda files, _: progress.update(task, completed=files),
            images=images or place.images,
            access=_access(aws),
        )


def _access(aws: Aws) -> Any:
    from monitoring.stores import Access

    return Access(profile=aws.profile, region=aws.region)


def _lines(source: str, aws: Aws) -> Any:
    from monitoring.report_pictures import bucket_lines, folder_lines

    if source.startswith("s3://"):
        bucket, _, prefix = source.removeprefix("s3://").partition("/")
        return bucket_lines(aws.client("s3"), bucket, prefix)
    return folder_lines(Path(source))


def _labels(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise click.ClickException(
            f"{path} is not JSON ({error}): give the labels.json of a model."
        ) from error
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise click.ClickException(f"{path} is no list of labels: give the labels.json of a model.")
    return tuple(found)


def _last_demo() -> dict[str, Any]:
    try:
        found = json.loads((LAST_DEMO / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(source: str) -> str:
    where = source if source.startswith("s3://") else str(Path(source).resolve())
    return f"{Path(source).name}-{hashlib.sha256(where.encode()).hexdigest()[:8]}"


def _open(page: Path, wanted: bool) -> None:
    import os
    import sys
    import webbrowser

    screen = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if wanted and screen and not webbrowser.open(page.resolve().as_uri()):
        note(f"No browser could be opened: open {page.resolve()} yourself.")


COMMANDS = [monitor, report, dashboard]
