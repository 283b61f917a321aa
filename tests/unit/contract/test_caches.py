"""Where caches are: below the virtual environment, else in the user's cache folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dropsort.contract import caches


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment, and a home."""
    prefix = tmp_path / "environment"
    prefix.mkdir()
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return prefix


def test_a_cache_is_below_the_environment(environment: Path) -> None:
    assert caches.folder("things") == environment / "things"


def test_without_an_environment_it_is_in_the_users_cache(
    tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "base_prefix", str(environment))
    found = caches.folder("things")
    assert found.parts[: len(tmp_path.parts) + 3] == (tmp_path / "home" / ".cache" / "dropsort").parts
    assert found.name == "things"
    assert len(found.parent.name) == 8


def test_where_the_environment_may_not_be_written_it_is_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    assert caches.folder("things").is_relative_to(tmp_path / "home" / ".cache" / "dropsort")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert caches.folder("things").is_relative_to(tmp_path / "elsewhere" / "dropsort")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert caches.folder("things").is_relative_to(tmp_path / "home")


def test_two_installations_share_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    first = caches.folder("things")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "another"))
    assert caches.folder("things") != first
