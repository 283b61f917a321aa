"""The settings of a training run, as a dataclass and as arguments of the script."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from dropsort.contract.defaults import PRECISION

# Fields of `TrainingSettings` that `dropsort train` has as options of the same name; the others only the script has.
OPTIONS = (
    "arch",
    "epochs",
    "batch",
    "seed",
    "folds",
    "validation",
    "test",
    "patience",
    "mirror",
    "precision",
    "name",
    "threads",
)


EFFICIENTNET, RESNET = "efficientnet-lite0", "resnet8"  # architectures, of `training.model.network`
MODEL_FOLDER = "models/mine"  # that a training run writes by default


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """The settings of a training run; every field is an argument of the script too."""

    arch: str = EFFICIENTNET
    epochs: int = 0  # 0: what suits the architecture
    seed: int = 0
    batch: int = 32
    folds: int = 0
    validation: float = 0.1
    test: float = 0.15
    patience: int = 0
    mirror: bool = True  # False where left and right matter, as in text
    precision: float = PRECISION
    name: str = ""
    threads: int = 0
    checkpoints: Path | None = None


def parser() -> argparse.ArgumentParser:
    """The script's arguments; defaults as in `TrainingSettings`, folders from SageMaker's variables."""
    default, env = TrainingSettings(), os.environ
    options = argparse.ArgumentParser(
        prog="python -m training.train",
        description="Trains a classifier from labelled images and writes the model folder.",
    )
    options.add_argument("--images", type=Path, default=env.get("SM_CHANNEL_TRAIN"), help="labelled images")
    options.add_argument("--validation-images", type=Path, default=env.get("SM_CHANNEL_VALIDATION"))
    options.add_argument(
        "--model", type=Path, default=env.get("SM_MODEL_DIR", MODEL_FOLDER), help="folder to write"
    )
    options.add_argument("--replace", action="store_true", help="replace the model that the folder contains")
    options.add_argument("--arch", default=default.arch, help=f"{EFFICIENTNET} (default) or {RESNET}")
    options.add_argument(
        "--epochs", type=int, default=default.epochs, help="0: the default of the architecture"
    )
    options.add_argument("--seed", type=int, default=default.seed)
    options.add_argument("--batch", type=int, default=default.batch)
    options.add_argument(
        "--folds", type=int, default=default.folds, help="cross-fit instead of holding out; 0 or 2-10"
    )
    options.add_argument(
        "--validation", type=float, default=default.validation, help="share held out of train"
    )
    options.add_argument(
        "--test", type=float, default=default.test, help="share for test, if the images come unsplit"
    )
    options.add_argument(
        "--patience", type=int, default=default.patience, help="epochs without progress; 0: all epochs"
    )
    options.add_argument(
        "--no-mirror", dest="mirror", action="store_false", help="left and right matter, as in text"
    )
    options.add_argument(  # the same as a hyperparameter of a job, which has a value
        "--mirror", type=lambda text: text.lower() != "false", default=default.mirror, help="true or false"
    )
    options.add_argument(
        "--precision",
        type=float,
        default=default.precision,
        help="target precision: the threshold is chosen for it",
    )
    options.add_argument("--name", default=default.name, help="of the model, as its predictions give it")
    options.add_argument(
        "--threads", type=int, default=default.threads, help="0: one, which costs the least CPU time"
    )
    options.add_argument(
        "--checkpoints", type=Path, default=None, help="folder to save every epoch in, and resume from"
    )
    return options
