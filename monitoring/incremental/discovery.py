"""Finds the capture files that are new or changed since the last run, folder by folder.

An hour folder that was read completely is not listed again while its modification time (its stamp) stays the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from monitoring.aggregates.cells import BadLine
from monitoring.incremental.summary import RunSummary
from monitoring.ingest.outputs import clean
from monitoring.ingest.schema import series_of_path
from monitoring.storage.base import CaptureFile, Folder, Store
from monitoring.storage.ledger import Ledgers, partition
from monitoring.storage.state import AggregationState


class Discovery:
    """Compares the listing of a source with the ledgers of a state."""

    def __init__(self, source: Store, state: AggregationState, ledgers: Ledgers, summary: RunSummary) -> None:
        self._source, self._state, self._ledgers, self._summary = source, state, ledgers, summary
        # By folder: its stamp, and files that are still unread
        self._unread: dict[str, tuple[int, set[str]]] = {}
        self.dirty = False  # whether the manifest's folders changed since this was reset

    def new_files(self, since: str) -> Iterator[CaptureFile]:
        """List files that are new or changed; with `since` (``2026/11/21/09``) only hour folders from then on."""
        for folder in self._source.folders(self._state.manifest.folders, since, sizes=False):
            if folder.failed:
                self._summary.failed.append(BadLine(clean(folder.name) or ".", 0, folder.failed))
            files = self._new_in(folder)
            if folder.stamp and folder.name == clean(folder.name):
                self._unread[folder.name] = (folder.stamp, {file.name for file in files})
                self._settle(folder.name)
            yield from files

    def _new_in(self, folder: Folder) -> list[CaptureFile]:
        if not folder.files:
            return []
        ledger = self._ledgers.of(self.partition_of(folder.files[0].name))
        new: list[CaptureFile] = []
        known = folder.files
        if known[0].size < 0:  # sizes are needed only of files that were read before
            new, known = ledger.new(known)
            known = self._source.sized(known)
        unread, changed = ledger.unread(known)
        health = self._state.manifest.health
        names = {clean(name) for name in changed}
        health.bad = [line for line in health.bad if line.file not in names]
        return new + unread

    def partition_of(self, name: str) -> str:
        """Which ledger a file is in; the files of a folder are in the same."""
        return partition(series_of_path(self._source.path(name)).hour)

    def mark_read(self, folder: str, files: Iterable[CaptureFile]) -> None:
        """Note that files of a folder were read to their end."""
        if folder in self._unread:
            self._unread[folder][1].difference_update(file.name for file in files)
            self._settle(folder)

    def list_again(self, folder: str) -> None:
        """Have a folder listed by the next run, whatever its stamp."""
        self._unread.pop(folder, None)

    def _settle(self, folder: str) -> None:
        stamp, unread = self._unread[folder]
        if not unread:
            self._state.manifest.folders[folder] = stamp
            self.dirty = True
            del self._unread[folder]
