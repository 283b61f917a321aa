"""Mistakes in the Python that decides, one at a time: ``python -m tests.mutation.code [--since COMMIT] [MODULE ...]``.

The mistakes are mutmut's: comparisons, operators, numbers, texts, conditions and arguments changed. Its runner is not used, as it
changes functions only, and many a decision is a constant of a module. Each mistake is judged by the tests of its module alone
(`MODULES`), in a process that is forked from one with all libraries
loaded. The report has what nobody noticed, as a diff. The exit code is 1 if that is more than `MOST` of a package; what
changes nothing is in equivalent.toml and does not count.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import importlib.machinery
import os
import resource
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import unified_diff
from importlib import import_module
from pathlib import Path
from types import ModuleType

import libcst
import pytest
from libcst.metadata import MetadataWrapper, ParentNodeProvider
from mutmut.mutation import mutators

MOST = 0.08
ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
# For the tests of one mistake, which may have made an endless loop: of the processor, and on a machine that has other work.
CPU_SECONDS, SECONDS = 60, 1200

U = "tests/unit/"
# By module, the tests that are to notice its mistakes; the most important first.
MODULES = {
    "handlers.recording": [U + "handlers/test_recording.py"],
    "handlers.recording_requests": [U + "handlers/test_recording_requests.py"],
    "handlers.decision": [U + "handlers/test_decision.py"],
    "handlers.uploads": [U + "handlers/test_uploads.py"],
    "handlers.rejections": [U + "handlers/test_rejections.py"],
    "handlers.predictions": [U + "handlers/test_predictions.py"],
    "handlers.backlog": [U + "handlers/test_backlog.py"],
    "handlers.breaker": [U + "handlers/test_breaker.py"],
    "handlers.deletion": [U + "handlers/test_deletion.py"],
    "dropsort.contract.statistics": [
        U + "contract/test_statistics.py",
        U + "monitoring/test_drift_statistics.py",
    ],
    "dropsort.contract.predictions": [U + "contract/test_predictions.py"],
    "dropsort.contract.reconciliation": [U + "contract/test_reconciliation.py"],
    "dropsort.contract.backlog": [U + "contract/test_backlog.py"],
    "dropsort.contract.keys": [U + "contract/test_keys.py"],
    "dropsort.contract.litter": [U + "contract/test_litter.py"],
    "dropsort.contract.text": [U + "contract/test_text.py"],
    "dropsort.contract.reasons": [U + "contract/test_reasons.py"],
    "dropsort.contract.result": [U + "contract/test_result.py"],
    "monitoring.drift.statistics": [U + "monitoring/test_drift_statistics.py"],
    "monitoring.drift.signals": [U + "monitoring/test_drift.py"],
    "monitoring.drift.assess": [U + "monitoring/test_drift_bounds.py", U + "monitoring/test_drift.py"],
    "monitoring.drift.silence": [U + "monitoring/test_drift_bounds.py", U + "monitoring/test_drift.py"],
    "monitoring.drift.windows": [U + "monitoring/test_drift.py"],
    "monitoring.quality.ground_truth": [U + "monitoring/test_quality.py"],
    "monitoring.quality.measure": [U + "monitoring/test_quality.py"],
    "training.evaluation.threshold": [U + "training/test_threshold.py"],
    "training.evaluation.calibration": [U + "training/test_calibration.py"],
    "training.evaluation.scores": [U + "training/test_scores.py"],
    "training.dataset.splitting": [U + "training/test_dataset.py"],
    "training.dataset.near_duplicates": [U + "training/test_dataset.py"],
    "dropsort.deployment.libraries": [U + "deployment/test_package.py"],
    "dropsort.deployment.package": [U + "deployment/test_package.py"],
    "dropsort.deployment.permissions": [U + "deployment/test_permissions.py"],
    "dropsort.deployment.quotas": [U + "deployment/test_quotas.py"],
}
OURS = ("dropsort", "handlers", "monitoring", "training", "tests", "benchmarks")


def mistakes(code: str) -> Iterator[str]:
    """The module with each mistake in it, but for messages, docstrings, annotations and imports."""
    wrapper = MetadataWrapper(libcst.parse_module(code))
    parents = wrapper.resolve(ParentNodeProvider)
    skipped = (
        libcst.Annotation,
        libcst.Import,
        libcst.ImportFrom,
        libcst.Raise,
        libcst.FormattedString,
        libcst.Decorator,
    )
    found: list[libcst.CSTNode] = []

    class Visitor(libcst.CSTVisitor):
        def on_visit(self, node: libcst.CSTNode) -> bool:
            if isinstance(node, skipped):
                return False
            if isinstance(node, libcst.Expr) and isinstance(
                node.value, (libcst.SimpleString, libcst.ConcatenatedString)
            ):
                return False
            found.append(node)
            return True

    wrapper.module.visit(Visitor())
    seen = {code}
    for node in found:
        for kind, operator in mutators.mutation_operators:
            if not isinstance(node, kind) or operator is mutators.operator_assignment:
                continue
            if isinstance(node, libcst.SimpleString) and isinstance(
                parents.get(node), libcst.ConcatenatedString
            ):
                continue
            for number, changed in enumerate(operator(node)):
                if operator is mutators.operator_string and number:
                    break  # of a text one mistake is enough
                if operator is mutators.operator_arg_removal and _is_none(changed):
                    continue  # the types find it
                text = wrapper.module.deep_replace(node, changed).code  # type: ignore[arg-type]
                if text not in seen:
                    seen.add(text)
                    yield text


def _is_none(call: libcst.CSTNode) -> bool:
    return isinstance(call, libcst.Call) and any(
        isinstance(one.value, libcst.Name) and one.value.value == "None" for one in call.args
    )


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from another text."""

    def __init__(self, name: str, path: Path, code: str) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """This module, and no other."""
        if name != self.name:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.path))

    def exec_module(self, module: ModuleType) -> None:
        """Run the text."""
        module.__file__ = str(self.path)
        exec(compile(self.code, str(self.path), "exec"), module.__dict__)


