"""`dropsort monitor`, `report`: the captures of the endpoint, aggregated and reported."""

from __future__ import annotations

import re
import shutil
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropsort.cli.documents import is_standard_output, read_json, write_json
from dropsort.cli.locations import HOME, locate
from dropsort.cli.options import (
    amount,
    aws_options,
    existing,
    json_option,
    page_options,
    threshold_option,
    zone_option,
)
from dropsort.cli.output import bars, echo, facts_table, note, open_in_browser, output_console
from dropsort.client.aws import Aws
from dropsort.contract.defaults import THRESHOLD
from dropsort.contract.reviews import TRUTH_PREFIX
from dropsort.contract.text import printable

if TYPE_CHECKING:
    from dropsort.client.captures import CaptureLocation
    from dropsort.pages.images import KeysOf
    from monitoring.aggregates.cells import Aggregate
    from monitoring.incremental.summary import RunSummary
    from monitoring.quality.audit import Audit
    from monitoring.quality.measure import Quality
    from monitoring.report.reference import Compared

NAMED = 10  # files and lines that are named one by one

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
    metavar="LOCATION",
    help="Folder or s3://bucket/prefix of the aggregates.  [default: .dropsort/monitoring; of a service: its bucket]",
)
rebuild_option = click.option("--rebuild", is_flag=True, help="Delete the aggregates in that folder first.")
labels_option = click.option(
    "--labels",
    metavar="LABELS",
    help="Labels in the order of the classes, as bicycle,motorcycle or in a labels.json: for captures that are bare"
    " lists of probabilities.",
)
images_option = click.option(
    "--images", is_flag=True, help="Decode captured images too, for image statistics."
)
processes_option = amount(
    "--processes", click.IntRange(min=1), "Number of processes.  [default: depends on the amount]"
)


@click.command(short_help="Aggregate capture files.")
@source_argument
@state_option
@rebuild_option
@labels_option
@images_option
@processes_option
@json_option
@stack_choice
@aws_options
def monitor(
    source: str | None,
    state: str | None,
    rebuild: bool,
    labels: str | None,
    images: bool,
    processes: int | None,
    json_file: Path | None,
    stack: str | None,
    aws: Aws,
) -> int:
    """Aggregate SageMaker capture files of a folder, of s3://bucket/prefix, or of a service.

    Only new files are read. Each record is counted once, even if files are copied or late. Lines that cannot be read
    are counted, and named by file and line.
    """
    where = locate(source, state, labels, stack, aws)
    summary = _aggregate(where, rebuild, images, processes, aws)
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
    output_console(json_file).print(facts_table([(name, printable(value)) for name, value in facts]))
    write_json(json_file, document)
    for line in summary.health.bad[:NAMED]:
        note(f"bad line: {printable(line.file)}, line {line.line}: {printable(line.reason)}")
    if summary.health.bad_lines > NAMED:
        note(
            f"... and {summary.health.bad_lines - NAMED:,} more bad lines: --json FILE and the report name more."
        )
    return 1 if summary.failed else 0


