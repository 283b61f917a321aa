"""The embedded AWS: `ministack` as a child process, with settings of ours and nothing of this machine's.

Edge cases it takes care of: AWS settings, proxies and Python settings of this machine never reach it or the
functions; Docker is never touched; a port in use is named before the start; it is gone when we are, Lambda
workers too; with `keep`, a clean stop saves all of it, and objects are on disk at once.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from dropsort.local import credentials
from dropsort.local.clients import EmbeddedSession
from dropsort.local.direct import is_ready
from dropsort.local.disk import RESERVE_BYTES
from dropsort.local.errors import InUseError
from dropsort.local.process import Lifeline, ProcessOwner, SupervisedProcess

HOST = "127.0.0.1"
PROGRAM = Path(__file__).with_name("emulator.py")
START_SECONDS = 60.0
STOP_SECONDS = 2.0
SAVE_SECONDS = 60.0  # its state holds every log line

SETTINGS = {
    "AUTH": "true",  # the functions' roles are enforced
    "LAMBDA_ACCOUNT_CONCURRENCY": "8",  # nothing queues there: each concurrent invocation is a process
    # It doubles waits up to a minute, supports neither jitter nor MaxDelaySeconds: so they are 0.03 to 1.8 seconds long, and
    # sixty tries last 100 seconds, which is what the template's Retry comes to on AWS.
    "SFN_WAIT_SCALE": "0.03",
    "BIND_HOST": HOST,  # not for the network
    "SFTP_ENABLED": "0",
    "IOT_MTLS_ENABLED": "0",  # no further ports
    "DOCKER_HOST": "unix:///nonexistent",  # its start would remove containers of others
    "AWS_EC2_METADATA_DISABLED": "true",
    "LOG_LEVEL": "WARNING",
    "PYTHONDONTWRITEBYTECODE": "1",  # functions run from folders made for each worker
}


class EmbeddedAws(ProcessOwner):
    """One embedded AWS.

    Parameters
    ----------
    python
        Interpreter of its environment (`dropsort.local.venv.ensure`).
    folder
        Its folder, for objects, state, temporary files and log.
    port
        Port on this machine; 0 takes a free one.
    keep
        Whether it saves its state at a clean stop.
    holders
        File descriptors that it keeps open as long as it runs.
    secrets
        File of its credentials, which are made if they are not there; None takes one in its folder.
    reserve
        Bytes of disk space that stay free when uploads are accepted.

    Raises
    ------
    InUseError
        Something else listens on the port.
    CredentialsError
        The file of its credentials cannot be trusted.
    """

    def __init__(
        self,
        python: Path,
        folder: Path,
        port: int = 0,
        keep: bool = False,
        holders: Sequence[int] = (),
        secrets: Path | None = None,
        reserve: int = RESERVE_BYTES,
    ) -> None:
        self._python, self._folder, self._keep, self._holders = python, folder, keep, tuple(holders)
        self._reserve = reserve
        self.port = free_port(port)
        self.log = folder / "embedded-aws.log"
        self.secrets = secrets or folder / credentials.FILE
        self.credentials = credentials.ensure(self.secrets)
        self.lifeline = Lifeline()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    @property
    def endpoint_file(self) -> Path:
        """Where the embedded endpoint is described, for SageMaker's DescribeEndpoint."""
        return self._folder / "endpoint.json"

    def session(self, runtime_url: str = "") -> EmbeddedSession:
        """A boto3 session for it."""
        return EmbeddedSession(self.credentials, self.url, runtime_url)

    def start(self) -> None:
        """Start it and wait until it responds.

        Raises
        ------
        StartError
            It did not start; the message has its last words and names the log.
        """
        temporary = self._folder / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)  # of a run that was cut short
        temporary.mkdir(parents=True)
        (self._folder / "s3").mkdir(exist_ok=True)
        self._process = SupervisedProcess(
            "The embedded AWS",
            self._command(),
            self._environment(temporary),
            self.log,
            grace=SAVE_SECONDS if self._keep else STOP_SECONDS,
            lifeline=self.lifeline,
            holders=self._holders,
        )
        try:
            self._process.wait_until(self._responds, START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it, with all its functions; with `keep` its state is saved first."""
        super().stop()
        shutil.rmtree(self._folder / "tmp", ignore_errors=True)

    def _command(self) -> list[str]:
        files = str(self.secrets), str(self._reserve), str(self.endpoint_file)
        return [str(self._python), "-P", str(PROGRAM), str(self.port), *files]

    def _environment(self, temporary: Path) -> dict[str, str]:
        return {
            **SETTINGS,
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(temporary),  # no ~/.aws
            "TMPDIR": str(temporary),
            "GATEWAY_PORT": str(self.port),
            "PERSIST_STATE": "1" if self._keep else "0",
            "STATE_DIR": str(self._folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self._folder / "s3"),
        }

    def _responds(self) -> bool:
        return is_ready(self.credentials, f"{self.url}/_ministack/ready", self.port, timeout=2)


def free_port(wanted: int = 0) -> int:
    """Return `wanted` if nothing listens there, or any free port for 0.

    Raises
    ------
    InUseError
        The port is taken, or may not be used.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except (OSError, OverflowError) as error:
            raise InUseError(
                f"Port {wanted} cannot be used ({getattr(error, 'strerror', None) or error}): "
                "give another one, or stop what listens there."
            ) from error
        port: int = probe.getsockname()[1]
        return port
