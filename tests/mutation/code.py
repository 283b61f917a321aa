"""Mistakes in the Python that decides, one at a time: ``python -m tests.mutation.code [--since COMMIT | --sample NUMBER] [MODULE ...]``.

Comparisons, operators, numbers, texts, conditions and arguments are changed, statements and parts of conditions are left out.
Each mistake is judged by the tests of its module alone (modules.py). The report has what nobody noticed, as a diff, and a table of
packages. The exit code is 1 if more than `MOST` of a package was not noticed; what changes nothing is in equivalent.toml and does
not count.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.mistakes import difference, mistakes
from tests.mutation.modules import MODULES
from tests.mutation.processes import Subject, prepare, unnoticed

MOST = 0.08
ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


def judge(
    name: str, tests: Sequence[str], reasons: Sequence[dict[str, str]], sample: int = 0
) -> Counter[str]:
    """Make the mistakes of one module, or so many of them, print those that nobody noticed, and count."""
    start = time.monotonic()
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    code = path.read_text(encoding="utf-8")
    subject = Subject(name, path, code, tests)
    prepare(subject)
    equivalent = {one["change"].strip() for one in reasons if one["module"] == name}
    made = [(text, difference(code, text)) for text in mistakes(code)]
    every = len(made)
    if sample and every > sample:
        made = random.Random(sample).sample(made, sample)
    counts = Counter(
        every=every, mistakes=len(made), equivalent=sum(change in equivalent for _, change in made)
    )
    for stale in equivalent - {change for _, change in made} if not sample else ():
        print(f"{name}: listed as equivalent, but not made:\n{stale}", flush=True)
    judged = [text for text, change in made if change not in equivalent]
    for text in unnoticed(subject, judged):
        counts["unnoticed"] += 1
        print(f"{name}: not noticed:\n{difference(code, text)}", flush=True)
    print(f"{row(name, counts)} {time.monotonic() - start:.0f} s", flush=True)
    return counts


def row(name: str, counts: Counter[str]) -> str:
    """A row of the table."""
    judged = counts["mistakes"] - counts["equivalent"]
    noticed, share = judged - counts["unnoticed"], counts["unnoticed"] / max(judged, 1)
    numbers = (counts["every"], counts["mistakes"], noticed, counts["equivalent"], counts["unnoticed"])
    return f"| {name} | " + " | ".join(f"{number:,}" for number in numbers) + f" | {share:.1%} |"


def main(arguments: Sequence[str]) -> int:
    """Judge the modules whose name begins with an argument, or all; return the exit code."""
    reasons = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("code", [])
    sample = 0
    if arguments and arguments[0] == "--sample":
        sample, arguments = int(arguments[1]), arguments[2:]
    names = [one.removesuffix(".py").replace("/", ".") for one in arguments]
    if names and names[0] == "--since":
        command = ["git", "diff", "--name-only", "--relative", arguments[1]]
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        changed = set(shown.stdout.splitlines())
        names = [
            name for name, tests in MODULES.items() if changed & {name.replace(".", "/") + ".py", *tests}
        ]
        if not names:
            print("None of the modules has changed, and none of their tests.")
            return 0
    packages: dict[str, Counter[str]] = {}
    for name, tests in MODULES.items():
        if not names or any(f"{name}.".startswith(f"{one}.") for one in names):
            package = name.rpartition(".")[0]
            packages.setdefault(package, Counter()).update(judge(name, tests, reasons, sample))
    print("| package | mistakes | judged | noticed | equivalent | not noticed | share |")
    print("|---|---|---|---|---|---|---|")
    for package, counts in packages.items():
        print(row(package, counts))
    return int(
        any(
            counts["unnoticed"] > MOST * (counts["mistakes"] - counts["equivalent"])
            for counts in packages.values()
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
