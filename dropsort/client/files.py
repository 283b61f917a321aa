"""Which files a person means, and under which keys they arrive.

- Every file below a folder counts, whatever its name (dotfiles, no extension, spaces, any script), but for what systems and programs leave
  next to images (`dropsort.contract.ignored_paths`); those are counted. A file that is named itself always counts.
- A key is the path relative to the folder that was named; of a single file, its name.
- Links are followed; a folder that links to one of its parents is entered once.
- Bytes of a name that are not UTF-8, which a key must be, become `\\xff`; so do control characters (line feed:
  `\\x0a`), which S3's listings cannot carry.
- What cannot be uploaded (sockets, unreadable files, names too long for a key) is reported, never passed over.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dropsort.client.errors import DropError
from dropsort.contract import defaults, ignored_paths, keys

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class LocalFile:
    """A file to upload: where it lies and the key it gets."""

    path: Path
    key: str
    size: int


@dataclass(frozen=True)
class SkippedFile:
    """A file that cannot be uploaded, and why."""

    path: Path
    reason: str


class FoundFiles(NamedTuple):
    """What there is: files by key, what cannot be uploaded, how many were left out, and groups of keys that look the same.

    The keys of a group differ in nothing but how Unicode composes their letters (NFC, NFD): they are different objects.
    """

    files: list[LocalFile]
    skipped: list[SkippedFile]
    left_out: int
    look_alike: list[tuple[LocalFile, ...]]


def walk(
    paths: Iterable[Path], prefix: str = "", *, exclude: Iterable[str] = (), include: Iterable[str] = ()
) -> FoundFiles:
    """Every file at or below `paths`, sorted by key.

    Parameters
    ----------
    paths
        Files and folders.
    prefix
        Put before each relative name, "cam1" say.
    exclude
        Patterns of paths to leave out, in addition to those of `dropsort.contract.ignored_paths`.
    include
        Patterns of paths that are taken although they would be left out.

    Raises
    ------
    DropError
        If a path does not exist, the prefix has a folder named . or .., or two files would get one key; nothing has been read yet.
    """
    files: dict[str, LocalFile] = {}
    skipped: list[SkippedFile] = []
    left_out = 0
    excluded, included = (
        ignored_paths.Matcher((*defaults.IGNORED_PATTERNS, *exclude)),
        ignored_paths.Matcher(include),
    )
    if {".", ".."} & set(prefix.split("/")):
        raise DropError(f"The prefix {prefix} has a folder named . or ..: keys of S3 have no parent folders.")
    base = keys.INCOMING + "".join(f"{part}/" for part in prefix.split("/") if part)
    for root in paths:
        if not os.path.lexists(root):
            raise DropError(f"{root} does not exist.")
        for path in _below(root, skipped):
            name = path.relative_to(root).as_posix() if path != root else path.name
            if path != root and excluded(name) and not included(name):
                left_out += 1
                continue
            found = _file(path, base + name)
            if isinstance(found, SkippedFile):
                skipped.append(found)
            elif found.key in files and not os.path.samefile(files[found.key].path, path):
                raise DropError(
                    f"{files[found.key].path} and {path} would both become {found.key}: drop them one after another, "
                    "each with a --prefix of its own."
                )
            else:
                files[found.key] = found
    ordered = [files[key] for key in sorted(files)]
    return FoundFiles(ordered, skipped, left_out, _look_alike(ordered))


def _look_alike(files: Iterable[LocalFile]) -> list[tuple[LocalFile, ...]]:
    groups: dict[str, list[LocalFile]] = {}
    for file in files:
        if not file.key.isascii():
            groups.setdefault(unicodedata.normalize("NFC", file.key), []).append(file)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _below(root: Path, skipped: list[SkippedFile]) -> Iterator[Path]:
    if not root.is_dir():
        yield root
        return

    def skip(error: OSError) -> None:
        skipped.append(SkippedFile(Path(error.filename), error.strerror or str(error)))

    entered: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=skip):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders.sort()
        for name in sorted(names):
            yield Path(folder, name)


def escaped_name(name: str) -> str:
    """The name of a file as it is in a key: bytes that are not UTF-8, and control characters, as `\\xff`."""
    name = os.fsencode(name).decode(errors="backslashreplace")
    return _CONTROL.sub(lambda sign: f"\\x{ord(sign[0]):02x}", name)


def _file(path: Path, key: str) -> LocalFile | SkippedFile:
    try:
        status = path.stat()
    except OSError as error:
        return SkippedFile(path, error.strerror or str(error))
    if not stat.S_ISREG(status.st_mode):
        return SkippedFile(path, "not a regular file")
    if not os.access(path, os.R_OK):
        return SkippedFile(path, "no permission to read it")
    key = escaped_name(key)
    if len(key.encode()) > keys.MAX_KEY_BYTES:
        return SkippedFile(
            path, f"its key would have {len(key.encode())} bytes, {keys.MAX_KEY_BYTES} are allowed"
        )
    return LocalFile(path, key, status.st_size)
