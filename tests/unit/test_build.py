"""What installs, checks and packages the project: each command as it is meant, every lock with hashes, and nothing runs as root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OLDEST = PROJECT["project"]["requires-python"].removeprefix(">=")

PIP = "V/bin/python -m pip --disable-pip-version-check"
# By target: the lock file of its environment, and what it runs then.
RECIPES = {
    "demo": ("run", ["V/bin/dropsort demo"]),
    "test": ("dev", ["V/bin/python -m pytest -n auto -m 'not slow'"]),
    "test-slow": ("dev", ["V/bin/python -m pytest -n auto -m slow"]),
    "lint": ("dev", ["V/bin/ruff check .", "V/bin/ruff format --check .", "V/bin/mypy",
                     "V/bin/cfn-lint infra/cloudformation.yaml"]),
    "faults": ("run", ["V/bin/python -m benchmarks.faults"]),
    "conformance": ("dev", ["V/bin/python -m tests.conformance"]),
    "mutants": ("dev", [f"{PIP} --quiet install -r requirements/mutation.in",
                        *(f"V/bin/python -m tests.mutation.{name}" for name in ("template", "documents", "code"))]),
    "bench-pipeline": ("run", ["V/bin/python -m benchmarks.pipeline"]),
    "bench-captures": ("run", ["V/bin/python -m benchmarks.captures"]),
    "bench-drift": ("run", ["V/bin/python -m benchmarks.drift"]),
    "bench-endpoint": ("run", [f"{PIP} --quiet install --editable '.[train]'", "V/bin/python -m benchmarks.endpoint"]),
}  # fmt: skip


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def checkout(folder: Path) -> Path:
    """A folder with what `make` and `.ci/run` read, and none of what they make."""
    for name in ("Makefile", "pyproject.toml", ".checkov.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("requirements", ".ci"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def planned(folder: Path, target: str) -> list[str]:
    """The commands of a target in a new checkout."""
    done = subprocess.run(
        ["make", "--dry-run", "VENV=V", "PYTHON=P", target], cwd=folder, capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize("target", RECIPES)
def test_a_target_installs_its_lock_with_hashes_and_runs_its_commands(tmp_path: Path, target: str) -> None:
    lock, commands = RECIPES[target]
    check, make, _, *found = planned(checkout(tmp_path), target)
    assert f"sys.version_info < ({OLDEST.replace('.', ', ')})" in check
    assert make == "test -x V/bin/python || P -m venv V"
    assert found == [
        f"{PIP} install --progress-bar off --require-hashes -r requirements/{lock}.txt",
        f"{PIP} --quiet install --no-deps --editable .",
        f"touch V/{lock}.done",
        *commands,
    ]


def test_what_is_installed_is_installed_again_after_a_change_of_lock_or_project(tmp_path: Path) -> None:
    folder = checkout(tmp_path)
    (folder / "V").mkdir()
    for changed in ("requirements/run.txt", "pyproject.toml"):
        (folder / "V" / "run.done").touch()
        for old in (*folder.glob("requirements/*"), folder / "pyproject.toml"):
            os.utime(old, (1, 1))
        assert planned(folder, "demo") == ["V/bin/dropsort demo"]
        os.utime(folder / changed)
        os.utime(folder / "V" / "run.done", (2, 2))
        assert len(planned(folder, "demo")) > 1, changed


def test_checkov_is_of_the_version_that_the_threat_model_names(tmp_path: Path) -> None:
    install, run = planned(checkout(tmp_path), "checkov")
    (version,) = re.findall(r"checkov==(\S+);", install)
    assert f"[checkov](https://www.checkov.io/) {version} on the template" in text(
        "docs/concepts/threat-model.md"
    )
    assert run == "build/checkov/bin/checkov --config-file .checkov.yaml"
    assert yaml.safe_load(text(".checkov.yaml"))["file"] == ["infra/cloudformation.yaml"]


def test_clean_removes_what_was_made_alone(tmp_path: Path) -> None:
    remove, caches = planned(checkout(tmp_path), "clean")
    assert remove == "rm -rf V build dropsort.egg-info"
    assert caches.startswith("find . -name .git -prune -o -name __pycache__ ")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_of_a_lock_has_one_version_and_its_hashes(lock: Path) -> None:
    entries = re.sub(r"\\\n", " ", lock.read_text(encoding="utf-8")).splitlines()
    entries = [entry for entry in entries if entry.strip() and not entry.startswith("#")]
    assert entries
    for entry in entries:
        assert re.match(
            r"[a-z0-9][a-z0-9._-]*(\[[a-z0-9,]+\])?==[^\s;]+( ;.*?)?( +--hash=sha256:[0-9a-f]{64})+$", entry
        ), entry


PROGRAM = '#!/bin/sh\necho "$(basename "$0") $*|{variable}" >> "$LOG"\n{then}\n'


def program(path: Path, then: str = "", variable: str = "$DROPSORT_REQUIRE") -> None:
    """A program that writes how it was called, and then does something else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PROGRAM.format(variable=variable, then=then))
    path.chmod(0o755)


