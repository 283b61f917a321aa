"""What a monitor remembers between runs, as objects in a store.

``state.json``, the manifest, names all others and is replaced last, in one step: a run that is killed before that has
changed nothing, and what it left lying about is removed by the next one. Objects are never changed: a new version gets
a new name, and the old one goes a run later, so that whoever is reading is not disturbed.

=================  =====================================================================
hours/             cells, volumes and least certain predictions of one hour (JSON)
ids/               digests of the event ids of one hour (sorted uint64)
ledgers/           which files of one day of the layout were read (see `Ledger`)
aggregates/        for others to read: one Parquet and one JSON file a day, under stable names
=================  =====================================================================
"""

from __future__ import annotations

import os
import zlib
from typing import Any

import msgspec

from monitoring.aggregates.cells import Health
from monitoring.errors import MonitoringError
from monitoring.storage.base import Store

MANIFEST = "state.json"
EXPORTS = "aggregates"
OBJECTS = {  # all that is found in a folder of aggregates
    MANIFEST,
    "hours",
    "ids",
    "ledgers",
    EXPORTS,
    ".lock",
}
SCHEMA = 1


class Stored(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An object that the manifest names."""

    name: str
    size: int
    checksum: int


class Manifest(msgspec.Struct):
    """The state of a monitor."""

    schema: int = SCHEMA
    source: str = ""
    labels: list[str] = []
    generation: int = 0
    updated: str = ""
    health: Health = msgspec.field(default_factory=Health)
    hours: dict[str, Stored] = {}
    ids: dict[str, Stored] = {}
    ledgers: dict[str, Stored] = {}
    folders: dict[str, int] = {}  # stamps of folders that were read whole
    unexported: list[str] = []  # days whose files under aggregates/ are out of date
    garbage: list[str] = []  # objects that the manifest before this one named


class State:
    """The objects of a monitor and their manifest.

    Parameters
    ----------
    store
        Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        data, self._token = store.get_manifest(MANIFEST)
        self.manifest = Manifest()
        if data is not None:
            try:
                self.manifest = msgspec.json.decode(data, type=Manifest)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise self._damaged(MANIFEST) from error
            if not self.manifest.source:
                raise self._damaged(MANIFEST)
            if self.manifest.schema != SCHEMA:
                raise MonitoringError(
                    f"{store.name}/{MANIFEST} is of another version: aggregate into a new place."
                )
        self.exists = data is not None
        self._committed = self._named()
        self._random = os.urandom(4).hex()

    def load(self, kind: str, part: str) -> bytes | None:
        """Get the object of `kind` (hours, ids or ledgers) for an hour or day; None if there is none."""
        stored: Stored | None = getattr(self.manifest, kind).get(part)
        if stored is None:
            return None
        data = self.store.get(stored.name)
        if data is None or len(data) != stored.size or zlib.crc32(data) != stored.checksum:
            raise self._damaged(stored.name)
        return data

    def save(self, kind: str, part: str, data: bytes) -> None:
        """Write a new version of an object; it counts from the next `commit` on."""
        before: Stored | None = getattr(self.manifest, kind).get(part)
        name = f"{kind}/{part.replace(':', '')}.{self.manifest.generation + 1}-{self._random}"
        if before is not None and before.name not in self._committed and before.name != name:
            self.store.delete(before.name)
        self.store.put(name, data)
        getattr(self.manifest, kind)[part] = Stored(name, len(data), zlib.crc32(data))

    def commit(self, updated: str, *, keep_garbage: bool = False) -> None:
        """Make everything that was saved the state, or raise if another run has been faster."""
        named = self._named()
        outdated = [] if keep_garbage else self.manifest.garbage
        if not keep_garbage:
            self.manifest.garbage = sorted(self._committed - named)
        self.manifest.generation += 1
        self.manifest.updated = updated
        data = msgspec.json.encode(self.manifest)
        self._token = self.store.put_manifest(MANIFEST, data, self._token)
        self.exists = True
        self._committed = named
        for name in outdated:
            self.store.delete(name)

    def sweep(self) -> None:
        """Remove what killed runs have left: objects of this generation and before that nothing names."""
        keep = self._named() | set(self.manifest.garbage)
        for kind in ("hours", "ids", "ledgers"):
            for name in self.store.names(kind):
                generation = name.rpartition(".")[2].partition("-")[0]
                if name not in keep and (
                    not generation.isdigit() or int(generation) <= self.manifest.generation
                ):
                    self.store.delete(name)

    def _named(self) -> set[str]:
        kinds: Any = (self.manifest.hours, self.manifest.ids, self.manifest.ledgers)
        return {stored.name for kind in kinds for stored in kind.values()}

    def _damaged(self, name: str) -> MonitoringError:
        return MonitoringError(
            f"{self.store.name}/{name} is damaged or missing: remove {self.store.name}/{MANIFEST} and aggregate again."
        )
