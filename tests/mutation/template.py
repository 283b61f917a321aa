"""Mistakes in the template, one at a time: ``python -m tests.mutation.template [part of a path ...]``.

Each mistake is judged by the functions of tests/unit/infra/test_specification.py, which are called in this process. The report
names what nobody noticed, and the exit code is 1 if there is any; those in equivalent.toml, which change nothing, do not count.
"""

from __future__ import annotations

import copy
import sys
import tomllib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

from tests.mutation.changes import Change, Changes
from tests.unit.infra import template as loaded
from tests.unit.infra import test_specification as specification

EQUIVALENT = Path(__file__).with_name("equivalent.toml")


def runs() -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each test function of the specification with each set of its arguments."""
    for name, function in vars(specification).items():
        if name.startswith("test_"):
            tables = []
            for mark in getattr(function, "pytestmark", []):
                names = [mark.args[0]] if isinstance(mark.args[0], str) else mark.args[0]
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


def noticed(template: dict[str, Any], path: Sequence[str | int] = ()) -> bool:
    """Whether a function of the specification fails; those of the changed resource or section are called first."""
    put(template)
    names = {str(part) for part in path[:2]}
    first = [
        run for run in RUNS if any(value in names for value in run[1].values() if isinstance(value, str))
    ]
    if "Dashboard" in names:
        first = [run for run in RUNS if run[0] is specification.test_the_dashboard_is_as_specified]
    for function, arguments in (*first, *RUNS):
        try:
            function(**arguments)
        except Exception:  # an assertion, or a shape that the test cannot read
            return True
    return False


def equivalent(change: Change, reasons: Sequence[dict[str, str]]) -> bool:
    """Whether a reason is given why the mistake changes nothing."""
    return any(
        fnmatchcase(change.where, one["path"]) and fnmatchcase(change.what, one.get("what", "*"))
        for one in reasons
    )


def main(arguments: Sequence[str]) -> int:
    """Make the mistakes whose path contains an argument, or all; report; return the exit code."""
    original = copy.deepcopy(loaded.TEMPLATE)
    if noticed(original):
        print("The specification fails without a mistake.", file=sys.stderr)
        return 2
    reasons = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("template", [])
    made = [
        change
        for change in Changes(original)
        if not arguments or any(part in change.where for part in arguments)
    ]
    survivors = [
        change
        for change in made
        if not noticed(change.of(original), change.path) and not equivalent(change, reasons)
    ]
    for change in survivors:
        print(f"not noticed: {change.where}: {change.what}")
    print(f"{len(made)} mistakes, {len(survivors)} not noticed")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
