"""The project's own files: commands that its pages and its automation name exist, and every lock has the same versions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import dropsort
from dropsort.cli.main import dropsort as dropsort_command
from tests.conftest import LONGEST
from tests.needs import NEEDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "README.md"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REQUIREMENT = re.compile(r"^([A-Za-z0-9][\w.-]*)(\[[\w,-]+\])?([^;#\\\n]*)", re.MULTILINE)


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def targets() -> set[str]:
    """What the Makefile makes."""
    rules = re.findall(r"^([a-z][\w -]*):", text("Makefile"), re.MULTILINE)
    return {name for rule in rules for name in rule.split()} | {
        f".venv/{lock.stem}.done" for lock in ROOT.glob("requirements/*.txt")
    }


def commands() -> list[str]:
    """Every line of a shell block, and every command in running text, of the pages for contributors."""
    found = []
    for page in PAGES:
        blocks = re.findall(r"^```bash\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)
        found += [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
        found += re.findall(r"`((?:make|\.venv/bin/|requirements/|\.ci/)[^`]*)`", text(page))
    return [part.strip() for line in found for part in line.split("&&") if part.strip()]


def names(requirements: str) -> set[str]:
    return {name.lower().replace("_", "-") for name, _, _ in REQUIREMENT.findall(requirements)}


def test_every_make_target_that_a_page_names_exists() -> None:
    wanted = [
        word
        for command in commands()
        if command.split()[0] == "make"
        for word in command.split()[1:]
        if "=" not in word and word != "..."
    ]
    assert {"lint", "test", "demo", ".venv/dev.done"} <= set(wanted)
    assert set(wanted) <= targets()


def test_every_target_is_phony_or_a_file_and_the_header_names_it() -> None:
    phony = set(re.findall(r"^\.PHONY: (.*)$", text("Makefile"), re.MULTILINE)[0].split())
    assert targets() - {f".venv/{lock.stem}.done" for lock in ROOT.glob("requirements/*.txt")} == phony
    header = text("Makefile").split("\nVENV")[0]
    assert {name for name in phony if name in header} == phony - {"clean"}


def test_clean_removes_what_make_and_python_have_made(tmp_path: Path) -> None:
    # GIVEN a checkout in which the package was installed and run
    shutil.copy(ROOT / "Makefile", tmp_path)
    left = ["Makefile", "dropsort/a.py", ".git/__pycache__/branch"]
    for name in (
        *left[1:],
        ".venv/a",
        "build/a",
        "dropsort.egg-info/a",
        "dropsort/__pycache__/a.pyc",
        "__pycache__/a",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    # WHEN it is cleaned THEN the files of the project are left
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    ) == sorted(left)


def test_every_program_and_path_of_a_command_exists() -> None:
    installed = names(text("requirements/dev.txt")) | {"python", "pip", "pre-commit", "dropsort"}
    for command in commands():
        for word in command.split():
            if word.startswith(".venv/bin/"):
                assert word.removeprefix(".venv/bin/") in installed, command
            elif word.startswith(("tests/", "requirements/", ".ci/")):
                path, _, test = word.partition("::")
                assert any(ROOT.glob(path)), command
                assert not test or f"def {test}(" in text(path), command


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"`([\w./-]+/[\w.-]*|[\w/]+\.(?:py|md|yaml|json|toml|in))`", text(page))
    named = [
        name for name in named if name.split("/")[0] not in ("build", "dist", ".venv") and "{" not in name
    ]
    outcomes = ("failed/", "low-confidence/", "classified/", "incoming/", "ground-truth/", ".dropsort/")
    assert [name for name in named if not (ROOT / name).exists() and not name.startswith(outcomes)] == []
    for target in re.findall(r"\]\(([^)\s#]+)", text(page)):
        assert re.match("https?:", target) or (ROOT / target).exists(), target


def test_pre_commit_and_make_lint_run_the_same_programs() -> None:
    lint = re.findall(
        r"^\t\$\(BIN\)/(\S+(?: check| format)?)",
        text("Makefile").split("lint:")[1].split("\n\n")[0],
        re.MULTILINE,
    )
    (repository,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    hooks = [re.match(r"\.venv/bin/(\S+(?: check| format)?)", hook["entry"]) for hook in repository["hooks"]]
    assert [hook and hook[1] for hook in hooks] == lint


def test_the_workflow_tests_every_python_and_runs_what_exists() -> None:
    workflow: dict[str, Any] = yaml.safe_load(text(".github/workflows/ci.yml"))
    jobs = workflow["jobs"]
    assert set(jobs) == {"lint", "template", "test", "mutants", "demo"}
    assert jobs["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert {run.split()[1] for run in runs if run.startswith("make ")} <= targets()
    with_needs = [
        part
        for job in jobs.values()
        for part in (job, *job["steps"])
        if "DROPSORT_REQUIRE" in part.get("env", {})
    ]
    required = [part["env"]["DROPSORT_REQUIRE"].split(",") for part in with_needs]
    assert {need for needs in required for need in needs} <= set(NEEDS)
    assert "other-user" in required[-1], "no step runs the tests of another user of the machine"


@pytest.mark.parametrize(
    "template", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_an_issue_template_has_what_github_requires(template: Path) -> None:
    content = yaml.safe_load(template.read_text(encoding="utf-8"))
    if template.name == "config.yml":
        assert set(content) <= {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= set(content)
    ids = [part["id"] for part in content["body"] if part["type"] != "markdown"]
    assert len(set(ids)) == len(ids) > 0
    assert all(part["attributes"].get("label") for part in content["body"] if part["type"] != "markdown")


def test_the_change_log_has_this_version_and_newest_first() -> None:
    versions = re.findall(r"^## \[([^]]+)\]", text("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert versions[1] == dropsort.__version__
    numbers = [tuple(map(int, version.split("."))) for version in versions[1:]]
    assert numbers == sorted(numbers, reverse=True)
    kinds = set(re.findall(r"^### (.+)$", text("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize("lock", ["lambda", "monitoring"])
def test_the_package_depends_on_what_its_functions_need_in_the_same_versions(lock: str) -> None:
    depends = names("\n".join(PROJECT["project"]["dependencies"]))
    assert names(text(f"requirements/{lock}.in")) <= depends
    pins = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)", re.MULTILINE)
    everywhere = set(pins.findall(text("requirements/run.txt")))
    assert set(pins.findall(text(f"requirements/{lock}.txt"))) <= everywhere
    assert everywhere <= set(pins.findall(text("requirements/dev.txt")))


def test_every_dependency_has_a_lowest_version() -> None:
    for requirement in PROJECT["project"]["dependencies"]:
        assert re.search("[>=]=", requirement), requirement


def test_the_container_has_what_it_names_and_starts_a_command_that_exists() -> None:
    # GIVEN the lines of the Dockerfile
    lines = re.sub(r"\\\n", "", text("Dockerfile")).splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]

    # THEN what it copies is there, is let in, and is all that the package is built from
    included = {line[1:] for line in text(".dockerignore").splitlines() if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)
    assert set(copied) == included
    packages = {
        name.partition(".")[0].rstrip("*")
        for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert packages <= included
    # AND its command has these options
    command = next(line for line in lines if line.startswith("CMD ")).removeprefix("CMD ")
    verb, *words = json.loads(command)
    found = dropsort_command.get_command(click.Context(dropsort_command), verb)
    assert found is not None
    assert found.make_context(verb, words).params["data"] == Path("/data")


def test_modules_that_begin_first_exist() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / f"{name}.py").is_file()] == []
