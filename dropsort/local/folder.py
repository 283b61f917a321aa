"""The folder of a service: one service at a time, what was deployed into it, and a state that can be trusted.

Objects are on disk as soon as the embedded AWS has accepted them; everything else (stack, functions, rules, roles,
logs) only after a clean stop. So the folder records whether a deployment was ever followed by one (`deployed`),
and keeps a copy of that state: a kill later goes back to the last clean stop, a damaged state to the copy, and a
folder in which no deployment was finished, which was not reported yet, starts from the beginning.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from dropsort.contract import ignored_paths
from dropsort.contract.text import printable
from dropsort.local import credentials
from dropsort.local.errors import InUseError, LocalError

WAIT_SECONDS = 30.0
_PREFIX = "dropsort-service-"
LOCK = "lock"
GITIGNORE = ".gitignore"


class ServiceFolder:
    """The folder of one service.

    Parameters
    ----------
    path
        Remains after the end; None takes a temporary one.

    Raises
    ------
    LocalError
        The folder cannot be used, or contains something else than a service.
    """

    def __init__(self, path: Path | None) -> None:
        self.keep = path is not None
        self.keep_logs = False
        try:
            if path:
                _check_unused(path)
                path.mkdir(parents=True, exist_ok=True)
                self.path = path.resolve()
                self.path.chmod(0o700)  # images, results and credentials are for nobody else on this machine
                (self.path / GITIGNORE).write_text("*\n", encoding="utf-8")  # nor for a repository it is in
            else:
                _sweep()
                self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise LocalError(f"Cannot use {path or 'a temporary folder'}: {error.strerror}.") from error

    @property
    def lock(self) -> int:
        """Descriptor of the lock: whoever has it open keeps others out."""
        return self._lock

    @property
    def aws(self) -> Path:
        """Folder of the embedded AWS."""
        return self.path / "aws"

    @property
    def credentials(self) -> Path:
        """File of the service's credentials."""
        return self.path / credentials.FILE

    @property
    def checkpoint(self) -> Path:
        """How far metrics have been forwarded."""
        return self.path / "metrics.json"

    @property
    def parameters(self) -> Path:
        """Parameters of the stack, as they were set last."""
        return self.path / "parameters.json"

    def acquire(self) -> None:
        """Keep others out; waits for the processes of a service that was killed a moment ago.

        Raises
        ------
        InUseError
            Another service runs on the folder.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
                if _alive(holder) or time.monotonic() > deadline:
                    raise InUseError(
                        f"Another service runs on {self.path} (process {holder or 'unknown'}): stop that one, or "
                        "use another folder."
                    ) from None
                time.sleep(0.1)
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others in; a temporary folder is removed, but for logs that an error has named."""
        if not self.keep:
            shutil.rmtree(self.aws / "s3", ignore_errors=True)
            if not self.keep_logs:
                shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def deployed(self) -> dict[str, Any]:
        """What was deployed last and has been saved; empty if nothing was."""
        try:
            found = json.loads((self.path / "deployed.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def set_deployed(self, what: dict[str, Any]) -> None:
        """Record a deployment, and the state that the embedded AWS has just saved."""
        copy, fresh = self.path / "state-deployed", self.path / "state-deployed.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(self.aws / "state", fresh)
        shutil.rmtree(copy, ignore_errors=True)
        fresh.rename(copy)
        temporary = self.path / "deployed.tmp"
        temporary.write_text(json.dumps(what), encoding="utf-8")
        os.replace(temporary, self.path / "deployed.json")

    def prepare(self) -> bool:
        """Prepare the embedded AWS's folder for a start; return whether there is a service in it."""
        if not self.deployed():
            shutil.rmtree(self.aws, ignore_errors=True)
            self.checkpoint.unlink(missing_ok=True)
            self.parameters.unlink(missing_ok=True)
        elif _damaged(self.aws / "state"):
            self.restore()
        self.aws.mkdir(exist_ok=True)
        return bool(self.deployed())

    def restore(self) -> None:
        """Go back to the state of the last deployment; objects stay as they are."""
        copy = self.path / "state-deployed"
        if copy.is_dir():
            shutil.rmtree(self.aws / "state", ignore_errors=True)
            shutil.copytree(copy, self.aws / "state")


def _check_unused(path: Path) -> None:
    """Raise an error if a folder contains something else than a service, such as the images to upload."""
    if not path.is_dir() or (path / LOCK).is_file():
        return
    ignored = ignored_paths.parse(ignored_paths.DEFAULT)
    found = sorted(item.name for item in path.iterdir() if not ignored(item.name))
    if found:
        raise LocalError(
            f"{path} contains {printable(found[0])} and is not the folder of a service: name a new or an empty folder "
            "for its data."
        )


def _sweep() -> None:
    """Remove temporary folders of services that were killed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            with (left / LOCK).open("r+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # in use, or not ours
            continue


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _damaged(state: Path) -> bool:
    """Whether files of the state are missing or cut short."""
    files = list(state.glob("*.json"))
    return not files or any(not _whole(file) for file in files)


def _whole(file: Path) -> bool:
    with file.open("rb") as content:
        content.seek(0, os.SEEK_END)
        content.seek(max(0, content.tell() - 16))
        return content.read().rstrip().endswith(b"}")
