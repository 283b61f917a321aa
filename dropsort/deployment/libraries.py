"""Installs a lock file's libraries for a Lambda target and takes out what no function needs.

pip evaluates environment markers for the interpreter that runs it, regardless of `--python-version`. The lock is
therefore reduced to the target's own lines first, so that every machine builds the same layer.
"""

from __future__ import annotations

import hashlib
import platform as host
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dropsort.contract import pip
from dropsort.deployment.errors import PackageError

# The tracer makes an X-Ray client on import; the backlog function invokes functions and starts runs.
SERVICE_MODELS = ("s3", "sagemaker-runtime", "sts", "xray", "lambda", "stepfunctions", "events")
MONITORING_MODELS = ("s3", "sts", "cloudwatch")

# Besides the models, botocore's data needs these to make any client.
_SHARED_DATA = ("endpoints.json", "partitions.json", "_retry.json", "sdk-default-configuration.json")
# Drawing text: Pillow's module for fonts, and the libraries that only it links.
_FONTS = (
    "PIL/_imagingft.*", "PIL/ImageFont.py", "pillow.libs/libfreetype-*", "pillow.libs/libharfbuzz-*", "pillow.libs/libpng16-*",
    "pillow.libs/libbrotli*",
)  # fmt: skip
# Written differently by each installer, not read at run time.
_INSTALLER_FILES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


@dataclass(frozen=True)
class LibraryTarget:
    """Where the libraries will run: a name to show, pip's options, and values that decide its markers."""

    name: str
    options: tuple[str, ...]
    markers: dict[str, str]


def _arm64() -> LibraryTarget:
    # Lambda's python3.13 is Amazon Linux 2023: glibc 2.34.
    platforms = ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 35))]
    # The lock has settled the versions; pip would hold Requires-Python against its own interpreter.
    options = [
        "--python-version",
        "3.13",
        "--implementation",
        "cp",
        "--only-binary=:all:",
        "--ignore-requires-python",
    ]
    for name in platforms:
        options += ["--platform", name]
    return LibraryTarget(
        "Lambda on arm64",
        tuple(options),
        {
            "python_version": "3.13",
            "python_full_version": "3.13.0",
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": "aarch64",
            "platform_python_implementation": "CPython",
            "implementation_name": "cpython",
            "os_name": "posix",
        },
    )


def _host() -> LibraryTarget:
    return LibraryTarget(f"this machine ({host.python_version()}, {sysconfig.get_platform()})", (), {})


TARGETS = {"arm64": _arm64, "host": _host}


def cache_key(lock: Path, target: LibraryTarget, services: tuple[str, ...]) -> str:
    """Digest of everything that decides a layer's content: the lock, the target, the models, this recipe."""
    recipe = Path(__file__).read_bytes()
    parts = (_read(lock).encode(), recipe, repr((target, services)).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def install(lock: Path, target: LibraryTarget, tree: Path) -> None:
    """Install the lock's packages for `target` into `tree`, every hash checked.

    Raises
    ------
    PackageError
        pip is missing or fails; the message has pip's last error.
    """
    with tempfile.TemporaryDirectory() as folder:
        reduced = Path(folder, lock.name)
        reduced.write_text("".join(requirements(_read(lock), target)), encoding="utf-8")
        command = [*pip.command(), "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--require-hashes", "--no-deps", "--no-compile", "--target", str(tree), *target.options]
        result = subprocess.run([*command, "-r", str(reduced)], capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or [
            result.stderr.strip()
        ]
        raise PackageError(
            f"Could not install {lock.name} for {target.name}: {lines[-1].removeprefix('ERROR: ')} "
            "(the first build needs the package index; later ones do not)"
        )


def requirements(lock: str, target: LibraryTarget) -> Iterator[str]:
    """Lines of a lock that the target needs: ``name==version`` with hashes, without markers."""
    from packaging.requirements import Requirement

    for entry in re.sub(r"\\\n", " ", lock).splitlines():
        text, *hashes = re.split(r"\s--hash=", entry.split(" #")[0].strip())
        if not text or text.startswith("#"):
            continue
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(dict(target.markers)):
            requirement.marker = None
            yield f"{requirement} {' '.join(f'--hash={value.strip()}' for value in hashes)}\n"


def prune(tree: Path, services: tuple[str, ...]) -> None:
    """Delete what no function needs: other services' API models, scripts, tests, stubs, headers."""
    keep = set(services) | set(_SHARED_DATA)
    for entry in _children(tree / "botocore" / "data"):
        if entry.name not in keep:
            _delete(entry)
    for unused in ("bin", "share", "boto3/data", "boto3/examples", "botocore/docs/bcdoc/tests", *_FONTS):
        for path in tree.glob(unused):
            _delete(path)
    for path in list(tree.rglob("*")):
        in_metadata = path.parent.name.endswith(".dist-info")
        if path.is_dir():
            junk = path.name in ("tests", "__pycache__")
        else:
            junk = path.suffix in (".pyi", ".h", ".a", ".pxd") or (
                in_metadata and path.name in _INSTALLER_FILES
            )
        if junk:
            _delete(path)


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _read(lock: Path) -> str:
    try:
        return lock.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PackageError(f"No lock file {lock}: install Dropsort again.") from None
