"""`dropsort train`: from labelled images to a model folder, on this machine or on SageMaker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dropsort.cli.documents import write_json
from dropsort.cli.evaluate import figures_in_words, note_bad_files, note_unfamiliar
from dropsort.cli.options import amount, aws_options, existing, json_option, stack_option
from dropsort.cli.output import bars, facts_table, note, output_console, stages
from dropsort.contract.text import printable
from training.progress import EpochProgress, progress_line
from training.settings import EFFICIENTNET, MODEL_FOLDER, OPTIONS, RESNET, TrainingSettings

DEFAULT = TrainingSettings()


@click.command(short_help="Train a model, on this machine or on SageMaker.")
@existing("--images", "Labelled images: one folder per label, or a manifest (.csv, .lst, .manifest).")
@click.option(
    "--model",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(MODEL_FOLDER),
    show_default=True,
    metavar="DIR",
    help="Model folder to write.",
)
@click.option("--replace", is_flag=True, help="Replace the model that the folder contains.")
@click.option(
    "--arch",
    type=click.Choice([EFFICIENTNET, RESNET]),
    default=DEFAULT.arch,
    show_default=True,
    help="efficientnet-lite0 is fine-tuned from ImageNet weights; resnet8 is small and trained from scratch.",
)
@amount("--epochs", click.IntRange(min=1), "Epochs.  [default: depends on the architecture]")
@amount("--batch", click.IntRange(min=1), "Images per step.", default=DEFAULT.batch)
@amount(
    "--seed", int, "Seed of order and initial weights; the split does not depend on it.", default=DEFAULT.seed
)
@amount(
    "--folds",
    click.IntRange(0, 10),
    "Train on all images; choose threshold and calibration on the held-out predictions of N further models.",
    default=DEFAULT.folds,
)
@amount(
    "--validation",
    click.FloatRange(0, 1),
    "Share held out for validation.",
    default=DEFAULT.validation,
    metavar="SHARE",
)
@amount(
    "--test",
    click.FloatRange(0, 1),
    "Share held out for the test, if the images have no split.",
    default=DEFAULT.test,
    metavar="SHARE",
)
@amount("--patience", click.IntRange(min=0), "Stop after N epochs without improvement.  [default: never]")
@click.option(
    "--mirror/--no-mirror",
    default=DEFAULT.mirror,
    show_default=True,
    help="Mirror images in training and prediction; off if left and right matter, as in text.",
)
@amount(
    "--precision",
    click.FloatRange(0, 1),
    "Target precision: the threshold is chosen for it.",
    default=DEFAULT.precision,
    metavar="SHARE",
)
@click.option(
    "--name",
    default="",
    metavar="TEXT",
    help="Version of the model in its predictions.  [default: folder, date and time]",
)
@amount("--threads", click.IntRange(min=0), "Threads.  [default: one]")
@click.option(
    "--on",
    "where",
    type=click.Choice(["here", "sagemaker"]),
    default="here",
    show_default=True,
    help="Where to train.",
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
    replace: bool,
    where: str,
    json_file: Path | None,
    **options: Any,
) -> int:
    """Train a model from labelled images, on this machine or on SageMaker.

    Writes a model folder: ONNX graph, labels, figures, model card. The threshold is chosen on images that the model was
    not trained on. Files that cannot be read are skipped and named.
    """
    if where == "sagemaker":
        from dropsort.cli.jobs import train_on_sagemaker

        return train_on_sagemaker(images, json_file, **options)
    if images is None:
        raise click.UsageError("--images is required: the folder or manifest of the labelled images.")
    from training import train as training
    from training.dataset import splitting

    training.check_folder(model, replace_model=replace)
    settings = training.TrainingSettings(
        **{name: options[name] for name in OPTIONS if options[name] is not None}
    )
    with bars() as progress:
        data = training.gather(images, None, settings, progress=stages(progress))
    note_bad_files(data.rejected)
    for part, counts in data.counts().items():
        note(f"{part}: " + ", ".join(f"{count} {label}" for label, count in counts.items()))
    for sentence in splitting.scarce(data):
        note(f"Warning: {printable(sentence)}.")
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
    output = output_console(json_file)
    output.print(facts_table(figures_in_words(result.figures)))
    note_unfamiliar(result.figures)
    write_json(json_file, result.figures)
    note(
        f"Next: dropsort evaluate --model {model} --images DIR, with other images than those of the training"
    )
    return 0


COMMANDS = [train]
