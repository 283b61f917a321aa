"""The source that travels with a training job: this package and the requirements that SageMaker's image lacks.

In the container it is the working directory, with `training/` in it as a package and `requirements.txt` beside it.
"""

from __future__ import annotations

from pathlib import Path

from training.errors import TrainingError

REQUIREMENTS = "requirements.txt"
_PACKAGE = Path(__file__).parent
_WANTED = _PACKAGE.parent / "requirements" / "train.in"
_IN_THE_IMAGE = ("torch",)  # of another version than here, and built for the machine


def files() -> dict[str, bytes]:
    """Every file of the source: path below the working directory, and content."""
    try:
        wanted = _WANTED.read_text()
    except OSError as error:
        raise TrainingError(
            f"{_WANTED} is needed: start training jobs from a checkout of the project"
        ) from error
    lines = [line for line in wanted.splitlines() if _name(line) not in _IN_THE_IMAGE]
    found = {f"training/{path.name}": path.read_bytes() for path in sorted(_PACKAGE.glob("*.py"))}
    return {**found, REQUIREMENTS: ("\n".join(lines) + "\n").encode()}


def stage(folder: Path) -> None:
    """Write the source below a folder, as a training job gets it."""
    for path, content in files().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _name(requirement: str) -> str:
    return requirement.split("#")[0].split("=")[0].split("[")[0].strip(" <>~!").lower()