@click.command(short_help="Write a report on captures as one HTML page.")
@source_argument
@page_options(f"{HOME / 'report.html'}; of a service, {HOME / 'report-STACK.html'}")
@zone_option
@click.option("--png", is_flag=True, help="Also write the charts as PNG files.")
@threshold_option(f"the service's, or the demo's; {THRESHOLD:g} for a folder")
@existing(
    "--reference",
    "Predictions to compare with, as written by `dropsort evaluate --reference`."
    "  [default: the demo's model's, or the service's]",
    folder=False,
)
@click.option(
    "--ground-truth",
    "truth",
    metavar="LOCATION",
    help="Ground truth: a folder or s3://bucket/prefix.  [default: of a service, ground-truth/ of its bucket]",
)
@click.option(
    "--audit",
    "with_audit",
    is_flag=True,
    help="Of a service: also estimate the precision from random reviews, as `dropsort audit` does.",
)
@click.option("--no-ground-truth", "no_truth", is_flag=True, help="Measure nothing by ground truth.")
@state_option
@rebuild_option
@labels_option
@images_option
@processes_option
@json_option
@stack_choice
@aws_options
def report(
    source: str | None,
    out: Path | None,
    zone: tzinfo,
    png: bool,
    threshold: float | None,
    reference: Path | None,
    truth: str | None,
    no_truth: bool,
    with_audit: bool,
    open_: bool,
    state: str | None,
    rebuild: bool,
    labels: str | None,
    images: bool,
    processes: int | None,
    json_file: Path | None,
    stack: str | None,
    aws: Aws,
) -> int:
    """Write a report on captures as one HTML page: confidence over time, drift, what-if, the least certain images.

    Without SOURCE, it reports on the last demo in this folder, or with --stack on a service. What the page says first is also
    shown on standard error.
    """
    from dropsort.pages import report as writing
    from monitoring.incremental.run import load
    from monitoring.report.figures import build
    from monitoring.report.reference import check_labels

    where = locate(source, state, labels, stack, aws)
    if with_audit and not where.stack:
        raise click.UsageError("--audit is for a service: its results and reviews are in its bucket.")
    _aggregate(where, rebuild, images, processes, aws)
    access = _access(aws)
    aggregate = load(where.state, access=access)
    _suggest_labels(where, aggregate)
    quality = None if no_truth else _quality(where, truth, aggregate, aws)
    found = _audit(where, aws) if with_audit else None
    compared = _reference(where, reference, aws)
    check_labels(compared, aggregate)
    built = build(
        aggregate,
        threshold=where.threshold if threshold is None else threshold,
        familiarity_threshold=where.familiarity_threshold,
        invoked=_invoked(where, aggregate, aws) if where.stack else where.invoked,
        **compared,
    )
    page = writing.save(
        built,
        out or _page_of(where),
        source=where.name,
        lines=_lines(where.source, aws),
        keys=_keys(where, aws),
        quality=quality,
        audit=found,
        png=png,
        zone=zone,
    )
    for line in writing.summary(built, quality):
        note(line)
    echo(page, err=is_standard_output(json_file))
    write_json(json_file, {"page": str(page), **writing.document(built, quality)})
    note("Open this page in a browser.")
    if open_:
        open_in_browser(page.resolve().as_uri())
    return 0


def _page_of(where: CaptureLocation) -> Path:
    """The report's page: that of a service has a name of its own, so that it does not replace that of the demo."""
    return HOME / (
        f"report-{re.sub(r'[^A-Za-z0-9-]', '-', where.stack)}.html" if where.stack else "report.html"
    )


def _suggest_labels(where: CaptureLocation, aggregate: Aggregate) -> None:
    """Say how to name labels that are class numbers alone."""
    from monitoring.report.reference import some

    numbers = aggregate.labels()
    if where.labels or not numbers or not all(label.isascii() and label.isdigit() for label in numbers):
        return
    more = "--state DIR" if where.state.startswith("s3://") else "--rebuild"
    note(
        f"The captures have class numbers instead of labels ({some(numbers)}): name them in the order of"
        f" the classes, for example `--labels bicycle,motorcycle {more}`."
    )


def _reference(where: CaptureLocation, given: Path | None, aws: Aws) -> Compared:
    """The reference of the report: a named file, the reference of the service, or the demo's model's."""
    from monitoring.drift.reference import parse_reference
    from monitoring.report import reference

    if where.reference.startswith("s3://") and not given:
        return reference.of_bucket(aws.client("s3"), where.reference)
    path = given or (Path(where.reference) if where.reference else None)
    if path is None:
        return {}
    found = parse_reference(read_json(path, "give the reference.json of a model folder"), str(path))
    return reference.arguments(found, printable(str(given)) if given else where.compared)


def _audit(where: CaptureLocation, aws: Aws) -> Audit:
    """The audit of a service, from the results and reviews in its bucket."""
    from dropsort.client import reviewed
    from monitoring.quality import audit

    found = audit.audited_results(*reviewed.with_results(aws.client("s3"), where.bucket, unreadable=note))
    return audit.audit(found, where.precision, where.model)


