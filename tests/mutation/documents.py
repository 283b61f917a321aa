"""Mistakes in the SQL for Athena and in the schema of results, one at a time: ``python -m tests.mutation.documents``.

In the SQL each number, text, name, function, operator and condition is changed, and DuckDB runs it on the files that the local reader reads
(tests/unit/monitoring/test_athena.py). In the schema each value is changed and each member removed
(tests/unit/contract/test_result_schema.py). The report names what no test notices; the exit code is 1 if that is more than `MOST`.
"""

from __future__ import annotations

import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from monitoring import athena
from tests.mutation.changes import leaves
from tests.unit.contract import test_result_schema as schema
from tests.unit.monitoring import test_athena

MOST = 0.05
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
QUERY = Path(athena.__file__).with_name("athena.sql")

# Each with what it is confused with most easily.
OTHERS = {
    "AND": "OR", "OR": "AND", "IS NOT NULL": "IS NULL", "IS NULL": "IS NOT NULL", "DESC": "ASC", "NOT BETWEEN": "BETWEEN",
    "<=": "<", ">=": ">", "<>": "=", "<": "<=", ">": ">=", "=": "<>", "+": "-", "-": "+", "*": "/", "/": "*",
    "min": "max", "max": "min", "sum": "max", "count": "sum", "least": "greatest", "greatest": "least", "floor": "ceil",
    "abs": "", "trim": "", "upper": "", "coalesce": "nullif", "round": "floor", "ln": "log2", "row_number": "rank",
    "json_extract": "json_extract_scalar",
}  # fmt: skip
TOKEN = re.compile(
    r"--[^\n]*|'(?:[^']|'')*'|\{\w+\}|\bIS NOT NULL\b|\bIS NULL\b|\d+(?:\.\d+)?(?:e-?\d+)?|[A-Za-z_]\w*(?=\()|\b(?:AND|OR|DESC)\b"
    r"|\b[a-z_]\w*\b|<=|>=|<>|\|\||[<>=+*/-]"
)
# Columns of the same kind.
NAMES = ("raw", "p", "score", "total", "above", "members", "of_256", "of_255", "class", "classes", "choice", "place", "names",
         "named", "familiarity", "confidence", "margin", "entropy", "position", "number", "id", "event_id", "hour", "file",
         "copy", "item", "value", "response", "vector", "label", "model", "endpoint", "variant", "data", "encoding")  # fmt: skip


def sql_mistakes(text: str) -> Iterator[tuple[str, str]]:
    """What is changed, and the SQL with it."""
    for found in TOKEN.finditer(text):
        token, others = found[0], []
        if token.startswith("--"):
            continue
        if token.startswith("'"):
            others = [token[:-1] + "x'"]
        elif token[0].isdigit():
            others = [f"({token} + 1)", f"({token} - 1)", *([f"({token} * 1000)"] if float(token) else [])]
            if (
                text[: found.start()]
                .rstrip()
                .rsplit("\n", 1)[-1]
                .lstrip()
                .startswith(("GROUP BY", "ORDER BY"))
            ):
                others = []  # numbers of columns
        elif token in OTHERS:
            others = [OTHERS[token]]
        elif token.startswith("{"):
            others = [f"({token} + 1)"] if token in ("{label_count}", "{tolerance}") else []
        elif token in NAMES:
            others = [NAMES[(NAMES.index(token) + 1) % len(NAMES)]]
        for other in others:
            line = text.count("\n", 0, found.start()) + 1
            column = found.start() - text.rfind("\n", 0, found.start())
            yield f"{line}:{column} {token} → {other}", text[: found.start()] + other + text[found.end() :]


def noticed(check: Callable[[], None]) -> bool:
    """Whether it fails."""
    try:
        check()
    except Exception:  # an assertion, or an invalid query or schema
        return True
    return False


class Captures:
    """The capture files of the test, their table, and the cells that the local reader has."""

    def __init__(self, folder: Path) -> None:
        self.changed = folder / "changed.sql"
        test_athena.every_output(folder)
        self.table = test_athena.table_of(folder)
        self.known = {labels: test_athena.by_reader(folder, labels) for labels in ((), test_athena.LABELS)}

    def check(self, text: str) -> Callable[[], None]:
        """Compare what this SQL finds."""

        def run() -> None:
            self.changed.write_text(text)
            athena._QUERY = self.changed
            for labels, known in self.known.items():
                test_athena.assert_same(test_athena.by_sql(self.table, labels), known)

        return run


def check_schema(document: Any) -> Callable[[], None]:
    """Run the tests of this schema."""

    def run() -> None:
        schema.SCHEMA = document
        for name, test in vars(schema).items():
            if name.startswith("test_"):
                test()

    return run


def mistakes(captures: Captures) -> Iterator[tuple[str, str, Callable[[], None]]]:
    """File, what is changed, and what has to fail with it."""
    for what, text in sql_mistakes(QUERY.read_text()):
        yield "monitoring/athena.sql", what, captures.check(text)
    original = schema.SCHEMA
    for change in leaves(original):
        yield "result.schema.json", f"{change.where}: {change.what}", check_schema(change.of(original))


def main() -> int:
    """Make all mistakes; report; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        return report(Captures(Path(folder)))


def report(captures: Captures) -> int:
    """Print what is not noticed, and the table; return the exit code."""
    if noticed(captures.check(QUERY.read_text())) or noticed(check_schema(schema.SCHEMA)):
        print("The tests fail without a mistake.", file=sys.stderr)
        return 2
    reasons = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("documents", [])
    counts: dict[str, list[int]] = {}
    for file, what, check in mistakes(captures):
        count = counts.setdefault(file, [0, 0, 0])
        count[0] += 1
        if any(one["file"] == file and fnmatchcase(what, one["what"]) for one in reasons):
            count[1] += 1
        elif not noticed(check):
            count[2] += 1
            print(f"{file}: not noticed: {what}", flush=True)
    print("| file | mistakes | noticed | equivalent | not noticed | share |\n|---|---|---|---|---|---|")
    for file, (made, equal, left) in counts.items():
        share = left / (made - equal)
        print(f"| {file} | {made:,} | {made - equal - left:,} | {equal} | {left} | {share:.1%} |")
    return int(any(left > MOST * (made - equal) for made, equal, left in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
