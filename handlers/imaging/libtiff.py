"""What libtiff reports while Pillow decodes with it, and Pillow does not pass on: after codes that do not exist it goes on."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
from collections.abc import Iterator
from typing import Any

_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)  # TIFFErrorHandler


@contextlib.contextmanager
def errors() -> Iterator[list[str]]:
    """Collect the errors of libtiff in this process, as format strings; none where its functions are not found."""
    found: list[str] = []

    def note(module: bytes | None, form: bytes | None, arguments: Any) -> None:
        del module, arguments
        found.append((form or b"").decode("ascii", "replace"))

    try:
        set_handler = ctypes.CDLL(importlib.import_module("PIL._imaging").__file__).TIFFSetErrorHandler
    except (OSError, AttributeError):
        yield found
        return
    set_handler.restype, set_handler.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    handler = _HANDLER(note)
    before = set_handler(ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield found
    finally:
        set_handler(before)
