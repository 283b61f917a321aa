"""Runs `dropsort` as a user does: as a process of its own."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

Run = Callable[..., subprocess.CompletedProcess[str]]


class Commands:
    """The process that starts commands (`tests.command_server`)."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.command_server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, folder: Path, environment: Mapping[str, str], arguments: tuple[str, ...], program: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run `dropsort` with arguments, or a program in its place, in a folder, with these environment variables alone."""
        assert self._server.stdin
        assert self._server.stdout
        with tempfile.NamedTemporaryFile() as stdout, tempfile.NamedTemporaryFile() as stderr, self._turn:
            request = {
                "folder": str(folder),
                "environment": dict(environment),
                "arguments": arguments,
                "program": program,
                "stdout": stdout.name,
                "stderr": stderr.name,
            }
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            code = json.loads(self._server.stdout.readline())
            return subprocess.CompletedProcess(
                arguments, code, stdout.read().decode(), stderr.read().decode()
            )

    def close(self) -> None:
        """End the process."""
        self._server.communicate()


@cache
def commands() -> Commands:
    """The one of this process."""
    found = Commands()
    atexit.register(found.close)
    return found


def runner(folder: Path, environment: Mapping[str, str]) -> Run:
    """A function that runs a command in a folder and checks its exit code, and that no traceback reaches a user.

    ``run("drop", "a.jpg", code=0)``; with `program`, that Python code in place of the command.
    """

    def run(*arguments: str, code: int = 0, program: str = "") -> subprocess.CompletedProcess[str]:
        result = commands().run(folder, environment, arguments, program)
        assert result.returncode == code, result.stderr + result.stdout
        assert "Traceback" not in result.stderr
        return result

    return run
