"""The zips themselves: their modes and names, what an error leaves, and which parts are built."""

from __future__ import annotations

import inspect
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dropsort.deployment import package
from dropsort.deployment.errors import PackageError


def test_libraries_of_the_system_may_be_run_and_a_mode_is_a_part_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a.so", "b.so.1.2", "c.cpython-313.so", "so", "d.py")
    for name in names:
        (tmp_path / name).write_text("x")
    files = [(name, tmp_path / name) for name in names]
    made = package._archive(tmp_path, "zip", files)
    with zipfile.ZipFile(made) as archive:
        modes = {one.filename: one.external_attr >> 16 for one in archive.infolist()}
    executable = dict.fromkeys(names[:3], stat.S_IFREG | 493)
    assert modes == executable | dict.fromkeys(names[3:], stat.S_IFREG | 420)
    assert stat.S_IMODE(made.stat().st_mode) == 0o644
    assert package._archive(tmp_path, "zip", reversed(files)) == made
    monkeypatch.setattr(package, "_mode", lambda _: 0o644)
    assert package._archive(tmp_path, "zip", files) != made


def test_an_error_leaves_no_part_of_a_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x")

    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="no space left"):
        package._archive(tmp_path, "zip", [("a", tmp_path / "a")])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_all_parts_are_built_unless_some_are_named() -> None:
    parts = inspect.signature(package.build).parameters["parts"].default
    assert parts == (package.SERVICE, package.HEIC, package.MONITORING)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_layer_is_one_zip_which_is_made_in_a_hidden_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    made: list[Path] = []

    def install(_lock: Path, _target: Any, tree: Path) -> None:
        made.append(tree)
        tree.mkdir()
        (tree / "a.py").touch()

    monkeypatch.setattr(package.libraries, "install", install)
    monkeypatch.setattr(package.libraries, "prune", lambda *_: None)
    found = package._layer("host", tmp_path, package.SERVICE, lambda _: None)
    assert made[0].parent.name.startswith(".building-")
    assert [path.name for path in tmp_path.iterdir()] == [found.parent.name]
    if count == 0:
        found.unlink()
    if count == 2:
        digits = found.stem[-package._DIGITS :]
        found.with_name(found.name.replace(digits, "0" * package._DIGITS)).touch()
    if count == 1:
        assert package._layer("host", tmp_path, package.SERVICE, lambda _: None) == found
    else:
        with pytest.raises(
            PackageError, match=f"should hold one zip and holds {count}: delete that folder and try again"
        ):
            package._layer("host", tmp_path, package.SERVICE, lambda _: None)
