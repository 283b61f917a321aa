"""Untrusted clients: a page in a real browser, another user of the machine; and the service as it would be without the gate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dropsort.local.credentials import Credentials
from dropsort.local.direct import responds
from dropsort.local.embedded import EmbeddedAws
from tests import needs

PAGE = Path(__file__).with_name("attack.html")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NOBODY = 65534
FLAGS = [
    "--headless",
    "--no-sandbox",  # the tests of continuous integration run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]


class Ungated(EmbeddedAws):
    """The embedded AWS as it is without the gate: what an intruder gets there, the gate has to prevent."""

    def _command(self) -> list[str]:
        self.credentials = Credentials("test", "test", "")
        return [str(self._python), "-m", "ministack"]

    def _responds(self) -> bool:
        return responds(f"{self.url}/_ministack/ready", timeout=2)


def browser() -> str:
    """Path of a browser."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return found or needs.lacking("browser", f"none of {', '.join(BROWSERS)} is there")


def read_page(address: str, *flags: str) -> str:
    """What a browser shows of an address."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        done = subprocess.run(
            [browser(), *FLAGS, *flags, f"--user-data-dir={profile}", "--dump-dom", address],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    return done.stdout


def _never() -> bool:
    return False


def open_page(target: str, host: str, *flags: str, until: Callable[[], bool] = _never) -> dict[str, str]:
    """Open the attacking page in a browser; return what it got to see.

    Parameters
    ----------
    target
        Address of the service.
    host
        Name of the page's server; all names below ``.test`` are this machine.
    flags
        Further flags; ``{port}`` stands for the port of the page's server.
    until
        The form that the page sends last has had its effect; without it, three seconds are enough.
    """
    program = browser()
    with (
        pages_served({"/": PAGE.read_bytes().replace(b"TARGET", target.encode())}) as (server, port),
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        process = subprocess.Popen(
            [
                program,
                *FLAGS,
                *(flag.format(port=port) for flag in flags),
                f"--user-data-dir={profile}",
                "--remote-debugging-port=0",  # stays open until it is ended
                f"http://{host}:{port}/",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert server.done.wait(120), "the page did not come to its end"
            deadline = time.monotonic() + (3 if until is _never else 60)
            while not until() and time.monotonic() < deadline:
                time.sleep(0.1)
        finally:
            process.terminate()
            process.wait(30)
    return server.found


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, pages: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages, self.found, self.done = pages, dict[str, Any](), threading.Event()
        self.cookies: list[str] = []  # that browsers have sent


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.cookies += self.headers.get_all("Cookie") or []
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


@contextmanager
def pages_served(pages: Mapping[str, bytes]) -> Iterator[tuple[_Server, int]]:
    """A server of these pages, by their paths, which keeps what is posted to /report until something is posted to /done."""
    server = _Server(pages)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


# The interpreter and what the program imports may be where other users cannot go, so the change comes after.
BECOME = f"""
import encodings.idna, glob, http.client, json, os, sys
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
"""


def as_another_user(program: str, *arguments: str) -> Any:
    """Run a Python program as another user of this machine; return the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", BECOME + program, *arguments],
        cwd="/",
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
