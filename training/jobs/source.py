"""The source of a training job: this package and the requirements that SageMaker's image lacks.

In the container it is the working directory, with `training/` and `dropsort/contract/` in it and `requirements.txt` next to them.
"""

from __future__ import annotations

from importlib.resources import files as package_files
from pathlib import Path

from dropsort.contract import resources
from training.errors import TrainingError

REQUIREMENTS = "requirements.txt"
IN_THE_IMAGE = ("torch", "numpy", "pillow")  # torch in a version of its own, built for the machine
RUNTIME = ("onnxruntime",)  # what training needs of run.txt to evaluate the model that it wrote
_PACKAGES = ("training", "dropsort.contract")
_TRAIN = resources.requirements("train.in")
_LOCK = resources.requirements("run.txt")


def files() -> dict[str, bytes]:
    """Every file of the source: path below the working directory, and content."""
    try:
        train, lock = (path.read_text(encoding="utf-8") for path in (_TRAIN, _LOCK))
    except OSError as error:
        raise TrainingError(f"{error.filename} is missing: install Dropsort again") from error
    wanted = [line for line in train.splitlines() if name_of(line) not in IN_THE_IMAGE]
    wanted += [line.rstrip(" \\") for line in lock.splitlines() if name_of(line) in RUNTIME]
    found = {"dropsort/__init__.py": Path(str(package_files("dropsort")), "__init__.py").read_bytes()}
    for package in _PACKAGES:
        folder = Path(str(package_files(package)))
        found |= {
            f"{package.replace('.', '/')}/{path.relative_to(folder).as_posix()}": path.read_bytes()
            for path in sorted(folder.rglob("*.py"))
        }
    # The lock is included for the requirements of the inference code, which `training.model.artifact` takes from it.
    return {
        **found,
        "dropsort/resources/requirements/run.txt": lock.encode(),
        REQUIREMENTS: ("\n".join(wanted) + "\n").encode(),
    }


def stage(folder: Path) -> None:
    """Write the source below a folder, as a training job gets it."""
    for path, content in files().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def name_of(requirement: str) -> str:
    """The package that a line of a requirements file names; empty for other lines."""
    return requirement.split("#")[0].split(";")[0].split("=")[0].split("[")[0].strip(" <>~!\\").lower()
