"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dropsort.deployment import package
from dropsort.deployment.errors import PackageError
from dropsort.local import venv
from dropsort.local.errors import InstallError
from tests import needs

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """A requirement with a typing mistake ends the run before it begins."""
    needs.required()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images and capture files."""
    folder = Path(os.environ.get("DROPSORT_DATA") or ROOT.parent / "shared" / "data").absolute()
    if not (folder / "bicycle-motorcycle" / "manifest.csv").is_file():
        needs.lacking("data", f"not in {folder}")
    return folder


@pytest.fixture(scope="session")
def embedded_python() -> Path:
    """The interpreter of the embedded AWS, which is installed on first use."""
    try:
        return venv.ensure()
    except InstallError as error:
        needs.lacking("embedded-aws", error)


@pytest.fixture(scope="session")
def host_packages() -> package.Packages:
    """The functions and their libraries as the embedded AWS runs them."""
    try:
        return package.build("host", package.CACHE)
    except PackageError as error:
        needs.lacking("libraries", error)
