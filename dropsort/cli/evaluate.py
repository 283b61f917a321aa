"""`dropsort evaluate`: how good a model is, on images that it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dropsort.cli.documents import write_json
from dropsort.cli.models import model_option
from dropsort.cli.options import amount, existing, json_option, threshold_option, written
from dropsort.cli.output import bars, facts_table, note, output_console
from dropsort.contract.text import number_of, printable

NAMED = 10  # images that are named one by one
UNFAMILIAR = 0.03  # share of genuine images that is too large to be the threshold's own


@click.command(short_help="Evaluate a model on labelled images.")
@existing(
    "--images",
    "Labelled images that the model was not trained on: one folder per label, or a manifest.",
    required=True,
)
@existing("--others", "Images of none of the labels: how many are classified?", folder=True)
@existing("--choose-on", "Labelled held-out images to choose a new threshold on.")
@amount(
    "--precision",
    click.FloatRange(0, 1),
    "With --choose-on: target precision, for which the threshold is chosen.",
    metavar="SHARE",
)
@threshold_option("the model's")
@written("--html", "Also write a page with charts and images.")
@written("--reference", "Also write the predictions, as a reference for `dropsort report`.")
@json_option
@model_option
def evaluate(
    images: Path,
    others: Path | None,
    choose_on: Path | None,
    precision: float | None,
    threshold: float | None,
    html: Path | None,
    reference: Path | None,
    json_file: Path | None,
    model: Path,
) -> int:
    """Evaluate a model on labelled images that it was not trained on.

    Shows accuracy with its 95 % interval, accuracy without near-duplicates of training images, calibration, and coverage
    and precision at the threshold. Does not need PyTorch.
    """

    from training.evaluation import held_out

    with bars() as progress:
        task = progress.add_task("images", total=None)
        result = held_out.evaluate_path(
            model,
            images,
            others=others,
            choose_on=choose_on,
            threshold=threshold,
            precision=precision,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    note_bad_files(result.rejected)
    note_overlap(result.overlap)
    summary = result.summary()
    output_console(json_file).print(facts_table(figures_in_words(summary)))
    note_unfamiliar(summary)
    write_json(json_file, summary)
    if html:
        from dropsort.pages.evaluation import write as write_page

        note(f"Page: {write_page(result, html)}")
    if reference:
        from training.evaluation.reference_file import write

        write(reference, result.predictions, result.labels)
        note(f"Reference: {reference}, {summary['images']} predictions")
    note(f"Next: dropsort up --model {model} (on AWS: deploy or register)")
    return 0


def figures_in_words(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """The most important figures as names and values; missing ones are left out."""
    facts = [("model", printable(str(figures.get("model", ""))))]
    if "accuracy" in figures:
        text = f"{figures['accuracy']:.3f} on {figures.get('images', '?')} images"
        if interval := figures.get("accuracy_interval"):
            text += f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})"
        facts.append(("accuracy", text))
    if figures.get("overlap"):
        facts.append(("", f"{figures['overlap']:,} images that the model was made from are left out"))
    if figures.get("near_duplicates"):
        without = figures["accuracy_without_near_duplicates"]
        facts.append(
            (
                "",
                f"{without:.3f} without {number_of(figures['near_duplicates'], 'near-duplicate')} of training images,"
                f" found by {', '.join(figures['near_duplicates_from'])}",
            )
        )
    if figures.get("near_duplicates_from") == []:
        facts.append(("", "near-duplicates of training images were not searched for"))
    if "ece" in figures:
        facts.append(("calibration", f"expected calibration error {figures['ece']:.3f}"))
    if "threshold" in figures:
        text = f"{figures['threshold']:.3f}"
        if figures.get("coverage") is not None:
            text += f" classifies {figures['coverage']:.1%}"
        if figures.get("precision") is not None:
            text += f", {figures['precision']:.1%} of them correct"
        facts.append(("threshold", text))
    if figures.get("coverage_with_guard") is not None and figures.get("familiarity_threshold"):
        unfamiliar = round(figures["guard_cost"] * figures["images"])
        facts.append(
            (
                "",
                f"{figures['coverage_with_guard']:.1%} are classified and familiar ({unfamiliar} confident but unfamiliar)",
            )
        )
    if others := figures.get("others"):
        passed = f"{others['classified']} of {others['images']} images of something else are classified"
        facts.append(("others", passed))
    return facts


def note_unfamiliar(figures: dict[str, Any]) -> None:
    """Print a warning if the familiarity threshold rejects far more of the genuine test images than its value says."""
    from training.model.familiarity import ENOUGH

    cost = figures.get("guard_cost") or 0
    if cost > UNFAMILIAR:
        note(
            f"Warning: the service would not classify {cost:.1%} of these images, as unfamiliar; the threshold of"
            f" {figures['familiarity_threshold']:g} is meant for about {figures['familiarity_threshold']:.0%}. Either they differ"
            f" from the training images, or these were fewer than {ENOUGH}: train on more, or set the parameter"
            " FamiliarityThreshold lower."
        )


def note_overlap(overlap: list[Path]) -> None:
    """Name the images that the model was made from."""
    for path in overlap[:NAMED]:
        note(f"left out, as the model was made from it: {printable(str(path))}")
    if len(overlap) > NAMED:
        note(f"... and {len(overlap) - NAMED:,} more")


def note_bad_files(bad: list[tuple[Path, str]]) -> None:
    """Name the files that were skipped."""
    for path, reason in bad:
        note(f"skipped: {printable(str(path))}: {reason}")


COMMANDS = [evaluate]
