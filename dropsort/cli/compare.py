"""`dropsort compare`: whether a candidate model should replace the current one."""

from __future__ import annotations

from pathlib import Path

import click

from dropsort.cli.documents import write_json
from dropsort.cli.evaluate import note_bad_files, note_overlap
from dropsort.cli.models import model_option, whole
from dropsort.cli.options import amount, existing, json_option, written
from dropsort.cli.output import bars, facts_table, note, output_console
from dropsort.contract.text import printable

_FIGURES = {
    "unfamiliar": "unfamiliar images",
    "ece": "calibration error (ECE)",
    "milliseconds": "ms per image",
}


@click.command(short_help="Compare a candidate model with the current one.")
@click.argument(
    "candidate",
    metavar="CANDIDATE",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    callback=whole,
)
@existing(
    "--images",
    "Labelled images that neither model was trained on: one folder per label, or a manifest.",
    required=True,
)
@amount(
    "--precision",
    click.FloatRange(0, 1),
    "Target precision.  [default: that of the current model]",
    metavar="SHARE",
)
@written("--html", "Also write a page with charts, and the images whose label changes.")
@json_option
@model_option
def compare(
    candidate: Path,
    images: Path,
    precision: float | None,
    html: Path | None,
    json_file: Path | None,
    model: Path,
) -> int:
    """Compare CANDIDATE, a model folder, with the current model on the same labelled images.

    Shows what changes with paired intervals, and ends with one sentence: roll out, or not. Images that one of the models was
    made from are left out.
    """
    from training import dataset
    from training.evaluation.compare import compare as comparing

    with bars() as progress:
        task = progress.add_task("images", total=None)
        found = comparing(
            model,
            candidate,
            dataset.read(images),
            precision=precision,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    note_bad_files(found.rejected)
    note_overlap(found.overlap)
    summary = found.summary()
    accuracy = found.accuracy()
    new = found.decisive().accuracy()
    shares = (
        ("accuracy", accuracy),
        *([(f"… of {new.images:,} without near-duplicates", new)] if new.images < accuracy.images else []),
        ("classified at its own thresholds", found.coverage()),
        (f"classified where {found.precision:.1%} of these are right", found.coverage_at_precision()),
    )
    facts = [("images", f"{len(found.truth):,}")]
    for name, paired in shares:
        before, after = paired.shares
        facts.append(
            (
                name,
                f"{before:.1%} → {after:.1%}, {100 * paired.difference:+.1f} points ({paired.interval.points()}; p {paired.p:.2g})",
            )
        )
    facts.append(("newly right, wrong", f"{accuracy.gained:,}, {accuracy.lost:,}"))
    for name, words in _FIGURES.items():
        facts.append((words, f"{summary['current'][name]:.3g} → {summary['candidate'][name]:.3g}"))
    output = output_console(json_file)
    output.print(facts_table(facts))
    output.print(printable(summary["sentence"]), markup=False)
    write_json(json_file, summary)
    if html:
        from dropsort.pages.comparison import write

        note(f"Page: {write(found, html)}")
    if summary["verdict"] == "roll out":
        note(f"Next: dropsort up --model {candidate} (on AWS: register, then rollout)")
    return 0


COMMANDS = [compare]
