"""The --model option, and the thresholds of a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dropsort.cli.documents import read_json
from dropsort.cli.options import existing
from dropsort.contract import model_folder
from dropsort.contract.defaults import threshold_parameters
from dropsort.contract.resources import DEFAULT_MODEL


def whole(_context: click.Context, _parameter: click.Parameter, model: Path) -> Path:
    """Check that a folder is a model folder; a callback of click."""
    missing = [name for name in model_folder.NEEDED if not (model / name).is_file()]
    if missing:
        raise click.BadParameter(f"{model} is not a model folder: it has no {' and no '.join(missing)}.")
    return model


model_option = existing(
    "--model",
    "Model folder, as written by `dropsort train`.  [default: models/bikes]",
    folder=True,
    default=DEFAULT_MODEL,
    callback=whole,
)


def figures(model: Path) -> dict[str, Any]:
    """The content of a model's metrics.json; empty if it has none."""
    path = model / model_folder.METRICS
    found = read_json(path, "train the model again") if path.is_file() else {}
    return found if isinstance(found, dict) else {}


def thresholds(model: Path) -> dict[str, str]:
    """Template parameters for the thresholds in a model's metrics.json."""
    return threshold_parameters(figures(model))