def _quality(where: CaptureLocation, truth: str | None, aggregate: Aggregate, aws: Aws) -> Quality | None:
    """What the named ground truth measures, else that of the service's own bucket; None without any."""
    from monitoring.aggregates.models import current_model
    from monitoring.quality.ground_truth import assess_sources

    if truth is None:
        if not where.bucket:
            return None
        found = aws.client("s3").list_objects_v2(Bucket=where.bucket, Prefix=TRUTH_PREFIX, MaxKeys=1)
        if not found.get("KeyCount"):
            return None
        truth = f"s3://{where.bucket}/{TRUTH_PREFIX}"
        note(f"Reading the captures again for the ground truth in {truth} (--no-ground-truth leaves it out).")
    quality = assess_sources(where.source, truth, where.labels, _access(aws), current_model(aggregate))
    if not quality.count and not quality.other_models:
        note(f"None of the {quality.unmatched:,} labels in {printable(truth)} belongs to these captures.")
    return quality


def _keys(where: CaptureLocation, aws: Aws) -> KeysOf:
    """Keys of uploads by inference id: of a service from its bucket, of a demo from its results."""
    from dropsort.client.trace import keys_in_bucket, keys_in_file

    if where.bucket:
        return lambda ids: keys_in_bucket(aws.client("s3"), where.bucket, ids)
    return lambda ids: keys_in_file(Path(where.source).parent / "results.jsonl", ids)


def _invoked(where: CaptureLocation, aggregate: Aggregate, aws: Aws) -> int | None:
    """Invocations of a service's endpoint that should have been captured in the hours of its captures."""
    from monitoring.cloudwatch.usage import invocations
    from monitoring.drift.windows import HOUR, hourly

    hours = hourly(aggregate)
    if not hours:
        return None
    count = invocations(aws.client("cloudwatch"), where.stack, min(hours), max(hours) + HOUR)
    return round(count * where.capture_percent / 100) or None


def _aggregate(
    where: CaptureLocation, rebuild: bool, images: bool, processes: int | None, aws: Aws
) -> RunSummary:
    from monitoring.incremental.run import run

    if rebuild:
        _forget(where.state)
    with bars() as progress:
        task = progress.add_task("files", total=None)
        summary = run(
            where.source,
            where.state,
            labels=where.labels or None,
            processes=processes,
            progress=lambda files, _: progress.update(task, completed=files),
            images=images or where.images,
            access=_access(aws),
        )
    for failed in summary.failed[:NAMED]:
        note(f"not read: {printable(failed.file)}: {printable(failed.reason)}")
    if not summary.health.files:
        note(f"There are no capture files (*.jsonl) in {printable(where.source)}.")
    elif not summary.health.records:
        note(f"No line in {printable(where.source)} is a capture record.")
    return summary


def _forget(state: str) -> None:
    """Delete aggregates in a folder, whole or as a killed run left them; nothing that is something else."""
    from monitoring.storage.state import OBJECTS

    if state.startswith("s3://"):
        raise click.UsageError(
            "--rebuild deletes a local folder only, not the aggregates of a service in its bucket: add --state DIR."
        )
    folder = Path(state)
    if folder.is_dir():
        found = {item.name for item in folder.iterdir() if item.suffix != ".partial"}
        others = sorted(found - OBJECTS)
        if others:
            raise click.UsageError(
                f"{printable(str(folder))} contains something other than aggregates, {printable(others[0])}: it is not deleted."
            )
        shutil.rmtree(folder)


def _access(aws: Aws) -> Any:
    from monitoring.storage.base import BucketAccess

    return BucketAccess(profile=aws.profile, region=aws.region)


def _lines(source: str, aws: Aws) -> Any:
    from monitoring.report.images import bucket_lines, folder_lines

    if source.startswith("s3://"):
        bucket, _, prefix = source.removeprefix("s3://").partition("/")
        return bucket_lines(aws.client("s3"), bucket, prefix)
    return folder_lines(Path(source))


COMMANDS = [monitor, report]
