"""What an evaluation found: a model's answers to pictures with known labels, and the figures that follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.dataset import Picture
from training.measures import metrics


@dataclass(frozen=True)
class Answers:
    """A model's answers to pictures: probabilities [N, K], familiarity [N] (1, and not `judged`, where the model has none)."""

    pictures: list[Picture]
    probabilities: NDArray[np.float64]
    familiarity: NDArray[np.float64]
    judged: bool = True

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The largest probability of each picture, [N]."""
        largest: NDArray[np.float64] = self.probabilities.max(1)
        return largest

    def classified(self, threshold: float, familiarity_threshold: float) -> NDArray[np.bool_]:
        """Whether each picture would be filed as classified, [N]."""
        return (self.confidence >= threshold) & (self.familiarity >= familiarity_threshold)


@dataclass(frozen=True)
class Evaluation:
    """Everything that was found; `summary` is its JSON, `dropsort.pages.evaluation` its page."""

    model: str
    labels: list[str]
    answers: Answers
    truth: NDArray[np.int64]
    twin: NDArray[np.bool_]  # has a near-duplicate among the training pictures
    threshold: float
    familiarity_threshold: float
    threshold_from: str
    twins_from: list[str] = field(default_factory=list)  # how near-duplicates were found
    others: Answers | None = None
    bad: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the largest probability is that of the true label, [N]."""
        right: NDArray[np.bool_] = self.answers.probabilities.argmax(1) == self.truth
        return right

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Whether each picture is filed as classified, [N]."""
        return self.answers.classified(self.threshold, self.familiarity_threshold)

    def summary(self) -> dict[str, Any]:
        """The figures as a dict that JSON can hold (NaN as null)."""
        confidence, correct, kept = self.answers.confidence, self.correct, self.kept
        sure = confidence >= self.threshold
        hits = int(correct.sum())
        rest = ~self.twin
        found: dict[str, Any] = {
            "model": self.model,
            "labels": self.labels,
            "images": len(correct),
            "accuracy": hits / len(correct),
            "accuracy_interval": list(metrics.wilson(hits, len(correct))[1:3]),
            "near_duplicates": int(self.twin.sum()),
            "near_duplicates_from": self.twins_from,
            "accuracy_without_near_duplicates": float(correct[rest].mean()) if rest.any() else math.nan,
            "accuracy_without_near_duplicates_interval": list(
                metrics.wilson(int(correct[rest].sum()), int(rest.sum()))[1:3]
            ),
            "confusion": metrics.confusion(
                self.truth, self.answers.probabilities.argmax(1), len(self.labels)
            ),
            "ece": metrics.ece(confidence, correct),
            "brier": metrics.brier(self.answers.probabilities, self.truth),
            "log_loss": metrics.log_loss(self.answers.probabilities, self.truth),
            "auroc": metrics.auroc(confidence[correct], confidence[~correct]),
            "threshold": self.threshold,
            "threshold_from": self.threshold_from,
            "familiarity_threshold": self.familiarity_threshold,
            "coverage": float(sure.mean()),
            "precision": float(correct[sure].mean()) if sure.any() else math.nan,
            "coverage_with_guard": float(kept.mean()),
            "precision_with_guard": float(correct[kept].mean()) if kept.any() else math.nan,
            "guard_cost": float(sure.mean() - kept.mean()),
            "bad_files": len(self.bad),
        }
        if self.others is not None:
            passed = self.others.classified(self.threshold, self.familiarity_threshold)
            found["others"] = {
                "images": len(passed),
                "classified": int(passed.sum()),
                "classified_share": metrics.wilson(int(passed.sum()), len(passed))._asdict(),
                "confident_share": float((self.others.confidence >= self.threshold).mean()),
                "familiarity_auroc": metrics.auroc(self.answers.familiarity, self.others.familiarity),
            }
        return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return [_plain(item) for item in value] if isinstance(value, list) else value
