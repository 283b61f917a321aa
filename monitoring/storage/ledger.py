"""Which capture files were read, in which version, and their counts: 40 bytes per file.

A ledger covers the files of one day of the layout (or all others together). A file that is recorded in the same version
is not read again; the counts of another version are subtracted from the totals first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitoring.aggregates.cells import UNKNOWN
from monitoring.aggregates.digests import digests, mix
from monitoring.storage.base import CaptureFile
from monitoring.storage.state import AggregationState

_LEDGERS_HELD = 64
COUNTS = ("size", "lines", "records", "bad_lines", "ground_truth")
_ROW = np.dtype(
    [("key", "<u8"), ("version", "<u8"), ("size", "<u8"), ("lines", "<u4"), ("records", "<u4"), ("bad_lines", "<u4"),
     ("ground_truth", "<u4")]
)  # fmt: skip


class Ledger:
    """Files that were read, sorted by a digest of their names."""

    def __init__(self, data: bytes = b"") -> None:
        self._rows = np.frombuffer(data, _ROW)
        self._new: list[np.ndarray] = []

    def unread(self, files: Sequence[CaptureFile]) -> tuple[list[CaptureFile], set[str]]:
        """Get those of `files` that were not read in this version, and the names of those read in another one.

        Files recorded since the ledger was loaded are not considered: a run lists a file once.
        """
        if not len(self._rows):
            return list(files), set()
        keys, versions = _keys(files), _versions(files)
        at = np.minimum(np.searchsorted(self._rows["key"], keys), len(self._rows) - 1)
        known = self._rows["key"][at] == keys
        read = known & (self._rows["version"][at] == versions)
        new = [file for file, done in zip(files, read.tolist(), strict=True) if not done]
        return new, {files[i].name for i in np.flatnonzero(known & ~read).tolist()}

    def new(self, files: Sequence[CaptureFile]) -> tuple[list[CaptureFile], list[CaptureFile]]:
        """Separate `files` whose names are new from the others."""
        if not len(self._rows):
            return list(files), []
        known = np.isin(_keys(files), self._rows["key"]).tolist()
        return [e for e, k in zip(files, known, strict=True) if not k], [
            e for e, k in zip(files, known, strict=True) if k
        ]

    def record(self, files: Sequence[CaptureFile], counts: np.ndarray) -> np.ndarray:
        """Record that `files` were read.

        Parameters
        ----------
        counts
            Their counts, int64 of shape (len(files), 5), as in `COUNTS`.

        Returns
        -------
        np.ndarray
            What to add to the totals: the columns of `counts` and the number of files, int64 of shape (6,).
        """
        new = np.empty(len(files), _ROW)
        new["key"], new["version"] = _keys(files), _versions(files)
        for name, column in zip(COUNTS, counts.T, strict=True):
            new[name] = column
        before = self._rows[np.isin(self._rows["key"], new["key"])]
        self._new.append(new)
        held = np.array([int(before[name].sum()) for name in COUNTS] + [len(before)])
        added: np.ndarray = np.append(counts.sum(axis=0), len(files)) - held
        return added

    def to_bytes(self) -> bytes:
        """Encode for `Ledger`."""
        self._merge()
        return self._rows.tobytes()

    def _merge(self) -> None:
        if self._new:
            new = np.concatenate(self._new)
            rows = new
            if len(self._rows):
                rows = np.concatenate((self._rows[~np.isin(self._rows["key"], new["key"])], new))
            self._rows = rows[np.argsort(rows["key"])]
            self._new = []


def partition(hour: str) -> str:
    """Name of the ledger of a file whose path names `hour` (``unknown`` if it names none)."""
    return "other" if hour == UNKNOWN else hour[:10]


def _keys(files: Sequence[CaptureFile]) -> np.ndarray:
    return digests([file.name for file in files])


def _versions(files: Sequence[CaptureFile]) -> np.ndarray:
    sizes = np.array([file.size for file in files], np.int64).view(np.uint64)
    return mix(digests([file.version for file in files]) + mix(sizes))


class Ledgers:
    """The ledgers of a state, of which a bounded number is held in memory."""

    def __init__(self, state: AggregationState) -> None:
        self._state = state
        self._held: dict[str, Ledger] = {}
        self._changed: set[str] = set()
        self.dirty = False  # whether ledgers were saved since this was reset

    def of(self, part: str) -> Ledger:
        """Get the ledger of a `partition`."""
        if part not in self._held:
            if len(self._held) >= _LEDGERS_HELD:
                self.save()
            self._held[part] = Ledger(self._state.load("ledgers", part))
        return self._held[part]

    def record(self, part: str, files: Sequence[CaptureFile], counts: np.ndarray) -> np.ndarray:
        """Record files in the ledger of a `partition`, as `Ledger.record` does."""
        added = self.of(part).record(files, counts)
        self._changed.add(part)
        return added

    def save(self) -> None:
        """Save the ledgers that changed to the state, and hold none."""
        for part in sorted(self._changed):
            self._state.save("ledgers", part, self._held[part].to_bytes())
            self.dirty = True
        self._held, self._changed = {}, set()
