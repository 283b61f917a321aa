"""What reviews are worth: a model learns from the images that it did not classify.

    python -m benchmarks.learning_loop DIR [--arch efficientnet-lite0] [--seeds 1]

DIR has labelled images in `train` and `test`. A first model is trained on half of `train`; the other half arrives as uploads
would. Those that the model would not classify are reviewed (with their true labels) and added; a second model is trained on
all. For comparison, a third one is trained on the first half and as many images that are chosen at random. All are compared on
`test`, which none of them has seen. Needs `dropsort[train]`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from training import dataset
from training.dataset import Dataset, LabelledImage
from training.evaluation.compare import compare
from training.evaluation.held_out import load_model, predict
from training.settings import TrainingSettings
from training.train import train


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, metavar="DIR")
    parser.add_argument("--arch", default=TrainingSettings.arch)
    parser.add_argument("--epochs", type=int, default=0, help="0: the default of the architecture")
    parser.add_argument("--seeds", type=int, default=1, help="repetitions with another half")
    parser.add_argument("--models", type=Path, help="folder to keep the models of the first repetition in")
    arguments = parser.parse_args()
    data = dataset.read(arguments.images)
    print("| seed | first half | reviewed | model | accuracy | classified at 99 % | newly right, wrong | p |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as folder:
            models = arguments.models if arguments.models and not seed else Path(folder)
            settings = TrainingSettings(
                arch=arguments.arch, epochs=arguments.epochs, seed=seed, validation=0.15
            )
            repetition(data, models, settings)


def repetition(data: Dataset, models: Path, settings: TrainingSettings) -> None:
    """Train and compare the three models."""
    random = np.random.default_rng(settings.seed)
    images = data.part("train")
    order = random.permutation(len(images))
    half = len(images) // 2
    first, uploads = [images[i] for i in order[:half]], [images[i] for i in order[half:]]
    _train(data, first, models / "first", settings)
    model, figures = load_model(models / "first")
    predictions = predict(model, uploads)
    sure = predictions.classified(figures["threshold"], figures["familiarity_threshold"])
    doubtful = [image for image, classified in zip(uploads, sure, strict=True) if not classified]
    shown: dict[str, list[LabelledImage]] = {"reviews": doubtful, "random": uploads[: len(doubtful)]}
    for name, more in shown.items():
        _train(data, first + more, models / name, settings)
        found = compare(models / "first", models / name, data).summary()
        if name == "reviews":
            _print(settings, half, 0, "first", found, "current")
        _print(settings, half, len(doubtful), name, found, "candidate")
        (models / f"{name}.json").write_text(json.dumps(found, indent=2))


def _train(data: Dataset, images: list[LabelledImage], folder: Path, settings: TrainingSettings) -> None:
    """Train on these images; a part of them is held out for the threshold."""
    parts = [replace(image, part="train") for image in images]
    train(
        dataset.split(replace(data, images=parts), validation=settings.validation, test=0.0), folder, settings
    )


def _print(
    settings: TrainingSettings, half: int, reviewed: int, name: str, found: dict[str, Any], side: str
) -> None:
    accuracy, coverage = found["accuracy"], found["coverage_at_precision"]
    changed = (
        f"{accuracy['gained']}, {accuracy['lost']} | {accuracy['p']:.3f}" if side == "candidate" else "– | –"
    )
    print(
        f"| {settings.seed} | {half} | {reviewed} | {name} | {accuracy[side]:.1%} | {coverage[side]:.1%} | {changed} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
