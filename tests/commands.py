"""Runs `dropsort` as a user does: as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

Run = Callable[..., subprocess.CompletedProcess[str]]


def runner(folder: Path, environment: Mapping[str, str]) -> Run:
    """A function that runs a command in a folder and checks its exit code, and that no traceback reaches a user.

    ``run("drop", "a.jpg", code=0)``; with `program`, that Python code in place of the command.
    """

    def run(*arguments: str, code: int = 0, program: str = "") -> subprocess.CompletedProcess[str]:
        start = ["-c", program] if program else ["-m", "dropsort.cli"]
        result = subprocess.run(
            [sys.executable, *start, *arguments],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == code, result.stderr + result.stdout
        assert "Traceback" not in result.stderr
        return result

    return run
