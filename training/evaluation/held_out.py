"""Evaluates a model folder on labelled images that it was not trained on. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dropsort.contract import model_folder
from dropsort.contract.defaults import PRECISION, THRESHOLD
from dropsort.contract.progress import Progress, no_progress
from training import dataset, inference
from training.dataset import Dataset, LabelledImage, fingerprints, near_duplicates
from training.errors import TrainingError
from training.evaluation.figures import Evaluation, Predictions
from training.evaluation.threshold import choose_threshold

SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".avif"}


class _Threshold(NamedTuple):
    """A confidence threshold, and in words where it comes from."""

    value: float
    origin: str


def load_model(folder: Path) -> tuple[inference.Model, dict[str, Any]]:
    """A model and the content of its metrics.json (empty if there is none).

    Raises
    ------
    TrainingError
        The folder has no usable model; the message says what is wrong with which file.
    """
    try:
        model = inference.load(folder)
        path = Path(folder) / model_folder.METRICS
        return model, json.loads(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise TrainingError(str(error)) from None


def predict(
    model: inference.Model,
    images: Sequence[LabelledImage],
    progress: Progress = no_progress,
    *,
    known: frozenset[str] = frozenset(),
) -> Predictions:
    """The model's predictions for images that can all be read, without those whose pixel digest is in `known`."""
    predicted, outputs = [], []
    for done, image in enumerate(images, 1):
        pixels = inference.decode(image.path.read_bytes())
        if not known or fingerprints.pixel_digest(pixels) not in known:
            predicted.append(image)
            outputs.append(model.run(pixels))
        progress(done, len(images))
    return Predictions.of(model, predicted, outputs)


def evaluate(
    model_folder: Path,
    data: Dataset,
    *,
    threshold: float | None = None,
    precision: float | None = None,
    choose_on: Dataset | None = None,
    others: Sequence[LabelledImage] = (),
    progress: Progress = no_progress,
) -> Evaluation:
    """Evaluate on the test part of `data`, or on all of it if it has no parts.

    Images that the model was trained on, or its threshold chosen on, are left out of every figure and named in the result.

    Parameters
    ----------
    threshold
        Confidence from which an image counts as classified, 0 to 1; None takes it from `choose_on` (for `precision`, by
        default 0.99) or the model's metrics.json.
    choose_on
        Held-out images that are neither in training nor in `data`.
    others
        Images of none of the classes.

    Raises
    ------
    TrainingError
        The model folder is unusable, a label is not one of the model's, `precision` is given without `choose_on`, or the
        model was made from all of the images.
    """
    model, figures = load_model(model_folder)
    known = fingerprints.read(model_folder)
    test = data.part("test") or data.images
    _check_labels(test, model)
    chosen = _threshold(model, figures, threshold, precision, choose_on)
    before, total = len(test), len(test) + len(others)
    predictions = predict(model, test, lambda done, _: progress(done, total), known=known.pixels)
    unseen = {image.path for image in predictions.images}
    overlap = [image.path for image in test if image.path not in unseen]
    test = predictions.images
    if not test:
        raise TrainingError(
            f"the model was made from all of these {len(overlap)} images: figures on them say nothing about new ones; "
            "evaluate on images that it has not seen"
        )
    other = predict(model, others, lambda done, _: progress(before + done, total)) if others else None
    near, found_by = _near_duplicates(test, [*data.part("train"), *data.part("validation")], known)
    return Evaluation(
        model=model.name,
        labels=model.labels,
        predictions=predictions,
        truth=np.array([model.labels.index(image.label) for image in test], np.int64),
        near_duplicate=near,
        threshold=chosen.value,
        familiarity_threshold=float(figures.get("familiarity_threshold", 0.0)),
        threshold_from=chosen.origin,
        near_duplicates_from=found_by,
        others=other,
        rejected=data.rejected,
        overlap=overlap,
    )


