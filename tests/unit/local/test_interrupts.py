"""Ctrl-C again and again: the end goes on, nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropsort.local.interrupts import Interrupts
from tests.unit.local.test_process import FAMILY, STUBBORN, alive, end, family

# A command that runs a program deaf to SIGTERM, for as long as ten minutes after the request to stop.
COMMAND = """
import os, signal, sys, time
from pathlib import Path
from dropsort.local.interrupts import Interrupts
from dropsort.local.process import Lifeline, SupervisedProcess

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
parts = []
interrupts = Interrupts(lambda sentence: print(sentence, flush=True), lambda: [part.kill() for part in parts])
interrupts.install()
try:
    parts.append(SupervisedProcess("x", [sys.executable, "-c", sys.argv[2]], os.environ, Path(sys.argv[1]), 600, Lifeline()))
    time.sleep(600)
finally:
    print("ending", flush=True)
    parts[0].stop()
    interrupts.restore()
    print("ended", flush=True)
"""


def interrupted(tmp_path: Path, times: int) -> tuple[subprocess.Popen[str], list[int]]:
    """The command after so many Ctrl-C, and the processes that it started."""
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path / "log"), FAMILY.format(prelude=STUBBORN)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    pids = family(tmp_path / "log")
    command.send_signal(signal.SIGINT)
    assert command.stdout
    assert command.stdout.readline() == "ending\n"
    for _ in range(times - 1):
        time.sleep(0.02)  # signals that come at the same time are one
        command.send_signal(signal.SIGINT)
    return command, pids


def test_after_eight_nothing_is_left_at_once(tmp_path: Path) -> None:
    command, pids = interrupted(tmp_path, 7)
    assert command.stdout
    assert "Ctrl-C once more" in command.stdout.readline()
    command.send_signal(signal.SIGINT)  # of the others, some may have come at the same time
    command.wait(300)  # not the ten minutes that the program has
    assert command.stdout.read() == "ended\n"
    assert end(pids)


def test_the_second_one_says_what_the_third_one_does(tmp_path: Path) -> None:
    command, pids = interrupted(tmp_path, 2)
    assert command.stdout
    # THEN it goes on ending in order
    assert "Ctrl-C once more" in command.stdout.readline()
    assert command.poll() is None
    # AND the third one ends it
    command.send_signal(signal.SIGINT)
    assert command.communicate(timeout=300)[0] == "ended\n"
    assert end(pids)


def test_without_the_command_the_program_has_its_time(tmp_path: Path) -> None:
    # GIVEN a command that is killed: what it started saves what it has first
    command, pids = interrupted(tmp_path, 1)
    command.kill()
    command.wait(60)
    time.sleep(0.5)
    assert all(alive(pid) for pid in pids)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGKILL)
    assert end(pids)


def test_a_signal_that_is_ignored_goes_on_being_ignored() -> None:
    # GIVEN a program that a shell has started with Ctrl-C ignored, and which leaves it so
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    said: list[str] = []
    interrupts = Interrupts(said.append, lambda: said.append("at once"))
    try:
        interrupts.install()
        # THEN it does not end the service, however often it comes
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        interrupts.restore()
        signal.signal(signal.SIGINT, before)
    assert said == []


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Signals that reach the handlers of before, which are there again at the end."""
    found: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda number, _: found.append(number))
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_only_the_first_reaches_the_handler_of_before(received: list[int], number: int) -> None:
    sentences, ends = list[str](), list[int]()
    interrupts = Interrupts(sentences.append, lambda: ends.append(1))
    interrupts.install()
    for expected in ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2)):
        signal.raise_signal(number)
        assert (len(received), len(sentences), len(ends)) == expected
    interrupts.restore()
    signal.raise_signal(number)
    assert (len(received), len(ends)) == (2, 2)


def test_another_thread_takes_no_signals(received: list[int]) -> None:
    interrupts, errors = Interrupts(lambda _: None, lambda: None), list[Exception]()

    def install() -> None:
        try:
            interrupts.install()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=install)
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGINT)
    assert (errors, received) == ([], [signal.SIGINT])
