"""The exception of `training`."""

from __future__ import annotations

from dropsort.contract.errors import DropsortError


class TrainingError(DropsortError):
    """Images, models or a roll-out; the message names the file or value that was wrong, and what to do."""
