"""Who may use the page: whoever opened the address that the command printed, in one browser, and no other page in it.

The address has a token that is valid once: it is exchanged for a cookie that scripts cannot read and other sites do not send. Every request
has to name this server in ``Host`` and may come from no page of another origin. Cookies do not depend on ports: a browser sends
those of this server to any other server of this machine, too, which may be another user's. So all paths begin with a part made at random,
and the cookie is for these alone.
"""

from __future__ import annotations

import hmac
import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dropsort.local.gate import foreign
from dropsort.local.signatures import merged

MAX_BODY = 1_000_000  # bytes
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# A redirection would not do: after one from a file or another site, browsers leave out the cookie.
OPENED = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=./">'
    '<link rel="icon" href="favicon.ico"><title>Review</title>'
)
CLOSED = "This page is for the browser in which its address was opened first. Start `dropsort review` again for a new address.\n"


class AccessControl:
    """An ASGI application in front of the page.

    Parameters
    ----------
    port
        Port on this machine.
    token
        The one in the printed address.
    base
        What all paths begin with, between two slashes.
    """

    def __init__(self, application: ASGIApp, port: int, token: str, base: str) -> None:
        self._application, self._token, self._base = application, token, base
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._cookie, self._session = f"dropsort-review-{port}", secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._application(scope, receive, send)
            return
        response = self._response(Request(scope))
        inner = {**scope, "root_path": self._base.rstrip("/")}
        await (response or self._application)(inner, _bounded(receive), _with_headers(send))

    def _response(self, request: Request) -> Response | None:
        """What is returned without the application; None if it may respond."""
        opens = self._opens(request)
        # A link or a file may open the address: who has the token may come from anywhere.
        headers = merged(
            item for item in request.headers.items() if not (opens and item[0] == "sec-fetch-site")
        )
        if fault := foreign(request.method, headers, self._hosts):
            return PlainTextResponse(fault + "\n", 403)
        if not request.url.path.startswith(self._base):
            return PlainTextResponse(CLOSED, 403)
        if _same(request.cookies.get(self._cookie, ""), self._session):
            # A token that is opened again in the same browser leads to the page.
            return RedirectResponse(self._base, 303) if "token" in request.query_params else None
        if opens:
            self._token = ""
            response = HTMLResponse(OPENED)
            response.set_cookie(
                self._cookie, self._session, httponly=True, samesite="strict", path=self._base
            )
            return response
        return PlainTextResponse(CLOSED, 403)

    def _opens(self, request: Request) -> bool:
        """Whether it has the token of the printed address, which was not used before."""
        given = request.query_params.get("token", "")
        return (
            request.method == "GET"
            and request.url.path == self._base
            and bool(self._token)
            and _same(given, self._token)
        )


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _bounded(receive: Receive) -> Receive:
    size = 0

    async def bounded() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        return message if size <= MAX_BODY else {"type": "http.disconnect"}

    return bounded


def _with_headers(send: Send) -> Send:
    async def added(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return added
