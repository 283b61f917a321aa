"""Trains a classifier from labelled pictures and writes the model folder: the same script here and on SageMaker.

    python -m training.train --images pictures --model models/mine

`--images` is anything that `training.dataset.read` takes. On SageMaker the channels and the model folder come by
`SM_CHANNEL_TRAIN`, `SM_CHANNEL_VALIDATION` and `SM_MODEL_DIR`, hyperparameters as arguments, and training writes the
inference code beside the model, so that the artifact can be deployed as it is.

Without `--folds`, a tenth of the training pictures is held out as validation: it calibrates, and chooses the threshold.
With `--folds 5` all of them train the model, and the same is done on predictions that five other models, trained
alike on four fifths each, made of the pictures they had not seen.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

if __package__ in (None, ""):  # started as a file, as SageMaker does
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from numpy.typing import NDArray

from dropsort.contract.defaults import FAMILIARITY_THRESHOLD
from dropsort.contract.reference import FILE as REFERENCE_FILE
from training import dataset, evaluate
from training.dataset import Dataset, Picture
from training.errors import TrainingError
from training.measures import holdout, metrics, reference
from training.measures.evaluation import Answers
from training.model import card, familiarity, package
from training.settings import Settings, parser

__all__ = ["Outcome", "Settings", "Step", "gather", "line", "main", "train"]


class Step(NamedTuple):
    """Progress: which training of how many, and its epoch as in `training.model.fit.Epoch`."""

    training: int
    trainings: int
    epoch: Any


@dataclass(frozen=True)
class Outcome:
    """What came of it; `figures` is the content of metrics.json."""

    folder: Path
    labels: list[str]
    figures: dict[str, Any] = field(default_factory=dict)


def train(
    data: Dataset,
    folder: Path,
    settings: Settings | None = None,
    *,
    progress: Callable[[Step], None] = lambda _: None,
) -> Outcome:
    """Trains on a dataset whose pictures are in parts (`dataset.split`), and writes `folder`.

    Raises
    ------
    TrainingError
        Fewer than two labels, a label with too few pictures, or a package that is missing.
    """
    settings = settings or Settings()
    try:
        import torch

        from training.model import trained
        from training.model.network import ARCHITECTURES
    except ImportError as error:
        raise TrainingError(f"{error.name} is not installed: pip install 'dropsort[train]'") from error
    if settings.arch not in ARCHITECTURES:
        raise TrainingError(
            f"there is no architecture {settings.arch!r}: choose one of {', '.join(ARCHITECTURES)}"
        )
    torch.set_num_threads(settings.threads or 1)
    started, cpu = time.perf_counter(), time.process_time()
    held = data.part("validation")
    pictures = data.part("train") + (held if settings.folds else [])
    _check(data, pictures, held, settings)
    side = ARCHITECTURES[settings.arch].side
    images, truth = dataset.load(pictures, side), _numbers(data, pictures)
    options: dict[str, Any] = {
        "seed": settings.seed,
        "epochs": settings.epochs or None,
        "batch": settings.batch,
        "patience": settings.patience,
        "mirror": settings.mirror,
    }
    groups = np.array([p.group if p.group >= 0 else -2 - i for i, p in enumerate(pictures)], np.int64)
    trainings = 1 + settings.folds
    if settings.folds:
        held_truth = truth
        held_logits = np.zeros((len(pictures), len(data.labels)), np.float32)
        for number, out in enumerate(holdout.folds(truth, groups, settings.folds, settings.seed), 1):
            part = trained.train(
                settings.arch,
                len(data.labels),
                images[~out],
                truth[~out],
                progress=_at(progress, number, trainings),
                **options,
            )
            held_logits[out] = part.logits(images[out])
        validation = None
    else:
        validation = (dataset.load(held, side), _numbers(data, held))
        held_truth = validation[1]
    model = trained.train(
        settings.arch,
        len(data.labels),
        images,
        truth,
        validation if settings.patience or held else None,
        progress=_at(progress, trainings, trainings),
        **{**options, "checkpoints": settings.checkpoints},
    )
    if validation is not None:
        held_logits = model.logits(validation[0])
    temperature, calibration = holdout.calibrate(held_logits, held_truth)
    probabilities = metrics.softmax(held_logits, temperature)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == held_truth
    threshold = metrics.choose_threshold(confidence, correct, settings.precision, 1 / len(data.labels))
    known = familiarity.build(model.familiar_features(images), groups, seed=settings.seed)
    name = settings.name or f"{folder.resolve().name}-{time.strftime('%Y%m%d')}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "model.onnx.part"
    model.write(temporary, temperature=temperature, known=known, metadata={"model": name})
    rounding = trained.rounding(model, temporary, images[:: max(1, len(images) // 200)], temperature)
    temporary.replace(folder / "model.onnx")
    (folder / "labels.json").write_text(json.dumps(data.labels, ensure_ascii=False) + "\n", encoding="utf-8")
    figures: dict[str, Any] = {
        "model": name,
        "threshold": math.floor(threshold.value * 1e4) / 1e4,
        "familiarity_threshold": FAMILIARITY_THRESHOLD,
        "wanted_precision": settings.precision,
        "temperature": round(temperature, 4),
        "calibration": calibration,
        "held_out": {
            "how": f"out of fold, {settings.folds} folds" if settings.folds else "validation part",
            "images": len(held_truth),
            "accuracy": metrics.wilson(int(correct.sum()), len(correct))._asdict(),
            "ece": round(metrics.ece(confidence, correct), 4),
            "precision": round(threshold.precision, 4),
            "coverage": round(threshold.coverage, 4),
            "precision_met": threshold.met,
        },
        "eight_bit_weights": rounding,
        "training": {
            "arch": settings.arch,
            "seed": settings.seed,
            "images": len(pictures),
            "folds": settings.folds,
            "seconds": round(time.perf_counter() - started, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "torch": torch.__version__,
        },
    }
    _write(folder, figures, data)
    answers = None
    if data.part("test"):
        # Cross-fitting trains on the validation part too: near-duplicates are looked for there as well.
        trained_on = {"train", "validation"} if settings.folds else {"train"}
        seen = [replace(p, part="train") if p.part in trained_on else p for p in data.pictures]
        evaluation = evaluate.evaluate(folder, replace(data, pictures=seen))
        figures = {**evaluation.summary(), **figures}
        _write(folder, figures, data)
        answers = evaluation.answers
    elif not settings.folds:  # held out, but for the choice of threshold and temperature
        answers = evaluate.ask(evaluate.load_model(folder)[0], held)
    _refer(folder, answers, data.labels)
    return Outcome(folder, data.labels, figures)


def _write(folder: Path, figures: dict[str, Any], data: Dataset) -> None:
    (folder / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    (folder / "card.md").write_text(card.card(figures, data), encoding="utf-8")


def _refer(folder: Path, answers: Answers | None, labels: list[str]) -> None:
    """Write the reference of drift; a former model's is no reference of this one."""
    if answers is None:
        (folder / REFERENCE_FILE).unlink(missing_ok=True)
    else:
        reference.write(folder / REFERENCE_FILE, answers, labels)


