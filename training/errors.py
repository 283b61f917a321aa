"""The one exception that everything in `training` raises for input that a person has to put right."""

from __future__ import annotations

from dropsort.contract.errors import DropsortError


class TrainingError(DropsortError):
    """Says which file or value was wrong, and what to do about it, in one or two sentences."""
