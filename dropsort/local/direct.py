"""Requests to addresses of this machine, whatever proxies it has; standard library only, as the process of the embedded AWS uses it too."""

from __future__ import annotations

import hmac
import secrets
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropsort.local.credentials import Credentials

# Headers of a request for readiness, and of its response
NONCE, PROOF = ("x-dropsort-nonce", "x-dropsort-proof")


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


def is_ready(credentials: Credentials, url: str, port: int, timeout: float) -> bool:
    """Whether a process of the service is ready, and not one of another user who was faster to listen on its port.

    Parameters
    ----------
    credentials
        Of the service: a process that has them proves it, and that it serves this port.
    url
        Address of what needs no signature.
    timeout
        In seconds.
    """
    nonce = secrets.token_hex(16)
    try:
        with open_directly(urllib.request.Request(url, headers={NONCE: nonce}), timeout) as response:  # noqa: S310
            proof = response.headers.get(PROOF, "")
            return response.status == 200 and hmac.compare_digest(
                proof.encode(), credentials.proof(port, nonce).encode()
            )
    except (urllib.error.URLError, OSError):
        return False
