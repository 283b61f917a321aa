"""Stores: a local folder or a bucket behind one interface, for captures and for the state between runs.

`open_store` chooses by the address. A store lists folders of files, reads a file from any byte on, and holds small
objects: written completely or not at all, and one of them, the manifest, only replaced if no other run replaced it.
"""

from __future__ import annotations

import os
from pathlib import Path

from monitoring.errors import MonitoringError
from monitoring.storage.base import BucketAccess, Store
from monitoring.storage.local import LocalStore


def open_store(where: str | os.PathLike[str], access: BucketAccess | None = None) -> Store:
    """Open a folder, or ``s3://bucket/prefix``.

    Raises
    ------
    MonitoringError
        It is another kind of address.
    """
    text = os.fspath(where)
    if text.startswith("s3://"):
        from monitoring.storage.s3 import S3Store  # imported only where S3 is read, as its client is large

        return S3Store.connect(text, access or BucketAccess())
    if "://" in text:
        raise MonitoringError(f"{text} is neither a folder nor s3://bucket/prefix.")
    return LocalStore(Path(text))
