"""A folder of this machine as a store."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from monitoring.errors import MonitoringError
from monitoring.storage.base import HOUR_FOLDER, SUFFIX, Entry, Fill, Folder, ReadInto

# A folder to which no file came for so long that nobody is in the middle of writing one.
SETTLED_SECONDS = 60.0
_LOOKED_UP = 128 * 1024  # bytes of a file from which it pays to look up the sizes of all in its folder


class LocalStore:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.name = self.root.as_posix()

    def path(self, name: str) -> str:
        return f"{self.name}/{name}"

    def folders(self, known: Mapping[str, int], since: str = "", *, sizes: bool = True) -> Iterator[Folder]:
        """List as `Store.folders` says; hidden names and links to folders are left out.

        SageMaker writes a file once, so an hour folder whose modification time is that of `known` is not read again.
        Any other folder has every file looked at.
        """
        if not self.root.is_dir():
            raise MonitoringError(f"There is no folder {self.root}: name one with capture files (*{SUFFIX}).")
        yield from self._folders("", known, since, sizes, time.time_ns())

    def _folders(
        self, name: str, known: Mapping[str, int], since: str, sizes: bool, now: int
    ) -> Iterator[Folder]:
        full = f"{self.name}/{name}" if name else self.name
        hourly = HOUR_FOLDER.search(full) is not None
        if hourly and since and full[-13:][: len(since)] < since:
            return
        try:
            # Taken before the listing: what comes in between changes it again.
            stamp = os.stat(full).st_mtime_ns if hourly else 0
            if stamp and known.get(name) == stamp:
                return
            below, entries = self._list(name, full, hourly, sizes)
        except FileNotFoundError:
            return  # removed meanwhile
        except OSError as error:
            yield Folder(name, [], failed=error.strerror or str(error))
            return
        if below or now - stamp < SETTLED_SECONDS * 1e9:
            stamp = 0
        if entries or stamp:
            yield Folder(name, entries, stamp)
        for path in below:
            yield from self._folders(path, known, since, sizes, now)

    def _list(self, name: str, full: str, hourly: bool, sizes: bool) -> tuple[list[str], list[Entry]]:
        """Folders and capture files in a folder, sorted; without hidden ones, links to folders and dead links."""
        prefix = f"{name}/" if name else ""
        below, files = [], []
        with os.scandir(full) as found:
            for child in found:
                own = child.name
                if own[0] == ".":
                    continue
                if own.endswith(SUFFIX) and child.is_file():
                    files.append(own)
                elif child.is_dir(follow_symlinks=False):
                    below.append(prefix + own)
        below.sort()
        files.sort()
        if not hourly:
            return below, self._sized(full, prefix, files, with_time=True)
        if sizes:
            return below, self._sized(full, prefix, files)
        # Files of an hour are written once: a new one need not be looked at before it is read.
        first = self._sized(full, prefix, files[:1])
        if first and first[0].size < _LOOKED_UP:
            about = -max(1, first[0].size)
            return below, [Entry(prefix + own, about, "") for own in files]
        return below, self._sized(full, prefix, files)

    def _sized(self, full: str, prefix: str, files: Sequence[str], *, with_time: bool = False) -> list[Entry]:
        out = []
        handle = os.open(full, os.O_RDONLY)  # names are looked up from here, not from the root
        try:
            for own in files:
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(own, dir_fd=handle)
                    version = str(status.st_mtime_ns) if with_time else ""
                    out.append(Entry(prefix + own, status.st_size, version))
        finally:
            os.close(handle)
        return out

    def sized(self, entries: Sequence[Entry]) -> list[Entry]:
        prefix = entries[0].name[: entries[0].name.rfind("/") + 1] if entries else ""
        return self._sized(f"{self.name}/{prefix}", prefix, [entry.name[len(prefix) :] for entry in entries])

    @contextlib.contextmanager
    def read(self, name: str, start: int, size: int) -> Iterator[Fill]:
        handle = os.open(f"{self.name}/{name}", os.O_RDONLY)
        try:
            if start:
                os.lseek(handle, start, os.SEEK_SET)
            yield lambda view: os.readv(handle, (view,))
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def reading(self, folder: str) -> Iterator[ReadInto]:
        prefix = len(folder) + 1 if folder else 0
        place = os.open(f"{self.name}/{folder}", os.O_RDONLY)

        # Without Python's file objects: with 20,000 small files, these would cost more than the reading.
        def read(name: str, view: memoryview) -> int:
            handle = os.open(name[prefix:], os.O_RDONLY, dir_fd=place)
            try:
                return os.readv(handle, (view,))
            finally:
                os.close(handle)

        try:
            yield read
        finally:
            os.close(place)

    def get(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def put(self, name: str, data: bytes) -> None:
        self._write(name, data, sync=False)

    def _write(self, name: str, data: bytes, *, sync: bool) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise MonitoringError(f"Cannot write {target}: {error.strerror}.") from error

    def delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.root / name).unlink()

    def names(self, prefix: str) -> list[str]:
        folder = self.root / prefix
        return (
            sorted(f"{prefix}/{p.name}" for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
        )

    def get_manifest(self, name: str) -> tuple[bytes | None, str]:
        return self.get(name), ""

    def put_manifest(self, name: str, data: bytes, token: str) -> str:
        # No token: `lock` keeps others out.
        self._write(name, data, sync=True)
        return ""

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        import fcntl  # not on every platform, and only here

        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise MonitoringError(f"Cannot keep state in {self.root}: {error.strerror}.") from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise MonitoringError(f"Another run is writing to {self.root}: wait for it to end.") from None
            yield
        finally:
            os.close(handle)
