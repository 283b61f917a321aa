"""The functions alone, for ``benchmarks.pipeline``: their processor time without the emulator's, and what their import costs.

``python -m benchmarks.pipeline_alone ARM`` is the process whose time is taken: it calls the three functions one after another, in
itself, with
real clients on the running service, for the executions' inputs that come as JSON on standard input.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropsort.deployment.package import Packages

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("serialize", "classify", "filter")


def processor_milliseconds(
    arm: str, inputs: Sequence[Mapping[str, Any]], environment: Mapping[str, str]
) -> float:
    """Processor time of the three functions for one image, without any emulator's, in milliseconds.

    Parameters
    ----------
    arm
        ``dropsort`` or ``baseline``.
    inputs
        Inputs of executions, one per image; the first tenth is not counted.
    environment
        The functions' environment variables, all of them together.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    found = subprocess.run(
        [sys.executable, "-m", "benchmarks.pipeline_alone", arm],
        input=json.dumps(list(inputs)),
        env={**clean, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return float(json.loads(found.stdout.splitlines()[-1])["milliseconds"])


@dataclass(frozen=True)
class Import:
    """Processor time of one function's import in a fresh interpreter, in milliseconds: median, quickest, and with compiled modules."""

    as_packaged: float
    compiled: float


def imports(packages: Packages, boto3_whole: bytes, times: int = 5) -> dict[str, dict[str, Import]]:
    """What a cold start imports, by arm and function, from unpacked zips as Lambda unpacks them.

    Parameters
    ----------
    packages
        Ours, for this machine.
    boto3_whole
        The baseline's libraries.
    """
    with tempfile.TemporaryDirectory() as temporary:
        ours, theirs = Path(temporary, "ours"), Path(temporary, "baseline")
        for archive in packages.archives.values():
            with zipfile.ZipFile(archive) as content:
                content.extractall(ours)
        theirs.mkdir()
        (libraries := Path(temporary, "boto3.zip")).write_bytes(boto3_whole)
        with zipfile.ZipFile(libraries) as content:
            content.extractall(theirs)
        for part in PARTS:
            (theirs / f"{part}.py").write_bytes(
                (ROOT / "benchmarks" / "baseline" / f"{part}.py").read_bytes()
            )
        modules = {
            "dropsort": {part: (ours, f"handlers.{part}") for part in PARTS},
            "baseline": {part: (theirs, part) for part in PARTS},
        }
        taken: dict[tuple[str, str, bool], float] = {}
        for compiled in (False, True):
            if compiled:
                subprocess.run(
                    [sys.executable, "-m", "compileall", "-q", temporary], check=False, capture_output=True
                )
            samples: dict[tuple[str, str], list[float]] = {}
            for _ in range(times):
                for arm, functions in modules.items():
                    for part, (folder, module) in functions.items():
                        samples.setdefault((arm, part), []).append(_import(folder, module))
            taken |= {(*key, compiled): statistics.median(values) for key, values in samples.items()}
    return {
        arm: {part: Import(taken[arm, part, False], taken[arm, part, True]) for part in PARTS}
        for arm in modules
    }


_IMPORT = """
import sys, time
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/python"]
begin = time.process_time()
__import__(sys.argv[2])
print((time.process_time() - begin) * 1000)
"""


def _import(folder: Path, module: str) -> float:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "AWS_LAMBDA_FUNCTION_NAME": module,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "ENDPOINT": "none",
    }
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", _IMPORT, str(folder), module],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return float(found.stdout.splitlines()[-1])


def _ours() -> Callable[[dict[str, Any]], Any]:
    serialize, classify, filter_ = (importlib.import_module(f"handlers.{part}").handler for part in PARTS)

    def run(started_with: dict[str, Any]) -> Any:
        state = serialize(started_with, None)
        if "image_data" in state:
            state = classify(state, None)
        return filter_({"state": state, "input": started_with, "execution": "bench"}, None)

    return run


def _baseline() -> Callable[[dict[str, Any]], Any]:
    handlers = []
    for part in PARTS:
        spec = importlib.util.spec_from_file_location(
            f"baseline_{part}", ROOT / "benchmarks" / "baseline" / f"{part}.py"
        )
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        handlers.append(module.handler)

    def run(state: dict[str, Any]) -> Any:
        for handler in handlers:
            # Between two functions the state is JSON.
            state = json.loads(json.dumps(handler(state, None)))
        return state

    return run


def main(arm: str) -> None:
    """Print the processor time of one image as JSON."""
    inputs = json.load(sys.stdin)
    run = {"dropsort": _ours, "baseline": _baseline}[arm]()
    warm = max(1, len(inputs) // 10)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        for index, started_with in enumerate(inputs):
            if index == warm:
                begin = time.process_time()
            with contextlib.suppress(Exception):  # below the threshold the baseline raises
                run(started_with)
    milliseconds = (time.process_time() - begin) * 1000 / (len(inputs) - warm)
    print(json.dumps({"milliseconds": milliseconds}))


if __name__ == "__main__":
    main(sys.argv[1])
