"""Compares a candidate model with the current one on the same labelled images. Needs no torch.

Images that either model was made from are left out. Those that nearly equal a training image of either count in every figure,
but do not decide: a candidate is trained on more of them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dropsort.contract.defaults import PRECISION, THRESHOLD
from dropsort.contract.progress import Progress, no_progress
from dropsort.contract.statistics import (
    Interval,
    calibration_error,
    mcnemar,
    paired_difference,
    wilson,
)
from dropsort.contract.text import number_of
from training import inference
from training.dataset import Dataset, LabelledImage, fingerprints, near_duplicates
from training.errors import TrainingError
from training.evaluation.figures import Predictions
from training.evaluation.held_out import load_model
from training.evaluation.threshold import choose_threshold

MARGIN = 0.01  # of accuracy that a candidate may lose, at most, if it classifies more

ComparisonVerdict = Literal["roll out", "do not roll out", "undecided"]


@dataclass(frozen=True)
class ComparedModel:
    """One of the two models, with its predictions for the images of the comparison."""

    name: str
    labels: list[str]
    predictions: Predictions
    threshold: float
    familiarity_threshold: float
    milliseconds: float  # median of one prediction, on this machine

    @cached_property
    def predicted(self) -> list[str]:
        """The most probable label of each image."""
        return [self.labels[number] for number in self.predictions.probabilities.argmax(1)]

    @cached_property
    def classified(self) -> NDArray[np.bool_]:
        """Whether each image is classified at the model's own thresholds, [N]."""
        return self.predictions.classified(self.threshold, self.familiarity_threshold)

    def of(self, which: NDArray[np.bool_]) -> ComparedModel:
        """The same model on some of the images, flags [N]."""
        return replace(self, predictions=self.predictions.only(which))


