"""Progress of a training run: one record per epoch, and its line in the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Epoch:
    """The figures of an epoch; validation figures are NaN without validation images."""

    number: int
    of: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


class EpochProgress(NamedTuple):
    """An epoch, and which training of how many it belongs to: with folds there are several."""

    training: int
    trainings: int
    epoch: Epoch


OnEpoch = Callable[[EpochProgress], None]


def no_epoch(progress: EpochProgress) -> None:
    """Ignore an epoch."""


def progress_line(progress: EpochProgress) -> str:
    """An epoch as one line of the log, from which the training job's metric definitions read their values."""
    epoch = progress.epoch
    text = (
        f"training={progress.training}/{progress.trainings} epoch={epoch.number}/{epoch.of} "
        f"train_loss={epoch.train_loss:.4f}"
    )
    if epoch.validation_loss == epoch.validation_loss:
        text += f" val_accuracy={epoch.validation_accuracy:.4f} val_loss={epoch.validation_loss:.4f}"
    return f"{text} seconds={epoch.seconds:.1f}"
