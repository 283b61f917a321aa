"""Trains a classifier from labelled images and writes the model folder: the same script on this machine and on SageMaker.

    python -m training.train --images images --model models/mine

`--images` is anything that `training.dataset.read` takes. On SageMaker the channels and the model folder come from
`SM_CHANNEL_TRAIN`, `SM_CHANNEL_VALIDATION` and `SM_MODEL_DIR`, hyperparameters as arguments, and training writes the
inference code into the model folder, so that the artifact can be deployed as it is.

Without `--folds`, a tenth of the training images is held out as validation part: calibration and threshold are chosen on it.
With `--folds 5` the model trains on all images, and both are chosen on out-of-fold predictions of five further models.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a file, as SageMaker does
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dropsort.contract import model_folder
from dropsort.contract.defaults import FAMILIARITY_THRESHOLD
from dropsort.contract.predictions import is_name
from dropsort.contract.progress import Progress, no_progress
from dropsort.contract.text import printable
from training import dataset
from training.dataset import Dataset
from training.errors import TrainingError
from training.model import artifact
from training.progress import OnEpoch, no_epoch, progress_line
from training.settings import TrainingSettings, parser

__all__ = ["TrainingSettings", "TrainingResult", "check_folder", "gather", "main", "train"]


@dataclass(frozen=True)
class TrainingResult:
    """The written model folder; `figures` is the content of its metrics.json."""

    folder: Path
    labels: list[str]
    figures: dict[str, Any] = field(default_factory=dict)


def train(
    data: Dataset, folder: Path, settings: TrainingSettings | None = None, *, progress: OnEpoch = no_epoch
) -> TrainingResult:
    """Train on a dataset that is split into parts (`dataset.split`), and write `folder`.

    Raises
    ------
    TrainingError
        Fewer than two labels, a label with too few images, or a package that is missing.
    """
    settings = settings or TrainingSettings()
    try:
        import torch

        from training.stages.calibrate import calibrate
        from training.stages.evaluate import evaluate
        from training.stages.export import export
        from training.stages.fit import fit
    except ImportError as error:
        raise TrainingError(
            f"{error.name} is not installed: it is in the extra train, pip install '.[train]' in the checkout"
        ) from error
    started, cpu = time.perf_counter(), time.process_time()
    fitted = fit(data, settings, progress)
    calibrated = calibrate(fitted, settings)
    name = settings.name or f"{folder.resolve().name}-{time.strftime('%Y%m%d-%H%M%S')}"
    rounding = export(folder, data.labels, fitted, calibrated, name=name, seed=settings.seed)
    figures: dict[str, Any] = {
        "model": name,
        "threshold": calibrated.threshold.value,
        "familiarity_threshold": FAMILIARITY_THRESHOLD,
        "wanted_precision": settings.precision,
        "temperature": round(calibrated.temperature, 4),
        "calibration": calibrated.reason,
        "held_out": calibrated.figures,
        "eight_bit_weights": rounding,
        "training": {
            "arch": settings.arch,
            "seed": settings.seed,
            "images": len(fitted.images),
            "folds": settings.folds,
            "seconds": round(time.perf_counter() - started, 1),
            "cpu_seconds": round(time.process_time() - cpu, 1),
            "torch": torch.__version__,
        },
    }
    return TrainingResult(folder, data.labels, evaluate(folder, data, settings, figures))


def gather(
    images: Path,
    validation_images: Path | None,
    settings: TrainingSettings,
    *,
    progress: Callable[[str], Progress] = lambda _stage: no_progress,
) -> Dataset:
    """Read and split the images; those of a second folder become the validation part.

    Parameters
    ----------
    progress
        Called with the name of each stage, ``images`` and ``hashes``; returns what its progress is reported to.
    """
    data = dataset.read(images, progress=progress("images"))
    if validation_images is not None and validation_images.is_dir():
        more = dataset.read(validation_images)
        parts = [("train", data), ("validation", more)]
        labelled = [replace(p, part=part) for part, source in parts for p in source.images]
        data = Dataset(sorted({*data.labels, *more.labels}), labelled, data.rejected + more.rejected)
    for label in data.labels:
        if not is_name(label):  # such as the name of a folder that is not UTF-8: nothing could write it
            raise TrainingError(
                f"the label {printable(label)} cannot be written: rename the folder, or change the list"
            )
    return dataset.split(
        data, validation=settings.validation, test=settings.test, progress=progress("hashes")
    )


def check_folder(folder: Path, *, replace_model: bool = False) -> None:
    """Check before the training that its model folder overwrites nothing.

    Raises
    ------
    TrainingError
        The folder contains something: a model, unless `replace_model`, or files that no training wrote.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise TrainingError(f"{folder} is a file: name a folder for the model")
    # An unfinished graph is of a training that was interrupted: this one replaces it.
    found = {item.name for item in folder.iterdir()} - {model_folder.UNFINISHED_GRAPH}
    if found and model_folder.GRAPH not in found:
        raise TrainingError(
            f"{folder} contains {min(found)} and no model: name a new or an empty folder for the model"
        )
    if found and not replace_model:
        raise TrainingError(
            f"{folder} already contains a model: name another folder, or replace it with --replace"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """The script; 0 if a model was written, 1 with a sentence on stderr if not."""
    arguments = vars(parser().parse_args(argv))
    images, held, folder, again = (
        arguments.pop(name) for name in ("images", "validation_images", "model", "replace")
    )
    try:
        if images is None:
            raise TrainingError("no images: give a folder or manifest with --images")
        check_folder(Path(folder), replace_model=again)
        settings = TrainingSettings(**arguments)
        data = gather(Path(images), Path(held) if held else None, settings)
        for path, reason in data.rejected:
            print(printable(f"rejected: {path}: {reason}"), file=sys.stderr)
        print(json.dumps(data.counts()))
        result = train(
            data, Path(folder), settings, progress=lambda epoch: print(progress_line(epoch), flush=True)
        )
        if "SM_MODEL_DIR" in os.environ:
            artifact.add_code(result.folder, print)
    except TrainingError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result.figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
