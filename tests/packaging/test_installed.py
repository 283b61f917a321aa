"""The wheel and the sdist: what is in them, and the commands of an installed wheel in an empty folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import dropsort
from dropsort.deployment import libraries, package
from tests.processes import children_of, gone

# Built and installed once
pytestmark = [
    pytest.mark.slow(reason="builds the wheel and installs it into an empty environment"),
    pytest.mark.xdist_group("packaging"),
]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dropsort", "handlers", "monitoring", "training")
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "infra", "models", "requirements", *PACKAGES)
# What an installed command reads besides its modules: what the links in dropsort/resources lead to.
RESOURCES = {
    "infra/cloudformation.yaml",
    "infra/deployer-policy.json",
    *(
        f"models/bikes/{name}"
        for name in (
            "card.md",
            "labels.json",
            "metrics.json",
            "model.onnx",
            "reference.json",
            "training-images.json",
        )
    ),
    *(f"requirements/{name}.txt" for name in ("embedded-aws", "heic", "lambda", "monitoring", "run")),
    "requirements/train.in",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with sdist, wheel of the sdist, and in ``direct/`` a wheel of the tree itself."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignore)
        else:
            shutil.copyfile(ROOT / name, tree / name)
    build = [sys.executable, "-m", "build", "--no-isolation", str(tree), "--outdir", str(out)]
    direct = f"from setuptools import build_meta as backend; backend.build_wheel({str(out / 'direct')!r})"
    for command in (build, [sys.executable, "-c", direct]):
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return out


def wheel(folder: Path) -> Path:
    """The one wheel of a folder."""
    (found,) = folder.glob("*.whl")
    return found


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a wheel, without its list of files."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def test_the_wheel_has_every_file_that_is_needed_and_no_other(built: Path) -> None:
    # GIVEN the files of our packages
    expected = {f"dropsort/resources/{name}" for name in RESOURCES}
    for name in PACKAGES:
        for path in (ROOT / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and "resources" not in path.parts:
                expected.add(path.relative_to(ROOT).as_posix())
    # THEN the wheel has them, and besides them only what describes it
    found = contents(wheel(built))
    ours = {name for name in found if not name.startswith(f"dropsort-{dropsort.__version__}.dist-info/")}
    assert ours == expected
    assert (
        found["dropsort/resources/infra/cloudformation.yaml"]
        == (ROOT / "infra/cloudformation.yaml").read_bytes()
    )


def test_the_wheel_of_the_sdist_is_that_of_the_tree(built: Path) -> None:
    assert contents(wheel(built)) == contents(wheel(built / "direct"))


def test_the_sdist_has_files_and_no_links(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    assert all(member.isfile() or member.isdir() for member in members)
    assert not [member.name for member in members if "/tests/" in member.name or "/docs/" in member.name]


def link(pin: Requirement, site: Path) -> None:
    """Put a package that is installed here into another environment, without its commands."""
    package = distribution(pin.name)
    assert package.version in pin.specifier, (
        f"{pin} is locked, {package.version} is here: make .venv/dev.done"
    )
    for name in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
        if not (site / name).exists():  # two packages may share a folder
            (site / name).symlink_to(Path(str(package.locate_file(name))))


@pytest.fixture(scope="module")
def installed(
    built: Path,
    embedded_python: Path,
    host_packages: package.Packages,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Folder of the commands of an environment with the wheel, the locked packages and nothing else.

    The packages are those that this environment has of the same lock: their folders are linked to. pip then installs the
    wheel without an index, so that it fails if the wheel declares a dependency that is not among them.
    """
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    lock = (ROOT / "requirements" / "run.txt").read_text()
    for pin in libraries.requirements(lock, libraries.TARGETS["host"]()):
        link(Requirement(pin.split(" ")[0]), site)
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet",
         "--python", environment / "bin" / "python", "install", "--no-compile", "--no-index", wheel(built)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Made from the same locks for the same Python: making them again is tested where they are made.
    for cache in (embedded_python.parents[2], package.CACHE):
        (environment / cache.name).symlink_to(cache)
    return environment / "bin"


Run = Callable[..., str]


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """Environment of a shell that knows nothing of AWS, nor of a checkout."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "LANG": "C.UTF-8", "NO_COLOR": "1"}


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty current folder."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture
def run(installed: Path, empty: Path, variables: dict[str, str]) -> Run:
    """Runs the installed command; gives what it printed."""

    def command(*arguments: str, **more: str) -> str:
        done = subprocess.run(
            [installed / "dropsort", *arguments],
            cwd=empty, env=variables | more, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    return command


@pytest.fixture
def service(installed: Path, empty: Path, variables: dict[str, str]) -> Iterator[dict[str, str]]:
    """A service that `dropsort up` runs; the variables that it prints. SIGTERM ends it, and no process of it is left."""
    output = empty.with_name("output")
    with output.open("w") as stdout:
        process = subprocess.Popen([installed / "dropsort", "up"], cwd=empty, env=variables, stdout=stdout)
    deadline = time.monotonic() + 240
    while "Ctrl-C stops it" not in output.read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield dict(re.findall(r"(AWS_[A-Z_]+)=(\S+)", output.read_text()))
    children = children_of(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 128 + signal.SIGTERM
    assert gone(children, 10)


def test_demo_and_report_work_in_an_empty_folder(run: Run, empty: Path) -> None:
    shown = run("demo", "--count", "4", "--json", "summary.json")
    assert re.search(r"^results +5 *$", shown, re.MULTILINE)
    summary = json.loads((empty / "summary.json").read_text())
    assert summary["images"] == summary["results"] == 5
    page = run("report", "--no-open").strip()
    assert "Compared with the evaluation set of bikes-" in (empty / page).read_text()


def test_up_and_drop_work_in_an_empty_folder(run: Run, empty: Path, service: dict[str, str]) -> None:
    (empty / "images").mkdir()
    (empty / "images" / "notes.txt").write_text("no image")
    assert re.search(r"notes\.txt +failed +not_an_image", run("drop", "images", "--wait", **service))


def test_the_environment_has_our_packages_and_the_commands_start(run: Run, installed: Path) -> None:
    assert run("--version").strip() == f"dropsort, version {dropsort.__version__}"
    assert "--stack" in run("deploy", "--help")
    (record,) = installed.parent.glob("lib/python*/site-packages/dropsort-*.dist-info/RECORD")
    names = {line.split(",")[0].split("/")[0] for line in record.read_text().splitlines()}
    assert names == {*PACKAGES, record.parent.name, ".."}  # the last: bin/dropsort
