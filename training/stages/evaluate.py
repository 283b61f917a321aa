"""Stage 4: evaluate the written model on the test part; write metrics.json, card.md, fingerprints and the reference of drift."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dropsort.contract import model_folder
from dropsort.contract.reference import FILE as REFERENCE_FILE
from training.dataset import Dataset, fingerprints
from training.evaluation import held_out, reference_file
from training.evaluation.figures import Predictions
from training.model import card
from training.settings import TrainingSettings


def evaluate(
    folder: Path, data: Dataset, settings: TrainingSettings, figures: dict[str, Any]
) -> dict[str, Any]:
    """Complete the figures of the earlier stages with those of the test part, if there is one; return them.

    metrics.json is written before the evaluation, which reads the thresholds from it, and again after it.
    """
    _write_figures(folder, figures, data)
    fingerprints.write(folder, [*data.part("train"), *data.part("validation")])
    predictions = None
    if data.part("test"):
        found = held_out.evaluate(folder, data)
        figures = {**found.summary(), **figures}
        _write_figures(folder, figures, data)
        predictions = found.predictions
    elif not settings.folds:  # held out, except for the choice of threshold and temperature
        model, _ = held_out.load_model(folder)
        predictions = held_out.predict(model, data.part("validation"))
    _write_reference(folder, predictions, data.labels)
    return figures


def _write_figures(folder: Path, figures: dict[str, Any], data: Dataset) -> None:
    (folder / model_folder.METRICS).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    (folder / model_folder.CARD).write_text(card.card(figures, data), encoding="utf-8")


def _write_reference(folder: Path, predictions: Predictions | None, labels: list[str]) -> None:
    """Write the reference; without predictions delete it, as an older model's is not this one's."""
    if predictions is None:
        (folder / REFERENCE_FILE).unlink(missing_ok=True)
    else:
        reference_file.write(folder / REFERENCE_FILE, predictions, labels)
