"""Makes a dataset of reviewed images: joins them with those of the current model, writes the manifest, checks the labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dropsort.contract.progress import OnStep, Progress, no_progress, no_steps
from dropsort.contract.text import printable
from training import dataset
from training.dataset import LabelledImage, checks, fingerprints, joining
from training.dataset.checks import Finding
from training.errors import TrainingError
from training.evaluation.held_out import load_model, predict
from training.inference import Model

_DIGITS = 8  # of an inference id, which decide whether it is in the random part


@dataclass(frozen=True)
class ReviewedDataset:
    """What a dataset consists of: its images with their parts, what was left out, and what to check before training."""

    reviewed: list[LabelledImage]
    earlier: list[LabelledImage]
    left_out: list[Finding]
    to_check: list[Finding]

    def parts(self) -> dict[str, dict[str, int]]:
        """Images by part and label."""
        counts = Counter((image.part, image.label) for image in (*self.reviewed, *self.earlier))
        nested: dict[str, dict[str, int]] = {}
        for (part, label), count in sorted(counts.items()):
            nested.setdefault(part, {})[label] = count
        return nested


@dataclass(frozen=True)
class CurrentModel:
    """The model that the images were classified by, and the images it was made from and tested on, as far as they are there."""

    folder: Path
    model: Model
    images: list[LabelledImage]


def read_current(
    folder: Path, images: Path | None, labels: Collection[str], serving: str, on_step: OnStep = no_steps
) -> CurrentModel:
    """Read a model folder and its images, and compare it with the labels of the reviews and with what the service runs.

    Of another model, the images that it was made from are not known: those of the training would be taken for the test.

    Parameters
    ----------
    images
        Images that the model was made from and tested on.
    labels
        Of the reviewed images.
    serving
        Version of the model that the service runs; "" if it is not known.
    on_step
        Called with a sentence if that is another one.

    Raises
    ------
    TrainingError
        The folder has no usable model, or not one of the labels is one of the model.
    """
    earlier = dataset.read(images, check=False).images if images else []
    model, _ = load_model(folder)
    given = {*labels, *(image.label for image in earlier)}
    if given and not given & set(model.labels):
        raise TrainingError(
            f"{folder} has the labels {', '.join(model.labels)}, the images have {', '.join(sorted(given))}: name the"
            " model that the images were classified by with --model."
        )
    if serving and serving != model.name:
        on_step(
            f"The service runs {printable(serving)}, and {folder} is {printable(model.name)}: name the folder of the"
            " model that the service runs with --model, or images that it was made from may become test images."
        )
    return CurrentModel(folder, model, earlier)


def random_part(
    files: Iterable[Path], share: float, reviewed: Callable[[], Collection[str]]
) -> dict[str, bool]:
    """The files at the beginning of the random order of inference ids, by name: whether all images before them are reviewed.

    Parameters
    ----------
    files
        Named by their inference ids.
    share
        Of all images, 0 to 1, that the random part has.
    reviewed
        Returns the inference ids that were reviewed without a gap; not called if there is no random part.
    """
    complete = reviewed() if share else ()
    return {
        path.name: path.stem in complete
        for path in files
        if int(path.stem[:_DIGITS], 16) < share * 16**_DIGITS
    }


def build(
    folder: Path,
    images: Sequence[LabelledImage],
    keys: Mapping[Path, str],
    current: CurrentModel,
    drawn: Mapping[str, bool],
    progress: Callable[[str], Progress] = lambda _stage: no_progress,
) -> ReviewedDataset:
    """Write the manifest of a dataset in `folder`, and find what should be checked before a training.

    Parameters
    ----------
    images
        Reviewed images below `folder`, with the labels that they were given.
    keys
        Keys of their uploads.
    drawn
        As `random_part` returns it.
    progress
        Called with the name of each stage, ``pixels`` and ``predicted``; returns what its progress is reported to.
    """
    known = fingerprints.read(current.folder)
    joined = joining.join(
        images,
        current.images,
        known=known,
        parts=joining.read_parts(folder),
        drawn=drawn,
        progress=progress("pixels"),
    )
    joining.write_manifest(folder, joined, keys)
    findings = checks.contradictions([*joined.reviewed, *joined.earlier], joined.hashes)
    findings += [finding for image in joined.reviewed if (finding := checks.legibility(image))]
    predictions = predict(current.model, joined.reviewed, progress("predicted"), known=known.pixels)
    findings += checks.label_errors(predictions.images, predictions.probabilities, current.model.labels)
    return ReviewedDataset(joined.reviewed, joined.earlier, joined.left_out, findings)
