"""A child process under a supervisor: its log, its end, and the guarantee that none of its processes remains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dropsort.local.errors import StartError

SUPERVISOR = Path(__file__).with_name("supervisor.py")


class Lifeline:
    """A pipe: as long as any process holds its writing end, whoever watches the reading end stays."""

    def __init__(self) -> None:
        self.watched, self.held = os.pipe()  # neither is inherited unless it is passed on

    def close(self) -> None:
        """Let go."""
        for descriptor in (self.watched, self.held):
            if descriptor >= 0:
                os.close(descriptor)
        self.watched = self.held = -1

    __del__ = close


class SupervisedProcess:
    """A running command that ends with us, whatever ends us.

    Parameters
    ----------
    name
        What to call it in messages.
    command
        Program with its whole path, and arguments.
    environment
        All of its environment.
    log
        File that its output is added to.
    grace
        Seconds between SIGTERM and SIGKILL.
    lifeline
        What keeps it running besides us.
    holders
        File descriptors that the command keeps open: a locked file stays locked as long as it runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        grace: float,
        lifeline: Lifeline,
        holders: Sequence[int] = (),
    ) -> None:
        self.name, self.log, self._grace, self._lifeline = name, log, grace, lifeline
        with log.open("ab") as output:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SUPERVISOR), str(grace), str(lifeline.watched), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment),
                pass_fds=(lifeline.watched, *holders),
                start_new_session=True,  # Ctrl-C is ours to handle
            )

    def running(self) -> bool:
        """Whether it runs still."""
        return self._supervisor.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait for `ready`.

        Raises
        ------
        StartError
            It ended, or was not ready in time; the message has its last words and names the log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running():
                raise StartError(f"{self.name} ended while starting: {self.last_words()} (log: {self.log})")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} was not ready after {seconds:g} seconds (log: {self.log})")
            time.sleep(0.02)

    def last_words(self) -> str:
        """Last line of its log that is not empty."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 4096))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            lines = []
        return next((line.strip() for line in reversed(lines) if line.strip()), "no message")

    def kill(self) -> None:
        """Have it end at once, without saving anything; returns before it has."""
        if self.running():
            self._supervisor.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        """Stop it cleanly if it can, at any rate; returns when nothing of it runs."""
        self._supervisor.terminate()
        try:
            self._supervisor.wait(self._grace + 5)
        except subprocess.TimeoutExpired:  # the supervisor itself hangs: it never did, but nothing may stay
            self._supervisor.kill()
            self._supervisor.wait()


class ProcessOwner:
    """A part of the service that is a process of its own."""

    _process: SupervisedProcess | None = None

    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.running()

    def kill(self) -> None:
        """Have it end at once, without saving anything; returns before it has."""
        if self._process:
            self._process.kill()

    def stop(self) -> None:
        """Stop it, after it has completed and saved what it is at."""
        if self._process:
            self._process.stop()
            self._process = None
