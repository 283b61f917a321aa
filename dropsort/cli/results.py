"""`dropsort results`: a table of results, counts and accuracy; of one image everything that the bucket stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropsort.cli import thumbnail
from dropsort.cli.documents import is_standard_output, write_json_lines, writing
from dropsort.cli.errors import EXIT_FAILURE
from dropsort.cli.options import amount, aws_options, file_to, json_to, prefix_option, stack_option
from dropsort.cli.output import ResultsTable, facts_table, note, output_console
from dropsort.client.aws import Aws
from dropsort.contract import reconciliation
from dropsort.contract.keys import INCOMING, OUTCOMES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from rich.text import Text

    from dropsort.client.image_history import ImageHistory
    from dropsort.client.results import Result

NAMED_LABELS = 50  # where none of them is the wanted one


@click.command(short_help="Show results.")
@click.argument("key", metavar="[KEY]", required=False)
@click.option(
    "--outcome", type=click.Choice(OUTCOMES), multiple=True, help="Only this outcome; may be repeated."
)
@click.option("--label", metavar="LABEL", help="Only this label.")
@prefix_option
@amount("--limit", click.IntRange(min=0), "Rows of the table; the counts include all results.", default=50)
@json_to("Write the results to FILE, one JSON object per line; - for standard output.")
@file_to("--csv", "Write the results to FILE as a table, one result per line; - for standard output.")
@file_to("--parquet", "Write the results to FILE as a Parquet table; - for standard output.")
@stack_option
@aws_options
def results(
    key: str | None,
    outcome: tuple[str, ...],
    label: str | None,
    prefix: str,
    limit: int,
    json_file: Path | None,
    csv_file: Path | None,
    parquet_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Show results: a table, counts, accuracy where folders are labels, and how many uploads have no result yet.

    With KEY, such as cam1/a.jpg, show everything about one image: its result with the reason in words, and the versions
    of its upload.
    """
    from dropsort.client import deployed_service
    from dropsort.client import results as reading

    files = json_file, csv_file, parquet_file
    shown = [file for file in files if is_standard_output(file)]
    if len(shown) > 1:
        raise click.UsageError("Standard output takes one of --json, --csv and --parquet.")
    service = deployed_service.find(aws.client, stack)
    s3 = aws.client("s3")
    if key is not None:
        if outcome or label or prefix or csv_file or parquet_file:
            raise click.UsageError(
                "KEY is one image: --outcome, --label, --prefix, --csv and --parquet are for several."
            )
        return _show_image(s3, service.bucket, key, json_file)
    unreadable: list[str] = []
    found, labels = [], set[str]()
    for item in reading.iterate(
        s3, service.bucket, outcomes=outcome or OUTCOMES, prefix=prefix, unreadable=unreadable.append
    ):
        labels |= {item.label} if item.label else set()
        if label is None or item.label == label:
            found.append(item)
    # Results below failed/ have been read
    checked = reconciliation.check(s3, service.bucket, prefix=prefix, failures=False, ignored=service.ignored)
    waiting = sum(item.why == reconciliation.NO_RESULT for item in checked)
    for problem in unreadable:
        note(problem)
    _write_files(found, json_file, csv_file, parquet_file)
    output = output_console(shown[0] if shown else None)
    if limit and found:
        output.print(ResultsTable(found, limit))
    facts = [("results", f"{len(found)} in s3://{service.bucket}"), *_totals(found)]
    if not outcome and not label:  # of a selection it would mislead
        facts += _accuracy(found, prefix)
    output.print(facts_table(facts))
    if waiting:
        output.print(f"{waiting} {'upload has' if waiting == 1 else 'uploads have'} no result yet.")
    if label and labels and not found:
        note(f"No result has the label {label}. Labels: {', '.join(sorted(labels)[:NAMED_LABELS])}.")
    if not found and not waiting:
        hint_prefix(prefix)
        if not (outcome or label or prefix):
            note(
                "Nothing was uploaded yet: dropsort drop FOLDER --wait uploads images and shows their results."
            )
    return EXIT_FAILURE if unreadable else 0


def _write_files(
    found: list[Result], json_file: Path | None, csv_file: Path | None, parquet_file: Path | None
) -> None:
    """Write results in the formats that have a file."""
    from dropsort.client import tables

    write_json_lines(json_file, (item.document for item in found))
    if csv_file:
        with writing(csv_file) as text:
            tables.write_csv(found, text)
    if parquet_file:
        with writing(parquet_file) as text:
            text.buffer.write(tables.to_parquet(found))


