"""Dropsort: upload images to an S3 bucket, read their classification from its output prefixes.

`connect` finds a running service; see `dropsort.api`. Importing this package imports nothing else until a name is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropsort.api import Service, connect
    from dropsort.client.results import Result
    from dropsort.contract.errors import DropsortError

__version__ = "0.1.0"
__all__ = ["DropsortError", "Result", "Service", "connect"]

_MODULES = {
    "DropsortError": "dropsort.contract.errors",
    "Result": "dropsort.client.results",
    "Service": "dropsort.api",
    "connect": "dropsort.api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
