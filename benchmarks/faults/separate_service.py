"""A service in a process of its own, to be killed: ``python -m benchmarks.faults.separate_service FOLDER RESERVE``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import processes
from benchmarks.faults.batch import Site
from benchmarks.faults.target import PARAMETERS, check_often, send, site_of
from dropsort.local import credentials
from dropsort.local.clients import EmbeddedSession
from dropsort.local.disk import RESERVE_BYTES
from dropsort.local.service import LocalService

_END_SECONDS = 120.0


class SeparateService:
    """A service in a process of its own.

    Parameters
    ----------
    folder
        Its data folder.
    reserve
        Bytes of disk space below which it rejects uploads.
    """

    def __init__(self, folder: Path, reserve: int = RESERVE_BYTES) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults.separate_service", str(folder), str(reserve)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the service did not start")
        started = json.loads(line)
        session = EmbeddedSession(credentials.read(folder / credentials.FILE), started["url"])
        self.site: Site = site_of(session, started["bucket"], started["outputs"])

    def stop(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_END_SECONDS)

    def kill(self) -> None:
        """Kill every process of it at once, as when the machine goes down; returns when none is left."""
        pids = [self._process.pid, *(process.pid for process in processes.descendants(self._process.pid))]
        send(pids, signal.SIGKILL)
        self._process.wait(_END_SECONDS)
        deadline = time.monotonic() + _END_SECONDS
        while any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)


def main(folder: Path, reserve: int) -> int:
    """Run until Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    check_often()
    try:
        with LocalService(
            folder, parameters=PARAMETERS, reserve=reserve, on_step=lambda line: print(line, file=sys.stderr)
        ) as service:
            started = {
                "url": service.endpoint_url,
                "bucket": service.bucket,
                "outputs": service.outputs,
            }
            print(json.dumps(started), flush=True)
            service.wait()
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
