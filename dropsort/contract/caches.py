"""Where what is built or installed once is stored: the embedded AWS, the functions' packages."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path


def folder(name: str) -> Path:
    """Folder of a cache; it may not exist yet.

    It is below the virtual environment that Dropsort runs in, and goes with it. Without a virtual environment, and where
    that may not be written to, it is below the user's cache folder, ``$XDG_CACHE_HOME/dropsort`` or ``~/.cache/dropsort``,
    in a folder of this installation's own, so that another version clears away nothing that is in use.

    Parameters
    ----------
    name
        What is cached.
    """
    in_environment = sys.prefix != sys.base_prefix
    if in_environment and os.access(sys.prefix, os.W_OK):
        return Path(sys.prefix, name)
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))  # by its specification a relative path does not count
    user = given if given.is_absolute() else Path(os.path.expanduser("~"), ".cache")
    installation = hashlib.sha256(f"{sys.prefix} {sys.version_info[:2]}".encode()).hexdigest()[:8]
    return user / "dropsort" / installation / name
