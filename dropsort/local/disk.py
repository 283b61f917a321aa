"""Free disk space of the service: uploads are rejected while there is still space for the results of those that are there.

The embedded AWS confirms a write that its disk did not take, and then holds the object in memory alone. So the process of the embedded
AWS has `DiskReserve` in front of it, which rejects writes to S3 before the disk is full, and `report_lost_writes`, which makes a write that
failed all the same an error of its request. `DiskWatch` reports in the service's own process, before and while uploads are rejected.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dropsort.contract import keys
from dropsort.local.asgi import Application, Message, Receive, Send

RESERVE_BYTES = 200_000_000
# Results and captures may use all of the reserve but a fourth, which is for the state at the end
_SHARE_FOR_RESULTS = 4
_DRAIN_LIMIT = 1_000_000  # bytes that are read after a rejection, so that the client gets to read it
_WATCH_SECONDS = 5.0


class NotStored(BaseException):
    """An object could not be written to disk; no Exception, because the embedded AWS passes over these."""


class DiskReserve:
    """An ASGI application in front of the embedded AWS: rejects writes to S3 that the disk has no space for.

    Parameters
    ----------
    application
        The embedded AWS.
    folder
        Where it stores objects.
    reserve
        Bytes that stay free when uploads are accepted.
    """

    def __init__(self, application: Application, folder: Path, reserve: int) -> None:
        self._application, self._folder, self._reserve = application, folder, reserve
        self._arriving = 0  # bytes of writes that were let in and are not on disk yet

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http" or scope["method"] not in ("PUT", "POST") or not _is_of_s3(scope):
            await self._application(scope, receive, send)
            return
        size = _size(scope)
        upload = scope["path"].lstrip("/").partition("/")[2].startswith(keys.INCOMING)
        needed = self._reserve if upload else self._reserve // _SHARE_FOR_RESULTS
        free = shutil.disk_usage(self._folder).free - self._arriving
        if free - size < needed:
            await _reject(free, needed, receive, send)
            return
        self._arriving += size
        try:
            await self._application(scope, receive, send)
        except NotStored:
            await _reject(free, needed, receive, send)
        finally:
            self._arriving -= size


def _is_of_s3(scope: Message) -> bool:
    """Whether the credentials of a request are those for S3; the gate has checked them."""
    authorization = dict(scope["headers"]).get(b"authorization", b"")
    return b"/s3/aws4_request" in authorization or b"%2Fs3%2Faws4_request" in scope["query_string"]


def _size(scope: Message) -> int:
    headers = dict(scope["headers"])
    text = headers.get(b"x-amz-decoded-content-length") or headers.get(b"content-length", b"0")
    return int(text) if text.isdigit() else 0


async def _reject(free: int, needed: int, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more and size <= _DRAIN_LIMIT:
        message = await receive()
        size += len(message.get("body", b""))
        more = message["type"] == "http.request" and bool(message.get("more_body"))
    text = (
        f"The disk of this service has {megabytes(free)} left and {megabytes(needed)} stay free: "
        "free some space on it, then upload again."
    )
    content = f"<Error><Code>InsufficientStorage</Code><Message>{text}</Message></Error>".encode()
    headers = [
        (b"content-type", b"application/xml"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 507, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def report_lost_writes(s3: Any) -> None:
    """Have the embedded AWS's S3 raise `NotStored` where its disk does not take an object.

    Parameters
    ----------
    s3
        Its module ``ministack.services.s3``.
    """
    write = s3._atomic_write

    def checked(*arguments: Any, **options: Any) -> None:
        try:
            write(*arguments, **options)
        except OSError as error:
            raise NotStored(str(error)) from error

    s3._atomic_write = checked


def megabytes(size: int) -> str:
    """A number of bytes for people.

    Examples
    --------
    >>> megabytes(199_600_000)
    '200 MB'
    """
    return f"{max(0, size) / 1e6:,.0f} MB"


class DiskWatch:
    """Reports in a thread when the disk has little space, when uploads are rejected, and when they are accepted again.

    Parameters
    ----------
    folder
        On the disk.
    reserve
        Bytes below which uploads are rejected.
    report
        Called with a sentence.
    """

    def __init__(self, folder: Path, reserve: int, report: Callable[[str], None]) -> None:
        self._folder, self._reserve, self._report = folder, reserve, report
        self._stop = threading.Event()
        self._before = "enough"

    def start(self) -> None:
        """Begin; the first check is made at once."""
        self.check()
        threading.Thread(target=self._run, name="disk", daemon=True).start()

    def stop(self) -> None:
        """End."""
        self._stop.set()

    def check(self) -> None:
        """Check once, and report a change."""
        free = shutil.disk_usage(self._folder).free
        if free < self._reserve:
            now = "full"
        elif free < 2 * self._reserve:
            now = "little"
        else:
            now = "enough"
        if now == self._before:
            return
        self._before = now
        left, limit = f"The disk of {self._folder} has {megabytes(free)} left", megabytes(self._reserve)
        self._report(
            {
                "full": f"{left}, less than {limit}: uploads are rejected until there is more",
                "little": f"{left}: uploads are rejected below {limit}",
                "enough": f"{left}: uploads are accepted",
            }[now]
        )

    def _run(self) -> None:
        while not self._stop.wait(_WATCH_SECONDS):
            try:
                self.check()
            except OSError:  # the folder is being removed
                return
