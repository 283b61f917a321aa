"""The embedded endpoint as a child process: started early, ended with every captured request written."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dropsort.local import clients, credentials
from dropsort.local.direct import is_ready, responds
from dropsort.local.embedded import HOST, free_port
from dropsort.local.endpoint_config import EndpointConfig
from dropsort.local.process import Lifeline, ProcessOwner, SupervisedProcess

MODULE = "dropsort.local.serve"
START_SECONDS = 60.0
STOP_SECONDS = 20.0


class EmbeddedEndpoint(ProcessOwner):
    """One endpoint.

    Parameters
    ----------
    model
        Folder with model.onnx and labels.json.
    folder
        For its settings and its log.
    name
        Name of the endpoint.
    config
        Variant and capture.
    aws_url
        Address of the embedded AWS, which has the bucket for captures.
    port
        Port on this machine; 0 takes a free one.
    threads
        Requests worked on at once; None takes one per processor.
    secrets
        File of the service's credentials, which are made if they are not there; None takes one in `folder`.
    """

    def __init__(
        self,
        model: Path,
        folder: Path,
        name: str,
        config: EndpointConfig,
        aws_url: str = "",
        port: int = 0,
        threads: int | None = None,
        secrets: Path | None = None,
    ) -> None:
        secrets = secrets or folder / credentials.FILE
        self.credentials = credentials.ensure(secrets)
        self.name, self.port, self.log = name, free_port(port), folder / "endpoint.log"
        self._settings = folder / "endpoint.json"
        self._config = {
            "model": str(model.resolve()),
            "name": name,
            "variant": config.variant,
            "capture": dataclasses.asdict(config.capture) if config.capture else None,
            "account": clients.ACCOUNT,
            "host": HOST,
            "port": self.port,
            "log": str(self.log),
            "threads": threads,
            "aws_url": aws_url,
            "region": clients.REGION,
            "credentials": str(secrets.resolve()),
        }
        self._leash = Lifeline()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def launch(self, holders: Sequence[int] = ()) -> None:
        """Start it without waiting; `holders` are descriptors that it keeps open."""
        self._settings.write_text(json.dumps(self._config), encoding="utf-8")
        self._process = SupervisedProcess(
            "The embedded endpoint",
            [sys.executable, "-m", MODULE, str(self._settings)],
            _environment(),
            self.log,
            grace=STOP_SECONDS,
            lifeline=self._leash,
            holders=holders,
        )

    def wait(self) -> None:
        """Wait until it responds.

        Raises
        ------
        StartError
            It did not start; the message has its last words and names the log.
        """
        if self._process:
            self._process.wait_until(
                lambda: is_ready(self.credentials, f"{self.url}/ping", self.port, timeout=2), START_SECONDS
            )

    def start(self, holders: Sequence[int] = ()) -> None:
        """Start it and wait until it responds."""
        self.launch(holders)
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise

    def flush(self) -> bool:
        """Have everything that it captured written into the bucket; return whether that is done."""
        return self._call("POST", "/flush")

    def _call(self, method: str, path: str) -> bool:
        request = clients.signed_request(self.credentials, method, self.url + path)
        return responds(request, timeout=STOP_SECONDS)


def _environment() -> dict[str, str]:
    """This process's environment without settings that are not meant for it: AWS, proxies, threads of libraries."""
    unwanted = ("AWS_", "OMP_", "MKL_", "OPENBLAS_", "UVICORN_", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
    return {key: value for key, value in kept.items() if not key.lower().endswith("_proxy")}
