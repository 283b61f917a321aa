"""The end of an embedded service, however it comes, and its next start in the same folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dropsort.contract import keys
from dropsort.deployment import package
from dropsort.local import credentials, parameters
from dropsort.local.clients import EmbeddedSession
from dropsort.local.errors import InUseError
from dropsort.local.folder import LOCK
from dropsort.local.service import Service
from tests.processes import children_of, gone
from tests.stack.helpers import find_result, sample_image

pytestmark = [pytest.mark.stack, pytest.mark.slow]

PROGRAM = """
import json, signal, sys
from pathlib import Path
from dropsort.local.service import Service

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
try:
    with Service(Path(sys.argv[1])) as service:
        print(json.dumps({"url": service.endpoint_url, "bucket": service.bucket}), flush=True)
        service.wait()
except KeyboardInterrupt:
    sys.exit(130)
"""


class ServiceProcess:
    """A service in a process of its own, as `dropsort up --data` runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
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

    def end(self, number: int) -> int:
        """Send the signal to the process alone; return how it ended."""
        self.process.send_signal(number)
        return self.process.wait(120)


def result_of(s3: Any, bucket: str, key: str, seed: int) -> str:
    """Upload an image; return the key of its result, once it is there."""
    s3.put_object(Bucket=bucket, Key=key, Body=sample_image(seed))
    return find_result(s3, bucket, key)


@pytest.fixture
def start(
    embedded_python: Path, host_packages: package.Packages
) -> Iterator[Callable[[Path], ServiceProcess]]:
    """Starts services in processes of their own; whatever a test leaves behind is stopped."""
    services: list[ServiceProcess] = []

    def begin(folder: Path) -> ServiceProcess:
        services.append(ServiceProcess(folder))
        return services[-1]

    yield begin
    for started in services:
        if started.process.poll() is None:
            started.end(signal.SIGTERM)  # its processes end with it


def set_threshold(service: ServiceProcess, value: str) -> None:
    """Update the stack, as `dropsort deploy -p` does."""
    cloudformation = service.session.client("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName="dropsort")["Stacks"]
    cloudformation.update_stack(
        StackName="dropsort",
        UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": "Threshold", "ParameterValue": value}
            if item["ParameterKey"] == "Threshold"
            else {"ParameterKey": item["ParameterKey"], "UsePreviousValue": True}
            for item in stack["Parameters"]
        ],
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName="dropsort", WaiterConfig={"Delay": 1})


@pytest.fixture
def folder(embedded_python: Path, tmp_path: Path) -> Path:
    """A data folder that is not there yet."""
    return tmp_path / "data"


def test_ctrl_c_leaves_no_process_and_all_of_the_data(
    folder: Path, start: Callable[[Path], ServiceProcess]
) -> None:
    # GIVEN a service with a result, functions warm
    started = start(folder)
    result = result_of(started.s3, started.bucket, "incoming/a.png", 1)
    processes = children_of(started.process.pid)
    assert len(processes) >= 7  # two supervisors, embedded AWS, endpoint, a worker for each function
    # WHEN Ctrl-C is pressed
    status = started.end(signal.SIGINT)
    # THEN nothing runs, and captures were written
    assert status == 130
    assert gone(processes, 0)
    assert list((folder / "aws" / "s3").rglob("*.jsonl"))
    # AND the next run has the result, the metrics, and works
    with Service(folder) as service:
        s3 = service.session().client("s3")
        assert s3.head_object(Bucket=service.bucket, Key=result)
        metrics = service.session().client("cloudwatch").list_metrics(Namespace="Dropsort")["Metrics"]
        assert {"UploadToResult", "SerializedBytes"} <= {metric["MetricName"] for metric in metrics}
        assert result_of(s3, service.bucket, "incoming/b.png", 2)


