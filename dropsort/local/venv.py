"""The virtual environment of the embedded AWS: its own, because Lambda functions run in it see all it has.

It is made on first use from the lock file with its hashes, in a folder named by the lock and the interpreter. The
folder appears under its name in one step, so a half-made one is never used: what an interrupted installation leaves
behind is removed by the next. A changed lock makes a new one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dropsort.contract import caches, pip, resources
from dropsort.contract.errors import DropsortError
from dropsort.contract.progress import OnStep, no_steps
from dropsort.local.errors import InstallError

LOCK = resources.requirements("embedded-aws.txt")
HOME = caches.folder("embedded-aws")


def ensure(lock: Path = LOCK, home: Path = HOME, on_step: OnStep = no_steps) -> Path:
    """Return the environment's interpreter, and install the environment if it is not there.

    Parameters
    ----------
    lock
        Requirements with hashes.
    home
        Folder that holds the environments; several processes may use it at once.
    on_step
        Called with a sentence when something takes long.

    Raises
    ------
    InstallError
        No lock file, no pip, no network, a wrong hash, or a folder that cannot be written.
    """
    try:
        content = lock.read_bytes()
    except OSError as error:
        raise InstallError(f"Cannot read {lock} ({error.strerror}): install Dropsort again.") from error
    digest = hashlib.sha256(content + sys.version.encode()).hexdigest()[:16]
    finished = home / digest
    python = finished / "bin" / "python"
    if python.exists():
        return python
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(home):
            if not python.exists():  # another process may have been faster
                on_step(f"Installing the embedded AWS into {finished} (once) ...")
                _install(lock, finished, home)
    except InstallError:
        raise
    except DropsortError as error:
        raise InstallError(str(error)) from error
    except OSError as error:
        raise InstallError(f"Cannot install the embedded AWS into {home}: {error}") from error
    return python


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the folder's lock; the system lets go of it if this process is killed."""
    with (home / "lock").open("wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _install(lock: Path, finished: Path, home: Path) -> None:
    for other in home.iterdir():  # interrupted ones, and those of earlier locks
        if other.is_dir():
            shutil.rmtree(other, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=home))
    try:
        # Saves three seconds of installing another pip
        _run([sys.executable, "-m", "venv", "--without-pip", str(building)])
        python = str(building / "bin" / "python")
        options = ["--disable-pip-version-check", "--quiet", "--require-hashes", "--only-binary=:all:"]
        # The lock is whole; of its modules one in eight is used, and compiled then
        options += ["--no-deps", "--no-compile"]
        _run([*pip.command(), "--python", python, "install", *options, "-r", str(lock)])
        building.rename(finished)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _run(command: list[str]) -> None:
    """Run a step of the installation; its own words are in the error."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        words = [line for line in done.stderr.strip().splitlines() if not line.startswith("WARNING")]
        raise InstallError(
            "Installing the embedded AWS failed: "
            + " ".join(words[-3:] or [f"exit code {done.returncode}"])
            + " (it needs the Python package index once; then it works offline)"
        )
