"""The embedded AWS's environment: made once, whole or not at all, from a wheel of these tests' own."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dropsort.contract import pip
from dropsort.local import venv
from dropsort.local.errors import InstallError

ROOT = Path(__file__).resolve().parents[3]
NEEDS = (
    "Requires-Dist: what-is-nowhere\n"  # a lock has all that is installed, so nothing else is searched for
)
BEGIN = "import sys; from pathlib import Path; from dropsort.local import venv; venv.ensure(Path(sys.argv[1]), Path(sys.argv[2]))"


def lock(folder: Path, version: str = "1.0", digest: str | None = "") -> Path:
    """A lock file for one tiny package, which lies next to it: no network."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"tiny_thing-{version}-py3-none-any.whl"
    info = f"tiny_thing-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as content:
        content.writestr("tiny_thing.py", f"version = {version!r}\n")
        content.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-thing\nVersion: {version}\n{NEEDS}"
        )
        content.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        content.writestr(f"{info}/RECORD", "")
    found = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
    path = folder / "lock.txt"
    path.write_text(
        f"tiny-thing @ {wheel.as_uri()}" + ("" if digest is None else f" --hash=sha256:{found}") + "\n"
    )
    return path


def version_in(python: Path) -> str:
    """What an environment has installed; it sees nothing of ours."""
    program = (
        "import tiny_thing, importlib.util as u; assert not u.find_spec('pytest'); print(tiny_thing.version)"
    )
    done = subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_is_made_once_and_rebuilt_if_it_is_broken_cut_short_or_the_lock_changes(tmp_path: Path) -> None:
    # GIVEN nothing WHEN several want it at once
    home, wanted, said = tmp_path / "home", lock(tmp_path), list[str]()
    with ThreadPoolExecutor(4) as pool:
        (python,) = set(pool.map(lambda _: venv.ensure(wanted, home, said.append), range(4)))
    # THEN it has what the lock says, not compiled yet, and telling so once was enough
    assert list(python.parents[1].rglob("tiny_thing.py"))
    assert not list(python.parents[1].rglob("tiny_thing*.pyc"))
    assert version_in(python) == "1.0"
    assert venv.ensure(wanted, home, said.append) == python
    assert len(said) == 1
    # WHEN its interpreter is gone, and the installation is killed while it builds
    shutil.rmtree(python.parent)
    child = subprocess.Popen([sys.executable, "-c", BEGIN, str(wanted), str(home)], start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(home.glob("building-*")):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert list(home.glob("building-*"))
    # THEN it is rebuilt, whole, and the remains are gone
    assert version_in(venv.ensure(wanted, home)) == "1.0"
    assert not list(home.glob("building-*"))
    # WHEN the lock changes THEN another takes its place
    second = venv.ensure(lock(tmp_path, "2.0"), home)
    assert version_in(second) == "2.0"
    assert not python.exists()


@pytest.mark.parametrize(
    ("digest", "why"), [("0" * 64, "Expected sha256 0000"), (None, "(?i)hashes are required|--hash=")]
)
def test_a_package_without_its_digest_is_rejected_and_leaves_nothing(
    tmp_path: Path, digest: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # settings of this interpreter are not for the other one
    with pytest.raises(InstallError, match=why):
        venv.ensure(lock(tmp_path, digest=digest), tmp_path / "home")
    assert not [path for path in (tmp_path / "home").iterdir() if path.is_dir()]


def test_another_interpreter_has_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, home, made = lock(tmp_path), tmp_path / "home", list[Path]()
    monkeypatch.setattr(venv, "_install", lambda _lock, finished, _home: made.append(finished))
    venv.ensure(wanted, home)
    monkeypatch.setattr(sys, "version", f"{sys.version}, compiled again")
    venv.ensure(wanted, home)
    assert len(set(made)) == 2


def test_a_missing_lock_is_named(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"lock\.txt.*install Dropsort again"):
        venv.ensure(tmp_path / "lock.txt", tmp_path / "home")


def test_it_is_made_where_there_is_no_pip(tmp_path: Path) -> None:
    # GIVEN an environment without pip, as uv makes them, in which our code can be imported
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([python, "-m", "pip"], env=environment, capture_output=True, check=False).returncode
    # WHEN the environment is made from there, THEN it is whole
    wanted, home = lock(tmp_path), tmp_path / "home"
    subprocess.run([python, "-c", BEGIN, wanted, home], env=environment, check=True)
    assert version_in(venv.ensure(wanted, home)) == "1.0"


def test_pip_is_found_where_the_system_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN an environment without pip, of a Python whose ensurepip reads wheels of the system, as Debian's does
    found, configured = importlib.util.find_spec, sysconfig.get_config_var
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else found(name))
    monkeypatch.setattr(
        sysconfig,
        "get_config_var",
        lambda name: f"{tmp_path}/" if name == "WHEEL_PKG_DIR" else configured(name),
    )
    (tmp_path / "pip-26.2.2-py3-none-any.whl").touch()
    (tmp_path / "setuptools-84.0.0-py3-none-any.whl").touch()
    assert pip.command() == [sys.executable, str(tmp_path / "pip-26.2.2-py3-none-any.whl" / "pip")]


def test_without_any_pip_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN neither pip nor ensurepip, as in a Python of Debian that lacks python3-venv
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in ("pip", "ensurepip") else found(name)
    )
    with pytest.raises(InstallError, match=r"has no pip.*uv pip install pip"):
        venv.ensure(lock(tmp_path), tmp_path / "home")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(InstallError, match="home"):
        venv.ensure(lock(tmp_path), tmp_path / "home")
