"""The parameters of the stack, on disk within a second after somebody has changed them.

The embedded AWS saves its stacks at a clean stop only. After a kill, the next start compares what the stack has with what is recorded here
and deploys the difference again.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dropsort.contract import stack as stacks

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

SECONDS = 1.0  # between two checks


def read(path: Path) -> dict[str, str]:
    """The recorded parameters; empty without a readable record."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def write(path: Path, parameters: Mapping[str, str]) -> None:
    """Record parameters, all or none."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(dict(sorted(parameters.items())), indent=1), encoding="utf-8")
    os.replace(temporary, path)


def without_archives(recorded: Mapping[str, str], archives: Collection[str]) -> dict[str, str]:
    """What is recorded without the keys of packages, as those of an earlier start may be of older code; a layer left out stays so."""
    return {name: value for name, value in recorded.items() if not value or name not in archives}


def lost(recorded: Mapping[str, str], deployed: Mapping[str, str]) -> dict[str, str]:
    """What is recorded otherwise than it is deployed, of the parameters that the stack has."""
    return {name: value for name, value in recorded.items() if deployed.get(name, value) != value}


class ParameterRecord:
    """Records the parameters of a stack while it is in use.

    Parameters
    ----------
    cloudformation
        Client of the embedded AWS.
    stack
        Its name.
    path
        File to write.
    ignored
        Parameters that every start sets itself.
    """

    def __init__(
        self, cloudformation: CloudFormationClient, stack: str, path: Path, ignored: Collection[str]
    ) -> None:
        self._cloudformation, self._stack, self._path = cloudformation, stack, path
        self._ignored = frozenset(ignored)
        self._known = read(path)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parameters", daemon=True)

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()

    def check(self) -> None:
        """Record what is there if it has changed; nothing while an update is in progress, which may be rolled back."""
        found = stacks.find(self._cloudformation, self._stack)
        if found is None or found.busy:
            return
        now = {name: value for name, value in found.parameters.items() if name not in self._ignored}
        if now != self._known:
            write(self._path, now)
            self._known = now

    def _run(self) -> None:
        while not self._stopped.wait(SECONDS):
            with contextlib.suppress(Exception):  # the embedded AWS may be stopping; the next check follows
                self.check()
