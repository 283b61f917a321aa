"""The outcome of every image: of one with a prediction by the thresholds, of a rejected one failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dropsort.contract import keys
from dropsort.contract.predictions import Prediction
from handlers.rejections import Rejection


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of an image, and why.

    ``label``, ``confidence`` and ``threshold`` are None for a failed image, ``rejection`` for a classified one.
    """

    outcome: str
    label: str | None
    confidence: float | None
    threshold: float | None
    rejection: Rejection | None


def failed(rejection: Rejection) -> Decision:
    """The decision on an image that got no prediction to decide by."""
    return Decision(keys.FAILED, None, None, None, rejection)


def decide(
    prediction: Prediction,
    *,
    threshold: float,
    label_thresholds: Mapping[str, float] | None = None,
    familiarity_threshold: float = 0.0,
) -> Decision:
    """Accept a prediction or not; with several labels of the largest probability there is nothing to decide by, and it is failed.

    Parameters
    ----------
    threshold
        Minimum confidence, the probability of the label, for the outcome classified.
    label_thresholds
        Thresholds of single labels, in place of ``threshold``.
    familiarity_threshold
        Minimum familiarity for the outcome classified; not checked if the model returns none.
    """
    confidence = max(prediction.probabilities)
    if prediction.choice is not None:
        index = prediction.choice
        confidence = prediction.probabilities[index]
    elif prediction.probabilities.count(confidence) > 1:
        tied = [
            name
            for name, value in zip(prediction.labels, prediction.probabilities, strict=True)
            if value == confidence
        ]
        return failed(Rejection("tied_prediction", f"{', '.join(tied)}: {confidence:g} each."))
    else:
        index = prediction.probabilities.index(confidence)
    label = prediction.labels[index]
    needed = (label_thresholds or {}).get(label, threshold)
    rejection = None
    if prediction.familiarity is not None and prediction.familiarity < familiarity_threshold:
        rejection = Rejection(
            "unfamiliar", f"Familiarity {prediction.familiarity:.4f} < {familiarity_threshold:g}."
        )
    elif confidence < needed:
        rejection = Rejection("below_threshold", f"{confidence:.4f} < {needed:g}.")
    outcome = keys.CLASSIFIED if rejection is None else keys.LOW_CONFIDENCE
    return Decision(outcome, label, confidence, needed, rejection)
