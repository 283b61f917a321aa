"""Which model a service runs, and what has changed since its previous run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dropsort.contract import model_folder


class ModelVersion(NamedTuple):
    """The version of a model as its predictions have it, and a digest of its graph."""

    name: str
    digest: str


def identify(folder: Path) -> ModelVersion:
    """The version of a model folder: the name in its metrics.json, else that of the folder."""
    try:
        figures = json.loads((folder / model_folder.METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        figures = {}
    name = figures.get("model") if isinstance(figures, dict) else None
    with (folder / model_folder.GRAPH).open("rb") as graph:
        digest = hashlib.file_digest(graph, "sha256").hexdigest()[:16]
    return ModelVersion(str(name or folder.resolve().name), digest)


def changes(before: Mapping[str, object], model: ModelVersion, parameters: Mapping[str, str]) -> list[str]:
    """What differs from the previous run, one sentence each; nothing at a first run.

    Parameters
    ----------
    before
        What `record` returned at the previous run; empty at a first one.
    model, parameters
        Those of this run; parameters are the thresholds that belong to the model.
    """
    found = []
    former = before.get("model")
    if isinstance(former, list) and len(former) == 2 and former != list(model):
        if former[0] == model.name:
            found.append(
                f"The model has changed, but not its version {model.name}: results do not distinguish the two. "
                "Train with another --name."
            )
        else:
            found.append(f"The model has changed from {former[0]} to {model.name}.")
    requested = _requested(before)
    for name, value in parameters.items():
        if requested.get(name, value) != value:
            found.append(f"{name} has changed from {requested[name]} to {value}.")
    return found


def record(model: ModelVersion, parameters: Mapping[str, str]) -> dict[str, object]:
    """What the next run needs for `changes`, for a JSON file."""
    return {"model": list(model), "requested": dict(parameters)}


def to_deploy(before: Mapping[str, object], parameters: Mapping[str, str]) -> dict[str, str]:
    """Parameters without those that the previous run requested with the same values.

    They are left to the stack, where somebody may have set them otherwise since, with ``dropsort deploy -p``.
    """
    former = _requested(before)
    return {name: value for name, value in parameters.items() if former.get(name) != value}


def _requested(before: Mapping[str, object]) -> dict[str, object]:
    found = before.get("requested")
    return found if isinstance(found, dict) else {}
