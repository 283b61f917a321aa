"""The processes that decode end with the one that they work for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

from dropsort.review.thumbnails import Thumbnails
from tests.unit.review.conftest import BUCKET
from tests.unit.review.test_server import eventually

PROGRAM = """
import time
from dropsort.review.thumbnails import Thumbnails
made = Thumbnails(None, "b")
pool = made.start()
pool.submit(int).result()
print(*pool._processes, flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_killed_server_leaves_no_process() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        pids = [int(pid) for pid in server.stdout.readline().split()]
        assert pids
        assert all(map(is_running, pids))
        os.kill(server.pid, signal.SIGKILL)
        eventually(lambda: not any(map(is_running, pids)))


def test_ctrl_c_in_the_terminal_reaches_no_process_that_decodes(s3: Any) -> None:
    thumbnails = Thumbnails(s3, BUCKET)
    pool = thumbnails.start()
    # WHEN a terminal sends Ctrl-C to all, as soon as they run
    processes = set(pool._processes or ())
    for process in processes:
        os.kill(process, signal.SIGINT)
    # THEN they go on, and end with the page
    assert pool.submit(os.getpid).result(60) in processes
    thumbnails.close()
