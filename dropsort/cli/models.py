"""Model folders as commands use them: the default one, and the thresholds that were chosen for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dropsort.cli.documents import read_json
from dropsort.cli.options import existing
from dropsort.contract.defaults import threshold_parameters
from dropsort.contract.resources import DEFAULT_MODEL


def _whole(_context: click.Context, _parameter: click.Parameter, model: Path) -> Path:
    missing = [name for name in ("model.onnx", "labels.json") if not (model / name).is_file()]
    if missing:
        raise click.BadParameter(f"{model} is no model folder: it has no {' and no '.join(missing)}.")
    return model


model_option = existing(
    "--model",
    "Model folder, as `dropsort train` writes it.  [default: models/bikes]",
    folder=True,
    default=DEFAULT_MODEL,
    callback=_whole,
)


def figures(model: Path) -> dict[str, Any]:
    """What a model's metrics.json says; nothing if it has none."""
    path = model / "metrics.json"
    found = read_json(path, "train the model again") if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def thresholds(model: Path) -> dict[str, str]:
    """Template parameters with the thresholds of a model's metrics.json; those that it does not have stay as they are."""
    return threshold_parameters(figures(model))
