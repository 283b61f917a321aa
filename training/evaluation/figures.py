"""A model's predictions for images with known labels, and the figures that follow from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dropsort.contract.defaults import MODEL_PARAMETERS
from dropsort.contract.statistics import auroc, brier, calibration_error, wilson
from training import inference
from training.dataset import LabelledImage
from training.evaluation import scores


@dataclass(frozen=True)
class Predictions:
    """A model's predictions: probabilities [N, K], familiarity [N] (1, and not `has_familiarity`, if the model has none)."""

    images: list[LabelledImage]
    probabilities: NDArray[np.float64]
    familiarity: NDArray[np.float64]
    has_familiarity: bool = True

    @classmethod
    def of(
        cls,
        model: inference.Model,
        images: Sequence[LabelledImage],
        outputs: Sequence[inference.Prediction],
    ) -> Predictions:
        """From the model's output for each image."""
        probabilities = np.array([one["probabilities"] for one in outputs], np.float64)
        return cls(
            list(images),
            probabilities.reshape(len(images), len(model.labels)),
            np.array([one.get("familiarity", 1.0) for one in outputs], np.float64),
            "familiarity" in model.outputs,
        )

    def only(self, chosen: NDArray[np.bool_]) -> Predictions:
        """Those for some of the images, flags [N]."""
        images = [image for image, wanted in zip(self.images, chosen, strict=True) if wanted]
        return replace(
            self,
            images=images,
            probabilities=self.probabilities[chosen],
            familiarity=self.familiarity[chosen],
        )

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The largest probability of each image, [N]."""
        largest: NDArray[np.float64] = self.probabilities.max(1)
        return largest

    def classified(self, threshold: float, familiarity_threshold: float) -> NDArray[np.bool_]:
        """Whether each image would be classified, [N]."""
        return (self.confidence >= threshold) & (self.familiarity >= familiarity_threshold)


@dataclass(frozen=True)
class Evaluation:
    """Predictions for a test set and the thresholds applied to them; `summary` is the JSON of its figures."""

    model: str
    labels: list[str]
    predictions: Predictions
    truth: NDArray[np.int64]
    near_duplicate: NDArray[np.bool_]  # has a near-duplicate among the training images
    threshold: float
    familiarity_threshold: float
    threshold_from: str
    near_duplicates_from: list[str] = field(default_factory=list)  # how near-duplicates were found, in words
    others: Predictions | None = None
    rejected: list[tuple[Path, str]] = field(default_factory=list)
    # Images the model was made from, left out of every figure
    overlap: list[Path] = field(default_factory=list)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the largest probability is that of the true label, [N]."""
        right: NDArray[np.bool_] = self.predictions.probabilities.argmax(1) == self.truth
        return right

    @property
    def classified(self) -> NDArray[np.bool_]:
        """Whether each image is classified, [N]."""
        return self.predictions.classified(self.threshold, self.familiarity_threshold)

    def summary(self) -> dict[str, Any]:
        """The figures as a JSON object (NaN as null)."""
        confidence, correct, classified = self.predictions.confidence, self.correct, self.classified
        sure = confidence >= self.threshold
        hits = int(correct.sum())
        rest = ~self.near_duplicate
        found: dict[str, Any] = {
            "model": self.model,
            "labels": self.labels,
            "images": len(correct),
            "overlap": len(self.overlap),
            "accuracy": hits / len(correct),
            "accuracy_interval": list(wilson(hits, len(correct))),
            "near_duplicates": int(self.near_duplicate.sum()),
            "near_duplicates_from": self.near_duplicates_from,
            "accuracy_without_near_duplicates": float(correct[rest].mean()) if rest.any() else math.nan,
            "accuracy_without_near_duplicates_interval": list(
                wilson(int(correct[rest].sum()), int(rest.sum()))
            ),
            "confusion": scores.confusion(
                self.truth, self.predictions.probabilities.argmax(1), len(self.labels)
            ),
            "ece": calibration_error(confidence.tolist(), correct.tolist()),
            "brier": brier(self.predictions.probabilities.tolist(), self.truth.tolist()),
            "log_loss": scores.log_loss(self.predictions.probabilities, self.truth),
            "auroc": auroc(confidence[correct].tolist(), confidence[~correct].tolist()),
            "threshold": self.threshold,
            "threshold_from": self.threshold_from,
            "familiarity_threshold": self.familiarity_threshold,
            "coverage": float(sure.mean()),
            "precision": float(correct[sure].mean()) if sure.any() else math.nan,
            "coverage_with_guard": float(classified.mean()),
            "precision_with_guard": float(correct[classified].mean()) if classified.any() else math.nan,
            "guard_cost": float(sure.mean() - classified.mean()),
            "bad_files": len(self.rejected),
        }
        if self.others is not None:
            passed = self.others.classified(self.threshold, self.familiarity_threshold)
            found["others"] = {
                "images": len(passed),
                "classified": int(passed.sum()),
                "classified_share": scores.share(int(passed.sum()), len(passed))._asdict(),
                "confident_share": float((self.others.confidence >= self.threshold).mean()),
                "familiarity_auroc": auroc(
                    self.predictions.familiarity.tolist(), self.others.familiarity.tolist()
                ),
            }
        # Settings, not measurements: never rounded
        exact = {name: found[name] for name in MODEL_PARAMETERS if name in found}
        return {name: _plain(value) for name, value in found.items()} | exact


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return [_plain(item) for item in value] if isinstance(value, list) else value
