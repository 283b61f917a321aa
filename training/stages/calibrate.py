"""Stage 2: from logits of held-out images, the temperature of the softmax and the confidence threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dropsort.contract.statistics import calibration_error
from training.evaluation import calibration, scores
from training.evaluation.threshold import Threshold, choose_threshold
from training.settings import TrainingSettings

if TYPE_CHECKING:
    from training.stages.fit import Fitted


@dataclass(frozen=True)
class Calibrated:
    """Temperature and threshold; `figures` are those of the held-out images in metrics.json."""

    temperature: float
    reason: str  # of the temperature, in words
    threshold: Threshold
    figures: dict[str, Any]


def calibrate(fitted: Fitted, settings: TrainingSettings) -> Calibrated:
    """Fit the temperature, then choose the lowest threshold that reaches `settings.precision`."""
    temperature, reason = calibration.calibrate(fitted.logits, fitted.truth)
    probabilities = scores.softmax(fitted.logits, temperature)
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == fitted.truth
    chance = 1 / probabilities.shape[1]
    threshold = choose_threshold(confidence, correct, settings.precision, chance)
    figures = {
        "how": f"out of fold, {settings.folds} folds" if settings.folds else "validation part",
        "images": len(fitted.truth),
        "accuracy": scores.share(int(correct.sum()), len(correct))._asdict(),
        "ece": round(calibration_error(confidence.tolist(), correct.tolist()), 4),
        "precision": round(threshold.precision, 4),
        "coverage": round(threshold.coverage, 4),
        "precision_met": threshold.met,
    }
    return Calibrated(temperature, reason, threshold, figures)
