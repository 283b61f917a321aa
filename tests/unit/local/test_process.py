"""Processes under a supervisor: none outlives whoever started it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dropsort.local.errors import StartError
from dropsort.local.process import SUPERVISOR, Lifeline, SupervisedProcess

# A program with a child of its own; prints both process ids, then waits.
FAMILY = """
import os, signal, subprocess, sys, time
{prelude}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def begin(tmp_path: Path, program: str, grace: float = 20, **more: object) -> SupervisedProcess:
    """Start a program in Python."""
    return SupervisedProcess(
        "The program",
        [sys.executable, "-c", program],
        os.environ,
        tmp_path / "log",
        grace,
        Lifeline(),
        **more,  # type: ignore[arg-type]
    )


def family(log: Path) -> list[int]:
    """Process ids that the program printed, once it has."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        words = log.read_text().split() if log.exists() else []
        if len(words) == 2:
            return [int(word) for word in words]
        time.sleep(0.02)
    raise AssertionError(f"the program said {log.read_text()!r}")


def end(pids: list[int]) -> bool:
    """Whether the processes end."""
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for yet does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


@pytest.mark.parametrize("prelude", ["", STUBBORN])
def test_stopping_ends_the_whole_family(tmp_path: Path, prelude: str) -> None:
    # GIVEN a program with a child, deaf to SIGTERM or not
    process = begin(tmp_path, FAMILY.format(prelude=prelude), grace=0.5)
    pids = family(tmp_path / "log")
    # THEN Ctrl-C in the terminal is not for them
    assert os.getsid(0) not in map(os.getsid, pids)
    # WHEN it is stopped
    process.stop()
    # THEN neither runs, at once
    assert not process.running()
    assert not any(alive(pid) for pid in pids)


def test_killing_ends_what_would_not_stop_for_long(tmp_path: Path) -> None:
    process = begin(tmp_path, FAMILY.format(prelude=STUBBORN), grace=600)
    pids = family(tmp_path / "log")
    process.kill()
    assert end(pids)
    process.stop()


SAVING = """
import os, signal, time
def save(*_):
    print("saved", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, save)
print(os.getpid(), os.getpid(), flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("end_it", "saved"), [("stop", True), ("kill", False), ("hang up", True)])
def test_what_is_stopped_can_save_what_it_has(tmp_path: Path, end_it: str, saved: bool) -> None:
    process = begin(tmp_path, SAVING)
    pids = family(tmp_path / "log")
    if end_it == "hang up":  # the terminal is closed
        process._supervisor.send_signal(signal.SIGHUP)
    else:
        getattr(process, end_it)()
    assert end(pids)
    process.stop()
    assert ("saved" in (tmp_path / "log").read_text()) is saved


def test_what_it_holds_is_open_as_long_as_it_runs(tmp_path: Path) -> None:
    # GIVEN a program that holds the end of a pipe, and a log of an earlier one
    (tmp_path / "earlier").write_text("of an earlier run\n")
    read, write = os.pipe()
    log = tmp_path / "earlier"
    command = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]
    process = SupervisedProcess("The program", command, os.environ, log, 20, Lifeline(), holders=[write])
    os.close(write)
    process.wait_until(lambda: log.read_text() == "of an earlier run\nhere\n", 60)
    assert select.select([read], [], [], 0)[0] == []
    # WHEN it is stopped THEN nobody holds it
    process.stop()
    assert os.read(read, 1) == b""
    os.close(read)


@pytest.mark.parametrize(
    ("command", "code"), [((sys.executable, "-c", "raise SystemExit(3)"), 3), (("/nowhere",), 127)]
)
def test_the_exit_code_of_the_supervisor_is_that_of_the_program(command: tuple[str, ...], code: int) -> None:
    lifeline = Lifeline()
    supervisor = [sys.executable, "-I", "-S", str(SUPERVISOR), "1", str(lifeline.watched)]
    done = subprocess.run(
        [*supervisor, *command], pass_fds=[lifeline.watched], capture_output=True, check=False
    )
    assert done.returncode == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_family_ends_with_whoever_started_it(tmp_path: Path, number: int) -> None:
    # GIVEN a process that has started a program and does nothing about signals
    starter = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"  # a background job ignores it
        "from pathlib import Path\nfrom dropsort.local.process import SUPERVISOR, Lifeline, SupervisedProcess\n"
        f"SupervisedProcess('x', [sys.executable, '-c', {FAMILY.format(prelude='')!r}], os.environ, Path({str(tmp_path / 'log')!r}), 1, "
        "lifeline := Lifeline())\ntime.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter], stderr=subprocess.DEVNULL)
    pids = family(tmp_path / "log")
    # WHEN it gets the signal
    parent.send_signal(number)
    parent.wait(60)
    # THEN the program ends too
    assert end(pids)


def test_the_program_runs_as_long_as_another_holds_the_lifeline_pipe(tmp_path: Path) -> None:
    # GIVEN a program, and another process that holds its lifeline
    lifeline = Lifeline()
    process = SupervisedProcess(
        "The program",
        [sys.executable, "-c", FAMILY.format(prelude="")],
        os.environ,
        tmp_path / "log",
        1,
        lifeline,
    )
    pids = family(tmp_path / "log")
    other = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        pass_fds=[lifeline.held],
    )
    # WHEN we let go
    lifeline.close()
    # THEN it goes on, until the other one ends
    time.sleep(0.3)
    assert all(alive(pid) for pid in pids)
    other.communicate()
    assert end(pids)
    process.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
def test_the_program_ends_with_its_supervisor(tmp_path: Path) -> None:
    process = begin(tmp_path, FAMILY.format(prelude=""))
    program = family(tmp_path / "log")[0]
    os.kill(process._supervisor.pid, signal.SIGKILL)
    assert end([program])
    process.stop()
    os.kill(family(tmp_path / "log")[1], signal.SIGKILL)  # the child was its own to stop


def test_a_program_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    process = begin(tmp_path, "print('first'); print('cannot go on'); raise SystemExit(3)")
    with pytest.raises(StartError, match="cannot go on") as caught:
        process.wait_until(lambda: False, 60)
    assert str(tmp_path / "log") in str(caught.value)
    process.stop()


def test_a_program_that_is_not_ready_in_time_is_reported(tmp_path: Path) -> None:
    process = begin(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(StartError, match=r"not ready after 0\.1 seconds"):
        process.wait_until(lambda: False, 0.1)
    process.stop()


def test_a_program_that_is_not_there_is_reported(tmp_path: Path) -> None:
    process = SupervisedProcess(
        "The program", [str(tmp_path / "nothing")], {}, tmp_path / "log", 1, Lifeline()
    )
    with pytest.raises(StartError, match="No such file"):
        process.wait_until(lambda: False, 60)
    process.stop()
