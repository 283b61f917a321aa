"""What botocore has read of its data, shared by all sessions of a process."""

from __future__ import annotations

from typing import Any

from botocore.loaders import Loader


def share_models() -> None:
    """Let all sessions of botocore share what they read of its data.

    Each session would list and parse the API models for its first client of a service, a fifth of a second; and each test
    makes sessions of its own.
    """
    read: dict[tuple[str, ...], dict[Any, Any]] = {}
    initialise = Loader.__init__

    def shared(self: Any, *arguments: Any, **options: Any) -> None:
        initialise(self, *arguments, **options)
        self._cache = read.setdefault(tuple(self.search_paths), {})

    Loader.__init__ = shared
