"""Requests to addresses of this machine, whatever proxies it has; standard library only, as the process of the embedded AWS uses it too."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any


def open_directly(request: str | urllib.request.Request, timeout: float) -> Any:
    """Open an address; `timeout` is in seconds."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout)


def responds(request: str | urllib.request.Request, timeout: float) -> bool:
    """Whether the response is 200, within so many seconds."""
    try:
        with open_directly(request, timeout) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
