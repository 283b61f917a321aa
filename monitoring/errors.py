"""What monitoring refuses, in one class, so that the command line can say it in one line."""

from __future__ import annotations

from dropsort.contract.errors import DropsortError


class MonitoringError(DropsortError):
    """Something a person can put right: the message names the file, what was wrong and what to do."""
