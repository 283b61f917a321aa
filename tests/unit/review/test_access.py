"""Who may use the page, request by request, without a port: each condition is the one that decides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from dropsort.review.access import CLOSED, AccessControl

BASE, TOKEN, PORT = "/secretX/", "the token", 4711
HOST = (b"host", b"127.0.0.1:4711")
OPENING = "/secretX/?token=the%20token"
Header = tuple[bytes, bytes]


class Page:
    """The access control in front of an application that records what reaches it."""

    def __init__(self) -> None:
        self.reached: list[Any] = []
        self.control = AccessControl(self.application, PORT, TOKEN, BASE)

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope)
        while scope["type"] == "http":
            message = await receive()
            self.reached.append(message["type"])
            if not message.get("more_body"):
                await send(
                    {
                        "type": "http.response.start",
                        "status": 200,
                        "headers": [(b"referrer-policy", b"origin")],
                    }
                )
                await send({"type": "http.response.body", "body": b"the page"})
                return

    def request(
        self, target: str, *headers: Header, method: str = "GET", bodies: Sequence[bytes] = (b"",)
    ) -> tuple[int, dict[str, str], str]:
        """Status, headers and content of the response."""
        self.reached.clear()
        path, _, query = target.partition("?")
        given, sent = (HOST, *headers) if b"host" not in dict(headers) else headers, list[Any]()
        parts = iter(bodies)
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": given,
        }

        async def receive() -> Any:
            part = next(parts)
            return {"type": "http.request", "body": part, "more_body": part is not bodies[-1]}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.control(scope, receive, send))
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent[1:]).decode()

    def open(self) -> Header:
        """Open the address; return the cookie as a browser sends it."""
        status, headers, content = self.request(OPENING)
        assert (status, 'http-equiv="refresh" content="0; url=./"' in content) == (200, True)
        return b"cookie", headers["set-cookie"].partition(";")[0].encode()


def test_the_cookie_is_for_this_page_alone_and_no_script_reads_it() -> None:
    cookie = Page().request(OPENING)[1]["set-cookie"]
    name, *attributes = cookie.lower().split("; ")
    assert name.startswith("dropsort-review-4711=")
    assert len(name.partition("=")[2]) == 43  # 256 bits
    assert sorted(attributes) == ["httponly", "path=/secretx/", "samesite=strict"]
    assert Page().request(OPENING)[1]["set-cookie"] != cookie


def test_the_browser_that_opened_the_page_uses_it_and_each_response_is_protected() -> None:
    page = Page()
    cookie = page.open()
    assert page.reached == []
    status, headers, content = page.request("/secretX/api/state", cookie, method="POST")
    assert (status, content) == (200, "the page")
    assert page.reached[0]["root_path"] == "/secretX"
    # AND a header of the application stays, the others are added; also to what is rejected
    assert headers["referrer-policy"] == "origin"
    assert page.request("/secretX/")[1]["referrer-policy"] == "no-referrer"
    for found in (headers, page.request("/")[1], page.request(OPENING)[1]):
        assert found["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert found["x-content-type-options"] == "nosniff"
        assert found["cross-origin-opener-policy"] == found["cross-origin-resource-policy"] == "same-origin"
    # AND the address leads it to the page
    status, headers, _ = page.request(OPENING, cookie)
    assert (status, headers["location"], page.reached) == (303, "/secretX/", [])
    assert page.request("/secretX/?other=1", cookie)[0] == 200


@pytest.mark.parametrize(
    ("target", "header", "method"),
    [
        ("/secretX/?token=wrong", None, "GET"),
        ("/secretX/?token=", None, "GET"),
        ("/secretX/", None, "GET"),
        (OPENING, None, "POST"),
        (OPENING, None, "HEAD"),
        ("/secretX/api/state?token=the%20token", None, "GET"),
        ("/?token=the%20token", None, "GET"),
        (OPENING, (b"host", b"127.0.0.1"), "GET"),
        (OPENING, (b"host", b"evil.test:4711"), "GET"),
        (OPENING, (b"host", b"127.0.0.1:4712"), "GET"),
        (OPENING, (b"origin", b"http://evil.test"), "GET"),
        (OPENING, (b"origin", b"null"), "GET"),
    ],
)  # fmt: skip
def test_nothing_but_the_address_opens_the_page(target: str, header: Header | None, method: str) -> None:
    page = Page()
    status, headers, content = page.request(target, *filter(None, [header]), method=method)
    assert (status, page.reached, "set-cookie" in headers) == (403, [], False)
    assert content == CLOSED or header
    # AND the address is still valid
    page.open()


def test_the_address_is_valid_once_and_then_no_token_at_all() -> None:
    page = Page()
    page.open()
    for target in (OPENING, "/secretX/?token=", "/secretX/"):
        assert page.request(target)[0] == 403
    assert "set-cookie" not in page.request("/secretX/?token=")[1]


@pytest.mark.parametrize("host", [b"127.0.0.1:4711", b"localhost:4711", b"LOCALHOST:4711"])
def test_this_machine_has_two_names(host: bytes) -> None:
    assert Page().request(OPENING, (b"host", host))[0] == 200


@pytest.mark.parametrize(
    ("path", "headers", "method", "expected"),
    [
        ("/secretX/", [], "GET", 200),
        ("/secretX/", [(b"origin", b"http://127.0.0.1:4711")], "GET", 200),
        ("/secretX/", [(b"sec-fetch-site", b"same-origin")], "GET", 200),
        ("/secretX/", [(b"sec-fetch-site", b"none")], "GET", 200),
        ("/secretX/", [(b"sec-fetch-site", b"cross-site")], "GET", 403),
        ("/secretX/", [(b"sec-fetch-site", b"same-site")], "GET", 403),
        ("/secretX/", [(b"origin", b"http://localhost:4711")], "GET", 403),
        ("/secretX/", [(b"host", b"evil.test:4711")], "GET", 403),
        ("/secretX/", [(b"access-control-request-method", b"POST")], "GET", 403),
        ("/secretX/", [], "OPTIONS", 403),
        ("/", [], "GET", 403),
        ("/secretX", [], "GET", 403),
        ("/elsewhere/secretX/", [], "GET", 403),
    ],
)
def test_the_cookie_alone_is_not_enough(path: str, headers: list[Header], method: str, expected: int) -> None:
    page = Page()
    cookie = page.open()
    status, _, content = page.request(path, cookie, *headers, method=method)
    assert (status, bool(page.reached)) == (expected, expected == 200), content
    assert page.request("/secretX/", (cookie[0], cookie[1] + b"x"))[0] == 403
    assert page.request("/secretX/", (cookie[0], cookie[1].replace(b"4711", b"4712")))[0] == 403


def test_signs_of_any_language_are_no_token() -> None:
    page = Page()
    for text in ("%C3%A9", "%FF", "%ED%A0%80"):
        assert page.request(f"/secretX/?token={text}")[0] == 403
        assert page.request("/secretX/", (b"cookie", b"dropsort-review-4711=" + text.encode()))[0] == 403
    assert page.request("/secretX/", (b"cookie", b"dropsort-review-4711=\xff\xed\xa0\x80"))[0] == 403
    assert CLOSED.startswith("This page is for the browser in which its address was opened first. Start")
    assert CLOSED.endswith(" again for a new address.\n")


def test_a_link_may_open_the_address_once() -> None:
    page, linked = Page(), (b"sec-fetch-site", b"cross-site")
    assert page.request("/secretX/?token=wrong", linked)[0] == 403
    assert page.request(OPENING, linked)[0] == 200
    assert page.request(OPENING, linked)[0] == 403


@pytest.mark.parametrize(
    ("sizes", "last"), [((400_000, 600_000), "http.request"), ((400_000, 600_001), "http.disconnect")]
)
def test_a_request_has_a_million_bytes_at_most(sizes: Sequence[int], last: str) -> None:
    page = Page()
    page.request("/secretX/", page.open(), method="POST", bodies=[bytes(size) for size in sizes])
    assert page.reached[1:] == ["http.request", last]


def test_of_what_is_no_request_only_the_start_of_the_server_reaches_the_application() -> None:
    page = Page()
    for kind in ("lifespan", "websocket"):
        asyncio.run(page.control({"type": kind}, None, None))  # type: ignore[arg-type]
    assert [one["type"] for one in page.reached] == ["lifespan"]
