"""The artifact of a model folder for SageMaker: `model.tar.gz` with the inference code, reproducible byte for byte.

The container (PyTorch inference, CPU) installs `code/requirements.txt` before it loads `code/inference.py`. It lacks
ONNX Runtime only; numpy and Pillow stay as the container has them.
"""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from importlib import metadata
from pathlib import Path

from dropsort.contract import resources
from dropsort.contract.reference import FILE
from training.errors import TrainingError

CODE = "code"
_NEEDED = ("onnxruntime", "flatbuffers", "protobuf", "packaging")  # onnxruntime's own needs but numpy
_LOCK = resources.requirements("run.txt")
_FILES = ("model.onnx", "labels.json", "metrics.json", "card.md", FILE)


def requirements() -> str:
    """Content of code/requirements.txt: pinned, with the hashes of the lock file.

    If there is no lock file, the installed versions without hashes.
    """
    if not _LOCK.is_file():
        return "".join(f"{name}=={metadata.version(name)}\n" for name in _NEEDED)
    blocks = _LOCK.read_text().replace("\\\n", "\\").splitlines()
    found = [block.replace("\\", "\\\n") for block in blocks if block.split("==")[0] in _NEEDED]
    return "\n".join(found) + "\n"


def add_code(folder: Path) -> None:
    """Write `code/` into the model folder, so that an archive of the folder can be deployed."""
    code = Path(folder) / CODE
    code.mkdir(exist_ok=True)
    shutil.copyfile(Path(__file__).parents[1] / "inference.py", code / "inference.py")
    (code / "requirements.txt").write_text(requirements())


def write_artifact(folder: Path, target: Path) -> Path:
    """Write `target` (model.tar.gz) from a model folder and return it; the same folder gives the same bytes.

    Raises
    ------
    TrainingError
        If the folder has no model.onnx or labels.json.
    """
    folder, target = Path(folder), Path(target)
    for name in _FILES[:2]:
        if not (folder / name).is_file():
            raise TrainingError(f"{folder / name} is missing: give a folder that training wrote")
    files = {name: (folder / name).read_bytes() for name in _FILES if (folder / name).is_file()}
    files[f"{CODE}/inference.py"] = (Path(__file__).parents[1] / "inference.py").read_bytes()
    files[f"{CODE}/requirements.txt"] = requirements().encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    return target
