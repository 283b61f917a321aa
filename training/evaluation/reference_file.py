"""The reference of drift detection: a model's predictions for images that it was not trained on.

One object per image, `{"label": predicted, "confidence": 0.98, "familiarity": 0.41}`, without file names. Monitoring compares
the service's predictions with them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from dropsort.contract import written_files

if TYPE_CHECKING:
    from training.evaluation.figures import Predictions


def rows(predictions: Predictions, labels: list[str]) -> list[dict[str, str | float]]:
    """One object per image, in order; without familiarity if the model returns none."""
    found: list[dict[str, str | float]] = []
    for probabilities, familiarity in zip(predictions.probabilities, predictions.familiarity, strict=True):
        best = int(probabilities.argmax())
        row: dict[str, str | float] = {"label": labels[best], "confidence": float(probabilities[best])}
        found.append(row | {"familiarity": float(familiarity)} if predictions.has_familiarity else row)
    return found


def write(path: Path, predictions: Predictions, labels: list[str]) -> None:
    """Write the reference atomically, one image per line."""
    text = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows(predictions, labels))
    with written_files.writing(path) as output:
        output.write(f"[\n{text}\n]\n")