class Verdict:
    """A plugin of pytest that ends the process with the first failure, or after the last test; nothing is cleaned up.

    Parameters
    ----------
    report
        Where it writes the names of all modules that were loaded.
    """

    def __init__(self, report: int | None = None) -> None:
        self.report = report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has failed."""
        if report.failed:
            os._exit(1)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """All tests have run, or none could be loaded."""
        if self.report is not None:
            os.write(self.report, "\n".join(sys.modules).encode())
        os._exit(min(int(exitstatus), 100))


def load_libraries(name: str, path: Path, code: str, tests: Sequence[str]) -> None:
    """Load the libraries that the tests load, once for all processes that are forked.

    Raises
    ------
    SystemExit
        The tests fail without a mistake.
    """
    with tempfile.TemporaryFile() as file:
        if noticed(name, path, code, tests, file.fileno()):
            raise SystemExit(f"{name}: its tests fail without a mistake: {' '.join(tests)}")
        file.seek(0)
        names = file.read().decode().split("\n")
    for one in names:
        if one.split(".")[0] not in OURS and one not in sys.modules:
            with contextlib.suppress(Exception):  # a module that is made while another is loaded
                import_module(one)
    gc.collect()
    gc.freeze()  # pytest collects garbage in each process: what is here already is none


def noticed(name: str, path: Path, code: str, tests: Sequence[str], report: int | None = None) -> bool:
    """Whether a test fails with this text of the module."""
    child = os.fork()
    if not child:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        signal.alarm(SECONDS)
        for loaded in [one for one in sys.modules if one.split(".")[0] in OURS]:
            del sys.modules[loaded]
        sys.meta_path.insert(0, Changed(name, path, code))
        options = [
            "-x",
            "-q",
            "-n",
            "0",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            "-m",
            "not slow",
            "--durations=0",
        ]
        os._exit(int(pytest.main([*options, *tests], plugins=[Verdict(report)])) or 101)
    _, status = os.waitpid(child, 0)
    return status != 0


def difference(before: str, after: str) -> str:
    """The lines that changed."""
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(
        line[0] + " " + line[1:].strip() for line in lines if not line.startswith(("---", "+++", "@@"))
    )


def judge(name: str, tests: Sequence[str], reasons: Sequence[dict[str, str]]) -> Counter[str]:
    """Make all mistakes of one module, print those that nobody noticed, and count."""
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    code = path.read_text(encoding="utf-8")
    load_libraries(name, path, code, tests)
    equivalent = {one["change"].strip() for one in reasons if one["module"] == name}
    counts: Counter[str] = Counter()
    for text in mistakes(code):
        change = difference(code, text)
        counts["all"] += 1
        if change in equivalent:
            counts["equivalent"] += 1
        elif noticed(name, path, text, tests):
            counts["noticed"] += 1
        else:
            print(f"{name}: not noticed:\n{change}", flush=True)
    left = counts["all"] - counts["equivalent"] - counts["noticed"]
    share = left / max(counts["all"] - counts["equivalent"], 1)
    print(
        f"{name}: {counts['all']} mistakes, {counts['equivalent']} equivalent, {left} not noticed ({share:.1%})",
        flush=True,
    )
    return counts


def main(arguments: Sequence[str]) -> int:
    """Judge the modules whose name begins with an argument, or all; return the exit code."""
    reasons = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("code", [])
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
            package = name.split(".")[0] if not name.startswith("dropsort") else ".".join(name.split(".")[:2])
            packages.setdefault(package, Counter()).update(judge(name, tests, reasons))
    failed = False
    for package, counts in packages.items():
        total = counts["all"] - counts["equivalent"]
        left = total - counts["noticed"]
        failed |= left > MOST * total
        print(f"{package}: {total} mistakes, {left} not noticed ({left / max(total, 1):.1%})")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
