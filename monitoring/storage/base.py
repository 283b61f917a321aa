"""The interface of a store, and the values that pass through it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

SUFFIX = ".jsonl"
HOUR_FOLDER = re.compile(r"(?:^|/)[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{2}$")

# Reads the next bytes of a file into a buffer; returns their number, 0 at the end.
Fill = Callable[[memoryview], int]
# Reads the file of that name (as in `CaptureFile`) into a buffer as far as it fits; returns the number of bytes.
ReadInto = Callable[[str, memoryview], int]


class CaptureFile(msgspec.Struct, frozen=True, gc=False):
    """A capture file."""

    name: str  # relative to the store, with slashes
    size: int  # in bytes; negative: about so many, not requested
    version: str  # together with the size it changes whenever the content does


class Folder(NamedTuple):
    """A folder's capture files, which have not changed while its `stamp` is the same (0: they may have)."""

    name: str
    files: list[CaptureFile]
    stamp: int = 0
    failed: str = ""  # why it could not be listed


class BucketAccess(msgspec.Struct, frozen=True):
    """How to reach a bucket, in addition to the environment."""

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


class Store(Protocol):
    """What both kinds of store do. Every method raises a StorageError if it cannot."""

    name: str  # address, as a person writes it

    def path(self, name: str) -> str:
        """Full path or key of a file, which may name endpoint, variant and hour."""
        ...

    def folders(self, known: Mapping[str, int], since: str = "", *, sizes: bool = True) -> Iterator[Folder]:
        """List capture files by folder, sorted by name.

        `known` are stamps of folders that were listed before: those that still have theirs are left out. With `since`
        (``2026/11/21`` or ``2026/11/21/09``) earlier hour folders are left out too. Without `sizes` sizes may be estimates.
        """
        ...

    def sized(self, files: Sequence[CaptureFile]) -> list[CaptureFile]:
        """Look up the sizes of files of one folder; those that are gone are left out."""
        ...

    def open(self, name: str, start: int, size: int) -> contextlib.AbstractContextManager[Fill]:
        """Open a file of `size` bytes to be read from byte `start` on; raises MissingFileError."""
        ...

    def open_folder(self, folder: str) -> contextlib.AbstractContextManager[ReadInto]:
        """Open a folder whose files are read each in one call; both may raise MissingFileError."""
        ...

    def read(self, name: str) -> bytes:
        """Read a whole file or object; raises MissingFileError."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write an object, completely or not at all."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Names of the objects in the folder `prefix`."""
        ...

    def read_manifest(self, name: str) -> tuple[bytes, str]:
        """Read the manifest, and get a token for `write_manifest`; raises MissingFileError."""
        ...

    def write_manifest(self, name: str, data: bytes, token: str) -> str:
        """Replace the manifest if it is still the one of `token` ("": there was none); returns the new token."""
        ...

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Keep other runs out, where that can be done."""
        ...
