"""`dropsort evaluate`: how good a model is, on pictures that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dropsort.cli.documents import write_json
from dropsort.cli.models import model_option
from dropsort.cli.options import amount, existing, json_option, threshold_option, written
from dropsort.cli.output import bars, console, facts_table, note, printable


@click.command(short_help="Measure a model.")
@existing(
    "--images",
    "Labelled pictures that the model has not seen: one folder a label, or a manifest.",
    required=True,
)
@existing("--others", "Pictures of none of the labels: how many pass?", folder=True)
@existing("--choose-on", "Labelled held-out pictures to choose the threshold on anew.")
@amount(
    "--precision", click.FloatRange(0, 1), "With --choose-on: what the threshold is for.", metavar="SHARE"
)
@threshold_option("the model's")
@written("--html", "Also write a page with plots and pictures.")
@written("--reference", "Also write what the model answered, for `dropsort report` to compare with.")
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
    """Measure a model on labelled pictures that it has not seen.

    Accuracy with its 95 % interval and without near-duplicates of training pictures, calibration, and what the threshold
    buys. Needs no torch.
    """
    from training.evaluation import evaluate as evaluating

    with bars() as progress:
        task = progress.add_task("pictures", total=None)
        result = evaluating.evaluate_path(
            model,
            images,
            others=others,
            choose_on=choose_on,
            threshold=threshold,
            precision=precision,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    tell_bad(result.rejected)
    summary = result.summary()
    console(stderr=str(json_file) == "-").print(facts_table(figures_in_words(summary)))
    write_json(json_file, summary)
    if html:
        from dropsort.pages.evaluation import write as write_page

        note(f"Page: {write_page(result, html)}")
    if reference:
        from training.evaluation.reference import write

        write(reference, result.predictions, result.labels)
        note(f"Reference: {reference}, {summary['images']} predictions")
    note(
        f"Next: dropsort deploy --model {model} (takes over its threshold), or dropsort register --model {model}"
    )
    return 0


def figures_in_words(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """The figures that say most, in words; those that are missing are left out."""
    facts = [("model", printable(str(figures.get("model", ""))))]
    if "accuracy" in figures:
        text = f"{figures['accuracy']:.3f} on {figures.get('images', '?')} pictures"
        if interval := figures.get("accuracy_interval"):
            text += f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f})"
        facts.append(("accuracy", text))
    if figures.get("near_duplicates"):
        without = figures["accuracy_without_near_duplicates"]
        facts.append(
            ("", f"{without:.3f} without {figures['near_duplicates']} near-duplicates of training pictures")
        )
    if "ece" in figures:
        facts.append(("calibration", f"expected calibration error {figures['ece']:.3f}"))
    if "threshold" in figures:
        text = f"{figures['threshold']:.3f}"
        if figures.get("coverage") is not None:
            text += f" classifies {figures['coverage']:.1%}"
        if figures.get("precision") is not None:
            text += f", {figures['precision']:.1%} of them right"
        facts.append(("threshold", text))
    if others := figures.get("others"):
        passed = f"{others['classified']} of {others['images']} pictures of something else pass as classified"
        facts.append(("others", passed))
    return facts


def tell_bad(bad: list[tuple[Path, str]]) -> None:
    """Name the files that were set aside."""
    for path, reason in bad:
        note(f"set aside: {printable(str(path))}: {reason}")


COMMANDS = [evaluate]
