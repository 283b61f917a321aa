"""Packages: named by content, reproducible, complete, and right for their platform."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dropsort.contract import caches
from dropsort.deployment import libraries, package
from dropsort.deployment.errors import PackageError
from tests import needs

ARM64 = libraries.TARGETS["arm64"]()


def use(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    """Package what is below `root`, with its lock file."""
    monkeypatch.setattr(package, "ROOT", root)
    monkeypatch.setattr(package.resources, "requirements", lambda name: root / name)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a small package and a lock; pip is replaced by a copy of what it would install."""
    root = tmp_path / "checkout"
    (root / "handlers" / "__pycache__").mkdir(parents=True)
    (root / "dropsort" / "contract").mkdir(parents=True)
    (root / "dropsort" / "__init__.py").write_text("")
    (root / "dropsort" / "contract" / "__init__.py").write_text("")
    (root / "handlers" / "__init__.py").write_text("")
    (root / "handlers" / "filter.py").write_text("def handler(event, context): return event\n")
    (root / "handlers" / "__pycache__" / "filter.cpython-311.pyc").write_bytes(b"cache")
    (root / "lambda.txt").write_text("small==1.0 --hash=sha256:00\n")
    use(monkeypatch, root)
    return root


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Install without pip, and count how often."""
    calls: list[Path] = []

    def install(lock: Path, target: libraries.LibraryTarget, tree: Path) -> None:
        calls.append(tree)
        (tree / "small").mkdir(parents=True)
        (tree / "small" / "__init__.py").write_text(lock.read_text())

    monkeypatch.setattr(libraries, "install", install)
    return lambda: len(calls)


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as content:
        return content.namelist()


def test_package_names_its_zips_by_their_content(
    checkout: Path, installed: Callable[[], int], tmp_path: Path
) -> None:
    # GIVEN a package of a checkout
    first = package.build("arm64", tmp_path / "out", parts=[package.SERVICE])

    # WHEN it is built elsewhere, later, with other times of files, and then again with other code
    os.utime(checkout / "handlers" / "filter.py", (0, 0))
    again = package.build("arm64", tmp_path / "elsewhere", parts=[package.SERVICE])
    (checkout / "handlers" / "filter.py").write_text("def handler(event, context): return None\n")
    changed = package.build("arm64", tmp_path / "out", parts=[package.SERVICE])

    # THEN names and bytes are the same for the same content, and only what changed has another name
    assert again.functions.name == first.functions.name
    assert again.functions.read_bytes() == first.functions.read_bytes()
    assert again.libraries.read_bytes() == first.libraries.read_bytes()
    assert changed.functions.name != first.functions.name
    assert changed.libraries == first.libraries
    assert names(first.functions) == [
        "dropsort/__init__.py",
        "dropsort/contract/__init__.py",
        "handlers/__init__.py",
        "handlers/filter.py",
    ]


def test_what_each_part_consists_of() -> None:
    models = libraries.SERVICE_MODELS
    assert [
        package.PackageSpec("FunctionsKey", "LibrariesKey", ("handlers",), "lambda.txt", models),
        package.PackageSpec("", "HeicLibrariesKey", (), "heic.txt", ()),
        package.PackageSpec("MonitoringFunctionsKey", "MonitoringLibrariesKey", ("monitoring",), "monitoring.txt",
                     libraries.MONITORING_MODELS),
    ] == [package.SERVICE, package.HEIC, package.MONITORING]  # fmt: skip
    assert caches.folder("packages") == package.CACHE
    assert package.ROOT / "tests" in Path(__file__).parents


def test_the_layer_of_this_machine_is_packed_fast_and_that_of_lambda_small(
    checkout: Path, installed: Callable[[], int], tmp_path: Path
) -> None:
    # GIVEN a library, and a layer without functions
    (checkout / "lambda.txt").write_text("".join(f"a{n * n}=={n}\n" for n in range(3000)))
    layer = package.PackageSpec("", "HeicLibrariesKey", (), "lambda.txt", ())
    steps: list[str] = []
    built = {
        platform: package.build(platform, tmp_path / "deep" / "out", steps.append, [layer]).archives
        for platform in ("arm64", "host")
    }  # type: ignore[misc]  # the two platforms
    assert {frozenset(archives) for archives in built.values()} == {frozenset({"HeicLibrariesKey"})}
    # THEN both have the same files, one is larger, and each has its steps, and a folder named by what decides it
    fast, small = built["host"]["HeicLibrariesKey"], built["arm64"]["HeicLibrariesKey"]
    assert names(fast) == names(small) == ["python/small/__init__.py"]
    assert fast.stat().st_size > small.stat().st_size
    assert steps[:2] == [
        f"{verb} the libraries of the functions (lambda.txt) for Lambda on arm64"
        for verb in ("Installing", "Zipping")
    ]
    for platform, path in (("host", fast), ("arm64", small)):
        assert re.fullmatch(f"lambda-{platform}-[0-9a-f]{{16}}\\.zip", path.name)
        key = libraries.cache_key(checkout / "lambda.txt", libraries.TARGETS[platform](), ())
        assert path.parent == tmp_path / "deep" / "out" / f"lambda-{platform}-{key}"
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == sorted(
        path.parent.name for path in (fast, small)
    )


def test_of_two_that_build_at_once_one_publishes(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN another process that finishes the same layer while this one installs
    other = {"made": True}

    def install(lock: Path, target: libraries.LibraryTarget, tree: Path) -> None:
        tree.mkdir()
        (tree / "small.py").write_text("")
        if other["made"]:
            other["made"] = False
            package.build("arm64", tmp_path, parts=[package.SERVICE])

    monkeypatch.setattr(libraries, "install", install)
    assert package.build("arm64", tmp_path, parts=[package.SERVICE]).libraries.is_file()

    # THEN its layer is used; a folder that cannot be moved for another reason is an error
    def fails(*_: object) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(Path, "rename", fails)
    (checkout / "lambda.txt").write_text("other==1\n")
    with pytest.raises(PermissionError):
        package.build("arm64", tmp_path, parts=[package.SERVICE])


def test_a_zip_has_no_trace_of_the_machine_that_built_it(tmp_path: Path) -> None:
    # GIVEN files in any order, one of them a library that has to be executable
    for name in ("b.py", "a.py", "c.cpython-313-aarch64-linux-gnu.so"):
        (tmp_path / name).write_text(name)
    files = [(f"python/{path.name}", path) for path in sorted(tmp_path.iterdir(), reverse=True)]

    # WHEN they are zipped
    archive = package._archive(tmp_path, "layer", files)

    # THEN the zip has the order of the names, no times, the modes of Unix, and may be read by every user
    with zipfile.ZipFile(archive) as content:
        found = [
            (one.filename, one.date_time, one.create_system, oct(one.external_attr >> 16))
            for one in content.infolist()
        ]
        assert {one.compress_type for one in content.infolist()} == {zipfile.ZIP_DEFLATED}
    time = (1980, 1, 1, 0, 0, 0)
    assert found == [
        ("python/a.py", time, 3, "0o100644"),
        ("python/b.py", time, 3, "0o100644"),
        ("python/c.cpython-313-aarch64-linux-gnu.so", time, 3, "0o100755"),
    ]
    assert oct(archive.stat().st_mode & 0o777) == "0o644"
    assert re.fullmatch(r"layer-[0-9a-f]{16}\.zip", archive.name)
    assert not list(tmp_path.glob(".zipping-*"))
    # AND another name of a file, or other content, is another zip
    renamed = [(name.replace("a.py", "d.py"), path) for name, path in files]
    assert package._archive(tmp_path, "layer", renamed) != archive


def test_libraries_are_installed_again_only_for_another_lock(
    checkout: Path, installed: Callable[[], int], tmp_path: Path
) -> None:
    # GIVEN a build
    first = package.build("arm64", tmp_path, parts=[package.SERVICE])
    package.build("arm64", tmp_path, parts=[package.SERVICE])
    assert installed() == 1

    # WHEN the lock changes
    (checkout / "lambda.txt").write_text("small==1.1 --hash=sha256:00\n")
    second = package.build("arm64", tmp_path, parts=[package.SERVICE])

    # THEN the libraries are installed once more, under another name
    assert installed() == 2
    assert second.libraries.name != first.libraries.name


def test_interrupted_build_leaves_nothing_half_made(
    checkout: Path, installed: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a build that is interrupted while it writes its second zip
    written: list[str] = []
    original = zipfile.ZipFile.open

    def interrupted(self: zipfile.ZipFile, info: zipfile.ZipInfo, mode: str) -> object:
        written.append(info.filename)
        if info.filename.startswith("python/"):
            raise KeyboardInterrupt
        return original(self, info, mode)  # type: ignore[call-overload]

    monkeypatch.setattr(zipfile.ZipFile, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        package.build("arm64", tmp_path / "out", parts=[package.SERVICE])
    assert not [path for path in (tmp_path / "out").rglob("*") if "lambda" in path.name or path.suffix == ""]

    # WHEN it is built again
    monkeypatch.undo()
    use(monkeypatch, checkout)
    monkeypatch.setattr(libraries, "install", lambda lock, target, tree: (tree / "small").mkdir(parents=True))

    # THEN it is whole
    assert package.build("arm64", tmp_path / "out", parts=[package.SERVICE]).libraries.is_file()


def test_missing_checkout_is_named(checkout: Path, installed: Callable[[], int], tmp_path: Path) -> None:
    shutil.rmtree(checkout / "handlers")
    with pytest.raises(PackageError, match="No package handlers/"):
        package.build("arm64", tmp_path / "out", parts=[package.SERVICE])


@pytest.mark.parametrize("hashes", [f" \\\n    --hash=sha256:{'0' * 64}", ""], ids=["wrong", "none"])
def test_a_package_without_its_hash_is_not_installed(tmp_path: Path, hashes: str) -> None:
    # GIVEN a lock whose hash is not that of the package, or that has none
    lock = tmp_path / "lambda.txt"
    wheel = tmp_path / "wheels"
    wheel.mkdir()
    with zipfile.ZipFile(wheel / "small-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("small.py", "")
        archive.writestr("small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        archive.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("small-1.0.dist-info/RECORD", "")
    target = libraries.LibraryTarget("a test", ("--no-index", "--find-links", str(wheel)), {})
    lock.write_text(f"small==1.0{hashes}\n")

    # WHEN it is installed THEN the error names the lock and carries pip's reason
    with pytest.raises(PackageError, match=r"Could not install lambda\.txt for a test: .*(?i:hash)"):
        libraries.install(lock, target, tmp_path / "tree")
    assert not (tmp_path / "tree" / "small.py").exists()


@pytest.mark.parametrize(
    ("lock", "expected"),
    [
        (
            "a==1 \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\n",
            ["a==1 --hash=sha256:11 --hash=sha256:22\n"],
        ),
        ("b==2 ; python_full_version < '3.12' \\\n    --hash=sha256:11\n", []),
        ("b==3 ; python_full_version >= '3.12' \\\n    --hash=sha256:11\n", ["b==3 --hash=sha256:11\n"]),
        ("c==1 ; sys_platform == 'win32' --hash=sha256:11\n# a comment\n\n", []),
        (
            "d[extra]==1 ; platform_machine == 'aarch64' --hash=sha256:11\n",
            ["d[extra]==1 --hash=sha256:11\n"],
        ),
    ],
)
def test_lock_is_reduced_to_the_targets_own_lines(lock: str, expected: list[str]) -> None:
    assert list(libraries.requirements(lock, ARM64)) == expected


def test_prune_keeps_the_models_of_the_services_alone(tmp_path: Path) -> None:
    # GIVEN an installed tree
    for name in (
        "botocore/data/s3/2006-03-01/service-2.json.gz",
        "botocore/data/ec2/2016-11-15/service-2.json.gz",
        "botocore/data/endpoints.json",
        "botocore/cacert.pem",
        "boto3/data/ec2/resources-1.json",
        "numpy/tests/test_core.py",
        "numpy/testing/__init__.py",
        "numpy/core.pyi",
        "numpy-2.0.dist-info/RECORD",
        "numpy-2.0.dist-info/METADATA",
        "bin/jp.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")

    # WHEN it is pruned
    libraries.prune(tmp_path, ("s3",))

    # THEN what functions use is there, and nothing else
    assert sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    ) == [
        "botocore/cacert.pem",
        "botocore/data/endpoints.json",
        "botocore/data/s3/2006-03-01/service-2.json.gz",
        "numpy-2.0.dist-info/METADATA",
        "numpy/testing/__init__.py",
    ]


Build = Callable[[package.Platform, package.PackageSpec], tuple[Path, Path]]
PARTS = pytest.mark.parametrize("part", [package.SERVICE, package.MONITORING], ids=["service", "monitoring"])


@pytest.fixture(scope="session")
def real() -> Build:
    """The real zips, code and libraries."""

    def build(platform: package.Platform, part: package.PackageSpec) -> tuple[Path, Path]:
        try:
            archives = package.build(platform, package.CACHE, parts=[part]).archives
        except PackageError as error:
            needs.lacking("libraries", error)
        return archives[part.code_parameter], archives[part.libraries_parameter]

    return build


@pytest.mark.slow(reason="installs the locked libraries again")
@PARTS
def test_host_package_works_where_nothing_else_is_installed(
    real: Build, part: package.PackageSpec, tmp_path: Path
) -> None:
    # GIVEN the zips as a function finds them, and an interpreter that has no other library
    for archive in real("host", part):
        with zipfile.ZipFile(archive) as content:
            content.extractall(tmp_path)
    modules = {
        "handlers": ["serialize", "classify", "filter"],
        "monitoring": ["function", "storage.s3", "storage.parquet"],
    }
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "import importlib, boto3\n"
        "for name in sys.argv[4:]: importlib.import_module(f'{sys.argv[3]}.{name}')\n"
        f"for service in {part.services!r}: boto3.client(service, region_name='eu-west-1')\n"
        "print(boto3.__file__, sys.modules[sys.argv[3]].__file__)\n"
    )

    # WHEN all that the functions import is imported there
    folders = [str(tmp_path), str(tmp_path / "python")]
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *folders, part.code[0], *modules[part.code[0]]],
        env={"AWS_REGION": "us-east-1", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )

    # THEN everything comes from the packages
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(str(tmp_path)) == 2


@pytest.mark.slow(reason="downloads and packs the libraries for arm64")
@PARTS
def test_arm64_package_is_of_arm64_and_python_3_13(real: Build, part: package.PackageSpec) -> None:
    # GIVEN the libraries for Lambda
    _, archive = real("arm64", part)
    with zipfile.ZipFile(archive) as content:
        binaries = {
            info.filename: content.read(info)[:20] for info in content.infolist() if ".so" in info.filename
        }
        total = sum(info.file_size for info in content.infolist())

    # THEN every binary is an ELF file for AArch64 (machine 0xB7), for that Python where it matters, and it is small
    assert binaries
    assert {head[:4] for head in binaries.values()} == {b"\x7fELF"}
    assert {int.from_bytes(head[18:20], "little") for head in binaries.values()} == {0xB7}
    assert all("cpython-313-" in name for name in binaries if ".cpython-" in name)
    assert "python/boto3/__init__.py" in names(archive)
    assert total < (40e6 if part is package.SERVICE else 120e6)


def test_layer_folder_that_was_tampered_with_is_named(
    checkout: Path, installed: Callable[[], int], tmp_path: Path
) -> None:
    libraries_zip = package.build("arm64", tmp_path, parts=[package.SERVICE]).libraries
    libraries_zip.unlink()
    with pytest.raises(PackageError, match="delete that folder"):
        package.build("arm64", tmp_path, parts=[package.SERVICE])


def test_every_client_that_the_functions_make_is_in_the_layer() -> None:
    source = Path(__file__).parents[3].joinpath("handlers", "aws.py").read_text(encoding="utf-8")
    made = set(re.findall(r'create_client\("([\w-]+)"', source))
    assert {"s3", "stepfunctions", "lambda"} <= made <= set(libraries.SERVICE_MODELS)
