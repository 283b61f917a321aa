"""Starts processes of functions in a millisecond: ``python -P fork_server.py CHANNEL SITE``, run by the embedded AWS (`embedded_workers`).

It imports once what every function imports, from the layer whose site directory SITE is, and forks for each request on CHANNEL, a socket
that it inherits. A request is one message: a JSON object with `program`, `folder` and `environment`, and three descriptors, which become
standard input, output and error. The response is the process's number and a descriptor that becomes readable when it ends. It ends when
the embedded AWS closes the socket. Standard library only.

Only modules that read no environment variable of a function when they are imported may stand in `MODULES`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import site
import socket
import sys
import time
from importlib import import_module
from types import ModuleType
from typing import Any

MODULES = (
    "botocore.client",
    "botocore.session",
    "PIL.Image",
    "PIL.PngImagePlugin",
)
LARGEST_REQUEST = 200_000  # bytes
DESCRIPTORS = 3


def load(folder: str) -> None:
    """Import the modules that a site directory has; the path stays as it is, as every function has one of its own."""
    path = list(sys.path)
    site.addsitedir(folder)
    for name in MODULES:
        with contextlib.suppress(ImportError):
            import_module(name)
    sys.path[:] = path
    gc.collect()
    gc.freeze()  # a garbage collection in a worker would copy all of it


def serve(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Fork for each request; return request and descriptors in the process that is to run it, None at the end."""
    signal.signal(signal.SIGCHLD, _collect)
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, LARGEST_REQUEST, DESCRIPTORS)
        if not message:
            return None
        # Until the child is collected, no other process has its id.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            return json.loads(message), descriptors
        ended = os.pidfd_open(child)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        socket.send_fds(channel, [str(child).encode()], [ended])
        for descriptor in (ended, *descriptors):
            os.close(descriptor)


def _collect(*_: object) -> None:
    """Collect processes that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Be the process of a program: with its folder, environment and descriptors, and the path that the interpreter gives it."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    program = request["program"]
    sys.argv[:] = [program]
    sys.path.insert(0, os.path.dirname(program))
    main = ModuleType("__main__")
    main.__file__ = program
    sys.modules["__main__"] = main
    with open(program, "rb") as file:
        code = compile(file.read(), program, "exec")
    exec(code, main.__dict__)  # noqa: S102


if __name__ == "__main__":
    load(sys.argv[2])
    with socket.socket(fileno=int(sys.argv[1])) as served:
        found = serve(served)
    if found is not None:
        become(*found)
