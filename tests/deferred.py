"""Modules that a test imports when it first uses them: importing torch costs each worker three seconds of processor time."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Deferred:
    """A module, or a member of one.

    Parameters
    ----------
    module
        Its name.
    member
        Name of its class or function; empty for the module itself.
    """

    def __init__(self, module: str, member: str = "") -> None:
        self._module, self._member = module, member

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what pytest reads of everything that it collects
            raise AttributeError(name)
        return getattr(self.get(), name)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.get()(*arguments, **options)

    def get(self) -> Any:
        """Import it."""
        module = import_module(self._module)
        return getattr(module, self._member) if self._member else module
