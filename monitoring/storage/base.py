"""What a store is, whichever kind: the interface, and the values that go through it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

SUFFIX = ".jsonl"
HOUR_FOLDER = re.compile(r"(?:^|/)[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{2}$")

Fill = Callable[[memoryview], int]
ReadInto = Callable[[str, memoryview], int]  # the name of a file as in `Entry`, the view; how many bytes


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A capture file."""

    name: str  # relative to the store, with slashes
    size: int  # negative: about so many bytes, nobody has looked
    version: str  # together with the size it changes whenever the content does


class Folder(NamedTuple):
    """A folder's capture files; `stamp` vouches for them (0: nothing does) as long as it stays the same."""

    name: str
    entries: list[Entry]
    stamp: int = 0
    failed: str = ""  # why it could not be listed


class Access(msgspec.Struct, frozen=True):
    """How to reach a bucket, beyond what the environment says."""

    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


class Store(Protocol):
    """What both kinds of store can do."""

    name: str  # as a person would write it

    def path(self, name: str) -> str:
        """Full path or key of a file, which may tell endpoint, variant and hour."""
        ...

    def folders(self, known: Mapping[str, int], since: str = "", *, sizes: bool = True) -> Iterator[Folder]:
        """List capture files by folder, sorted by name.

        `known` are stamps of folders that were listed before: those that still have theirs are left out. With `since`
        (``2026/11/21`` or ``2026/11/21/09``) earlier hour folders are left out too. Without `sizes` they need not be looked up.
        """
        ...

    def sized(self, entries: Sequence[Entry]) -> list[Entry]:
        """Look up the sizes of files of one folder; those that are gone are left out."""
        ...

    def read(self, name: str, start: int, size: int) -> contextlib.AbstractContextManager[Fill]:
        """Open a file of `size` bytes to be read from byte `start` on."""
        ...

    def reading(self, folder: str) -> contextlib.AbstractContextManager[ReadInto]:
        """Get a function that reads files of `folder` into a view, each in one call, as far as they fit."""
        ...

    def get(self, name: str) -> bytes | None:
        """Get an object; None if there is none."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write an object, whole or not at all."""
        ...

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        ...

    def names(self, prefix: str) -> list[str]:
        """Names of the objects in the folder `prefix`."""
        ...

    def get_manifest(self, name: str) -> tuple[bytes | None, str]:
        """Get the manifest and a token for `put_manifest`."""
        ...

    def put_manifest(self, name: str, data: bytes, token: str) -> str:
        """Replace the manifest if it is still the one of `token`; returns the new token, raises if it is not."""
        ...

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Keep other runs out, where that can be done."""
        ...
