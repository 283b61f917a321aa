"""Packages the Lambda functions: zips of code and layers of locked libraries, named by their content.

A name changes exactly when the content does, so that CloudFormation sees an update when there is one and none
when there is none. Zips are reproducible: sorted, without times, the same on every machine for one platform.
Libraries come from the lock file with its hashes checked; a finished layer is cached until the
lock, the platform or this recipe changes. Every file appears under its name in one atomic step.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from dropsort.contract import caches, resources
from dropsort.contract.progress import OnStep, no_steps
from dropsort.deployment import libraries
from dropsort.deployment.errors import PackageError

ROOT = Path(str(files("dropsort"))).parent  # the checkout, or site-packages
CACHE = caches.folder("packages")  # where commands keep finished zips
_DIGITS = 16  # of a content's digest in the name of its zip
Platform = Literal["arm64", "host"]


@dataclass(frozen=True)
class PackageSpec:
    """A set of functions that share one zip of code and one layer, or a layer alone.

    Parameters
    ----------
    code_parameter, libraries_parameter
        Template parameters that take the S3 keys of the two zips.
    code
        Folders of Python code, from the root of the installation, as they lie in the code zip. Those of the contract, which
        every function imports, come with each. Empty for a layer alone.
    lock
        Lock file of the layer, in `requirements/`.
    services
        AWS services whose API models stay in the layer's botocore (all of them weigh 30 MB).
    """

    code_parameter: str
    libraries_parameter: str
    code: tuple[str, ...]
    lock: str
    services: tuple[str, ...]


SERVICE = PackageSpec("FunctionsKey", "LibrariesKey", ("handlers",), "lambda.txt", libraries.SERVICE_MODELS)
# A layer of its own: larger than all other libraries together, imported for HEIC alone. `-p HeicLibrariesKey=` leaves it out.
HEIC = PackageSpec("", "HeicLibrariesKey", (), "heic.txt", ())
MONITORING = PackageSpec(
    "MonitoringFunctionsKey",
    "MonitoringLibrariesKey",
    ("monitoring",),
    "monitoring.txt",
    libraries.MONITORING_MODELS,
)


@dataclass(frozen=True)
class Packages:
    """The finished zips, by the template parameter that takes their S3 key."""

    archives: dict[str, Path]

    @property
    def functions(self) -> Path:
        """Code of the three functions."""
        return self.archives[SERVICE.code_parameter]

    @property
    def libraries(self) -> Path:
        """Layer of the three functions."""
        return self.archives[SERVICE.libraries_parameter]


def build(
    platform: Platform,
    out: Path,
    on_step: OnStep = no_steps,
    parts: Iterable[PackageSpec] = (SERVICE, HEIC, MONITORING),
) -> Packages:
    """Build what is missing in `out` and return the zips.

    Parameters
    ----------
    platform
        "arm64" for AWS Lambda's python3.13 on Graviton, "host" for this interpreter (the embedded AWS).
    out
        Folder of the zips, made if missing; may be shared by several processes and platforms.
    on_step
        Called with one sentence per step that takes time.
    parts
        Which functions to package.

    Raises
    ------
    PackageError
        If the libraries cannot be installed; nothing half-made stays in `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    archives: dict[str, Path] = {}
    for part in parts:
        if part.code:
            archives[part.code_parameter] = _archive(out, part.code[0], _code_files(part.code))
        archives[part.libraries_parameter] = _layer(platform, out, part, on_step)
    return Packages(archives)


def _layer(platform: Platform, out: Path, part: PackageSpec, on_step: OnStep) -> Path:
    lock = resources.requirements(part.lock)
    target = libraries.TARGETS[platform]()
    key = libraries.cache_key(lock, target, part.services)
    cached = out / f"{lock.stem}-{platform}-{key}"
    if not cached.is_dir():
        with tempfile.TemporaryDirectory(dir=out, prefix=".building-") as temporary:
            tree, finished = Path(temporary, "tree"), Path(temporary, "finished")
            finished.mkdir()
            on_step(f"Installing the libraries of the functions ({lock.name}) for {target.name}")
            libraries.install(lock, target, tree)
            libraries.prune(tree, part.services)
            on_step(f"Zipping the libraries of the functions ({lock.name}) for {target.name}")
            # That of this machine is unpacked on it once, so its size matters less than its time.
            level = 1 if platform == "host" else None
            _archive(finished, f"{lock.stem}-{platform}", _tree_files(tree, "python"), level)
            _publish(finished, cached)
    zips = sorted(cached.glob(f"{lock.stem}-{platform}-{'[0-9a-f]' * _DIGITS}.zip"))
    if len(zips) != 1:
        raise PackageError(
            f"{cached} should hold one zip and holds {len(zips)}: delete that folder and try again."
        )
    return zips[0]


def _publish(finished: Path, cached: Path) -> None:
    """Move a finished folder to its name; another process that was faster has made the same one."""
    try:
        finished.rename(cached)
    except OSError:
        if not cached.is_dir():
            raise


def _code_files(packages: Iterable[str]) -> Iterator[tuple[str, Path]]:
    yield "dropsort/__init__.py", ROOT / "dropsort" / "__init__.py"
    for package in (*packages, "dropsort/contract"):
        if not (ROOT / package / "__init__.py").is_file():
            raise PackageError(f"No package {package}/ in {ROOT}: install Dropsort again.")
        yield from _tree_files(ROOT / package, package)


def _tree_files(root: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Name in the zip and path of every file below `root`, without caches of the interpreter."""
    for path in root.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{prefix}/{path.relative_to(root).as_posix()}", path


def _archive(folder: Path, stem: str, files: Iterable[tuple[str, Path]], level: int | None = None) -> Path:
    """Zip `files` to ``{stem}-{digest of names and contents}.zip``, once, at a level of compression (1 to 9, None for zlib's)."""
    entries = sorted(files)
    digest = hashlib.sha256()
    for name, path in entries:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{content} {_mode(path):o} {name}\n".encode())
    target = folder / f"{stem}-{digest.hexdigest()[:_DIGITS]}.zip"
    if target.is_file():
        return target
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".zipping-")
    try:
        with os.fdopen(descriptor, "wb") as raw, zipfile.ZipFile(raw, "w") as archive:
            for name, path in entries:
                info = zipfile.ZipInfo(name)  # with the time 1980-01-01
                info.create_system = 3  # Unix, wherever it was built: the mode below counts
                info.external_attr = (stat.S_IFREG | _mode(path)) << 16
                archive.writestr(info, path.read_bytes(), zipfile.ZIP_DEFLATED, level)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def _mode(path: Path) -> int:
    return 0o755 if ".so" in path.suffixes else 0o644
