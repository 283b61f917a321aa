"""`dropsort dataset`: reviewed images as a dataset to train on, checked before the training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropsort.cli.documents import write_json
from dropsort.cli.evaluate import NAMED
from dropsort.cli.models import model_option
from dropsort.cli.options import amount, aws_options, existing, json_option, prefix_option, stack_option
from dropsort.cli.output import bars, facts_table, note, output_console, stages
from dropsort.client.aws import Aws
from dropsort.contract import reviews as deciding
from dropsort.contract.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client

    from dropsort.client.reviewed import DownloadedImage
    from dropsort.contract.progress import Progress
    from training.dataset.checks import Finding

# Of downloaded images, by what was decided
FOLDERS: dict[deciding.Action, str] = {"label": "images", "none": "others"}


@click.command(short_help="Make a dataset of reviewed images.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@existing(
    "--images",
    "Images of the current model, train and test: part of the dataset too, where they are.",
)
@amount(
    "--test",
    click.FloatRange(0, 1),
    "Share of the random order of `dropsort audit` that is for the test, never for training.",
    default=0.05,
    metavar="SHARE",
)
@prefix_option
@model_option
@json_option
@stack_option
@aws_options
def dataset(
    folder: Path,
    images: Path | None,
    test: float,
    prefix: str,
    model: Path,
    json_file: Path | None,
    stack: str,
    aws: Aws,
) -> int:
    """Download the reviewed images to DIR, with a manifest of labels and parts for `dropsort train --images DIR`.

    An interrupted run continues where it stopped, and a later one adds what was reviewed since; a test image stays one. Files
    that should be checked before training are named.
    """
    from dropsort.client import deployed_service
    from dropsort.client import reviewed as reading
    from monitoring.quality.audit import audited_results, sampled
    from training import reviewed_dataset
    from training.dataset import LabelledImage
    from training.dataset.checks import Finding

    service, s3 = deployed_service.find(aws.client, stack), aws.client("s3")
    found = list(reading.iterate(s3, service.bucket, prefix=prefix, unreadable=note))
    of = {review.inference_id: decision for review in found if (decision := deciding.in_force(review))}
    actions = Counter(decision.action for decision in of.values())
    given = {decision.label for decision in of.values() if decision.label}
    current = reviewed_dataset.read_current(model, images, given, service.model, note)
    with bars() as progress:
        reported = stages(progress)
        downloaded = _download(s3, found, of, folder, reported("images"))
        keys = {item.path: item.review.source.key for item in downloaded}
        labelled = [
            LabelledImage(item.path, label)
            for item in downloaded
            if not item.fault and (label := of[item.review.inference_id].label)
        ]

        def reviewed_at_random() -> set[str]:
            return sampled(audited_results(*reading.with_results(s3, service.bucket, prefix, found=found)))

        drawn = reviewed_dataset.random_part((image.path for image in labelled), test, reviewed_at_random)
        made = reviewed_dataset.build(folder, labelled, keys, current, drawn, reported)
    gone = [Finding(item.path, "gone", item.fault) for item in downloaded if item.fault]
    document: dict[str, Any] = {
        "folder": str(folder),
        "reviews": len(found),
        "actions": dict(sorted(actions.items())),
        "reviewed": len(made.reviewed),
        "earlier": len(made.earlier),
        "parts": made.parts(),
        "left_out": [_entry(one, keys) for one in (*gone, *made.left_out)],
        "to_check": [_entry(one, keys) for one in made.to_check],
    }
    output_console(json_file).print(facts_table(_facts(document)))
    _name("left out", document["left_out"])
    _name("check", document["to_check"])
    write_json(json_file, document)
    note(f"Next: dropsort train --images {folder} --model models/next")
    return 0


def _download(
    s3: S3Client,
    found: list[deciding.Review],
    of: Mapping[str, deciding.ReviewDecision],
    folder: Path,
    progress: Progress,
) -> list[DownloadedImage]:
    """Download the images that have a label, and those of none, to a folder each."""
    from dropsort.client import reviewed as reading

    chosen = {
        name: [review for review in found if of[review.inference_id].action == action]
        for action, name in FOLDERS.items()
    }
    total = sum(map(len, chosen.values()))
    downloaded: list[DownloadedImage] = []
    for name, images in chosen.items():
        for item in reading.download(s3, images, folder / name):
            downloaded.append(item)
            progress(len(downloaded), total)
    return downloaded


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Reviews by what was decided, and images by part and label."""
    actions = ", ".join(f"{n:,} {action}" for action, n in document["actions"].items())
    facts = [("reviews", f"{document['reviews']:,}: {actions}")]
    for part, labels in document["parts"].items():
        facts.append((part, ", ".join(f"{count:,} {label}" for label, count in labels.items())))
    return facts


def _entry(found: Finding, keys: dict[Path, str]) -> dict[str, str]:
    return {"file": str(found.path), "key": keys.get(found.path, ""), "kind": found.kind, "why": found.why}


def _name(what: str, entries: list[dict[str, str]]) -> None:
    """Name the first files of each kind."""
    shown: Counter[str] = Counter()
    for entry in entries:
        shown[entry["kind"]] += 1
        if shown[entry["kind"]] <= NAMED:
            name = f"{entry['file']} ({entry['key']})" if entry["key"] else entry["file"]
            note(f"{what} ({entry['kind']}): {printable(name)}: {printable(entry['why'])}")
    for kind, count in shown.items():
        if count > NAMED:
            note(f"... and {count - NAMED:,} more ({kind}); --json FILE names all.")


COMMANDS = [dataset]
