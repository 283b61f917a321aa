"""Files that commands write: a regular file is replaced whole or not at all, anything else is written to as it is."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


@contextmanager
def writing(target: Path, errors: str = "strict") -> Iterator[TextIO]:
    """Open a file for writing, as UTF-8.

    A regular file, or one that does not exist, is replaced in one step at the end. Devices, FIFOs and links, such as
    ``/dev/null``, ``/dev/stdout`` or ``>(gzip)``, are opened as they are: replacing would destroy them.

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
    if not replaceable(target):
        with target.open("w", encoding="utf-8", errors=errors) as output:
            yield output
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8", errors=errors) as output:
            yield output
        with suppress(FileNotFoundError):
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink()


def replaceable(target: Path) -> bool:
    """Whether this is a regular file, or nothing yet."""
    try:
        return stat.S_ISREG(os.lstat(target).st_mode)
    except FileNotFoundError:
        return True
