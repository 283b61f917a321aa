"""The commands on the pages: each exists with the options that a page gives it, and names no file that is not there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from dropsort.cli.main import MODULES, dropsort
from dropsort.contract.resources import TEMPLATE
from training import dataset
from training.dataset import near_duplicates
from training.settings import parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = {verb for verbs in MODULES.values() for verb in verbs}
PARAMETERS = set(
    re.findall(r"^  (\w+):$", TEMPLATE.read_text(encoding="utf-8").split("\nRules:")[0], re.MULTILINE)
)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def commands(page: Path) -> list[list[str]]:
    """The words of every shell command in the blocks of a page, and of every `dropsort ...` in its text."""
    text = page.read_text(encoding="utf-8")
    lines = [
        line for language in ("sh", "bash") for block in blocks(page, language) for line in block.splitlines()
    ]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines += [
        found for found in re.findall(r"`([^`\n]+)`", prose) if re.match(r"(python -m|dropsort) ", found)
    ]
    found = []
    for line in lines:
        try:
            words = shlex.split(line.replace("…", ""), comments=True)
        except ValueError:  # a command of several lines
            continue
        if words:
            found.append([words[0].removeprefix(".venv/bin/"), *words[1:]])
    return found


def of_dropsort(page: Path) -> list[list[str]]:
    return [words[1:] for words in commands(page) if words[0] == "dropsort" and len(words) > 1]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_of_dropsort_exists_with_its_options(page: Path) -> None:
    for verb, *words in of_dropsort(page):
        if verb in ("COMMAND", "--help"):
            continue
        assert verb in COMMANDS, f"{name(page)}: there is no `dropsort {verb}`"
        command = dropsort.get_command(click.Context(dropsort), verb)
        assert command is not None
        known = {option for item in command.params for option in (*item.opts, *item.secondary_opts)} | {
            "--help"
        }
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known, f"{name(page)}: `dropsort {verb}` has no {sorted(used - known)}"
        for assigned in re.findall(r"(?:-p|--parameter) (\w+)=", " ".join(words)):
            assert assigned in PARAMETERS, f"{name(page)}: the template has no parameter {assigned}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_module_that_python_runs_exists(page: Path) -> None:
    for words in commands(page):
        if words[0].startswith("python") and words[1:2] == ["-m"] and words[2] not in ("pip", "pytest"):
            assert find_spec(words[2]), f"{name(page)}: there is no module {words[2]}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_target_of_make_exists(page: Path) -> None:
    targets = set(re.findall(r"^([\w.$()/ -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    names = {target for line in targets for target in line.split()} | {".venv/dev.done", ".venv/run.done"}
    for words in commands(page):
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= names, f"{name(page)}: {words}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_a_command_reads_exists_or_was_made(page: Path) -> None:
    made = set(re.findall(r"^# ([\w.]+\.py)", page.read_text(encoding="utf-8"), re.MULTILINE))
    for words in commands(page):
        for word in words[1:]:
            if (
                re.fullmatch(r"(requirements|tests|infra|benchmarks)/[\w/.-]+|\w+\.py", word)
                and word not in made
            ):
                assert (ROOT / word).exists(), f"{name(page)} names {word}, which does not exist"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_examples_compile_and_import_what_exists(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, name(page), "exec")
        for module, imported in re.findall(
            r"^from ((?:monitoring|training|dropsort|handlers)[\w.]*) import (.+)$", block, re.MULTILINE
        ):
            loaded = __import__(module, fromlist=["_"])
            for each in imported.split(","):
                assert hasattr(loaded, each.strip()) or find_spec(f"{module}.{each.strip()}")


def test_the_images_of_the_training_guide_can_be_split(tmp_path: Path) -> None:
    # GIVEN the script of the guide, run as it says
    (script,) = [block for block in blocks(ROOT / "docs/guides/training.md", "python") if "signs.py" in block]
    (tmp_path / "signs.py").write_text(script)
    subprocess.run([sys.executable, "signs.py"], cwd=tmp_path, check=True, timeout=120)

    # THEN both folders that the next commands name hold every label
    for folder, count in (("signs", 80), ("signs-test", 20)):
        labels = {path.name: len(list(path.iterdir())) for path in (tmp_path / folder).iterdir()}
        assert labels == {"stop": count, "warning": count, "speed-limit": count}
    # AND they differ enough for each label to have its share of the test, most of it unlike what is trained on
    split = dataset.split(dataset.read(tmp_path / "signs", check=False), test=0.15)
    assert split.counts()["test"] == {"stop": 12, "warning": 12, "speed-limit": 12}
    trained = [near_duplicates.perceptual_hash(image.path) for image in split.images]
    test = dataset.read(tmp_path / "signs-test", check=False).images
    assert len(near_duplicates.near(test, trained)) <= len(test) // 4


@pytest.mark.parametrize(
    ("arguments", "mirror"),
    [([], True), (["--no-mirror"], False), (["--mirror", "False"], False), (["--mirror", "True"], True)],
)
def test_mirror_is_an_argument_of_the_script_and_a_hyperparameter_of_jobs(
    arguments: list[str], mirror: bool
) -> None:
    assert parser().parse_args(arguments).mirror is mirror
