"""A folder of this machine as a store."""

from __future__ import annotations

import builtins
import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from monitoring.errors import MissingFileError, StorageError
from monitoring.storage.base import HOUR_FOLDER, SUFFIX, CaptureFile, Fill, Folder, ReadInto

# A folder to which no file was added for so long is not being written to.
SETTLED_SECONDS = 60.0
_LOOK_UP_FROM = 128 * 1024  # bytes of a file from which it pays to look up the sizes of all in its folder


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
        In any other folder every file is checked.
        """
        if not self.root.is_dir():
            raise StorageError(f"There is no folder {self.root}: name one with capture files (*{SUFFIX}).")
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
            below, files = self._list(name, full, hourly, sizes)
        except FileNotFoundError:
            return  # removed meanwhile
        except OSError as error:
            yield Folder(name, [], failed=error.strerror or str(error))
            return
        if below or now - stamp < SETTLED_SECONDS * 1e9:
            stamp = 0
        if files or stamp:
            yield Folder(name, files, stamp)
        for path in below:
            yield from self._folders(path, known, since, sizes, now)

    def _list(self, name: str, full: str, hourly: bool, sizes: bool) -> tuple[list[str], list[CaptureFile]]:
        """Folders and capture files in a folder, sorted; without hidden ones, links to folders and dead links."""
        prefix = f"{name}/" if name else ""
        below, names = [], []
        with os.scandir(full) as found:
            for child in found:
                own = child.name
                if own[0] == ".":
                    continue
                if own.endswith(SUFFIX) and child.is_file():
                    names.append(own)
                elif child.is_dir(follow_symlinks=False):
                    below.append(prefix + own)
        below.sort()
        names.sort()
        if not hourly:
            return below, self._sized(full, prefix, names, with_time=True)
        if sizes:
            return below, self._sized(full, prefix, names)
        # Files of an hour are written once: the size of a new one need not be looked up before it is read.
        first = self._sized(full, prefix, names[:1])
        if first and first[0].size < _LOOK_UP_FROM:
            about = -max(1, first[0].size)
            return below, [CaptureFile(prefix + own, about, "") for own in names]
        return below, self._sized(full, prefix, names)

    def _sized(
        self, full: str, prefix: str, names: Sequence[str], *, with_time: bool = False
    ) -> list[CaptureFile]:
        out = []
        handle = os.open(full, os.O_RDONLY)  # names are looked up from here, not from the root
        try:
            for own in names:
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(own, dir_fd=handle)
                    version = str(status.st_mtime_ns) if with_time else ""
                    out.append(CaptureFile(prefix + own, status.st_size, version))
        finally:
            os.close(handle)
        return out

    def sized(self, files: Sequence[CaptureFile]) -> list[CaptureFile]:
        if not files:
            return []
        prefix = files[0].name[: files[0].name.rfind("/") + 1]
        try:
            return self._sized(f"{self.name}/{prefix}", prefix, [file.name[len(prefix) :] for file in files])
        except OSError as error:
            raise self._error("read", prefix, error) from error

    @contextlib.contextmanager
    def open(self, name: str, start: int, size: int) -> Iterator[Fill]:
        def fill(view: memoryview) -> int:
            try:
                return os.readv(handle, (view,))
            except OSError as error:
                raise self._error("read", name, error) from error

        try:
            handle = os.open(f"{self.name}/{name}", os.O_RDONLY)
        except OSError as error:
            raise self._error("read", name, error) from error
        try:
            if start:
                os.lseek(handle, start, os.SEEK_SET)
            yield fill
        finally:
            os.close(handle)

    @contextlib.contextmanager
    def open_folder(self, folder: str) -> Iterator[ReadInto]:
        prefix = len(folder) + 1 if folder else 0
        try:
            directory = os.open(f"{self.name}/{folder}", os.O_RDONLY)
        except OSError as error:
            raise self._error("read", folder, error) from error

        # Without Python's file objects: with 20,000 small files, these would cost more than the reading.
        def read(name: str, view: memoryview) -> int:
            try:
                handle = os.open(name[prefix:], os.O_RDONLY, dir_fd=directory)
                try:
                    return os.readv(handle, (view,))
                finally:
                    os.close(handle)
            except OSError as error:
                raise self._error("read", name, error) from error

        try:
            yield read
        finally:
            os.close(directory)

    def read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise self._error("read", name, error) from error

    def write(self, name: str, data: bytes) -> None:
        self._write(name, data, sync=False)

    def _write(self, name: str, data: bytes, *, sync: bool) -> None:
        target = self.root / name
        temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with builtins.open(temporary, "wb") as file:
                file.write(data)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(temporary, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise self._error("write", name, error) from error

    def delete(self, name: str) -> None:
        try:
            (self.root / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._error("delete", name, error) from error

    def names(self, prefix: str) -> list[str]:
        folder = self.root / prefix
        if not folder.is_dir():
            return []
        try:
            return sorted(f"{prefix}/{path.name}" for path in folder.iterdir() if path.is_file())
        except OSError as error:
            raise self._error("list", prefix, error) from error

    def read_manifest(self, name: str) -> tuple[bytes, str]:
        return self.read(name), ""

    def write_manifest(self, name: str, data: bytes, token: str) -> str:
        # Without a token: `lock` excludes other runs.
        self._write(name, data, sync=True)
        return ""

    def _error(self, verb: str, name: str, error: OSError) -> StorageError:
        kind = MissingFileError if isinstance(error, FileNotFoundError) else StorageError
        reason = error.strerror or str(error)
        return kind(f"Cannot {verb} {self.name}/{name}: {reason}.", reason)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        import fcntl  # not on every platform, and only here

        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"Cannot keep state in {self.root}: {error.strerror}.") from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StorageError(f"Another run is writing to {self.root}: wait for it to end.") from None
            yield
        finally:
            os.close(handle)
