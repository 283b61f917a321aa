"""Files that commands write: a regular file is replaced whole or not at all, anything else is written to as it is."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
_NAME_BYTES = 200  # of the 255 that file systems allow
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,9})")


@contextmanager
def writing(target: Path, errors: str = "strict") -> Iterator[TextIO]:
    """Open a file for writing, as UTF-8.

    A regular file, or one that does not exist, is replaced in one step at the end. Devices, FIFOs and links, such as
    ``/dev/null`` or ``>(gzip)``, are opened as they are: replacing would destroy them. What is open already, such as
    ``/dev/stdout``, is written to at its position: opening it again would empty the file that a shell has redirected it to.

    Parameters
    ----------
    target
        The file; folders above it are created.
    errors
        What becomes of text that has no encoding, as for :func:`open`.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    if (open_already := descriptor(target)) is not None:
        with os.fdopen(os.dup(open_already), "w", encoding="utf-8", errors=errors) as output:
            yield output
        return
    if not replaceable(target):
        with target.open("w", encoding="utf-8", errors=errors) as output:
            yield output
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = unfinished(target)
    try:
        with suppress(FileNotFoundError):
            temporary.unlink()  # of a process of that number that was killed
        # Others who can write in the folder know the name: a link of theirs is not followed.
        with temporary.open("x", encoding="utf-8", errors=errors) as output:
            yield output
        with suppress(FileNotFoundError):
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink()


def unfinished(target: Path) -> Path:
    """The hidden file that becomes `target` when it is whole; its name is cut where it would be too long for a file system.

    Examples
    --------
    >>> len(os.fsencode(unfinished(Path("é" * 127)).name)) <= 255
    True
    """
    name = os.fsencode(target.name)[:_NAME_BYTES].decode(errors="ignore")
    return target.with_name(f".{name}.{os.getpid()}.part")


def descriptor(target: Path) -> int | None:
    """The number of the open file that a name such as ``/dev/stdout`` or ``/dev/fd/3`` stands for; None for any other name."""
    found = _DESCRIPTOR.fullmatch(str(target))
    return int(found[1]) if found else _STREAMS.get(str(target))


def replaceable(target: Path) -> bool:
    """Whether this is a regular file, or nothing yet."""
    try:
        return stat.S_ISREG(os.lstat(target).st_mode)
    except FileNotFoundError:
        return True
