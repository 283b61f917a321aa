"""The libraries of a layer: for which Python and platform, which lines of the lock, and what no function needs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from dropsort.deployment import libraries
from dropsort.deployment.errors import PackageError
from dropsort.deployment.libraries import TARGETS, LibraryTarget

ARM64 = TARGETS["arm64"]()


def test_the_models_of_the_services_that_functions_use() -> None:
    assert libraries.SERVICE_MODELS == (
        "s3", "sagemaker-runtime", "sts", "xray", "lambda", "stepfunctions", "events"
    )  # fmt: skip
    assert libraries.MONITORING_MODELS == ("s3", "sts", "cloudwatch")


def test_the_wheels_are_for_python_3_13_on_the_glibc_of_amazon_linux_2023() -> None:
    assert set(TARGETS) == {"arm64", "host"}
    assert ARM64.name == "Lambda on arm64"
    assert ARM64.options[:6] == (
        "--python-version", "3.13", "--implementation", "cp", "--only-binary=:all:", "--ignore-requires-python"
    )  # fmt: skip
    platforms = ["manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 35))]
    assert ARM64.options[6:] == tuple(part for name in platforms for part in ("--platform", name))
    assert ARM64.markers == {
        "python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux", "platform_system": "Linux",
        "platform_machine": "aarch64", "platform_python_implementation": "CPython", "implementation_name": "cpython",
        "os_name": "posix",
    }  # fmt: skip
    here = TARGETS["host"]()
    assert (here.options, here.markers) == ((), {})
    assert here.name.startswith("this machine (3.")


@pytest.mark.parametrize(
    "marker",
    [
        "python_version == '3.13'", "python_full_version == '3.13.0'", "sys_platform == 'linux'", "platform_system == 'Linux'",
        "platform_machine == 'aarch64'", "platform_python_implementation == 'CPython'", "implementation_name == 'cpython'",
        "os_name == 'posix'",
    ],
)  # fmt: skip
def test_markers_are_those_of_the_target(marker: str) -> None:
    assert list(libraries.requirements(f"a==1 ; {marker} --hash=sha256:1\n", ARM64)) == [
        "a==1 --hash=sha256:1\n"
    ]
    assert not list(libraries.requirements(f"a==1 ; {marker.replace('==', '!=')} --hash=sha256:1\n", ARM64))


def test_lines_before_and_after_one_that_is_left_out_stay() -> None:
    lock = "# made by uv\na==1 --hash=sha256:1 # via b\n\nb==1 ; os_name == 'nt' --hash=sha256:2\n    # via c\nc==1 \\\n --hash=sha256:3\n"
    assert list(libraries.requirements(lock, ARM64)) == ["a==1 --hash=sha256:1\n", "c==1 --hash=sha256:3\n"]


LEFT_OUT = [
    "botocore/data/ec2/2016-11-15/service-2.json.gz", "boto3/data/ec2/resources-1.json", "boto3/examples/a.rst",
    "bin/jp.py", "share/man/jp.1",
    "botocore/docs/bcdoc/tests/a.py", "numpy/tests/test_core.py", "numpy/lib/tests/data/a.npy", "numpy/tests/core.pyi",
    "numpy/__pycache__/core.pyc", "numpy/core.pyi",
    "numpy/core.h", "numpy/libcore.a", "numpy/core.pxd", "numpy-2.0.dist-info/RECORD", "numpy-2.0.dist-info/INSTALLER",
    "numpy-2.0.dist-info/REQUESTED", "numpy-2.0.dist-info/direct_url.json", "PIL/_imagingft.cpython-313.so", "PIL/ImageFont.py",
    "pillow.libs/libfreetype-1.so", "pillow.libs/libharfbuzz-1.so", "pillow.libs/libpng16-1.so", "pillow.libs/libbrotlidec-1.so",
]  # fmt: skip
KEPT = [
    "botocore/data/s3/2006-03-01/service-2.json.gz", "botocore/data/endpoints.json", "botocore/data/partitions.json",
    "botocore/data/_retry.json", "botocore/data/sdk-default-configuration.json", "botocore/cacert.pem", "boto3/session.py",
    "botocore/docs/bcdoc/style.py", "numpy/core.py", "numpy/testing/utils.py", "numpy/RECORD", "numpy/tests.py",
    "numpy-2.0.dist-info/METADATA", "PIL/Image.py", "PIL/_imaging.cpython-313.so", "pillow.libs/libjpeg-1.so", "lib/share/a.py",
]  # fmt: skip


def test_what_no_function_needs_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    for name in (*LEFT_OUT, *KEPT):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    libraries.prune(tmp_path, ("s3",))
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(KEPT)
    folders = {path.name for path in tmp_path.rglob("*") if path.is_dir()}
    assert not folders & {"ec2", "bin", "__pycache__"}
    libraries.prune(tmp_path / "boto3", ("s3",))  # without botocore


def test_a_layer_is_another_one_if_anything_that_decides_it_changes(tmp_path: Path) -> None:
    lock, other = tmp_path / "a.txt", tmp_path / "b.txt"
    lock.write_text("a==1\n")
    other.write_text("a==2\n")
    first = libraries.cache_key(lock, ARM64, ("s3",))
    assert (len(first), libraries.cache_key(lock, ARM64, ("s3",))) == (16, first)
    changed = [
        libraries.cache_key(other, ARM64, ("s3",)),
        libraries.cache_key(lock, LibraryTarget(ARM64.name, (), {}), ("s3",)),
        libraries.cache_key(lock, ARM64, ("s3", "sts")),
    ]
    assert len({first, *changed}) == 4
    with pytest.raises(PackageError, match=r"No lock file .*gone\.txt: install Dropsort again"):
        libraries.cache_key(tmp_path / "gone.txt", ARM64, ("s3",))


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ("WARNING: w\nERROR: first\nERROR: last\nnote\n", "for a test: last (the first"),
        ("it fell\n", "for a test: it fell (the first"),
    ],
)
def test_how_pip_is_run_and_what_its_error_becomes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: str, reason: str
) -> None:
    lock, tree = tmp_path / "lambda.txt", tmp_path / "tree"
    lock.write_text("a==1 --hash=sha256:1\nb==1 ; os_name == 'nt' --hash=sha256:2\nc==1 --hash=sha256:3\n")
    monkeypatch.chdir(tmp_path)
    commands: list[tuple[list[str], str]] = []

    def run(command: list[str], **options: object) -> SimpleNamespace:
        commands.append((command, Path(command[-1]).read_text()))
        assert options == {"capture_output": True, "text": True, "check": False}
        return SimpleNamespace(returncode=len(commands) - 1, stderr=errors)

    monkeypatch.setattr(subprocess, "run", run)
    target = LibraryTarget("a test", ("--platform", "p"), {"os_name": "posix"})
    libraries.install(lock, target, tree)
    with pytest.raises(PackageError) as error:
        libraries.install(lock, target, tree)
    command, content = commands[0]
    at = command.index("install")
    assert command[at:-1] == [
        "install", "--quiet", "--disable-pip-version-check", "--no-input", "--require-hashes", "--no-deps", "--no-compile", "--target",
        str(tree), "--platform", "p", "-r",
    ]  # fmt: skip
    assert content == "a==1 --hash=sha256:1\nc==1 --hash=sha256:3\n"
    assert Path(command[-1]).name == "lambda.txt"
    assert lock.read_text().count("==") == 4, "the lock itself was changed"
    assert str(error.value).startswith("Could not install lambda.txt for a test: ")
    assert reason in str(error.value)
