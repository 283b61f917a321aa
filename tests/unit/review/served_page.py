"""The review page on a port of this machine, in front of moto's S3, with images of every kind."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from dropsort.review import ORDERS
from dropsort.review.server import Server
from dropsort.review.session import Session
from tests.unit.review.conftest import BUCKET, Upload

# Keys and labels that are markup, scripts, and text that shows as something else.
HOSTILE_PATH = '<img src=x onerror="document.title=1">\u202egnp.png'
HOSTILE_LABEL = '"><script>document.title="run"</script>'


def fill(upload: Upload, count: int) -> list[str]:
    """Images that are less and less doubtful, then a hostile one and one that is not an image; return their inference ids."""
    made = [upload(f"cam/{number:03}.png", confidence=0.5 + number / 1000) for number in range(count)]
    made.append(
        upload(
            HOSTILE_PATH,
            label=HOSTILE_LABEL,
            confidence=0.8,
            probabilities={HOSTILE_LABEL: 0.8, "bicycle": 0.2},
        )
    )
    reason = {"code": "not_an_image", "message": "<b>no</b>", "retryable": False}
    made.append(
        upload(
            "text.png",
            b"no image",
            outcome="failed",
            label=None,
            confidence=None,
            probabilities=None,
            reason=reason,
        )
    )
    return made


@contextmanager
def served(s3: Any, reviewer: str = "Ada", order: str = ORDERS[0]) -> Iterator[tuple[Session, Server]]:
    """A session with its page."""
    session = Session(s3, BUCKET, reviewer)
    session.start()
    server = Server(session, order=order)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield session, server
    finally:
        server.stop()
        thread.join()
        session.stop()


class Browser:
    """A client with a cookie, as a browser sends it."""

    def __init__(self, address: str) -> None:
        self.url = urlsplit(address)
        self.cookie = ""

    def request(
        self, method: str, path: str, body: Any = None, *, base: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, and content; `path` is below that of the printed address, or below `base`."""
        path = (self.url.path if base is None else base).rstrip("/") + path
        connection = http.client.HTTPConnection("127.0.0.1", self.url.port or 0, timeout=60)
        sent = {"Cookie": self.cookie} if self.cookie else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, content

    def sign_in(self) -> str:
        """Open the printed address; the cookie's attributes."""
        status, headers, content = self.request("GET", f"/?{self.url.query}")
        assert (status, b'content="0; url=./"' in content) == (200, True)
        self.cookie, _, attributes = headers["set-cookie"].partition("; ")
        # Browsers look for an icon above the path of the page otherwise, where nothing is served.
        icon = re.search(rb'rel="icon" href="([^"/]+)"', content)
        assert icon
        assert self.request("GET", f"/{icon[1].decode()}")[0] == 204
        return attributes.lower()

    def get(self, path: str) -> Any:
        """The JSON of a path."""
        status, _, content = self.request("GET", path)
        assert status == 200, content
        return json.loads(content)
