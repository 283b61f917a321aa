"""Libraries that workers share: the same modules, found where the embedded AWS searches."""

from __future__ import annotations

import marshal
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dropsort.deployment.package import SERVICE, Packages
from dropsort.local.shared_layer import share


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    """A layer with one module and one that does not compile, and some code."""
    layer, code = tmp_path / "layer-1.zip", tmp_path / "code-1.zip"
    with zipfile.ZipFile(layer, "w") as content:
        content.writestr("python/tiny_library/__init__.py", "value = 7\n")
        content.writestr("python/tiny_library/template.py", "{{ no python }}\n")
    with zipfile.ZipFile(code, "w") as content:
        content.writestr("code.py", "")
    return Packages({SERVICE.libraries_parameter: layer, SERVICE.code_parameter: code})


def test_a_worker_finds_the_libraries_first_on_its_path(packages: Packages, tmp_path: Path) -> None:
    # GIVEN a shared layer, unpacked as the embedded AWS unpacks layers
    shared = share(packages, tmp_path / "out")
    with zipfile.ZipFile(shared.libraries) as content:
        content.extractall(tmp_path / "opt")
        assert len(content.namelist()) == 1
    # WHEN a worker adds the layer's site directory, as Lambda does
    site = next((tmp_path / "opt" / "python" / "lib").iterdir()) / "site-packages"
    program = (
        f"import site, sys; site.addsitedir({str(site)!r}); import tiny_library; "
        "print(tiny_library.value, tiny_library.__file__, sys.path[0], tiny_library.__cached__)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    # THEN it has the modules of the zip, compiled beforehand
    value, file, first, compiled = done.stdout.split()
    assert value == "7"
    assert Path(file).is_relative_to(first)
    assert Path(compiled).exists()


def test_the_code_is_not_touched(packages: Packages, tmp_path: Path) -> None:
    assert share(packages, tmp_path / "out").functions == packages.functions


def test_it_is_made_once_and_by_several_at_once(packages: Packages, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = {made.libraries for made in pool.map(lambda _: share(packages, tmp_path / "out"), range(4))}
    assert len(found) == 1
    assert len(list((tmp_path / "out").iterdir())) == 2  # the layer, the folder; nothing half-made


def test_other_content_has_another_name(packages: Packages, tmp_path: Path) -> None:
    first = share(packages, tmp_path / "out").libraries
    other = packages.libraries.rename(tmp_path / "layer-2.zip")
    second = share(Packages({**packages.archives, SERVICE.libraries_parameter: other}), tmp_path / "out")
    assert second.libraries.name != first.name


def test_an_archive_that_is_damaged_leaves_nothing(packages: Packages, tmp_path: Path) -> None:
    packages.libraries.write_bytes(b"no archive")
    with pytest.raises(zipfile.BadZipFile):
        share(packages, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_another_process_made_is_used_and_another_error_is_one(
    packages: Packages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out" / "layer-1"

    def rename(_: Path, target: Path) -> None:
        if faster:
            target.mkdir()
        raise OSError

    monkeypatch.setattr(Path, "rename", rename)
    faster = False
    with pytest.raises(OSError):
        share(packages, tmp_path / "out")
    faster = True
    share(packages, tmp_path / "out")
    assert folder.is_dir()
    assert list((tmp_path / "out").glob(".unpacking-*")) == []


def test_tracebacks_name_the_files_where_they_are(packages: Packages, tmp_path: Path) -> None:
    share(packages, tmp_path / "out")
    (compiled,) = (tmp_path / "out").rglob("__init__.*.pyc")
    code = marshal.loads(compiled.read_bytes()[16:])
    assert code.co_filename == str(tmp_path / "out" / "layer-1" / "python" / "tiny_library" / "__init__.py")
