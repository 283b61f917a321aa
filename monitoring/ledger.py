"""Which capture files were read, in which version, and what was in them: 40 bytes a file.

A ledger covers the files of one day of the layout (or all others together). A file that is there in the same version
is not read again; what a file of another version had added to the totals is taken back first.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from monitoring.stores import Entry

COUNTS = ("size", "lines", "records", "bad_lines", "ground_truth")
_MERGE = 20_000  # new files that are held as Python objects at most
_ROW = np.dtype(
    [("key", "<u8"), ("version", "<u8"), ("size", "<u8"), ("lines", "<u4"), ("records", "<u4"), ("bad_lines", "<u4"),
     ("ground_truth", "<u4")]
)  # fmt: skip


class Ledger:
    """Files that were read, sorted by a digest of their names."""

    def __init__(self, data: bytes = b"") -> None:
        self._rows = np.frombuffer(data, _ROW).copy()
        self._new: dict[int, tuple[int, ...]] = {}

    def unread(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those of `entries` that were not read, or not in this version."""
        if not len(self._rows) and not self._new:
            return list(entries)
        keys = np.array([_digest(e.name) for e in entries], np.uint64)
        at = np.minimum(np.searchsorted(self._rows["key"], keys), max(0, len(self._rows) - 1))
        known = self._rows[at] if len(self._rows) else np.zeros(len(entries), _ROW)
        out = []
        for entry, row, key in zip(entries, known, keys.tolist(), strict=True):
            new = self._new.get(key)
            read = new[0] if new else int(row["version"]) if int(row["key"]) == key else None
            if read != _version(entry):
                out.append(entry)
        return out

    def __contains__(self, name: str) -> bool:
        """True for a file that was read in whatever version."""
        return self._counts(_digest(name)) is not None

    def record(self, entry: Entry, counts: Sequence[int]) -> dict[str, int]:
        """Note that `entry` was read and held `counts` (as in `COUNTS`); returns what to add to the totals."""
        key = _digest(entry.name)
        before = self._counts(key)
        self._new[key] = (_version(entry), *counts)
        if len(self._new) >= _MERGE:
            self._merge()
        old = before or (0,) * len(COUNTS)
        return {name: new - was for name, new, was in zip(COUNTS, counts, old, strict=True)} | {
            "files": not before
        }

    def to_bytes(self) -> bytes:
        """What `Ledger` reads."""
        self._merge()
        return self._rows.tobytes()

    def _counts(self, key: int) -> tuple[int, ...] | None:
        if key in self._new:
            return self._new[key][1:]
        at = int(np.searchsorted(self._rows["key"], np.uint64(key)))
        if at < len(self._rows) and int(self._rows["key"][at]) == key:
            return tuple(int(self._rows[name][at]) for name in COUNTS)
        return None

    def _merge(self) -> None:
        if self._new:
            new = np.array([(key, *row) for key, row in self._new.items()], _ROW)
            old = self._rows[~np.isin(self._rows["key"], new["key"])]
            self._rows = np.concatenate((old, new))
            self._rows.sort(order="key")
            self._new = {}


def partition(hour: str) -> str:
    """Name of the ledger of a file whose path tells `hour` (``unknown`` if it tells none)."""
    return hour[:10] if hour[:1].isdigit() else "other"


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")


def _version(entry: Entry) -> int:
    return _digest(f"{entry.size} {entry.version}")