def _at(progress: Callable[[Step], None], number: int, of: int) -> Callable[[Any], None]:
    return lambda epoch: progress(Step(number, of, epoch))


def _numbers(data: Dataset, pictures: Sequence[Picture]) -> NDArray[np.int64]:
    return np.array([data.number(picture) for picture in pictures], np.int64)


def _check(data: Dataset, pictures: list[Picture], held: list[Picture], settings: Settings) -> None:
    if len(data.labels) < 2:
        raise TrainingError(
            f"only one label, {data.labels[0]!r}: a classifier needs two or more folders of pictures"
        )
    for label in data.labels:
        count = sum(picture.label == label for picture in pictures)
        if count < 10:
            raise TrainingError(
                f"label {label!r} has {count} pictures to train on: at least 10 are needed, better 100"
            )
    if settings.folds == 1 or settings.folds < 0:
        raise TrainingError(f"{settings.folds} folds leave nothing to train on: 0, or 2 to 10")
    if not held and not settings.folds:
        raise TrainingError(
            "there are no validation pictures to choose the threshold on: hold some out (--validation 0.1), or cross-fit (--folds 5)"
        )


def line(step: Step) -> str:
    """An epoch in one line, as the metric definitions of the training job read it."""
    epoch = step.epoch
    text = f"training={step.training}/{step.trainings} epoch={epoch.number}/{epoch.of} train_loss={epoch.train_loss:.4f}"
    if epoch.validation_loss == epoch.validation_loss:
        text += f" val_accuracy={epoch.validation_accuracy:.4f} val_loss={epoch.validation_loss:.4f}"
    return f"{text} seconds={epoch.seconds:.1f}"


def gather(images: Path, validation_images: Path | None, settings: Settings) -> Dataset:
    """Reads and splits the pictures, prints what was set aside."""
    data = dataset.read(images)
    if validation_images is not None and validation_images.is_dir():
        more = dataset.read(validation_images)
        parts = [("train", data), ("validation", more)]
        pictures = [replace(p, part=part) for part, source in parts for p in source.pictures]
        data = Dataset(sorted({*data.labels, *more.labels}), pictures, data.bad + more.bad)
    return dataset.split(data, validation=settings.validation, test=settings.test)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0 if a model was written, 1 with a sentence on stderr if not."""
    arguments = vars(parser().parse_args(argv))
    images, held, folder = (arguments.pop(name) for name in ("images", "validation_images", "model"))
    try:
        if images is None:
            raise TrainingError("say where the pictures are: --images FOLDER")
        settings = Settings(**arguments)
        data = gather(Path(images), Path(held) if held else None, settings)
        for path, reason in data.bad:
            print(f"set aside: {path}: {reason}", file=sys.stderr)
        print(json.dumps(data.counts()))
        outcome = train(data, Path(folder), settings, progress=lambda step: print(line(step), flush=True))
        if "SM_MODEL_DIR" in os.environ:
            package.add_code(outcome.folder)
    except TrainingError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    print(json.dumps(outcome.figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
