"""Ctrl-C more than once: the first one ends the service in order, and no further one may cut that short by accident.

An exception in the middle of the end would leave processes behind that nobody stops. So only the first Ctrl-C, or SIGTERM, is what it
was; the second says that a third one ends everything at once, and the third does.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IN_ORDER, _WARNED = 1, 2


class Interrupts:
    """Takes over Ctrl-C and SIGTERM, where they raise an exception, from `install` to `restore`.

    Parameters
    ----------
    report
        Called with a sentence at the second one.
    at_once
        Called at the third one, and at each later one; must not raise.
    """

    def __init__(self, report: Callable[[str], None], at_once: Callable[[], None]) -> None:
        self._report, self._at_once = report, at_once
        self._before: dict[signal.Signals, Any] = {}
        self._count = 0

    def install(self) -> None:
        """Begin; other threads than the main one get no signals, and what ignores a signal goes on to."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            if callable(handler := signal.getsignal(number)):
                self._before[number] = handler
                signal.signal(number, self._handle)

    def restore(self) -> None:
        """End."""
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == _IN_ORDER:
            self._before[signal.Signals(number)](number, frame)
        elif self._count == _WARNED:
            self._report("Stopping in order; Ctrl-C once more stops at once, without what is not saved yet")
        else:
            self._at_once()
