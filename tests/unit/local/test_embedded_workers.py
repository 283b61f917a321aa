"""Processes of functions that are forked: they have all that a started one has, and end as it does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dropsort.deployment import package
from dropsort.local import fork_server
from dropsort.local.embedded_workers import ForkServers, Worker

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="workers are forked on Linux only")

LIBRARY = "import os\nimported_by = os.getpid()\n"
PROGRAM = """
import json, os, signal, sys, time
import botocore.client
print("to standard error", file=sys.stderr)
print(json.dumps({
    "imported_here": getattr(botocore.client, "imported_by", os.getpid()) == os.getpid(),
    "file": __file__, "name": __name__, "arguments": sys.argv, "first": sys.path[0],
    "layer": any("libraries" in part for part in sys.path),
    "folder": os.getcwd(), "environment": dict(os.environ), "main": sys.modules["__main__"].__dict__ is globals(),
    "west_of_utc": time.timezone, "started_with": open("/proc/self/environ").read(),
    "descriptors": len(os.listdir("/proc/self/fd")), "ends": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
}), flush=True)
for line in sys.stdin:
    print(line.upper(), end="", flush=True)
"""

Start = Callable[..., Any]


@pytest.fixture
def servers() -> Iterator[ForkServers]:
    """The fork servers of a test."""
    made = ForkServers()
    yield made
    made.close()


@pytest.fixture
def start(servers: ForkServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a worker with a layer, or with another environment, as the embedded AWS does."""
    library, layer, code = (tmp_path / name for name in ("libraries", "layer", "code"))
    site = layer / "python/lib/python3/site-packages"
    for folder in (library / "botocore", site, code):
        folder.mkdir(parents=True)
    (library / "botocore/__init__.py").touch()
    (library / "botocore/client.py").write_text(LIBRARY)
    (library / "botocore/session.py").touch()
    (site / "libraries.pth").write_text(f"import sys; sys.path.insert(0, {str(library)!r})\n")
    (tmp_path / "_worker.py").write_text(PROGRAM)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret of the service")
    started: list[Any] = []

    def begin(**changes: str) -> Any:
        common = {
            name: os.environ[name] for name in os.environ if name.startswith(("PYTHON", "LD_", "MALLOC_"))
        }
        environment = common | {"ONE": "1", "_LAMBDA_LAYERS_DIRS": str(layer)} | changes
        process = servers.popen(
            [sys.executable, str(tmp_path / "_worker.py")],
            cwd=str(code),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait(60)
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def test_a_forked_worker_is_as_a_started_one_but_for_the_import(start: Start, tmp_path: Path) -> None:
    # GIVEN a worker that was forked
    worker = start(TZ="IST-5:30")
    assert isinstance(worker, Worker)
    found = json.loads(worker.stdout.readline())
    # THEN it has the environment, the folder and the path that it was given, nothing else, and nothing of other workers
    program = str(tmp_path / "_worker.py")
    assert found["environment"].items() >= {"ONE": "1", "TZ": "IST-5:30"}.items()
    assert found["west_of_utc"] == -19800  # seconds
    assert not {"PATH", "HOME"} & found["environment"].keys()
    assert (found["folder"], found["file"], found["arguments"]) == (
        str(tmp_path / "code"),
        program,
        [program],
    )
    assert (found["name"], found["main"], found["ends"]) == ("__main__", True, True)
    assert found["first"] == str(tmp_path)
    assert not found["layer"], "a worker adds its layers itself"
    assert found["descriptors"] == 4  # three, and that of the listing
    # AND nowhere the credentials of the service
    assert "secret of the service" not in found["started_with"]
    assert "secret of the service" not in found["environment"].values()
    # AND the libraries were there
    assert not found["imported_here"]
    # AND what is written goes where it is read
    worker.stdin.write("line\n")
    assert worker.stdout.readline() == "LINE\n"
    assert worker.stderr.readline() == "to standard error\n"
    # AND a second one has an environment of its own
    assert "ONE" in (other := json.loads(start(TWO="2").stdout.readline()))["environment"]
    assert "TZ" not in other["environment"]
    assert other["descriptors"] == 4
    # AND the first of several layers is that which has the libraries
    assert isinstance(
        start(_LAMBDA_LAYERS_DIRS=f"{tmp_path / 'layer'}{os.pathsep}{tmp_path / 'code'}"), Worker
    )


@pytest.mark.parametrize("end", ["terminate", "kill", "input", "signal"])
def test_the_end_of_a_worker_is_noticed(start: Start, end: str) -> None:
    worker = start()
    worker.stdout.readline()
    assert worker.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(0.01)
    if end == "input":
        worker.stdin.close()
    elif end == "signal":
        os.kill(worker.pid, signal.SIGKILL)
    else:
        if end == "kill":
            os.kill(worker.pid, signal.SIGSTOP)  # also one that hangs
        getattr(worker, end)()
    worker.wait(30)
    assert worker.poll() is not None
    assert worker.stdout.readline() == ""
    worker.terminate()  # of what has ended harms nothing
    # AND nothing is left of it in the table of processes
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker.pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_its_fork_server_a_worker_is_started(start: Start, servers: ForkServers) -> None:
    # GIVEN a fork server that was killed
    first = start()
    (server,) = servers._servers.values()
    server._process.kill()
    server._process.wait()
    # WHEN the next worker is needed THEN it is started, and what was forked goes on
    second = start()
    assert isinstance(second, subprocess.Popen)
    found = json.loads(second.stdout.readline())
    assert (found["environment"]["ONE"], found["imported_here"]) == ("1", True)
    assert first.poll() is None
    # AND the one after it is forked again
    assert isinstance(start(), Worker)


@pytest.mark.parametrize(
    "changes", [{"PYTHONHASHSEED": "7"}, {"LD_LIBRARY_PATH": "/x"}, {"_LAMBDA_LAYERS_DIRS": ""}]
)
def test_what_a_fork_could_not_give_is_started(start: Start, changes: dict[str, str]) -> None:
    assert isinstance(start(**changes), subprocess.Popen)


def test_a_fork_server_ends_with_what_started_it(start: Start, servers: ForkServers) -> None:
    start()
    (server,) = servers._servers.values()
    server._channel.close()
    assert server._process.wait(30) == 0


def test_layers_have_no_module_in_common(host_packages: package.Packages) -> None:
    """So that what was imported from the first layer is what a worker with both would import."""
    service, heic = (
        {
            name.split("/")[1]
            for name in zipfile.ZipFile(host_packages.archives[part.libraries_parameter]).namelist()
        }
        for part in (package.SERVICE, package.HEIC)
    )
    assert service
    assert heic
    assert not service & heic
    assert {name.split(".")[0] for name in fork_server.MODULES} <= service
