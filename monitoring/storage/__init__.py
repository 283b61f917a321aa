"""Where captures are read from and where the monitor's state lives: a local folder or a bucket, through one interface.

`open_store` tells which by the name. A store lists folders of files, reads a file from any byte on, and keeps small
objects: written at once or not at all, with one of them, the manifest, only replaced if nobody else replaced it.
"""

from __future__ import annotations

import os
from pathlib import Path

from monitoring.errors import MonitoringError
from monitoring.storage.base import Access, Store
from monitoring.storage.local import LocalStore


def open_store(where: str | os.PathLike[str], access: Access | None = None) -> Store:
    """Open a folder, or ``s3://bucket/prefix``.

    Raises
    ------
    MonitoringError
        It is another kind of address.
    """
    text = os.fspath(where)
    if text.startswith("s3://"):
        from monitoring.storage.s3 import S3Store  # only who reads from S3 pays for its client

        return S3Store.open(text, access or Access())
    if "://" in text:
        raise MonitoringError(f"{text} is neither a folder nor s3://bucket/prefix.")
    return LocalStore(Path(text))
