"""Which capture files were read, in which version, and what was in them: 40 bytes a file.

A ledger covers the files of one day of the layout (or all others together). A file that is there in the same version
is not read again; what a file of another version had added to the totals is taken back first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monitoring.aggregates.digests import digests, mix
from monitoring.storage.base import Entry

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

    def unread(self, entries: Sequence[Entry]) -> tuple[list[Entry], set[str]]:
        """Get those of `entries` that were not read in this version, and the names of those read in another one.

        What was recorded since the ledger was loaded is not looked at: a run lists a file once.
        """
        if not len(self._rows):
            return list(entries), set()
        keys, versions = _keys(entries), _versions(entries)
        at = np.minimum(np.searchsorted(self._rows["key"], keys), len(self._rows) - 1)
        known = self._rows["key"][at] == keys
        read = known & (self._rows["version"][at] == versions)
        new = [entry for entry, done in zip(entries, read.tolist(), strict=True) if not done]
        return new, {entries[i].name for i in np.flatnonzero(known & ~read).tolist()}

    def new(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
        """Tell those of `entries` whose names are new from the others."""
        if not len(self._rows):
            return list(entries), []
        known = np.isin(_keys(entries), self._rows["key"]).tolist()
        return [e for e, k in zip(entries, known, strict=True) if not k], [
            e for e, k in zip(entries, known, strict=True) if k
        ]

    def record(self, entries: Sequence[Entry], counts: np.ndarray) -> np.ndarray:
        """Note that `entries` were read.

        Parameters
        ----------
        counts
            What they hold, int64 of shape (len(entries), 5), as in `COUNTS`.

        Returns
        -------
        np.ndarray
            What to add to the totals: the columns of `counts` and the number of files, int64 of shape (6,).
        """
        new = np.empty(len(entries), _ROW)
        new["key"], new["version"] = _keys(entries), _versions(entries)
        for name, column in zip(COUNTS, counts.T, strict=True):
            new[name] = column
        before = self._rows
        if len(before):
            before = before[np.isin(before["key"], new["key"])]
        self._new.append(new)
        held = np.array([int(before[name].sum()) for name in COUNTS] + [len(before)])
        added: np.ndarray = np.append(counts.sum(axis=0), len(entries)) - held
        return added

    def to_bytes(self) -> bytes:
        """What `Ledger` reads."""
        self._merge()
        return self._rows.tobytes()

    def _merge(self) -> None:
        if self._new:
            new = np.concatenate(self._new)
            rows = new
            if len(self._rows):
                rows = np.concatenate((self._rows[~np.isin(self._rows["key"], new["key"])], new))
            self._rows = rows[np.argsort(rows["key"], kind="stable")]
            self._new = []


def partition(hour: str) -> str:
    """Name of the ledger of a file whose path tells `hour` (``unknown`` if it tells none)."""
    return hour[:10] if hour[:1].isdigit() else "other"


def _keys(entries: Sequence[Entry]) -> np.ndarray:
    return digests([entry.name for entry in entries])


def _versions(entries: Sequence[Entry]) -> np.ndarray:
    sizes = np.array([entry.size for entry in entries], np.int64).view(np.uint64)
    return mix(digests([entry.version for entry in entries]) + mix(sizes))
