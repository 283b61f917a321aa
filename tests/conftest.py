"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images and capture files; a test that asks for it says so when it is skipped."""
    folder = Path(os.environ.get("DROPSORT_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "bicycle-motorcycle" / "manifest.csv").is_file():
        pytest.skip(f"needs the real images and captures: set DROPSORT_DATA (looked in {folder})")
    return folder