def test_kill_9_of_the_service_stops_everything_and_loses_nothing(
    folder: Path, start: Callable[[Path], ServiceProcess]
) -> None:
    # GIVEN a service with a result, and uploads on their way
    started = start(folder)
    result = result_of(started.s3, started.bucket, "incoming/a.png", 1)
    for number in range(6):
        started.s3.put_object(
            Bucket=started.bucket, Key=f"incoming/late/{number}.png", Body=sample_image(number)
        )
    processes = children_of(started.process.pid)
    # WHEN it is killed
    started.end(signal.SIGKILL)
    # THEN its processes end by themselves
    assert gone(processes)
    # AND the next run has everything, and sorts what was left
    with Service(folder) as service:
        s3 = service.session().client("s3")
        assert s3.head_object(Bucket=service.bucket, Key=result)
        for number in range(6):
            assert find_result(s3, service.bucket, f"incoming/late/{number}.png")


def test_kill_9_of_all_processes_at_once_keeps_objects_stack_and_results(
    folder: Path, start: Callable[[Path], ServiceProcess]
) -> None:
    # GIVEN a service with a result, another threshold since a moment ago, and an upload that just arrived
    started = start(folder)
    result = result_of(started.s3, started.bucket, "incoming/a.png", 1)
    set_threshold(started, "0.123")
    deadline = time.monotonic() + 60
    while parameters.read(folder / "parameters.json").get("Threshold") != "0.123":
        assert time.monotonic() < deadline, "the threshold was not recorded"
        time.sleep(0.1)
    started.s3.put_object(Bucket=started.bucket, Key="incoming/b.png", Body=sample_image(2))
    # WHEN every process of it is killed, as when the machine goes down
    processes = children_of(started.process.pid)
    for pid in [started.process.pid, *processes]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    started.process.wait(60)
    assert gone(processes)
    # THEN the next run has the result and the threshold, and the upload gets one
    with Service(folder) as service:
        s3 = service.session().client("s3")
        assert s3.head_object(Bucket=service.bucket, Key=result)
        assert "Threshold 0.123" in service.model
        outcome = find_result(s3, service.bucket, "incoming/b.png")
        assert outcome in keys.result_keys("b.png").values()


def test_a_second_service_on_one_folder_is_rejected(
    folder: Path, start: Callable[[Path], ServiceProcess]
) -> None:
    # GIVEN a running service
    started = start(folder)
    # WHEN another one starts on its folder, THEN the error names the process of the first
    with pytest.raises(InUseError, match=f"process {started.process.pid}"), Service(folder):
        pass
    # AND the first one is not harmed
    assert started.s3.list_buckets()["Buckets"]
    # AND when Ctrl-C is pressed again and again, with images in it, nothing of it is left when the command is gone
    for number in range(6):
        started.s3.put_object(Bucket=started.bucket, Key=f"incoming/{number}.png", Body=sample_image(number))
    processes = children_of(started.process.pid)
    for _ in range(7):
        started.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    started.end(signal.SIGINT)
    assert gone(processes, 10)


def test_a_folder_whose_first_start_was_cut_short_begins_anew(folder: Path) -> None:
    # GIVEN the folder of a service, with a bucket that no finished deployment stands for
    (folder / "aws" / "s3" / "000000000000" / "dropsort").mkdir(parents=True)
    (folder / LOCK).touch()
    # WHEN a service starts there, THEN it works
    with Service(folder) as service:
        s3 = service.session().client("s3")
        assert result_of(s3, service.bucket, "incoming/a.png", 1)


def test_a_damaged_state_is_replaced_by_that_of_the_deployment(folder: Path) -> None:
    # GIVEN a service with a result
    with Service(folder) as service:
        s3 = service.session().client("s3")
        result = result_of(s3, service.bucket, "incoming/a.png", 1)
    for number, damage in enumerate((b"", b'{"__ministack_format__": 2, "payl')):
        # WHEN its saved roles were cut short, and it starts again
        (folder / "aws" / "state" / "iam.json").write_bytes(damage)
        with Service(folder) as service:
            # THEN the result is there, and the functions may work
            s3 = service.session().client("s3")
            assert s3.head_object(Bucket=service.bucket, Key=result)
            assert "failed" not in result_of(s3, service.bucket, f"incoming/b{number}.png", 2)
