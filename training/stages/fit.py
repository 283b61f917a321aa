"""Stage 1: train the network, and collect its logits for images that it was not trained on.

Without folds these are the validation part. With folds, the model trains on all images, and further models, trained alike on
the other folds, give the logits of each fold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training import dataset
from training.dataset import Dataset, LabelledImage
from training.dataset.images import ClassNumbers, Pixels
from training.errors import TrainingError
from training.model.classifier import Classifier, train_classifier
from training.model.network import architecture
from training.progress import Epoch, EpochProgress, OnEpoch
from training.settings import TrainingSettings
from training.stages.out_of_fold import out_of_fold


@dataclass(frozen=True)
class Fitted:
    """A trained classifier, the images that it was trained on, and its logits for held-out images.

    Parameters
    ----------
    images
        Pixels of the training images, uint8 [N, side, side, 3].
    groups
        Group of each training image, [N]: near-duplicates have the same number.
    logits, truth
        Of the held-out images: [M, K] and class numbers [M].
    """

    classifier: Classifier
    images: Pixels
    groups: NDArray[np.int64]
    logits: NDArray[np.float32]
    truth: ClassNumbers


def fit(data: Dataset, settings: TrainingSettings, progress: OnEpoch) -> Fitted:
    """Train on the train part; with folds on the validation part, too.

    Raises
    ------
    TrainingError
        The architecture is unknown, there are fewer than two labels, or a label has too few images.
    """
    side = architecture(settings.arch).side
    torch.set_num_threads(settings.threads or 1)
    held_out = data.part("validation")
    training = data.part("train") + (held_out if settings.folds else [])
    _check(data, training, held_out, settings)
    images, truth = dataset.load(training, side), data.numbers(training)
    groups = np.array([p.group if p.group >= 0 else -2 - i for i, p in enumerate(training)], np.int64)
    options: dict[str, Any] = {
        "seed": settings.seed,
        "epochs": settings.epochs or None,
        "batch": settings.batch,
        "patience": settings.patience,
        "mirror": settings.mirror,
    }
    trainings = 1 + settings.folds

    def report(number: int) -> Callable[[Epoch], None]:
        return lambda epoch: progress(EpochProgress(number, trainings, epoch))

    def train(
        number: int,
        part: Pixels,
        labels: ClassNumbers,
        validation: tuple[Pixels, ClassNumbers] | None = None,
        **more: Any,
    ) -> Classifier:
        return train_classifier(
            settings.arch,
            len(data.labels),
            part,
            labels,
            validation,
            progress=report(number),
            **options,
            **more,
        )

    if settings.folds:
        logits = out_of_fold(images, truth, groups, count=settings.folds, seed=settings.seed, train=train)
        classifier = train(trainings, images, truth, checkpoints=settings.checkpoints)
        return Fitted(classifier, images, groups, logits, truth)
    validation = dataset.load(held_out, side), data.numbers(held_out)
    classifier = train(trainings, images, truth, validation, checkpoints=settings.checkpoints)
    return Fitted(classifier, images, groups, classifier.logits(validation[0]), validation[1])


def _check(
    data: Dataset, training: list[LabelledImage], held_out: list[LabelledImage], settings: TrainingSettings
) -> None:
    if len(data.labels) < 2:
        raise TrainingError(
            f"only one label, {data.labels[0]!r}: a classifier needs two or more folders of images"
        )
    for label in data.labels:
        count = sum(image.label == label for image in training)
        if count < 10:
            raise TrainingError(
                f"label {label!r} has {count} images to train on: at least 10 are needed, better 100"
            )
    if settings.folds == 1 or settings.folds < 0:
        raise TrainingError(f"{settings.folds} folds leave nothing to train on: 0, or 2 to 10")
    if not held_out and not settings.folds:
        raise TrainingError(
            "there are no validation images to choose the threshold on: hold some out (--validation 0.1), "
            "or cross-fit (--folds 5)"
        )
