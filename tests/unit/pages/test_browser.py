"""All pages in a real browser: nothing is cut off at any width, text has contrast in light and dark, scripts run without an error."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.local.intruders import FLAGS, browser
from tests.unit.pages import cases

MEASURE = Path(__file__).with_name("measure.html")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, pages: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages, self.found, self.done = pages, dict[str, list[str]](), threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._reply(self.server.pages.get(self.path, b""))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/report":
            self.server.found = json.loads(body)
        self._reply(b"")
        if self.path == "/done":
            self.server.done.set()

    def _reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def visit(pages: dict[str, str]) -> tuple[dict[str, list[str]], list[str]]:
    """What is wrong with each page at each width (light where it is wide, dark where it is narrow), and errors of the console."""
    served = {f"/{name}-light": page.encode("utf-8", "replace") for name, page in pages.items()}
    served |= {f"/{name}-dark": cases.dark(page).encode("utf-8", "replace") for name, page in pages.items()}
    visits = [
        [f"/{name}-{shade}", width] for name in pages for shade, width in (("light", 1280), ("dark", 390))
    ]
    served["/"] = MEASURE.read_bytes().replace(b"VISITS", json.dumps(visits).encode())
    with (
        _served(served) as (server, port),
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        log = Path(profile) / "log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [browser(), *FLAGS, "--enable-logging=stderr", f"--user-data-dir={profile}/profile", "--window-size=1300,1000",
                 "--remote-debugging-port=0", f"http://127.0.0.1:{port}/"],
                stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        try:
            assert server.done.wait(180), "the pages were not measured"
        finally:
            process.terminate()
            process.wait(30)
        console = [line for line in log.read_text(errors="replace").splitlines() if ":CONSOLE" in line]
    return server.found, console


@contextmanager
def _served(pages: dict[str, bytes]) -> Iterator[tuple[_Server, int]]:
    server = _Server(pages)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_every_page_fits_is_legible_and_runs_without_an_error(tmp_path: Path) -> None:
    # GIVEN every page with nothing, little, much, and hostile text, and one with faults of every kind
    pages = {name: make() for name, make in cases.pages(tmp_path).items()}
    pages["fault"] = (
        "<body style='background:#fff'><p style='width:2000px;color:#ddd'>pale</p>"
        "<section><svg role=img><text>x</text></svg></section><script>nowhere()</script>"
    )

    # WHEN a browser opens them, light and dark, wide and narrow
    found, console = visit(pages)

    # THEN nothing is wrong but with the last one, where everything is found
    faults = {name: found.pop(name) for name in list(found) if name.startswith("/fault")}
    assert all(
        [any(word in wrong for wrong in each) for word in ("wider", "cut off", "contrast 1.3", "no hover")]
        == [True] * 4
        for each in faults.values()
    ), faults
    assert len(found) == 2 * (len(pages) - 1)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert [line for line in console if "nowhere is not defined" not in line] == []
    assert len(console) == 2
