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
from dropsort.cli.output import bars, facts_table, note, output_console
from dropsort.client.aws import Aws
from dropsort.contract import reviews as deciding
from dropsort.contract.text import printable

if TYPE_CHECKING:
    from training.dataset.checks import Finding
    from training.inference import Model


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
    from dropsort.cli.audit import judged
    from dropsort.client import deployed_service
    from dropsort.client import reviewed as reading
    from monitoring.quality.audit import sampled
    from training import dataset as datasets
    from training.dataset import LabelledImage, checks, fingerprints, joining
    from training.evaluation.held_out import load_model, predict

    service, s3 = deployed_service.find(aws.client, stack), aws.client("s3")
    found = list(reading.iterate(s3, service.bucket, prefix=prefix, unreadable=note))
    of = {review.inference_id: decision for review in found if (decision := deciding.in_force(review))}
    actions = Counter(decision.action for decision in of.values())
    wanted: dict[deciding.Action, str] = {"label": "images", "none": "others"}
    earlier = datasets.read(images, check=False).images if images else []
    network, _ = load_model(model)
    _check_model(
        model,
        network,
        {decision.label for decision in of.values() if decision.label} | {image.label for image in earlier},
        service.model,
    )
    with bars() as progress:
        task = progress.add_task("images", total=actions["label"] + actions["none"])
        labelled, keys, problems = [], {}, []
        reviewed_keys: dict[Path, str] = {}  # to name a file by its upload, whatever was decided
        for action, name in wanted.items():
            chosen = [review for review in found if of[review.inference_id].action == action]
            for item in reading.download(s3, chosen, folder / name):
                reviewed_keys[item.path] = item.review.source.key
                if item.fault:
                    problems.append(checks.Finding(item.path, "gone", item.fault))
                elif label := of[item.review.inference_id].label:
                    labelled.append(LabelledImage(item.path, label))
                    keys[item.path] = item.review.source.key
                progress.advance(task)
        known = fingerprints.read(model)
        complete = sampled(judged(s3, service.bucket, prefix, reviews=found)) if test else set()
        task = progress.add_task("pixels", total=None)
        joined = joining.join(
            labelled,
            earlier,
            known=known,
            parts=joining.read_parts(folder),
            drawn={
                path.name: path.stem in complete for path in keys if int(path.stem[:8], 16) < test * 16**8
            },
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
        joining.write_manifest(folder, joined, keys)
        findings = checks.contradictions([*joined.reviewed, *joined.earlier], joined.hashes)
        findings += [finding for image in joined.reviewed if (finding := checks.legibility(image))]
        task = progress.add_task("predicted", total=None)
        predictions = predict(
            network,
            joined.reviewed,
            lambda done, total: progress.update(task, completed=done, total=total),
            known=known.pixels,
        )
        findings += checks.label_errors(predictions.images, predictions.probabilities, network.labels)
    problems += joined.left_out
    counts = Counter((image.part, image.label) for image in (*joined.reviewed, *joined.earlier))
    document: dict[str, Any] = {
        "folder": str(folder),
        "reviews": len(found),
        "actions": dict(sorted(actions.items())),
        "reviewed": len(joined.reviewed),
        "earlier": len(joined.earlier),
        "parts": _nested(counts),
        "left_out": [_entry(one, reviewed_keys) for one in problems],
        "to_check": [_entry(one, reviewed_keys) for one in findings],
    }
    facts = [
        (
            "reviews",
            f"{len(found):,}: " + ", ".join(f"{n:,} {action}" for action, n in sorted(actions.items())),
        )
    ]
    for part, labels in document["parts"].items():
        facts.append((part, ", ".join(f"{count:,} {label}" for label, count in labels.items())))
    output_console(json_file).print(facts_table(facts))
    _name("left out", document["left_out"])
    _name("check", document["to_check"])
    write_json(json_file, document)
    note(f"Next: dropsort train --images {folder} --model models/next")
    return 0


def _check_model(folder: Path, network: Model, labels: set[str], serving: str) -> None:
    """Compare the model with the labels of the images and with the version that the service runs.

    Of another model, the images that it was made from are not known: those of the training would be taken for the test.
    """
    if labels and not labels & set(network.labels):
        raise click.ClickException(
            f"{folder} has the labels {', '.join(network.labels)}, the images have {', '.join(sorted(labels))}: name the"
            " model that the images were classified by with --model."
        )
    if serving and serving != network.name:
        note(
            f"The service runs {printable(serving)}, and {folder} is {printable(network.name)}: name the folder of the"
            " model that the service runs with --model, or images that it was made from may become test images."
        )


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (part, label), count in sorted(counts.items()):
        nested.setdefault(part, {})[label] = count
    return nested


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
