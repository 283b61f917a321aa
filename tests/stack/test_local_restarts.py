"""The end of an embedded service, however it comes, and its next start in the same folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dropsort.contract import keys
from dropsort.contract.resources import DEFAULT_MODEL
from dropsort.deployment import package
from dropsort.local import credentials
from dropsort.local.clients import EmbeddedSession
from dropsort.local.errors import InUseError
from dropsort.local.folder import LOCK
from dropsort.local.service import LocalService
from tests.processes import children_of, gone
from tests.stack.helpers import find_result, sample_image

pytestmark = [pytest.mark.stack, pytest.mark.slow(reason="starts and ends a service six times")]

PROGRAM = """
import json, signal, sys
from pathlib import Path
from dropsort.cli.models import thresholds
from dropsort.local.service import LocalService

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
try:
    model = Path(sys.argv[2])
    with LocalService(Path(sys.argv[1]), model=model, parameters=thresholds(model)) as service:
        print(json.dumps({"url": service.endpoint_url, "bucket": service.bucket}), flush=True)
        service.wait()
except KeyboardInterrupt:
    sys.exit(130)
"""


class ServiceProcess:
    """A service in a process of its own, as `dropsort up --data --model` runs it."""

    def __init__(self, folder: Path, model: Path = DEFAULT_MODEL) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(model)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the service did not start"
        ready = json.loads(line)
        self.bucket: str = ready["bucket"]
        self.session = EmbeddedSession(credentials.read(folder / credentials.FILE), ready["url"])
        self.s3: Any = self.session.client("s3")

    def upload(self, *names: str) -> None:
        """Upload an image under each name."""
        for number, name in enumerate(names):
            self.s3.put_object(Bucket=self.bucket, Key=f"incoming/{name}", Body=sample_image(number))

    def result_of(self, name: str) -> str:
        """Key of the result of an upload, once it is there."""
        return find_result(self.s3, self.bucket, f"incoming/{name}")

    def document(self, location: str) -> dict[str, Any]:
        """The result at a key."""
        found: dict[str, Any] = json.loads(
            self.s3.get_object(Bucket=self.bucket, Key=location)["Body"].read()
        )
        return found

    def has(self, *locations: str) -> None:
        """Hold that these objects are there."""
        for location in locations:
            self.s3.head_object(Bucket=self.bucket, Key=location)

    def end(self, number: int) -> int:
        """Send the signal to the process alone; return how it ended."""
        self.process.send_signal(number)
        return self.process.wait(120)


@pytest.fixture
def start(embedded_python: Path, host_packages: package.Packages) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts services in processes of their own; whatever a test leaves behind is stopped."""
    services: list[ServiceProcess] = []

    def begin(folder: Path, model: Path = DEFAULT_MODEL) -> ServiceProcess:
        services.append(ServiceProcess(folder, model))
        return services[-1]

    yield begin
    for started in services:
        if started.process.poll() is None:
            started.end(signal.SIGTERM)  # its processes end with it


@pytest.fixture
def folder(embedded_python: Path, tmp_path: Path) -> Path:
    """A data folder that is not there yet."""
    return tmp_path / "data"


