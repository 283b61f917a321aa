"""The packages that the inference container lacks, as wheels for its Python: they are part of `model.tar.gz`.

So a container that starts, in a new instance of the autoscaling too, needs no package index and installs what was tested. They are
downloaded once, with the hashes of the lock file, and cached.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from dropsort.contract import caches, pip, resources
from dropsort.contract.errors import DropsortError
from dropsort.contract.progress import OnStep, no_steps
from training.aws.container_images import PYTHON_VERSION
from training.errors import TrainingError

NEEDED = ("onnxruntime", "flatbuffers", "protobuf", "packaging")  # onnxruntime's own needs but numpy
PYTHON = f"{PYTHON_VERSION[2]}.{PYTHON_VERSION[3:]}"  # py312: 3.12
# The image is Ubuntu 22.04 on x86-64, whose glibc is 2.35.
PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 36)))
_LOCK = resources.requirements("run.txt")


def requirements() -> str:
    """The lock file's lines of `NEEDED`: pinned, with hashes.

    Raises
    ------
    TrainingError
        The lock file is missing, or lacks one of them.
    """
    try:
        blocks = _LOCK.read_text(encoding="utf-8").replace("\\\n", "\\").splitlines()
    except OSError as error:
        raise TrainingError(f"{_LOCK} is missing: install Dropsort again") from error
    found = {block.split("==")[0]: block.replace("\\", "\\\n") for block in blocks}
    if missing := [name for name in NEEDED if name not in found]:
        raise TrainingError(f"{_LOCK} has no {', '.join(missing)}: install Dropsort again")
    return "".join(f"{found[name]}\n" for name in sorted(NEEDED))


def target_options() -> list[str]:
    """pip's options for the container's Python and platform."""
    options = ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON]
    for platform in PLATFORMS:
        options += ["--platform", platform]
    return options


def fetch(on_step: OnStep = no_steps) -> list[Path]:
    """The wheels, one per package, sorted by name; downloaded if the cache has not this lock's.

    Raises
    ------
    TrainingError
        pip is missing or fails; the message has its last error.
    """
    text = requirements()
    key = hashlib.sha256("\0".join([text, *target_options()]).encode()).hexdigest()[:16]
    folder = caches.folder("model-wheels") / key
    if not folder.is_dir():
        on_step(f"Downloading the packages of the model's container ({', '.join(NEEDED)}); they are cached")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            _download(text, Path(temporary, key))
            try:
                os.rename(Path(temporary, key), folder)
            except OSError:  # another process was faster
                if not folder.is_dir():
                    raise
    return sorted(folder.glob("*.whl"))


def _download(text: str, folder: Path) -> None:
    folder.mkdir()
    lock = folder.with_suffix(".txt")
    lock.write_text(text, encoding="utf-8")
    try:
        command = [*pip.command(), "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    except DropsortError as error:
        raise TrainingError(str(error)) from error
    command += ["--require-hashes", "--no-deps", *target_options(), "--dest", str(folder), "-r", str(lock)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        problem = (lines or [result.stderr.strip()])[-1].removeprefix("ERROR: ")
        raise TrainingError(
            f"The packages of the model's container cannot be downloaded: {problem} (the package index is needed once)"
        )
