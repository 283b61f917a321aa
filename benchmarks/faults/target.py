"""The service that most kinds share: started once, with the proxy in front of what its functions call."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import processes
from benchmarks.faults.batch import ImageBatch, Site, events_of
from benchmarks.faults.proxy import Fault, Proxy
from dropsort.local import automatic_redrive
from dropsort.local.service import LocalService
from training.dataset import samples

FUNCTIONS = ("SerializeFunction", "ClassifyFunction", "FilterFunction", "BacklogFunction")
INVOCATION_TIMEOUT_SECONDS = 2
REDRIVE_SECONDS = 2.0
SECONDS = 5.0
PARAMETERS = {"InvocationTimeoutSeconds": str(INVOCATION_TIMEOUT_SECONDS)}


def check_often(seconds: float = REDRIVE_SECONDS, *, again_too: bool = True) -> Callable[[], None]:
    """Have the automatic redrive of services in this process check every few seconds; what it does is the same.

    Parameters
    ----------
    seconds
        Between checks.
    again_too
        Whether it starts an upload that was started in vain as often, and uploads of any age.

    Returns
    -------
    Callable
        Restores what was set before.
    """
    changed = {"INTERVAL_SECONDS": seconds, "SHARE": 1}
    if again_too:
        changed |= {"MIN_AGE_SECONDS": seconds, "LONGEST_INTERVAL_SECONDS": 4 * seconds}
    before = {name: getattr(automatic_redrive, name) for name in changed}
    vars(automatic_redrive).update(changed)
    return lambda: vars(automatic_redrive).update(before)


def images(count: int = 24, side: int | None = None) -> list[tuple[bytes, str]]:
    """Drawn images that the model is sure of, with their labels; `side` enlarges them to so many pixels."""
    with tempfile.TemporaryDirectory() as folder:
        paths = samples.drawn(Path(folder), count, seed=1).images
        return [(_enlarged(path.read_bytes(), side), path.parent.name) for path in paths]


def _enlarged(content: bytes, side: int | None) -> bytes:
    if side is None:
        return content
    with Image.open(io.BytesIO(content)) as image:
        buffer = io.BytesIO()
        image.convert("RGB").resize((side, side)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def site_of(session: Any, bucket: str, outputs: Mapping[str, str]) -> Site:
    """The clients of a service, and the names that are in the outputs of its stack."""
    machines = (outputs["StateMachineArn"], outputs["BacklogStateMachineArn"])
    return Site(session.client("s3"), session.client("stepfunctions"), bucket, *machines)


class FaultTarget:
    """A running service whose functions call through a proxy.

    Parameters
    ----------
    service
        It has been started.
    seconds
        How long a fault goes on after the last upload.
    """

    def __init__(self, service: LocalService, seconds: float = SECONDS) -> None:
        self.service, self.seconds = service, seconds
        self.session = service.session()
        self.functions, self.events = self.session.client("lambda"), self.session.client("events")
        self.site = site_of(self.session, service.bucket, service.outputs)
        self.proxy = Proxy(service.runtime_url, service.bucket)
        self.route()

    def route(self) -> None:
        """Have the functions call through the proxy; a deployment sets their environment again."""
        for name in FUNCTIONS:
            self.set_variables(name, {"http_proxy": self.proxy.url})

    def close(self) -> None:
        """Have the functions call directly again, and stop the proxy."""
        for name in FUNCTIONS:
            self.set_variables(name, {"http_proxy": None})
        self.proxy.close()

    def set_variables(self, output: str, changed: Mapping[str, str | None]) -> None:
        """Change environment variables of a function, named by the stack's output; None removes one."""
        name = self.service.outputs[output]
        found = self.functions.get_function_configuration(FunctionName=name)
        variables = found.get("Environment", {}).get("Variables", {}) | changed
        kept = {key: value for key, value in variables.items() if value is not None}
        self.functions.update_function_configuration(FunctionName=name, Environment={"Variables": kept})

    @contextmanager
    def injected(self, fault: Fault) -> Iterator[Proxy]:
        """Let a fault see what the functions send, as long as the block lasts."""
        self.proxy.inject(fault)
        try:
            yield self.proxy
        finally:
            self.proxy.inject(None)

    def upload_during(self, batch: ImageBatch, fault: Fault) -> None:
        """Upload a batch while a fault sees what the functions send, which goes on for some seconds more."""
        with self.injected(fault):
            batch.put_all(self.site)
            time.sleep(self.seconds)

    @contextmanager
    def configured(self, output: str, **settings: Any) -> Iterator[None]:
        """Settings of a function, as long as the block lasts."""
        name = self.service.outputs[output]
        before = self.functions.get_function_configuration(FunctionName=name)
        self.functions.update_function_configuration(FunctionName=name, **settings)
        try:
            yield
        finally:
            self.functions.update_function_configuration(
                FunctionName=name, **{setting: before[setting] for setting in settings}
            )

    @contextmanager
    def reserved(self, output: str, concurrency: int) -> Iterator[None]:
        """Reserved concurrency of a function, as long as the block lasts."""
        name = self.service.outputs[output]
        before = self.functions.get_function_concurrency(FunctionName=name).get(
            "ReservedConcurrentExecutions"
        )
        self.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=concurrency)
        try:
            yield
        finally:
            if before is None:
                self.functions.delete_function_concurrency(FunctionName=name)
            else:
                self.functions.put_function_concurrency(
                    FunctionName=name, ReservedConcurrentExecutions=before
                )

    @property
    def rule(self) -> str:
        """Name of the rule that starts the workflow."""
        for rule in self.events.list_rules(NamePrefix=self.service.stack)["Rules"]:
            targets = self.events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
            if any(target["Arn"] == self.site.machine for target in targets):
                return str(rule["Name"])
        raise LookupError("no rule starts the workflow")

    @contextmanager
    def rule_disabled(self) -> Iterator[None]:
        """The events of uploads are lost, as long as the block lasts."""
        name = self.rule
        self.events.disable_rule(Name=name)
        try:
            yield
        finally:
            self.events.enable_rule(Name=name)

    @contextmanager
    def captured(self, batch: ImageBatch) -> Iterator[Callable[[int], list[dict[str, Any]]]]:
        """A queue in place of the workflow: gives the events of a batch's uploads."""
        queue = self.session.client("sqs")
        url = queue.create_queue(QueueName=f"faults-{batch.folder.replace('/', '-')}")["QueueUrl"]
        arn = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        name = f"faults-{batch.folder.replace('/', '-')}"
        pattern = {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"object": {"key": [{"prefix": f"incoming/{batch.folder}/"}]}},
        }
        self.events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
        try:
            with self.rule_disabled():
                yield lambda count: events_of(queue, url, count)
        finally:
            self.events.remove_targets(Rule=name, Ids=["queue"])
            self.events.delete_rule(Name=name)
            queue.delete_queue(QueueUrl=url)

    def start(self, document: Any) -> None:
        """Start the workflow with any input."""
        self.site.states.start_execution(
            stateMachineArn=self.site.machine,
            input=document if isinstance(document, str) else json.dumps(document),
        )


def workers() -> list[int]:
    """Process ids of the functions' workers of the services that this process runs."""
    return [process.pid for process in processes.function_workers(processes.descendants())]


def endpoint_processes() -> list[int]:
    """Process ids of the embedded endpoint, without its supervisor."""
    return [process.pid for process in processes.endpoint(processes.descendants())]


def send(pids: list[int], number: signal.Signals) -> int:
    """Send a signal to processes; return how many were there."""
    reached = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            reached += 1
    return reached


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    """Wait for something, not longer than some seconds; return whether it came."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
