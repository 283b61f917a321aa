"""Runs commands, each in a process of its own that is forked off this one: it has imported what they import.

A start of the interpreter with all libraries of a command takes half a second of processor time, a fork some milliseconds. Requests and
responses are lines of JSON on standard input and output; it ends with its input.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import sys
import threading
import time
import traceback
from importlib import import_module
from typing import Any

import boto3

from dropsort.cli import main as cli
from tests.models import share_models

LIBRARIES = (
    "dropsort.client.results",
    "dropsort.deployment.deploy",
    "dropsort.pages.dashboard",
    "dropsort.pages.report",
    "monitoring.incremental.run",
    "rich.progress",
    "rich.table",
)
SERVICES = ("s3", "cloudformation", "sagemaker")


def serve() -> dict[str, Any] | None:
    """Fork for each request; return the request in the process that is to run it, None at the end of the input."""
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            return request
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)
    return None


def become(request: dict[str, Any]) -> None:
    """Take folder, environment and output of the request."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate((request["stdout"], request["stderr"]), 1):
        os.dup2(os.open(path, os.O_WRONLY), number)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    sys.argv[1:] = request["arguments"]


def warm() -> None:
    """Import what commands import, and read the API models that they read."""
    for module in (*cli.MODULES, *LIBRARIES):
        import_module(module)
    share_models()
    for service in SERVICES:
        boto3.Session(region_name="us-east-1").client(service)
    gc.collect()
    gc.freeze()  # a garbage collection in a child would copy all of it


def end(code: int) -> None:
    """End this process as the interpreter does, but for taking apart all that the parent has imported."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    warm()
    found = serve()
    if found is not None:
        become(found)
        try:
            if found["program"]:
                exec(found["program"], {"__name__": "__main__"})
            else:
                cli.main()
        except SystemExit as ended:
            end(int(ended.code or 0))
        except BaseException:
            traceback.print_exc()
            end(1)
        end(0)
