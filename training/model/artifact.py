"""The artifact of a model folder for SageMaker: `model.tar.gz` with the inference code, reproducible byte for byte.

The container (PyTorch inference, CPU) installs `code/requirements.txt` before it loads `code/inference.py`. It lacks ONNX Runtime
only; numpy and Pillow stay as the container has them. The wheels are in the archive: nothing comes from a package index.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dropsort.contract import model_folder
from dropsort.contract.progress import OnStep, no_steps
from dropsort.contract.reference import FILE
from training.errors import TrainingError
from training.model import wheels

CODE = "code"
WHEELS = "wheels"  # below `CODE`; pip finds it relative to the requirements file
_FILES = (*model_folder.NEEDED, model_folder.METRICS, model_folder.CARD, FILE)
_INFERENCE = Path(__file__).parents[1] / "inference.py"
_MOST_FIGURES = 1_000_000  # bytes of metrics.json that are read of an archive
_LEVEL = 1  # of compression: weights and wheels become hardly smaller


def requirements() -> str:
    """Content of code/requirements.txt: from the wheels alone, pinned, with the hashes of the lock file."""
    return f"--no-index\n--find-links {WHEELS}\n{wheels.requirements()}"


def add_code(folder: Path, on_step: OnStep = no_steps) -> None:
    """Write `code/` into the model folder, so that an archive of the folder can be deployed.

    A training job must not fail at its end for want of an index: then, the container installs the same versions from one.
    """
    found: list[Path] = []
    try:
        found = wheels.fetch(on_step)
    except TrainingError as error:
        on_step(f"{error}; the endpoint's container will install them from the index when it starts")
    for name, content in _code(found).items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _code(found: Sequence[Path]) -> dict[str, bytes]:
    """The files of `code/`, by their paths in the model folder; without wheels its requirements need an index."""
    needed = requirements() if found else wheels.requirements()
    return {
        f"{CODE}/inference.py": _INFERENCE.read_bytes(),
        f"{CODE}/requirements.txt": needed.encode(),
        **{f"{CODE}/{WHEELS}/{wheel.name}": wheel.read_bytes() for wheel in found},
    }


def write_artifact(folder: Path, target: Path, on_step: OnStep = no_steps) -> Path:
    """Write `target` (model.tar.gz) from a model folder and return it; the same folder gives the same bytes.

    Raises
    ------
    TrainingError
        If the folder has no model.onnx or labels.json, or the wheels cannot be downloaded.
    """
    folder, target = Path(folder), Path(target)
    for name in model_folder.NEEDED:
        if not (folder / name).is_file():
            raise TrainingError(f"{folder / name} is missing: give a folder that training wrote")
    files = {name: (folder / name).read_bytes() for name in _FILES if (folder / name).is_file()}
    files |= _code(wheels.fetch(on_step))
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    return target


def read_figures(archive: Path) -> dict[str, Any]:
    """The metrics.json of a model.tar.gz; empty if it has none.

    Raises
    ------
    TrainingError
        The file is not an archive.
    """
    try:
        with tarfile.open(archive) as files:
            for entry in files:
                if entry.name.removeprefix("./") == model_folder.METRICS:
                    if not entry.isfile() or entry.size > _MOST_FIGURES:
                        return {}
                    found = json.loads((files.extractfile(entry) or io.BytesIO(b"null")).read())
                    return found if isinstance(found, dict) else {}
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise TrainingError(f"{archive} cannot be read as model.tar.gz: {error}") from error
    except (ValueError, RecursionError):  # the model works without its figures
        return {}
    return {}
