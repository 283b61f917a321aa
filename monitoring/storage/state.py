"""The state of the aggregation between runs, as objects in a store.

``state.json``, the manifest, names all others and is replaced last, in one step: a run that is killed before that has
changed nothing, and the objects it left are removed by the next one. Objects are never changed: a new version gets a new
name, and the old one is removed one run later, so that readers are not disturbed.

=================  =====================================================================
hours/             cells, volumes and least certain predictions of one hour (JSON)
ids/               digests of the event ids of one hour (sorted uint64)
ledgers/           which files of one day of the layout were read (see `Ledger`)
aggregates/        for other tools: one Parquet and one JSON file a day, under stable names
=================  =====================================================================
"""

from __future__ import annotations

import contextlib
import os
import zlib
from typing import Literal

import msgspec

from monitoring.aggregates.cells import Health
from monitoring.errors import MissingFileError, MonitoringError
from monitoring.storage.base import Store

MANIFEST = "state.json"
EXPORTS = "aggregates"
ObjectKind = Literal["hours", "ids", "ledgers"]
KINDS: tuple[ObjectKind, ...] = ("hours", "ids", "ledgers")
OBJECTS = {  # everything in a folder of aggregates
    MANIFEST,
    *KINDS,
    EXPORTS,
    ".lock",
}
SCHEMA = 1


class StoredObject(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An object that the manifest names."""

    name: str
    size: int
    checksum: int


class Manifest(msgspec.Struct):
    """Names of all objects, totals, and what a run needs to know of those before."""

    schema: int = SCHEMA
    source: str = ""
    labels: list[str] = []
    generation: int = 0
    updated: str = ""
    health: Health = msgspec.field(default_factory=Health)
    hours: dict[str, StoredObject] = {}
    ids: dict[str, StoredObject] = {}
    ledgers: dict[str, StoredObject] = {}
    folders: dict[str, int] = {}  # stamps of folders that were read completely
    unexported: list[str] = []  # days whose files under aggregates/ are out of date
    garbage: list[str] = []  # objects that the manifest before this one named


class AggregationState:
    """The stored objects and their manifest.

    Parameters
    ----------
    store
        Where they are.

    Raises
    ------
    MonitoringError
        The manifest is damaged or of another version.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.manifest, self._token, self.exists = Manifest(), "", False
        with contextlib.suppress(MissingFileError):
            data, self._token = store.read_manifest(MANIFEST)
            self.manifest, self.exists = self._decode(data), True
        self._committed = self._named()
        self._random = os.urandom(4).hex()

    def _decode(self, data: bytes) -> Manifest:
        try:
            manifest = msgspec.json.decode(data, type=Manifest)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._damaged(MANIFEST) from error
        if not manifest.source:
            raise self._damaged(MANIFEST)
        if manifest.schema != SCHEMA:
            raise MonitoringError(
                f"{self.store.name}/{MANIFEST} is of another version: aggregate into a new location."
            )
        return manifest

    def load(self, kind: ObjectKind, part: str) -> bytes:
        """Read the object of a kind for an hour or day; empty if there is none.

        Raises
        ------
        MonitoringError
            It is damaged or missing.
        """
        stored = self._objects(kind).get(part)
        if stored is None:
            return b""
        try:
            data = self.store.read(stored.name)
        except MissingFileError as error:
            raise self._damaged(stored.name) from error
        if len(data) != stored.size or zlib.crc32(data) != stored.checksum:
            raise self._damaged(stored.name)
        return data

    def save(self, kind: ObjectKind, part: str, data: bytes) -> None:
        """Write a new version of an object, which becomes part of the state with the next `commit`."""
        before = self._objects(kind).get(part)
        name = f"{kind}/{part.replace(':', '')}.{self.manifest.generation + 1}-{self._random}"
        if before is not None and before.name not in self._committed and before.name != name:
            self.store.delete(before.name)
        self.store.write(name, data)
        self._objects(kind)[part] = StoredObject(name, len(data), zlib.crc32(data))

    def commit(self, updated: str, *, keep_garbage: bool = False) -> None:
        """Make everything that was saved the state; raises StorageError if another run committed first."""
        named = self._named()
        outdated = [] if keep_garbage else self.manifest.garbage
        if not keep_garbage:
            self.manifest.garbage = sorted(self._committed - named)
        self.manifest.generation += 1
        self.manifest.updated = updated
        data = msgspec.json.encode(self.manifest)
        self._token = self.store.write_manifest(MANIFEST, data, self._token)
        self.exists = True
        self._committed = named
        for name in outdated:
            self.store.delete(name)

    def sweep(self) -> None:
        """Remove objects that killed runs have left: those up to this generation that no manifest names."""
        keep = self._named() | set(self.manifest.garbage)
        for kind in KINDS:
            for name in self.store.names(kind):
                generation = name.rpartition(".")[2].partition("-")[0]
                if name not in keep and (
                    not generation.isdigit() or int(generation) <= self.manifest.generation
                ):
                    self.store.delete(name)

    def _named(self) -> set[str]:
        return {stored.name for kind in KINDS for stored in self._objects(kind).values()}

    def _objects(self, kind: ObjectKind) -> dict[str, StoredObject]:
        objects: dict[str, StoredObject] = getattr(self.manifest, kind)
        return objects

    def _damaged(self, name: str) -> MonitoringError:
        return MonitoringError(
            f"{self.store.name}/{name} is damaged or missing: remove {self.store.name}/{MANIFEST} and aggregate again."
        )
