"""Reads a reference, with which drift compares captures: that of a model, or one made of the first captures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monitoring.aggregates.histograms import BINS, FAMILIARITY_BINS
from monitoring.drift.sample import REFERENCE_SCHEMA, Moments, Sample
from monitoring.errors import MonitoringError


class Reference(NamedTuple):
    """Counts, for a reference made of captures the hour after them ("" for others), and the model if it is named.

    A reference that names its model is compared with the captures of that model only.
    """

    sample: Sample
    until: str = ""
    model: str | None = None

    def of(self, model: str | None) -> bool:
        """Whether it can be compared with the captures of a model."""
        return self.model is None or self.model == model


def read_reference(path: Path) -> Sample:
    """Read a reference from JSON: `Sample.to_json`, or a list of {"label", "confidence"[, "familiarity"]}.

    The list holds an evaluation's predictions, one object per image.

    Raises
    ------
    MonitoringError
        If the file cannot be read or is neither.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise MonitoringError(f"{path}: cannot read this reference ({why}). Give a JSON file.") from error
    return parse_reference(found, str(path)).sample


def parse_reference(found: object, name: str) -> Reference:
    """Get a reference from decoded JSON, as in `read_reference`, or ``{"model": ..., "predictions": [...]}`` around such a list.

    Parameters
    ----------
    found
        The decoded JSON.
    name
        Address of the file, for messages.

    Raises
    ------
    MonitoringError
        It is not a reference.
    """
    try:
        if not isinstance(found, dict):
            return Reference(_sample_from(found))
        model = None if found.get("model") is None else str(found["model"])
        return Reference(_sample_from(found.get("predictions", found)), str(found.get("until", "")), model)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise MonitoringError(
            f"{name}: not a reference ({error!r}). Give the reference.json of a model folder, what `dropsort evaluate"
            ' --reference` wrote, or a list of {"label": ..., "confidence": ...}, one per image.'
        ) from error


def _sample_from(found: object) -> Sample:
    """Get a sample from decoded JSON; KeyError, TypeError or ValueError if it is none."""
    if isinstance(found, list):
        if not all(isinstance(row, dict) for row in found):
            raise ValueError("the list holds something other than objects")
        familiar = [float(row["familiarity"]) for row in found if row.get("familiarity") is not None]
        return Sample.of(
            (str(row["label"]) for row in found),
            [float(row["confidence"]) for row in found],
            familiar or None,
        )
    if not isinstance(found, dict) or found.get("schema") != REFERENCE_SCHEMA:
        raise ValueError(f"neither a list nor of schema {REFERENCE_SCHEMA!r}")
    confidence = np.asarray(found["confidence"], np.int64)
    familiarity = None if found.get("familiarity") is None else np.asarray(found["familiarity"], np.int64)
    if confidence.shape != (BINS,) or (confidence < 0).any():
        raise ValueError(f"confidence must be {BINS} counts")
    if familiarity is not None and (familiarity.shape != (FAMILIARITY_BINS,) or (familiarity < 0).any()):
        raise ValueError(f"familiarity must be {FAMILIARITY_BINS} counts")
    labels = {str(label): int(count) for label, count in dict(found["labels"]).items()}
    if any(count < 0 for count in labels.values()):
        raise ValueError("labels must have counts")
    if sum(labels.values()) != sum(confidence.tolist()):
        raise ValueError("the labels' counts and the confidences' do not add up to the same number")
    images = {
        str(k): Moments(int(n), float(s), float(q)) for k, (n, s, q) in dict(found.get("images", {})).items()
    }
    if not all(
        0 <= one.count < 2**63 and math.isfinite(one.total) and math.isfinite(one.squares)
        for one in images.values()
    ):
        raise ValueError("images must have a count and two sums each")
    return Sample(labels, confidence, familiarity, images)
