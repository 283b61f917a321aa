"""`dropsort train` and `evaluate`: from labelled pictures to a model folder, and how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.models import model_option
from cli.options import aws_options, json_option, stack_option, write_json
from cli.show import bars, console, facts_table, note, printable


@click.command()
@click.option(
    "--images",
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Labelled pictures: a folder with one folder a label, or a manifest (.csv, .lst, .manifest).",
)
@click.option(
    "--model",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("models", "mine"),
    show_default=True,
    metavar="DIR",
    help="Model folder to write.",
)
@click.option(
    "--arch",
    type=click.Choice(["efficientnet-lite0", "resnet8"]),
    default="efficientnet-lite0",
    show_default=True,
    help="The first is fine-tuned from ImageNet; the second is small and starts from nothing.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Epochs.  [default: what suits the architecture]",
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=32, show_default=True, metavar="N", help="Pictures a step."
)
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="N", help="Of split, order and initial values."
)
@click.option(
    "--folds",
    type=click.IntRange(0, 10),
    default=0,
    show_default=True,
    metavar="N",
    help="Train on everything, and choose threshold and calibration on N further models' held-out answers.",
)
@click.option(
    "--validation", type=float, default=0.1, show_default=True, metavar="SHARE", help="Held out of training."
)
@click.option(
    "--test",
    type=float,
    default=0.15,
    show_default=True,
    metavar="SHARE",
    help="For the figures, if the pictures come unsplit.",
)
@click.option(
    "--patience",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Stop after N epochs without progress.  [default: never]",
)
@click.option(
    "--precision",
    type=float,
    default=0.99,
    show_default=True,
    metavar="SHARE",
    help="The threshold is chosen for it.",
)
@click.option(
    "--name", default="", metavar="TEXT", help="Name of the model in its answers.  [default: folder and date]"
)
@click.option(
    "--threads", type=click.IntRange(min=0), default=0, metavar="N", help="Threads.  [default: one]"
)
@click.option(
    "--on",
    "where",
    type=click.Choice(["here", "sagemaker"]),
    default="here",
    show_default=True,
    help="Where it trains.",
)
@click.option(
    "--kind",
    type=click.Choice(["script", "built-in"]),
    default="script",
    show_default=True,
    help="On SageMaker: this project's script, or the built-in image classification.",
)
@click.option(
    "--bucket",
    metavar="NAME",
    help="On SageMaker: bucket of the job.  [default: the stack's artifact bucket]",
)
@click.option(
    "--role", metavar="ARN", help="On SageMaker: execution role.  [default: the stack's training role]"
)
@click.option(
    "--instance-type",
    default="",
    metavar="TYPE",
    help="On SageMaker.  [default: ml.m5.xlarge; built-in: ml.g4dn.xlarge]",
)
@click.option("--spot/--no-spot", default=True, show_default=True, help="On SageMaker: spot instances.")
@click.option(
    "--wait/--no-wait",
    "wait_",
    default=True,
    show_default=True,
    help="On SageMaker: wait for the end of the job.",
)
@click.option("--dry-run", is_flag=True, help="On SageMaker: print every request as JSON; needs no account.")
@json_option
@stack_option
@aws_options
def train(
    images: Path | None,
    model: Path,
    where: str,
    json_file: Path | None,
    **options: Any,
) -> int:
    """Train a model from labelled pictures, here or on SageMaker.

    Writes a model folder: ONNX graph, labels, figures, card. The threshold is chosen on pictures that the model has not
    seen. Bad files are set aside and named.
    """
    if where == "sagemaker":
        from cli.sagemaker import train_there

        return train_there(images, json_file, **options)
    if images is None:
        raise click.UsageError("--images says where the pictures are.")
    from training import train as training

    names = (
        "arch",
        "batch",
        "seed",
        "folds",
        "validation",
        "test",
        "patience",
        "precision",
        "name",
        "threads",
    )
    settings = training.Settings(epochs=options["epochs"] or 0, **{name: options[name] for name in names})
    data = training.gather(images, None, settings)
    _tell_bad(data.bad)
    for part, counts in data.counts().items():
        note(f"{part}: " + ", ".join(f"{count} {label}" for label, count in counts.items()))
    with bars() as progress:
        task = progress.add_task("epoch", total=None)

        def step(done: training.Step) -> None:
            epochs = done.epoch.of
            progress.update(
                task,
                total=done.trainings * epochs,
                completed=(done.training - 1) * epochs + done.epoch.number,
            )
            if not progress.console.is_terminal:
                note(training.line(done))

        outcome = training.train(data, model, settings, progress=step)
    output = console(stderr=str(json_file) == "-")
    output.print(facts_table(_figures(outcome.figures)))
    write_json(json_file, outcome.figures)
    note(
        f"Next: dropsort evaluate --model {model} --images PICTURES, or dropsort demo --model {model} --images PICTURES, or "
        f"dropsort deploy --model {model}"
    )
    return 0


@click.command()
@click.option(
    "--images",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    metavar="PATH",
    help="Labelled pictures that the model has not seen: one folder a label, or a manifest.",
)
@click.option(
    "--others",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Pictures of none of the labels: how many pass?",
)
@click.option(
    "--choose-on",
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Labelled held-out pictures to choose the threshold on anew.",
)
@click.option(
    "--precision",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="With --choose-on: what the threshold is for.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Confidence that counts as classified.  [default: the model's]",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write a page with plots and pictures.",
)
@json_option
@model_option
def evaluate(
    images: Path,
    others: Path | None,
    choose_on: Path | None,
    precision: float | None,
    threshold: float | None,
    html: Path | None,
    json_file: Path | None,
    model: Path,
) -> int:
    """Measure a model on labelled pictures that it has not seen.

    Accuracy with its 95 % interval and without near-duplicates of training pictures, calibration, and what the threshold
    buys. Needs no torch.
    """
    from training import evaluate as evaluating

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
    _tell_bad(result.bad)
    summary = result.summary()
    console(stderr=str(json_file) == "-").print(facts_table(_figures(summary)))
    write_json(json_file, summary)
    if html:
        from training import report

        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(report.page(result), encoding="utf-8")
        note(f"Page: {html}")
    note(
        f"Next: dropsort deploy --model {model} (takes over its threshold), or dropsort register --model {model}"
    )
    return 0


def _figures(figures: dict[str, Any]) -> list[tuple[str, str]]:
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
        facts.append(("calibration", f"expected error {figures['ece']:.3f}"))
    if "threshold" in figures:
        text = f"{figures['threshold']:.3f}"
        if figures.get("coverage") is not None:
            text += f" classifies {figures['coverage']:.1%}"
        if figures.get("precision") is not None:
            text += f", {figures['precision']:.1%} of them right"
        facts.append(("threshold", text))
    others = figures.get("others")
    if isinstance(others, dict) and "passed" in others:
        facts.append(("others", f"{others['passed']:.1%} of {others.get('images', '?')} pass"))
    return facts


def _tell_bad(bad: list[tuple[Path, str]]) -> None:
    for path, reason in bad:
        note(f"set aside: {printable(str(path))}: {reason}")


COMMANDS = [train, evaluate]