def _totals(found: list[Result]) -> list[tuple[str, str]]:
    """Results by outcome, and those that are not final."""
    from dropsort.client.summary import outcomes

    counts, retryable = outcomes(found), sum(item.retryable for item in found)
    facts = [(name, str(counts[name])) for name in OUTCOMES if counts[name]]
    if retryable:
        facts.append(("waiting", f"{retryable} retryable: the service starts them again by itself"))
    return facts


def _accuracy(found: list[Result], prefix: str) -> list[tuple[str, str]]:
    """The accuracy by folders that are named like a label; nothing without any."""
    from dropsort.client.summary import accuracy

    by_folder = accuracy(found)
    if by_folder.accuracy is None:
        return []
    images = f"{by_folder.right} of {by_folder.images} in folders named like a label"
    if by_folder.reviewed:
        images += f"; of these, people decided {by_folder.reviewed}, counted as the model predicted"
    images += f", of --prefix {prefix} alone" if prefix else ""
    return [("accuracy", f"{by_folder.accuracy:.3f} ({images})")]


def _show_image(s3: S3Client, bucket: str, name: str, json_file: Path | None) -> int:
    """Show one image."""
    from dropsort.client import image_history

    history = image_history.find(s3, bucket, image_history.upload_key(name, bucket))
    write_json_lines(json_file, (result.document for result in history.results))
    facts = [("image", f"s3://{bucket}/{history.key}")]
    for result in history.results:
        facts += _facts(result, bucket)
    if not history.results:
        facts.append(("result", "none yet; if it does not arrive: dropsort redrive"))
    of = " (of an earlier upload)" if history.earlier else ""
    for number, decision in enumerate(history.decisions):
        words = f"{decision.at} {decision.by}: {decision.action} {decision.label or ''}".rstrip()
        before = f"{decision.was.outcome} {decision.was.label or ''}".rstrip()
        facts.append(("" if number else "review", f"{words} (was {before}){of}"))
    for number, version in enumerate(history.versions):
        what = "deleted" if version.size is None else f"{version.size:,} bytes"
        facts.append(
            (
                "" if number else "uploads",
                f"{version.written:%Y-%m-%d %H:%M:%S} UTC, {what}, {version.version_id}",
            )
        )
    output = output_console(json_file)
    if thumbnail.possible(output) and (image := _image(s3, bucket, history)) is not None:
        output.print(image)
    output.print(facts_table(facts))
    return 0


def _image(s3: S3Client, bucket: str, history: ImageHistory) -> Text | None:
    """The upload as it is now, small; None if it is gone, large, or no image."""
    size = history.versions[0].size if history.versions else None
    if size is None or size > thumbnail.MOST_BYTES:
        return None
    try:
        return thumbnail.draw(s3.get_object(Bucket=bucket, Key=history.key)["Body"].read())
    except s3.exceptions.ClientError:  # deleted meanwhile, or this role reads results only
        return None


def _facts(result: Result, bucket: str) -> list[tuple[str, str]]:
    """What a result says, as names and values; members without a value are left out."""
    document = result.document
    facts = [("result", f"s3://{bucket}/{result.location}"), ("outcome", result.outcome)]
    if result.reason:
        facts.append(("reason", f"{result.reason.get('message')} ({result.reason.get('code')})"))
    shares = document.get("probabilities") or {}
    ordered = sorted(shares.items(), key=lambda pair: -pair[1])
    predicted = "label"
    if document.get("review"):  # a person decided the label, the model predicted these
        facts += [("label", f"{result.label} (reviewed)")] if result.label else []
        predicted = "predicted"
    facts += [
        ("" if number else predicted, f"{label} {share:.4f}") for number, (label, share) in enumerate(ordered)
    ]
    for name in ("threshold", "familiarity", "familiarity_threshold", "inference_id", "execution", "trace"):
        if document.get(name) is not None:
            facts.append((name.replace("_", " "), str(document[name])))
    if image := document.get("image"):
        facts.append(("format", f"{image['format']}, {image['width']:,} × {image['height']:,} pixels"))
    for name in ("model", "times"):
        if document.get(name):
            facts.append(
                (
                    name,
                    ", ".join(
                        f"{part} {value}" for part, value in document[name].items() if value is not None
                    ),
                )
            )
    return facts


def hint_prefix(prefix: str) -> None:
    """Print a hint if a prefix that matches nothing begins with ``incoming/``."""
    if prefix.startswith(INCOMING):
        below = prefix.removeprefix(INCOMING)
        advice = f"try --prefix {below}" if below else "leave it out for all"
        note(f"--prefix is relative to {INCOMING}: {advice}")


COMMANDS = [results]