def test_every_lock_is_rewritten_for_all_platforms_with_hashes_and_without_addresses(tmp_path: Path) -> None:
    # GIVEN uv that only writes how it was called
    program(tmp_path / "bin" / "uv")
    log = tmp_path / "log"
    environment = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "LOG": str(log)}
    subprocess.run(
        ["sh", checkout(tmp_path) / "requirements" / "lock.sh", "--upgrade"], check=True, env=environment
    )
    # THEN every lock is written from its own list
    calls = [line.partition("|")[0].split() for line in log.read_text().splitlines()]
    always = {"--universal", "--generate-hashes", "--no-emit-index-url", "--upgrade"}
    assert all(always <= set(call) for call in calls)
    assert all(call[call.index("--python-version") + 1] == OLDEST for call in calls)
    sources = {
        call[call.index("-o") + 1]: [word for word in call if re.search(r"\.(in|toml)$", word)]
        for call in calls
    }
    assert sources == {
        "dev.txt": ["../pyproject.toml", "dev.in"],
        "run.txt": ["../pyproject.toml"],
        **{f"{name}.txt": [f"{name}.in"] for name in ("lambda", "heic", "monitoring", "embedded-aws")},
    }
    assert sorted(sources) == [lock.name for lock in LOCKS]
    # AND one that cannot be written ends it
    program(tmp_path / "bin" / "uv", "exit 3")
    log.unlink()
    done = subprocess.run(["sh", tmp_path / "requirements" / "lock.sh"], check=False, env=environment)
    assert (done.returncode, len(log.read_text().splitlines())) == (3, 1)


@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("failing", ["", "lint", "test", "test-slow"])
def test_ci_runs_every_check_and_ends_with_the_first_that_fails(
    tmp_path: Path, failing: str, root: bool
) -> None:
    # GIVEN programs that only write how they were called, of which one may fail
    log, bin_ = tmp_path / "log", tmp_path / "bin"
    program(bin_ / "make", f'[ "$1" != "{failing}" ]')
    program(checkout(tmp_path) / ".venv" / "bin" / "python")
    for name, then in (("chromium", ""), ("id", f"echo {0 if root else 1000}")):
        program(bin_ / name, then)
    environment = {"PATH": f"{bin_}:{os.environ['PATH']}", "LOG": str(log), "DROPSORT_DATA": "/data"}
    done = subprocess.run(
        ["bash", tmp_path / ".ci" / "run"], check=False, env=environment, capture_output=True, text=True
    )
    # THEN each check is made in its turn, and needs what is installed here
    lines = [line for line in log.read_text().splitlines() if not line.startswith("id ")]
    commands = ["make lint", "make .venv/dev.done",
                "python -m pip --disable-pip-version-check --quiet install --editable .[train]", "make test", "make test-slow"]  # fmt: skip
    if failing:
        commands = commands[: commands.index(f"make {failing}") + 1]
    assert [line.partition("|")[0] for line in lines] == commands
    assert (done.returncode == 0) is not bool(failing)
    needs = {"embedded-aws", "libraries", "training", "browser", "data"} | ({"other-user"} if root else set())
    assert {frozenset(line.partition("|")[2].split(",")) for line in lines} == {frozenset(needs)}


JOBS = {
    "lint": ["make lint"],
    "template": ["make checkov"],
    "test": ["make test", "make test-slow",
             "sudo --preserve-env=DROPSORT_REQUIRE,HOME .venv/bin/python -m pytest tests/unit/local/test_untrusted_clients.py"],
    "mutants": ["make .venv/dev.done", ".venv/bin/pip install -r requirements/mutation.in",
                "DROPSORT_REQUIRE=mutation .venv/bin/python -m pytest tests/unit/test_mutation_operators.py",
                ".venv/bin/python -m tests.mutation.template", ".venv/bin/python -m tests.mutation.documents",
                '.venv/bin/python -m tests.mutation.code --since "origin/$GITHUB_BASE_REF"'],
    "demo": ["python -m pip install build", "python -m build", 'python -m venv "$RUNNER_TEMP/environment"',
             '"$RUNNER_TEMP/environment/bin/pip" install --require-hashes -r requirements/run.txt',
             '"$RUNNER_TEMP/environment/bin/pip" install --no-deps dist/*.whl',
             'mkdir "$RUNNER_TEMP/empty" && cd "$RUNNER_TEMP/empty"',
             '"$RUNNER_TEMP/environment/bin/dropsort" demo', '"$RUNNER_TEMP/environment/bin/dropsort" report --no-open'],
}  # fmt: skip


