"""What one run did, for the command line and the monitoring function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from monitoring.aggregates.counts import BadLine, Health


@dataclass(slots=True)
class RunSummary:
    """What a run did, and what the state holds now."""

    source: str
    state: str
    complete: bool = True  # False: out of time, the next run continues
    files_read: int = 0  # by this run
    bytes_read: int = 0
    seconds: float = 0.0
    health: Health = field(default_factory=Health)  # of the whole state
    failed: list[BadLine] = field(default_factory=list)  # files that could not be read; tried again next time
    hours: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values: the totals at the top level."""
        out: dict[str, Any] = msgspec.to_builtins(self.health)
        return out | {
            "source": self.source,
            "state": self.state,
            "complete": self.complete,
            "files_read": self.files_read,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
            "failed": [msgspec.to_builtins(f) for f in self.failed],
            "first_hour": self.hours[0] if self.hours else None,
            "last_hour": self.hours[-1] if self.hours else None,
        }
