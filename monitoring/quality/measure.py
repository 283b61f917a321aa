"""Quality of predictions whose true label is known: accuracy with its interval, ECE, Brier score, AUROC, confusion.

The statistics are those of `dropsort.contract.statistics`, which training uses too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dropsort.contract.statistics import Interval, auroc, binary_brier, brier, calibration_error, wilson


@dataclass(frozen=True)
class LabelledPrediction:
    """One prediction with its true label."""

    predicted: str
    confidence: float
    truth: str
    probabilities: Mapping[str, float] = field(default_factory=dict)  # of all labels, where known
    model: str = ""  # version that the output names


@dataclass(frozen=True)
class Quality:
    """Measured quality; NaN where it is not defined (AUROC without an error, everything without predictions)."""

    count: int
    correct: int
    accuracy: float
    accuracy_interval: Interval  # Wilson, 95 %
    ece: float  # expected calibration error of the predicted label's confidence
    brier: float  # of the whole vector where it is known for all, else of the predicted label alone
    brier_is_multiclass: bool
    auroc: float  # of confidence against correctness
    confusion: Mapping[str, Mapping[str, int]]  # truth to predicted to count
    unmatched: int  # ground truth without a capture
    conflicting: int  # inferences that were labelled more than once and differently; the last counts
    other_models: int  # labelled inferences of other models, which are left out

    def to_json(self) -> dict[str, object]:
        """Plain types for JSON; None for NaN."""
        numbers = {k: getattr(self, k) for k in ("accuracy", "ece", "brier", "auroc")}
        return {
            "count": self.count,
            "correct": self.correct,
            **{k: None if math.isnan(v) else v for k, v in numbers.items()},
            "accuracy_interval": list(self.accuracy_interval),
            "brier_is_multiclass": self.brier_is_multiclass,
            "confusion": {truth: dict(row) for truth, row in self.confusion.items()},
            "unmatched": self.unmatched,
            "conflicting": self.conflicting,
            "other_models": self.other_models,
        }


def measure(
    predictions: Iterable[LabelledPrediction],
    *,
    unmatched: int = 0,
    conflicting: int = 0,
    other_models: int = 0,
) -> Quality:
    """Measure predictions against their true labels.

    Parameters
    ----------
    predictions
        One per inference.
    unmatched, conflicting, other_models
        As in `Quality`.
    """
    every = list(predictions)
    count = len(every)
    right = [p.predicted == p.truth for p in every]
    confidence = [p.confidence for p in every]
    confusion: dict[str, dict[str, int]] = {}
    for p in every:
        row = confusion.setdefault(p.truth, {})
        row[p.predicted] = row.get(p.predicted, 0) + 1
    multiclass = count > 0 and all(p.probabilities for p in every)
    return Quality(
        count=count,
        correct=sum(right),
        accuracy=sum(right) / count if count else math.nan,
        accuracy_interval=wilson(sum(right), count),
        ece=calibration_error(confidence, right),
        brier=(
            brier([list(p.probabilities.values()) for p in every], map(_class_number, every))
            if multiclass
            else binary_brier(confidence, right)
        ),
        brier_is_multiclass=multiclass,
        auroc=auroc(
            [c for c, hit in zip(confidence, right, strict=True) if hit],
            [c for c, hit in zip(confidence, right, strict=True) if not hit],
        ),
        confusion={truth: dict(sorted(row.items())) for truth, row in sorted(confusion.items())},
        unmatched=unmatched,
        conflicting=conflicting,
        other_models=other_models,
    )


def _class_number(prediction: LabelledPrediction) -> int | None:
    """Position of the true label among the probabilities; None if the model does not know it."""
    labels = list(prediction.probabilities)
    return labels.index(prediction.truth) if prediction.truth in prediction.probabilities else None
