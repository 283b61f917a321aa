"""Services that run on this machine: where each one is, for commands in another terminal.

Each running service has a file with its addresses and its folder, in a folder that only its user can read. Credentials
are not in it; they stay in the service's own folder. A file whose service was killed is removed by whoever finds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from dropsort.local import clients, credentials
from dropsort.local.errors import LocalError
from dropsort.local.folder import LOCK


@dataclass(frozen=True)
class RunningService:
    """A service that runs.

    Parameters
    ----------
    folder
        Folder of the service, which holds its lock and its credentials.
    endpoint_url, runtime_url
        Addresses of the embedded AWS and of the embedded SageMaker runtime.
    """

    folder: str
    endpoint_url: str
    runtime_url: str

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which any AWS client reaches it; LocalError if its credentials cannot be read."""
        try:
            found = credentials.read(Path(self.folder, credentials.FILE))
        except FileNotFoundError as error:
            raise LocalError(f"{self.folder} has no credentials: has the service ended?") from error
        return clients.environment(found, self.endpoint_url, self.runtime_url)


def home() -> Path:
    """Folder of the files, below ``$XDG_RUNTIME_DIR`` or the temporary folder, by user."""
    given = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if given.is_absolute() and os.access(given, os.W_OK):
        return given / "dropsort"
    return Path(tempfile.gettempdir(), f"dropsort-running-{os.geteuid()}")


@contextmanager
def announced(service: RunningService) -> Iterator[None]:
    """Other terminals find the service until the block ends; where the file cannot be written, they do not."""
    path = home() / f"{os.getpid()}.json"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        written = _is_private(path.parent)
        if written:
            path.write_text(json.dumps(asdict(service)), encoding="utf-8")
    except OSError:
        written = False
    try:
        yield
    finally:
        if written:
            path.unlink(missing_ok=True)


def services() -> list[RunningService]:
    """The services of this user that run now, in the order of their folders."""
    if not _is_private(home()):
        return []
    found = []
    for path in home().glob("*.json"):
        try:
            service = RunningService(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        if _locked(Path(service.folder, LOCK)):
            found.append(service)
        else:
            path.unlink(missing_ok=True)
    return sorted(found, key=lambda service: service.folder)


def _is_private(folder: Path) -> bool:
    """Whether a folder is this user's and nobody else can write or read it: others could plant an address there."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not stat.S_IMODE(status.st_mode) & 0o077
    )


def _locked(path: Path) -> bool:
    try:
        with path.open("r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
