"""The source that travels with a training job: this package and the requirements that SageMaker's image lacks.

In the container it is the working directory, with `training/` in it as a package and `requirements.txt` beside it.
"""

from __future__ import annotations

from pathlib import Path

from training.errors import TrainingError

REQUIREMENTS = "requirements.txt"
IN_THE_IMAGE = ("torch", "numpy", "pillow")  # torch in a version of its own, built for the machine
RUNTIME = ("onnxruntime",)  # what training takes from run.txt to evaluate the model that it wrote
_PACKAGE = Path(__file__).parents[1]
_TRAIN = _PACKAGE.parent / "requirements" / "train.in"
_LOCK = _PACKAGE.parent / "requirements" / "run.txt"


def files() -> dict[str, bytes]:
    """Every file of the source: path below the working directory, and content."""
    try:
        train, lock = _TRAIN.read_text(), _LOCK.read_text()
    except OSError as error:
        raise TrainingError(f"{error.filename} is missing: training jobs start from a checkout") from error
    wanted = [line for line in train.splitlines() if name_of(line) not in IN_THE_IMAGE]
    wanted += [line.rstrip(" \\") for line in lock.splitlines() if name_of(line) in RUNTIME]
    found = {
        f"training/{path.relative_to(_PACKAGE).as_posix()}": path.read_bytes()
        for path in sorted(_PACKAGE.rglob("*.py"))
    }
    # The lock goes along for the requirements of the inference code, which `training.model.package` takes from it.
    return {**found, "requirements/run.txt": lock.encode(), REQUIREMENTS: ("\n".join(wanted) + "\n").encode()}


def stage(folder: Path) -> None:
    """Write the source below a folder, as a training job gets it."""
    for path, content in files().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def name_of(requirement: str) -> str:
    """The package that a line of a requirements file is about; empty for other lines."""
    return requirement.split("#")[0].split(";")[0].split("=")[0].split("[")[0].strip(" <>~!\\").lower()