def test_every_end_leaves_all_of_the_data_and_the_next_run_continues(
    folder: Path, start: Callable[..., ServiceProcess], tmp_path: Path
) -> None:
    """One folder, six runs: each ends in another way, as a first start takes much longer than another one."""
    # GIVEN a service with a result, functions warm
    running = start(folder)
    running.upload("a.png")
    results = [running.result_of("a.png")]
    processes = children_of(running.process.pid)
    assert len(processes) >= 7  # two supervisors, embedded AWS, endpoint, a worker for each function
    # WHEN another one starts on its folder THEN the error names the process of the first, which is not harmed
    with pytest.raises(InUseError, match=f"process {running.process.pid}"), LocalService(folder):
        pass
    assert running.s3.list_buckets()["Buckets"]

    # WHEN Ctrl-C is pressed THEN nothing runs, and captures were written
    assert running.end(signal.SIGINT) == 130
    assert gone(processes, 0)
    assert list((folder / "aws" / "s3").rglob("*.jsonl"))
    # AND the next run, with another model, has the result, the metrics, and works
    candidate = shutil.copytree(DEFAULT_MODEL, tmp_path / "candidate")
    figures = json.loads((candidate / "metrics.json").read_text())
    figures |= {"model": "bikes-1.0.1", "threshold": 0.0, "familiarity_threshold": 0.0}
    (candidate / "metrics.json").write_text(json.dumps(figures))
    graph = (candidate / "model.onnx").read_bytes()
    assert graph.count(b"bikes-1.0.0") == 1
    (candidate / "model.onnx").write_bytes(graph.replace(b"bikes-1.0.0", b"bikes-1.0.1"))
    running = start(folder, candidate)
    running.has(*results)
    assert running.document(results[0])["model"]["version"] == "bikes-1.0.0"
    metrics = running.session.client("cloudwatch").list_metrics(Namespace="Dropsort")["Metrics"]
    assert {"UploadToResult", "SerializedBytes"} <= {metric["MetricName"] for metric in metrics}
    running.upload("b.png")
    results.append(running.result_of("b.png"))
    # AND the candidate predicts, with its own thresholds, above which every image is
    decided = running.document(results[1])
    assert (decided["model"]["version"], decided["threshold"], decided["outcome"]) == (
        "bikes-1.0.1",
        0.0,
        "classified",
    )

    # WHEN the service is killed, with uploads in progress THEN its processes end by themselves
    late = [f"late/{number}.png" for number in range(3)]
    running.upload(*late)
    processes = children_of(running.process.pid)
    running.end(signal.SIGKILL)
    assert gone(processes)
    # AND the next run has everything, and classifies what was left
    running = start(folder, candidate)
    running.has(*results)
    results += map(running.result_of, late)

    # WHEN every process of it is killed, as when the machine goes down, with an upload that just arrived
    running.upload("c.png")
    processes = children_of(running.process.pid)
    for pid in [running.process.pid, *processes]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.process.wait(60)
    assert gone(processes)
    # THEN the next run has the results, and the upload gets one
    running = start(folder, candidate)
    running.has(*results)
    assert running.result_of("c.png") in keys.result_keys("c.png").values()

    # WHEN Ctrl-C is pressed again and again, with images in it THEN nothing of it is left when the command is gone
    running.upload(*(f"{number}.png" for number in range(3)))
    processes = children_of(running.process.pid)
    for _ in range(7):
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    running.end(signal.SIGINT)
    assert gone(processes, 10)

    # WHEN the saved roles were cut short before it starts again THEN results are there, and the functions may work
    (folder / "aws" / "state" / "iam.json").write_bytes(b'{"__ministack_format__": 2, "payl')
    with LocalService(folder) as service:
        s3: Any = service.session().client("s3")
        assert s3.head_object(Bucket=service.bucket, Key=results[0])
        s3.put_object(Bucket=service.bucket, Key="incoming/damaged.png", Body=sample_image(2))
        assert "failed" not in find_result(s3, service.bucket, "incoming/damaged.png")


def test_a_folder_whose_first_start_was_cut_short_starts_from_the_beginning(folder: Path) -> None:
    # GIVEN the folder of a service, with a bucket that no finished deployment stands for
    (folder / "aws" / "s3" / "000000000000" / "dropsort").mkdir(parents=True)
    (folder / LOCK).touch()
    # WHEN a service starts there, THEN it works
    with LocalService(folder) as service:
        s3: Any = service.session().client("s3")
        s3.put_object(Bucket=service.bucket, Key="incoming/a.png", Body=sample_image(1))
        assert find_result(s3, service.bucket, "incoming/a.png")
