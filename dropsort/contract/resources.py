"""Files that come with the package: the template, the model, the lock files.

`dropsort/resources` holds links to the repository's `infra/`, `models/` and `requirements/`; a wheel holds their files.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

_RESOURCES = Path(str(files("dropsort"))) / "resources"

TEMPLATE = _RESOURCES / "infra" / "cloudformation.yaml"
DEFAULT_MODEL = _RESOURCES / "models" / "bikes"


def requirements(name: str) -> Path:
    """The file of `requirements/` with that name, such as ``lambda.txt``."""
    return _RESOURCES / "requirements" / name
