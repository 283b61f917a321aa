"""`dropsort train`: from labelled pictures to a model folder, here or on SageMaker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dropsort.cli.documents import write_json
from dropsort.cli.evaluate import figures_in_words, tell_bad
from dropsort.cli.options import amount, aws_options, existing, json_option, stack_option
from dropsort.cli.output import bars, console, facts_table, note
from training.progress import EpochProgress, progress_line
from training.settings import OPTIONS, Settings

DEFAULT = Settings()


@click.command(short_help="Train a model, here or on SageMaker.")
@existing(
    "--images", "Labelled pictures: a folder with one folder a label, or a manifest (.csv, .lst, .manifest)."
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
    default=DEFAULT.arch,
    show_default=True,
    help="The first is fine-tuned from ImageNet; the second is small and starts from nothing.",
)
@amount("--epochs", click.IntRange(min=1), "Epochs.  [default: what suits the architecture]")
@amount("--batch", click.IntRange(min=1), "Pictures a step.", default=DEFAULT.batch)
@amount("--seed", int, "Of order and initial values; the split is always the same.", default=DEFAULT.seed)
@amount(
    "--folds",
    click.IntRange(0, 10),
    "Train on everything, and choose threshold and calibration on N further models' held-out answers.",
    default=DEFAULT.folds,
)
@amount(
    "--validation",
    click.FloatRange(0, 1),
    "Held out of training.",
    default=DEFAULT.validation,
    metavar="SHARE",
)
@amount(
    "--test",
    click.FloatRange(0, 1),
    "For the figures, if the pictures come unsplit.",
    default=DEFAULT.test,
    metavar="SHARE",
)
@amount("--patience", click.IntRange(min=0), "Stop after N epochs without progress.  [default: never]")
@amount(
    "--precision",
    click.FloatRange(0, 1),
    "The threshold is chosen for it.",
    default=DEFAULT.precision,
    metavar="SHARE",
)
@click.option(
    "--name", default="", metavar="TEXT", help="Name of the model in its answers.  [default: folder and date]"
)
@amount("--threads", click.IntRange(min=0), "Threads.  [default: one]")
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
        from dropsort.cli.jobs import train_there

        return train_there(images, json_file, **options)
    if images is None:
        raise click.UsageError("--images says where the pictures are.")
    from training import train as training

    settings = training.Settings(**{name: options[name] for name in OPTIONS if options[name] is not None})
    data = training.gather(images, None, settings)
    tell_bad(data.rejected)
    for part, counts in data.counts().items():
        note(f"{part}: " + ", ".join(f"{count} {label}" for label, count in counts.items()))
    with bars(lines=False) as progress:
        task = progress.add_task("epoch", total=None)

        def step(done: EpochProgress) -> None:
            epochs = done.epoch.of
            progress.update(
                task,
                total=done.trainings * epochs,
                completed=(done.training - 1) * epochs + done.epoch.number,
            )
            if not progress.console.is_terminal:
                note(progress_line(done))

        result = training.train(data, model, settings, progress=step)
    output = console(stderr=str(json_file) == "-")
    output.print(facts_table(figures_in_words(result.figures)))
    write_json(json_file, result.figures)
    note(
        f"Next: dropsort evaluate --model {model} --images PICTURES (others than it was trained on), or "
        f"dropsort demo --model {model} --images PICTURES, or dropsort deploy --model {model}"
    )
    return 0


COMMANDS = [train]
