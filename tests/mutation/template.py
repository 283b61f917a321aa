"""Mistakes in the template, one at a time: ``python -m tests.mutation.template [--since COMMIT] [part of a path ...]``.

Each mistake is judged by tests/unit/infra/test_specification.py, whose functions are called in this process; what these do
not notice is judged by all tests of tests/unit/infra in a process of its own. The report names what nobody noticed. The exit
code is 1 if that is more than `MOST` of all mistakes; those in equivalent.toml, which change nothing, do not count.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from tests.mutation.changes import Change, Changes
from tests.unit.infra import template as loaded
from tests.unit.infra import test_specification as specification

MOST = 0.05
FOLDER = Path(__file__).resolve().parents[1] / "unit" / "infra"
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
# The slow ones last.
FILES = ("monitoring", "roles", "sagemaker", "athena", "alarms", "workflow", "calls")


def runs() -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each test function of the specification with each set of its arguments."""
    for name, function in vars(specification).items():
        if name.startswith("test_"):
            tables = []
            for mark in getattr(function, "pytestmark", []):
                names = (
                    [one.strip() for one in mark.args[0].split(",")]
                    if isinstance(mark.args[0], str)
                    else mark.args[0]
                )
                rows = [row if len(names) > 1 else (row,) for row in mark.args[1]]
                tables.append([dict(zip(names, row, strict=True)) for row in rows])
            for combination in product(*tables):
                yield function, {key: value for one in combination for key, value in one.items()}


RUNS = list(runs())


def put(template: dict[str, Any]) -> None:
    """Let the tests read this template."""
    for target, source in (
        (loaded.RESOURCES, template["Resources"]),
        (loaded.PARAMETERS, template["Parameters"]),
        (loaded.TEMPLATE, template),
    ):
        target.clear()
        target.update(source)
    loaded.TEMPLATE["Resources"], loaded.TEMPLATE["Parameters"] = loaded.RESOURCES, loaded.PARAMETERS


def noticed_by_specification(template: dict[str, Any], path: Sequence[str | int] = ()) -> bool:
    """Whether a function of test_specification.py fails; those of the changed resource or section are called first."""
    put(template)
    names = {str(part) for part in path[:2]}
    first = (
        [run for run in RUNS if any(value in names for value in run[1].values() if isinstance(value, str))]
        if names
        else []
    )
    if "Dashboard" in names:
        first = [run for run in RUNS if run[0] is specification.test_the_dashboard_is_as_specified]
    for function, arguments in (*first, *RUNS):
        try:
            function(**arguments)
        except Exception:  # an assertion, or a shape that the test cannot read
            return True
    return False


def noticed_by_all(template: dict[str, Any]) -> bool:
    """Whether pytest fails with all tests of the template, up to the first that does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.json")
        path.write_text(json.dumps(template), encoding="utf-8")
        child = os.fork()
        if not child:
            os.environ["DROPSORT_TEMPLATE"] = str(path)
            for name in [name for name in sys.modules if name.startswith("tests.unit")]:
                del sys.modules[name]
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            files = [str(path) for one in FILES if (path := FOLDER / f"test_template_{one}.py").exists()]
            options = ["-x", "-q", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider", "--durations=0"]
            deselect = ["--deselect", str(FOLDER / "test_template.py::test_cfn_lint_finds_nothing")]
            os._exit(int(pytest.main([*options, *deselect, str(FOLDER / "test_template.py"), *files])))
        _, status = os.waitpid(child, 0)
    return status != 0


def equivalent(change: Change, reasons: Sequence[dict[str, str]]) -> bool:
    """Whether a reason is given why the mistake changes nothing."""
    return any(
        fnmatchcase(change.where, one["path"]) and fnmatchcase(change.what, one.get("what", "*"))
        for one in reasons
    )


def changed(original: dict[str, Any], commit: str) -> list[str]:
    """Paths of what is not as it was in a commit."""
    shown = subprocess.run(
        ["git", "show", f"{commit}:infra/cloudformation.yaml"],
        cwd=loaded.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.yaml")
        path.write_text(shown.stdout, encoding="utf-8")
        before = json.loads(json.dumps(cfn_yaml.load(str(path))))
    sections = [name for name, value in original.items() if isinstance(value, dict)]
    return [
        f"{section}/{name}/"
        for section in sections
        for name, value in original[section].items()
        if value != before.get(section, {}).get(name)
    ]


def main(arguments: Sequence[str]) -> int:
    """Make the mistakes whose path contains an argument, or all; report; return the exit code."""
    original = copy.deepcopy(json.loads(json.dumps(loaded.TEMPLATE)))
    if noticed_by_specification(original):
        print("The specification fails without a mistake.", file=sys.stderr)
        return 2
    if arguments and arguments[0] == "--since":
        arguments = changed(original, arguments[1])
        if not arguments:
            print("The template has not changed.")
            return 0
    reasons = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("template", [])
    counts: Counter[str] = Counter()
    survivors = []
    for change in Changes(original):
        if arguments and not any(part in change.where for part in arguments):
            continue
        counts["all"] += 1
        template = change.of(original)
        if noticed_by_specification(template, change.path):
            counts["specification"] += 1
        elif equivalent(change, reasons):
            counts["equivalent"] += 1
        elif noticed_by_all(template):
            counts["others"] += 1
        else:
            survivors.append(change)
            print(f"not noticed: {change.where}: {change.what}", flush=True)
    total = counts["all"] - counts["equivalent"]
    print(
        f"{counts['all']} mistakes: {counts['specification']} noticed by the specification, {counts['others']} by other "
        f"tests, {counts['equivalent']} equivalent, {len(survivors)} not noticed ({len(survivors) / max(total, 1):.1%})"
    )
    return int(len(survivors) > MOST * total)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
