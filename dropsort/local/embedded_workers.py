"""Processes of functions in the embedded AWS, forked where they can be; part of its process (`dropsort.local.emulator`).

It starts an interpreter for each worker, which imports all libraries again: half a second of processor time, for one to eight workers of
each function. Here one process for each layer (`dropsort.local.fork_server`) has imported them, and forks. Environment, folder, standard
input and output, signals and ends are those of a process that was started; where forking is not possible, one is.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

PROGRAM = Path(__file__).with_name("fork_server.py")
# Read when an interpreter starts, or a library is imported
SETTINGS_OF_PYTHON = ("PYTHON", "LD_", "MALLOC_", "WRAPT_")


class Worker:
    """A process that was forked, with what the embedded AWS uses of `subprocess.Popen`.

    Parameters
    ----------
    pid
        Its number.
    ended
        Descriptor of it, which becomes readable when it ends.
    pipes
        Our ends of its standard input, output and error.
    """

    def __init__(self, pid: int, ended: int, pipes: Sequence[int]) -> None:
        self.pid, self._ended = pid, ended
        self.returncode: int | None = None  # after its end 0, whatever it was: only its parent can read it
        self.stdin = open(pipes[0], "w", buffering=1, encoding="utf-8")  # noqa: SIM115
        self.stdout = open(pipes[1], encoding="utf-8")  # noqa: SIM115
        self.stderr = open(pipes[2], encoding="utf-8")  # noqa: SIM115

    def poll(self) -> int | None:
        """None while it runs."""
        return self._state(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises
        ------
        subprocess.TimeoutExpired
            It runs still.
        """
        state = self._state(None if timeout is None else timeout * 1000)
        if state is None:
            raise subprocess.TimeoutExpired(str(PROGRAM), timeout or 0)
        return state

    def terminate(self) -> None:
        """Send SIGTERM, if it runs."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL, if it runs."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            try:
                signal.pidfd_send_signal(self._ended, number)
            except ProcessLookupError:  # it has just ended
                return

    def _state(self, milliseconds: float | None) -> int | None:
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._ended, select.POLLIN)
            if waiting.poll(milliseconds):
                self.returncode = 0
        return self.returncode

    def __del__(self) -> None:
        os.close(self._ended)


class ForkServer:
    """The process that forks for one layer.

    Parameters
    ----------
    site
        Site directory of the layer, which is read before the first worker is there.
    """

    def __init__(self, site: Path) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._turn = threading.Lock()
        # What a process was started with stays readable in /proc for itself: functions are not to find the credentials of the service.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), str(theirs.fileno()), str(site)],
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def start(self, program: str, folder: str, environment: Mapping[str, str]) -> Worker:
        """A process that runs a program.

        Raises
        ------
        OSError
            The fork server has ended.
        """
        request = {"program": program, "folder": folder, "environment": dict(environment)}
        pipes = [os.pipe() for _ in range(3)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        ours = [pipes[0][1], pipes[1][0], pipes[2][0]]
        try:
            with self._turn:
                socket.send_fds(self._channel, [json.dumps(request).encode()], theirs)
                number, ended, _, _ = socket.recv_fds(self._channel, 32, 1)
            if not ended:
                raise BrokenPipeError("the fork server has ended")
        except OSError:
            for descriptor in ours:
                os.close(descriptor)
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        return Worker(int(number), ended[0], ours)

    def close(self) -> None:
        """End it, if it has not ended; its workers go on."""
        self._channel.close()
        self._process.kill()
        self._process.wait()


class ForkServers:
    """Those of all layers, each started when it is first needed."""

    def __init__(self) -> None:
        self._servers: dict[bytes, ForkServer] = {}
        self._turn = threading.Lock()

    def popen(self, command: Sequence[str], **options: Any) -> Any:
        """What `subprocess.Popen` is to the embedded AWS: a fork if this is a worker with a layer of shared libraries."""
        environment: Mapping[str, str] = options.get("env") or {}
        pointer = pointer_of(environment)
        if pointer and command[0] == sys.executable and len(command) == 2 and not _differs(environment):
            key = pointer.read_bytes()
            server = self._server(key, pointer.parent)
            try:
                return server.start(command[1], options["cwd"], environment)
            except OSError:
                self._forget(key, server)
        return subprocess.Popen(command, **options)

    def close(self) -> None:
        """End all of them; their workers go on."""
        for key, server in list(self._servers.items()):
            self._forget(key, server)

    def _server(self, key: bytes, site: Path) -> ForkServer:
        with self._turn:
            if key not in self._servers:
                self._servers[key] = ForkServer(site)
            return self._servers[key]

    def _forget(self, key: bytes, server: ForkServer) -> None:
        with self._turn:
            if self._servers.get(key) is server:
                del self._servers[key]
        server.close()


def pointer_of(environment: Mapping[str, str]) -> Path | None:
    """The file that leads a worker to the unpacked libraries of its first layer (`dropsort.local.shared_layer`)."""
    first = environment.get("_LAMBDA_LAYERS_DIRS", "").split(os.pathsep)[0]
    return next(Path(first).glob("python/lib/*/site-packages/*.pth"), None) if first else None


def _differs(environment: Mapping[str, str]) -> bool:
    """Whether a process with this environment has to be started, as its interpreter is another than that of this process."""
    names = {name for name in (*environment, *os.environ) if name.startswith(SETTINGS_OF_PYTHON)}
    return any(environment.get(name) != os.environ.get(name) for name in names)


def patch() -> None:
    """Patch how workers are started, before the embedded AWS serves; only Linux can wait for a process that is not its own child."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return
    runtime: Any = import_module("ministack.core.lambda_runtime")
    own = ModuleType("subprocess")
    own.__dict__.update(runtime.subprocess.__dict__)
    own.__dict__["Popen"] = ForkServers().popen
    runtime.subprocess = own