@dataclass(frozen=True)
class Comparison:
    """Both models on the same images; `summary` is the JSON of the figures, `sentence` the advice."""

    current: ComparedModel
    candidate: ComparedModel
    truth: list[str]
    near_duplicate: NDArray[np.bool_]  # of a training image of either model, [N]
    precision: float  # the target
    overlap: list[Path] = field(default_factory=list)  # left out: one of the models was made from them
    rejected: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def sides(self) -> tuple[ComparedModel, ComparedModel]:
        """The current model and the candidate."""
        return self.current, self.candidate

    def correct(self, side: ComparedModel) -> NDArray[np.bool_]:
        """Whether each prediction of one of the models is right, [N]."""
        return np.array([a == b for a, b in zip(side.predicted, self.truth, strict=True)], bool)

    def decisive(self) -> Comparison:
        """The comparison without near-duplicates of training images; the whole if nothing would be left."""
        new = ~self.near_duplicate
        if new.all() or not new.any():
            return self
        truth = [label for label, wanted in zip(self.truth, new, strict=True) if wanted]
        return replace(
            self,
            current=self.current.of(new),
            candidate=self.candidate.of(new),
            truth=truth,
            near_duplicate=self.near_duplicate[new],
        )

    def accuracy(self) -> PairedShare:
        """How many predictions are right."""
        return PairedShare.of(*map(self.correct, self.sides))

    def coverage(self) -> PairedShare:
        """How many images are classified, at each model's own thresholds."""
        return PairedShare.of(*(side.classified for side in self.sides))

    def coverage_at_precision(self) -> PairedShare:
        """How many are classified at the threshold with which each reaches the target precision on these images."""
        return PairedShare.of(*map(self._sure, self.sides))

    def _sure(self, side: ComparedModel) -> NDArray[np.bool_]:
        chosen = choose_threshold(side.predictions.confidence, self.correct(side), self.precision)
        found: NDArray[np.bool_] = side.predictions.confidence >= chosen.value
        return found if chosen.met else np.zeros_like(found)

    def verdict(self) -> tuple[ComparisonVerdict, str]:
        """Whether to roll the candidate out, and one sentence why."""
        judged = self.decisive()
        accuracy, coverage = judged.accuracy(), judged.coverage()
        right, classified = judged.correct(judged.candidate), judged.candidate.classified
        hits, count = int(right[classified].sum()), int(classified.sum())
        reached = wilson(hits, count)
        which = f" on the {number_of(len(judged.truth), 'image')} without a near-duplicate in training"
        which = "" if judged is self else which
        gain = f"{100 * accuracy.difference:+.1f} points of accuracy ({accuracy.interval.points()}){which}"
        if count and reached.high < self.precision:
            return "do not roll out", (
                f"Do not roll out: {hits / count:.1%} of what it classifies{which} is right ({reached.shares()}), "
                f"and the target is {self.precision:.1%}."
            )
        if accuracy.interval.high < 0:
            return "do not roll out", f"Do not roll out: the candidate is worse, {gain}."
        if accuracy.interval.low > 0:
            return "roll out", f"Roll out: the candidate is better, {gain}."
        if accuracy.interval.low > -MARGIN and coverage.interval.low > 0:
            more = (
                f"it classifies {100 * coverage.difference:+.1f} points more ({coverage.interval.points()})"
            )
            return "roll out", f"Roll out: {more}, and is no less accurate, {gain}."
        needed = accuracy.needed(coverage)
        advice = (
            f"about {needed:,} more images would decide" if needed else "the two differ in too few images"
        )
        return "undecided", f"Undecided: {gain}, which may be chance; {advice}."

    def changes(self) -> list[tuple[str, str, int, int, int]]:
        """Where the predicted label changes: before, after, images, of these newly right and newly wrong; most first."""
        before, after = map(self.correct, self.sides)
        found: dict[tuple[str, str], list[int]] = {}
        for i, (a, b) in enumerate(zip(*(side.predicted for side in self.sides), strict=True)):
            if a != b:
                row = found.setdefault((a, b), [0, 0, 0])
                row[0] += 1
                row[1] += int(after[i] and not before[i])
                row[2] += int(before[i] and not after[i])
        return sorted(((a, b, *row) for (a, b), row in found.items()), key=lambda r: (-r[2], r[0], r[1]))  # type: ignore[misc]

    def summary(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        verdict, sentence = self.verdict()
        return {
            "verdict": verdict,
            "sentence": sentence,
            "images": len(self.truth),
            "labels": dict(sorted(Counter(self.truth).items())),
            "overlap": len(self.overlap),
            "near_duplicates": int(self.near_duplicate.sum()),
            "bad_files": len(self.rejected),
            "precision": self.precision,
            "current": self._of(self.current),
            "candidate": self._of(self.candidate),
            "accuracy": self.accuracy().to_json(),
            "accuracy_without_near_duplicates": self.decisive().accuracy().to_json(),
            "coverage": self.coverage().to_json(),
            "coverage_at_precision": self.coverage_at_precision().to_json(),
            "changes": [
                dict(zip(("from", "to", "images", "newly_right", "newly_wrong"), row, strict=True))
                for row in self.changes()
            ],
        }

    def _of(self, side: ComparedModel) -> dict[str, Any]:
        correct, classified = self.correct(side), side.classified
        confidence, hits, count = side.predictions.confidence, int(correct.sum()), int(classified.sum())
        right = int(correct[classified].sum())
        return {
            "model": side.name,
            "labels": side.labels,
            "accuracy": hits / len(correct),
            "accuracy_interval": list(wilson(hits, len(correct))),
            "threshold": side.threshold,
            "familiarity_threshold": side.familiarity_threshold,
            "classified": count,
            "coverage": count / len(correct),
            "precision": right / count if count else None,
            "precision_interval": list(wilson(right, count)),
            "ece": calibration_error(confidence.tolist(), correct.tolist()),
            "unfamiliar": int((side.predictions.familiarity < side.familiarity_threshold).sum()),
            "median_familiarity": (
                float(np.median(side.predictions.familiarity)) if side.predictions.has_familiarity else None
            ),
            "milliseconds": round(side.milliseconds, 3),
        }


@dataclass(frozen=True)
class PairedShare:
    """A share of the same images under both models, with the interval of their difference (candidate minus current)."""

    current: int
    candidate: int
    gained: int  # images of the candidate alone
    lost: int  # images of the current model alone
    images: int

    @classmethod
    def of(cls, current: NDArray[np.bool_], candidate: NDArray[np.bool_]) -> PairedShare:
        """From flags [N] of both models."""
        gained, lost = int((candidate & ~current).sum()), int((current & ~candidate).sum())
        return cls(int(current.sum()), int(candidate.sum()), gained, lost, len(current))

    @property
    def shares(self) -> tuple[float, float]:
        """Of the current model and of the candidate."""
        return self.current / self.images, self.candidate / self.images

    @property
    def difference(self) -> float:
        """Candidate minus current, as a share of the images."""
        return (self.candidate - self.current) / self.images

    @property
    def interval(self) -> Interval:
        """The 95 % interval of the difference."""
        return paired_difference(self.gained, self.lost, self.images)

    @property
    def p(self) -> float:
        """McNemar's exact p-value."""
        return mcnemar(self.gained, self.lost)

    def needed(self, coverage: PairedShare | None = None) -> int:
        """Further images like these after which the difference would differ from 0; 0 if it is 0.

        Parameters
        ----------
        coverage
            Of the same images: more of it decides too, once less than `MARGIN` may be lost.
        """

        def decided(images: int) -> bool:
            interval = self.expected(images)
            more = coverage is not None and coverage.expected(images).low > 0
            return interval.low > 0 or interval.high < 0 or (more and interval.low > -MARGIN)

        if not self.difference and (coverage is None or coverage.difference <= 0):
            return 0
        low, high = self.images, self.images
        while not decided(high):
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if decided(middle) else (middle, high)
        return high - self.images

    def expected(self, images: int) -> Interval:
        """The interval with so many images of the same shares."""
        times = images / self.images
        return paired_difference(self.gained * times, self.lost * times, images)

    def to_json(self) -> dict[str, Any]:
        """Plain types for JSON."""
        current, candidate = self.shares
        return {
            "current": current,
            "candidate": candidate,
            "difference": self.difference,
            "difference_interval": list(self.interval),
            "gained": self.gained,
            "lost": self.lost,
            "p": self.p,
        }


def compare(
    current: Path,
    candidate: Path,
    data: Dataset,
    *,
    precision: float | None = None,
    progress: Progress = no_progress,
) -> Comparison:
    """Compare two model folders on the test part of `data`, or on all of it if it has no parts.

    Parameters
    ----------
    precision
        Target precision; by default what the current model's threshold was chosen for.

    Raises
    ------
    TrainingError
        A model folder is unusable, the models have no label in common, a label is one of neither model, or one of the models
        was made from all of the images.
    """
    folders = (current, candidate)
    loaded = [load_model(folder) for folder in folders]
    seen = [fingerprints.read(folder) for folder in folders]
    images = data.part("test") or data.images
    _check_labels(folders, [model.labels for model, _ in loaded])
    unknown = sorted(
        {image.label for image in images} - {name for model, _ in loaded for name in model.labels}
    )
    if unknown:
        raise TrainingError(
            f"{', '.join(unknown)}: neither model has such a label; name the folders after labels"
        )
    known = seen[0].pixels | seen[1].pixels
    taken, overlap, outputs, seconds = [], [], [[], []], [[], []]  # type: ignore[var-annotated]
    for done, image in enumerate(images, 1):
        pixels = inference.decode(image.path.read_bytes())
        if fingerprints.pixel_digest(pixels) in known:
            overlap.append(image.path)
        else:
            taken.append(image)
            for i, (model, _) in enumerate(loaded):
                begin = time.perf_counter()
                outputs[i].append(model.run(pixels))
                seconds[i].append(time.perf_counter() - begin)
        progress(done, len(images))
    if not taken:
        raise TrainingError(
            f"one of the models was made from each of these {len(overlap)} images: compare on images that neither has seen"
        )
    sides = [
        _side(model, figures, taken, outputs[i], float(np.median(seconds[i])))
        for i, (model, figures) in enumerate(loaded)
    ]
    wanted = loaded[0][1].get("wanted_precision", PRECISION) if precision is None else precision
    return Comparison(
        current=sides[0],
        candidate=sides[1],
        truth=[image.label for image in taken],
        near_duplicate=_near(taken, {*seen[0].perceptual, *seen[1].perceptual}),
        precision=float(wanted),
        overlap=overlap,
        rejected=data.rejected,
    )


def _check_labels(folders: tuple[Path, Path], labels: list[list[str]]) -> None:
    """Two models without a common label predict different things: every figure of one would be 0."""
    if not set(labels[0]) & set(labels[1]):
        current, candidate = (
            f"{folder} ({', '.join(own)})" for folder, own in zip(folders, labels, strict=True)
        )
        raise TrainingError(
            f"{candidate} has no label of the current model, {current}: name the model that the candidate would replace"
            " with --model"
        )


def _side(
    model: inference.Model,
    figures: dict[str, Any],
    images: list[LabelledImage],
    outputs: Sequence[inference.Prediction],
    seconds: float,
) -> ComparedModel:
    return ComparedModel(
        name=model.name,
        labels=model.labels,
        predictions=Predictions.of(model, images, outputs),
        threshold=float(figures.get("threshold", THRESHOLD)),
        familiarity_threshold=float(figures.get("familiarity_threshold", 0.0)),
        milliseconds=1000 * seconds,
    )


def _near(images: list[LabelledImage], hashes: Collection[int]) -> NDArray[np.bool_]:
    """Whether each image nearly equals one with these perceptual hashes; without imagehash none does."""
    if not hashes or not near_duplicates.available():
        return np.zeros(len(images), bool)
    near = near_duplicates.near(images, hashes)
    return np.array([image.path in near for image in images], bool)