def test_the_workflow_runs_every_check_for_each_change_and_may_only_read() -> None:
    workflow: dict[Any, Any] = yaml.safe_load(text(".github/workflows/ci.yml"))
    assert workflow[True] == {
        "push": {"branches": ["main"]},
        "pull_request": None,
    }  # YAML takes `on` for a truth value
    assert workflow["permissions"] == {"contents": "read"}
    found = {
        name: [line for step in job["steps"] for line in step.get("run", "").splitlines()]
        for name, job in workflow["jobs"].items()
    }
    assert found == JOBS
    for name, job in workflow["jobs"].items():
        assert "permissions" not in job
        assert not any("continue-on-error" in part or "if" in part for part in job["steps"]), name
    (since,) = (step for step in workflow["jobs"]["mutants"]["steps"] if "checkout" in step.get("uses", ""))
    assert since["with"] == {"fetch-depth": 0}, "there is nothing to compare with"
    assert workflow["jobs"]["test"]["env"]["DROPSORT_REQUIRE"] == "embedded-aws,libraries,browser"
    assert workflow["jobs"]["test"]["strategy"]["fail-fast"] is False


def test_the_container_installs_from_hashes_and_runs_as_a_user_without_rights() -> None:
    lines = re.sub(r"\\\n", "", text("Dockerfile")).splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and line[0] not in " #"]
    (base,) = (rest for name, rest in steps if name == "FROM")
    assert re.fullmatch(rf"python:3\.(1[{OLDEST[-1]}-9])-slim", base)
    installs = [
        command.strip()
        for name, rest in steps
        if name == "RUN"
        for command in rest.split("&&")
        if "pip install" in command
    ]
    assert installs == ["pip install --no-cache-dir --require-hashes -r requirements/run.txt",
                        "pip install --no-cache-dir --no-deps ."]  # fmt: skip
    # The user, and what it owns
    words = text("Dockerfile").split()
    assert int(words[words.index("--uid") + 1]) > 1000
    assert "chown dropsort /data" in text("Dockerfile")
    assert "chown -R dropsort /opt/dropsort" in text("Dockerfile")
    after = [name for name, _ in steps][[*map(tuple, steps)].index(("USER", "dropsort")) :]
    assert after == ["USER", "WORKDIR", "VOLUME", "ENTRYPOINT", "CMD"]
    assert dict(map(tuple, steps))["VOLUME"] == "/data"
    # What the functions and the embedded AWS need is there before a start, for this machine
    assert "package.build('host', package.CACHE, print)" in text("Dockerfile")
    assert "venv.ensure(on_step=print)" in text("Dockerfile")
    assert dict(map(tuple, steps))["CMD"] == '["up", "--data", "/data", "--port", "4566"]'
    # Nothing but what it copies reaches the build
    assert text(".dockerignore").splitlines()[0] == "*"


def test_types_rules_and_tests_are_as_strict_as_they_are_meant_to_be() -> None:
    tool = PROJECT["tool"]
    packages = {name.rstrip("*") for name in tool["setuptools"]["packages"]["find"]["include"]}
    assert (tool["mypy"]["strict"], set(tool["mypy"]["packages"])) == (True, packages)
    assert tool["mypy"]["python_version"] == OLDEST
    assert tool["ruff"]["target-version"] == f"py{OLDEST.replace('.', '')}"
    lint = tool["ruff"]["lint"]
    assert {"B", "F", "S", "PT", "RUF"} <= set(lint["select"])
    assert {name: rules for name, rules in lint["per-file-ignores"].items() if "S" in rules} == {
        "tests/**": ["S"], "benchmarks/**": ["S"],
    }  # fmt: skip
    tests = tool["pytest"]["ini_options"]
    assert {"--strict-markers", "--strict-config"} <= set(tests["addopts"].split())
    assert tests["filterwarnings"] == ["error::pytest.PytestUnraisableExceptionWarning"]
    assert 0 < tests["timeout"] <= 900
    assert PROJECT["project"]["scripts"] == {"dropsort": "dropsort.cli.main:main"}
    hooks = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    assert {hook["id"]: hook["entry"] for hook in hooks} == {
        "ruff-check": ".venv/bin/ruff check --force-exclude", "ruff-format": ".venv/bin/ruff format --check --force-exclude",
        "mypy": ".venv/bin/mypy", "cfn-lint": ".venv/bin/cfn-lint",
    }  # fmt: skip
    assert [hook["id"] for hook in hooks if hook.get("pass_filenames") is False] == ["mypy"], (
        "it checks packages"
    )


REQUIREMENT = re.compile(r"^([A-Za-z0-9][\w.-]*(?:\[[\w,-]+\])?)([=<>!~]=?[^\s#;]+)?", re.MULTILINE)


def test_a_version_that_a_list_gives_is_that_of_the_project() -> None:
    depends = dict(REQUIREMENT.findall("\n".join(PROJECT["project"]["dependencies"])))
    for name in ("lambda", "monitoring"):
        for package, version in REQUIREMENT.findall(text(f"requirements/{name}.in")):
            assert version in ("", depends[package]), package


@pytest.mark.parametrize("name", ["train", "embedded-aws", "heic", "sagemaker", "mutation"])
def test_what_no_lock_pins_is_pinned_in_its_list(name: str) -> None:
    found = REQUIREMENT.findall(text(f"requirements/{name}.in"))
    assert found
    assert all(version.startswith("==") for _, version in found)