def _check_labels(images: Sequence[LabelledImage], model: inference.Model) -> None:
    """Check that the model knows every label.

    Raises
    ------
    TrainingError
        It does not.
    """
    unknown = sorted({image.label for image in images} - set(model.labels))
    if unknown:
        raise TrainingError(
            f"{', '.join(unknown)} {'is not a label' if len(unknown) == 1 else 'are not labels'} of this model "
            f"({', '.join(model.labels)}): name the folders after its labels; give images of anything else with --others"
        )


def _near_duplicates(
    test: Sequence[LabelledImage], train: Sequence[LabelledImage], known: fingerprints.Fingerprints
) -> tuple[NDArray[np.bool_], list[str]]:
    """Whether each image has a near-duplicate among those of the training, [N], and how they were found."""
    names = near_duplicates.published(test[0].path.parent)
    found_by = ["published list"] if names else []
    near: set[Path] = set()
    if train and near_duplicates.available():
        near = near_duplicates.near_images(test, train)
        found_by.append("perceptual hash and pixels")
    # Of images that are not here, only hashes are known.
    if near_duplicates.available():
        hashes = set(known.perceptual) - {near_duplicates.perceptual_hash(image.path) for image in train}
        if hashes:
            near |= near_duplicates.near(test, hashes)
            found_by.append("perceptual hash alone")
    return np.array([image.path in near or image.path.name in names for image in test]), found_by


def _threshold(
    model: inference.Model,
    figures: dict[str, Any],
    given: float | None,
    precision: float | None,
    choose_on: Dataset | None,
) -> _Threshold:
    """The threshold that is given, chosen on held-out images, or the model's own; in this order."""
    if given is not None:
        return _Threshold(given, "given")
    if choose_on is not None:
        wanted = figures.get("wanted_precision", PRECISION) if precision is None else precision
        held_out = predict(model, choose_on.images)
        truth = np.array([model.labels.index(image.label) for image in choose_on.images])
        correct = held_out.probabilities.argmax(1) == truth
        chosen = choose_threshold(held_out.confidence, correct, wanted, 1 / len(model.labels))
        return _Threshold(chosen.value, f"chosen for precision {wanted} on {len(truth)} held-out images")
    if precision is not None and precision != figures.get("wanted_precision"):
        raise TrainingError(
            "another precision needs held-out images to choose the threshold on: --choose-on FOLDER"
        )
    if "threshold" in figures:
        return _Threshold(float(figures["threshold"]), "the model's metrics.json")
    return _Threshold(THRESHOLD, "default")


def evaluate_path(
    model_folder: Path,
    images: Path,
    *,
    others: Path | None = None,
    choose_on: Path | None = None,
    threshold: float | None = None,
    precision: float | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """`evaluate` for folders: near-duplicates come from a `train` folder next to `images` and from published lists.

    Without imagehash only from the lists.
    """
    data = dataset.read(images)
    train = images.parent / "train"
    if images.is_dir() and images.name == "test" and train.is_dir() and near_duplicates.available():
        more = dataset.read(train, check=False).images
        parts = [(image, "test") for image in data.images] + [(image, "train") for image in more]
        data = Dataset(
            data.labels,
            [LabelledImage(image.path, image.label, part) for image, part in parts],
            data.rejected,
        )
    return evaluate(
        model_folder,
        data,
        threshold=threshold,
        precision=precision,
        choose_on=dataset.read(choose_on) if choose_on else None,
        others=unlabelled(others) if others else (),
        progress=progress,
    )


def unlabelled(folder: Path) -> list[LabelledImage]:
    """The readable images below a folder, with an empty label; TrainingError if there is none."""
    paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    found = []
    for path in paths:
        try:
            inference.decode(path.read_bytes())
        except inference.InferenceError:
            continue
        found.append(LabelledImage(path, ""))
    if not found:
        raise TrainingError(f"{folder} contains no readable image")
    return found
