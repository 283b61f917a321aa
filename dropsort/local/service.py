"""The whole service on one machine: embedded AWS, embedded endpoint, the template deployed unchanged, metrics.

What takes time runs side by side: while the functions are packaged the embedded AWS starts, and while the stack is
created the model loads. With a data folder a second start finds everything there and deploys only what has changed.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from botocore.config import Config

from dropsort.contract import stack as stacks
from dropsort.contract.defaults import MODEL_PARAMETERS, STACK, version_parameter
from dropsort.contract.progress import OnStep, no_steps
from dropsort.contract.resources import DEFAULT_MODEL, TEMPLATE
from dropsort.deployment import deploy, package
from dropsort.local import clients, embedded_sagemaker, endpoint_config, model_version, reference_object, venv
from dropsort.local import parameters as stack_parameters
from dropsort.local.activity import Activity
from dropsort.local.automatic_redrive import AutomaticRedrive
from dropsort.local.clients import EmbeddedSession
from dropsort.local.disk import RESERVE_BYTES, DiskWatch
from dropsort.local.embedded import EmbeddedAws, free_port
from dropsort.local.endpoint_process import EmbeddedEndpoint
from dropsort.local.errors import InUseError, StartError
from dropsort.local.folder import ServiceFolder
from dropsort.local.interrupts import Interrupts
from dropsort.local.metrics_bridge import MetricsBridge
from dropsort.local.parameters import ParameterRecord
from dropsort.local.running import RunningService
from dropsort.local.shared_layer import share

BUCKET = "dropsort"
ENDPOINT = "dropsort"


class LocalService:
    """The service, between ``with`` and its end.

    Parameters
    ----------
    data
        Folder that stores bucket and service; None deletes everything at the end.
    port
        Port of the embedded AWS; None takes that of the folder's previous run, or a free one.
    model
        Folder of the model that the endpoint serves.
    parameters
        Template parameters besides those that this machine needs.
    on_step
        Called with a sentence at each step.
    threads
        Requests that the endpoint works on at once; None takes one per processor.
    reserve
        Bytes of disk space below which uploads are rejected.

    Raises
    ------
    LocalError
        The service cannot start; the message says why and what to do.
    dropsort.deployment.errors.DeploymentError
        The functions cannot be packaged or the stack not deployed.
    """

    def __init__(
        self,
        data: Path | None = None,
        port: int | None = None,
        *,
        model: Path = DEFAULT_MODEL,
        parameters: Mapping[str, str] | None = None,
        on_step: OnStep = no_steps,
        threads: int | None = None,
        reserve: int = RESERVE_BYTES,
    ) -> None:
        self._data, self._port, self._model, self._reserve = data, port, model, reserve
        self._parameters, self._on_step, self._threads = dict(parameters or {}), on_step, threads
        self._cleanup = ExitStack()
        self.stack, self.bucket = STACK, BUCKET
        self.outputs: dict[str, str] = {}
        self._interrupts = Interrupts(on_step, self._kill)
        self._killed = False
        self._parts: list[EmbeddedAws | EmbeddedEndpoint] = []
        self.activity = Activity(STACK, time.time_ns() // 1_000_000)
        self.changes: list[str] = []  # of model and thresholds since the previous run, in words

    def __enter__(self) -> LocalService:
        """Start it."""
        self._interrupts.install()
        try:
            self._start()
        except BaseException as error:
            self._end(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it; captures and metrics are written first."""
        self._end(error)

    @property
    def endpoint_url(self) -> str:
        """Address of the embedded AWS: what ``--endpoint-url`` takes."""
        return self._aws.url

    @property
    def runtime_url(self) -> str:
        """Address of the embedded SageMaker runtime."""
        return self._endpoint.url

    @property
    def running(self) -> RunningService:
        """Where it is, for commands in another terminal."""
        return RunningService(str(self._folder.path), self.endpoint_url, self.runtime_url)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which any AWS client reaches the service."""
        return clients.environment(self._aws.credentials, self.endpoint_url, self.runtime_url)

    @property
    def logs(self) -> tuple[Path, Path]:
        """Log files of embedded AWS and endpoint."""
        return self._aws.log, self._endpoint.log

    @property
    def model(self) -> str:
        """Version of the model, and the thresholds of the stack, in words."""
        found = stacks.find(self._aws.session().client("cloudformation"), STACK)
        values = found.parameters if found else {}
        thresholds = ", ".join(
            f"{name} {values[name]}" for name in MODEL_PARAMETERS.values() if name in values
        )
        return f"{self._version.name} ({thresholds})"

    def session(self) -> EmbeddedSession:
        """A boto3 session for the service, independent of this machine's AWS settings."""
        return self._aws.session(self.runtime_url)

    def flush(self) -> None:
        """Have all captures in the bucket and all metrics in CloudWatch."""
        self._endpoint.flush()
        self._metrics.forward()

    def restart_endpoint(self) -> None:
        """Start the endpoint again after its process has ended, at the same address."""
        self._endpoint.stop()
        self._endpoint.start(holders=[self._aws.lifeline.held])

    def redeploy(self, parameters: Mapping[str, str]) -> None:
        """Update the stack while it is in use, with `parameters` in place of those that it was started with."""
        self._deploy({**self._parameters, **self._local_parameters(), **parameters}, self._packages.result())

    def check(self) -> None:
        """Make sure that it runs.

        Raises
        ------
        StartError
            A process of it ended; the message names its log.
        """
        for part, name in ((self._aws, "embedded AWS"), (self._endpoint, "embedded endpoint")):
            if not part.running():
                raise StartError(
                    f"The {name} has ended unexpectedly (log: {part.log}): start the service again."
                )

    def wait(self, each_second: Callable[[], None] = lambda: None) -> None:
        """Stay until Ctrl-C; `each_second` is called about once a second.

        Raises
        ------
        StartError
            A process of the service ended by itself.
        """
        while not self._ended.wait(1):
            self.check()
            each_second()

    def _end(self, error: BaseException | None) -> None:
        if isinstance(error, StartError):  # it names a log
            self._folder.keep_logs = True
        try:
            self._cleanup.close()
        finally:
            self._interrupts.restore()

    def _kill(self) -> None:
        """End every process at once; what is not saved is lost."""
        self._killed = True
        for part in self._parts:
            part.kill()

    def _start(self) -> None:
        self._ended = threading.Event()
        known, before = self._open_folder()
        if self._port is not None:
            free_port(self._port)  # an error now, not after the installing
        self._version = model_version.identify(self._model)
        self.changes = model_version.changes(before, self._version, self._parameters)
        with ThreadPoolExecutor(2) as pool:
            self._packages = pool.submit(self._package)
            self._start_processes(before)
            packages = self._packages.result()
            has_stack = self._restore_stack(known)
            self._bring_up_to_date(before, packages, has_stack)
            self._endpoint.wait()
        self._start_threads(known)

    def _open_folder(self) -> tuple[bool, Mapping[str, object]]:
        """Lock the folder and watch its disk; return whether it had a service, and what was deployed there."""
        self._folder = folder = ServiceFolder(self._data)
        self._cleanup.callback(folder.release)
        folder.acquire()
        disk = DiskWatch(folder.path, self._reserve, self._on_step)
        self._cleanup.callback(disk.stop)
        disk.start()
        return folder.prepare(), folder.deployed()

    def _start_processes(self, before: Mapping[str, object]) -> None:
        """Start the embedded AWS, and begin to start the endpoint."""
        folder = self._folder
        self._aws = EmbeddedAws(
            venv.ensure(on_step=self._on_step),
            folder.aws,
            self._choose(self._port, before.get("port")),
            keep=folder.keep,
            holders=[folder.lock],
            secrets=folder.credentials,
            reserve=self._reserve,
        )
        self._parts.append(self._aws)
        self._cleanup.callback(self._aws.stop)
        self._on_step("Starting the embedded AWS and the endpoint")
        self._launch_endpoint(folder, before)
        self._aws.start()

    def _restore_stack(self, known: bool) -> bool:
        """Whether there is the stack of a previous run; from its last saved state if the embedded AWS did not save it since."""
        if self._has_stack():
            return True
        if not known:
            return False
        self._aws.stop()
        self._folder.restore()
        self._aws.start()
        return self._has_stack()

    def _bring_up_to_date(
        self, before: Mapping[str, object], packages: package.Packages, has_stack: bool
    ) -> None:
        """Deploy, if anything differs from what was deployed before, or parameters were lost since."""
        folder = self._folder
        wanted = {
            "key": _key({**self._parameters, **self._local_parameters()}, packages),
            "port": self._aws.port,
            "endpoint_port": self._endpoint.port,
            **model_version.record(self._version, self._parameters),
        }
        recorded = stack_parameters.read(folder.parameters) if folder.keep else {}
        recorded = stack_parameters.without_archives(recorded, packages.archives)
        lost = stack_parameters.lost(recorded, self._deployed) if has_stack else recorded
        if wanted == before and has_stack and not lost:
            return
        requested = model_version.to_deploy(before, self._parameters) if has_stack else self._parameters
        if folder.keep:
            stack_parameters.write(folder.parameters, {**recorded, **requested})
        self._deploy({**lost, **requested, **self._local_parameters()}, packages)
        if folder.keep:  # only a clean stop saves it
            self._on_step("Restarting the embedded AWS, which saves what was deployed")
            self._aws.stop()
            folder.set_deployed(wanted)
            self._aws.start()

    def _start_threads(self, known: bool) -> None:
        """Start what works for the service in this process: metrics, redrive, the record of parameters."""
        session = self.session()
        reference_object.put(session.client("s3"), self.bucket, self._model, self._version.name)
        self._metrics = MetricsBridge(
            session.client("logs"),
            session.client("cloudwatch"),
            self._folder.checkpoint if self._folder.keep else None,
            on_event=self.activity.add,
        )
        self._redrive = AutomaticRedrive(
            session.client("lambda", config=Config(read_timeout=300, retries={"total_max_attempts": 1})),
            session.client("stepfunctions"),
            session.client("s3"),
            self.bucket,
            self.outputs,
            self._on_step,
        )
        if self._folder.keep:
            record = ParameterRecord(
                session.client("cloudformation"), STACK, self._folder.parameters, self._local_parameters()
            )
            self._cleanup.callback(record.stop)
            record.start()
        self._cleanup.callback(self._stop_parts)
        self._metrics.start()
        self._redrive.start(after_previous_run=known)

    def _package(self) -> package.Packages:
        return share(package.build("host", package.CACHE, self._on_step), package.CACHE / "shared")

    def _launch_endpoint(self, folder: ServiceFolder, before: Mapping[str, object]) -> None:
        config = endpoint_config.read(TEMPLATE, self._parameters, {"Bucket": BUCKET})
        self._endpoint = EmbeddedEndpoint(
            self._model,
            folder.path,
            ENDPOINT,
            config,
            self._aws.url,
            self._choose(None, before.get("endpoint_port")),
            self._threads,
            secrets=folder.credentials,
        )
        self._parts.append(self._endpoint)
        self._cleanup.callback(self._endpoint.stop)
        arn = f"arn:aws:sagemaker:{clients.REGION}:{clients.ACCOUNT}:endpoint/{ENDPOINT}"
        embedded_sagemaker.write(
            self._aws.endpoint_file, ENDPOINT, config.variant, self._endpoint.url, time.time(), arn
        )
        # The embedded AWS outlives the endpoint, which has captures to write, even if we are killed.
        self._endpoint.launch(holders=[self._aws.lifeline.held])

    @staticmethod
    def _choose(wanted: int | None, last: object) -> int:
        """The requested port, else the previous one if it is still free, else any."""
        if wanted is None and isinstance(last, int):
            try:
                return free_port(last)
            except InUseError:
                return 0
        return wanted or 0

    def _local_parameters(self) -> dict[str, str]:
        """Template parameters that this machine needs; docs/concepts/embedded-aws.md has the reasons."""
        return {
            "BucketName": BUCKET,
            "CreateEndpoint": "false",
            "EndpointName": ENDPOINT,
            "SageMakerRuntimeEndpointUrl": self._endpoint.url,
            "RequireTls": "false",
            "Tracing": "PassThrough",
            "LogLevel": "DEBUG",
            **version_parameter({"model": self._version.name}),
        }

    def _has_stack(self) -> bool:
        found = stacks.find(self._aws.session().client("cloudformation"), STACK)
        self.outputs = found.outputs if found else {}
        self._deployed = found.parameters if found else {}
        return found is not None and found.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")

    def _deploy(self, parameters: Mapping[str, str], packages: package.Packages) -> None:
        self.outputs = deploy.deploy(
            self._aws.session().client, STACK, TEMPLATE, parameters, packages, self._on_step
        )

    def _stop_parts(self) -> None:
        self._ended.set()
        self._redrive.stop()
        self._endpoint.stop()
        self._metrics.stop(forward=not self._killed)


def _key(parameters: Mapping[str, str], packages: package.Packages) -> str:
    """Digest of everything that a deployment depends on."""
    what = [sorted(parameters.items()), sorted(path.name for path in packages.archives.values())]
    return hashlib.sha256(TEMPLATE.read_bytes() + json.dumps(what).encode()).hexdigest()
