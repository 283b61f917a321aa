"""Whether the tests notice a mistake in a module, in processes that are forked.

Most mistakes are within a function: its code is exchanged in a process that has collected the tests, and those that use the
function are run. What they do not notice, and mistakes elsewhere, are judged by all tests in a process that imports our modules
again, from the changed text.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import importlib.machinery
import inspect
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, Phase, settings

OURS = ("dropsort", "handlers", "monitoring", "training", "tests", "benchmarks")
# For the tests of one mistake: one that made an endless loop ends then. Of the processor; and for one that waits.
CPU_SECONDS, SECONDS = 20, 120
EXAMPLES = 25  # of hypothesis, by test
OPTIONS = ("-x", "-q", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider", "-m", "not slow",
           f"--timeout={SECONDS}")  # fmt: skip


@dataclass
class Subject:
    """A module, its text, and the tests that have to notice its mistakes."""

    name: str
    path: Path
    code: str
    tests: Sequence[str]
    # By test, the seconds that it takes and the lines of the module that it uses.
    uses: dict[str, tuple[float, frozenset[int]]] = field(default_factory=dict)
    cpu_seconds: float = CPU_SECONDS


class Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from another text."""

    def __init__(self, subject: Subject, code: str) -> None:
        self.subject, self.code = subject, code

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """This module, and no other."""
        if name != self.subject.name:
            return None
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.subject.path))

    def exec_module(self, module: ModuleType) -> None:
        """Run the text."""
        module.__file__ = str(self.subject.path)
        exec(compile(self.code, str(self.subject.path), "exec"), module.__dict__)


class Verdict:
    """A plugin of pytest that ends the process with the first failure, or after the last test; nothing is cleaned up."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Let hypothesis draw few examples, neither simplify what fails nor remember it."""
        functions = {getattr(item, "obj", None) for item in items}
        for function in {getattr(one, "__func__", one) for one in functions}:  # of a class's method
            given = getattr(function, "_hypothesis_internal_use_settings", None)
            if given is not None:
                function._hypothesis_internal_use_settings = settings(  # type: ignore[union-attr]
                    given, max_examples=min(EXAMPLES, given.max_examples), database=None, deadline=None,
                    phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck),
                )  # fmt: skip

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has failed."""
        if report.failed:
            os._exit(1)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """All tests have run, or none could be loaded."""
        os._exit(min(int(exitstatus), 100))


class Recording(Verdict):
    """Writes which modules were loaded, and for each test its time and which lines of the module it uses."""

    def __init__(self, subject: Subject, report: int) -> None:
        self.file, self.report = str(subject.path), report
        self.lines: set[int] = set()
        self.uses: dict[str, tuple[float, list[int]]] = {}

    def _trace(self, frame: FrameType, event: str, argument: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != self.file:
            return None
        self.lines.add(frame.f_lineno)
        return self._trace

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Record one test, with the fixtures that it is the first to use."""
        self.lines, start = set(), time.perf_counter()
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            self.uses[item.nodeid] = (time.perf_counter() - start, sorted(self.lines))

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write it."""
        text = json.dumps({"modules": sorted(sys.modules), "uses": self.uses})
        with open(self.report, "w", encoding="utf-8", closefd=False) as file:
            file.write(text)
        super().pytest_sessionfinish(exitstatus)


class Exchanges(Verdict):
    """Judges mistakes within functions, and writes the numbers of those that are noticed."""

    def __init__(self, subject: Subject, texts: Sequence[str], report: int) -> None:
        self.subject, self.texts, self.report = subject, texts, report
        self.passing: dict[tuple[str, ...], bool] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of the tests, run those of each mistake."""
        path = str(self.subject.path)
        functions: dict[tuple[str, int], list[FunctionType]] = {}
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename == path:
                functions.setdefault(_identity(one.__code__), []).append(one)
        gc.collect()
        gc.freeze()
        original = compile(self.subject.code, path, "exec")
        for number, text in enumerate(self.texts):
            pair = exchanged(original, compile(text, path, "exec"))
            if pair and _identity(pair[0]) in functions:
                items = self._items(session, pair[0], changed_line(self.subject.code, text))
                targets = functions[_identity(pair[0])]

                def judge(items: Any = items, targets: Any = targets, pair: Any = pair) -> None:
                    for target in targets:
                        target.__code__ = pair[1]
                    _run(items)

                if not items or not self._pass(items):
                    continue
                if forked(judge, self.subject.cpu_seconds):
                    os.write(self.report, f"{number}\n".encode())
        os._exit(0)

    def _pass(self, items: Sequence[pytest.Item]) -> bool:
        """Whether these tests, in this order and in a process that is forked, pass without a mistake."""
        names = tuple(item.nodeid for item in items)
        if names not in self.passing:
            self.passing[names] = not forked(lambda: _run(items), self.subject.cpu_seconds)
        return self.passing[names]

    def _items(self, session: pytest.Session, code: CodeType, line: int) -> list[pytest.Item]:
        """The tests that use the function: first those that use the line, and the quick ones."""
        lines = {number for _, _, number in code.co_lines() if number}
        for nested in code.co_consts:
            if isinstance(nested, CodeType):
                lines |= {number for _, _, number in nested.co_lines() if number}
        lines.discard(code.co_firstlineno)
        uses = self.subject.uses
        found = [item for item in session.items if lines & uses[item.nodeid][1]]
        return sorted(found, key=lambda item: (line not in uses[item.nodeid][1], uses[item.nodeid][0]))


def _run(items: Sequence[pytest.Item]) -> NoReturn:
    """Run tests in their order, and end the process."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    os._exit(0)


def _identity(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def changed_line(before: str, after: str) -> int:
    """The number of the first line that differs."""
    for number, (one, other) in enumerate(zip(before.splitlines(), after.splitlines(), strict=False), 1):
        if one != other:
            return number
    return 0


def exchanged(before: CodeType, after: CodeType) -> tuple[CodeType, CodeType] | None:
    """The function in which two modules differ, in both; None if they differ elsewhere, too."""
    found: list[tuple[CodeType, CodeType]] = []

    def compare(one: CodeType, other: CodeType) -> bool:
        same = one.co_code == other.co_code and one.co_names == other.co_names
        if not same or len(one.co_consts) != len(other.co_consts):
            return False
        for first, second in zip(one.co_consts, other.co_consts, strict=True):
            if isinstance(first, CodeType) and isinstance(second, CodeType):
                if first.co_flags & inspect.CO_OPTIMIZED and not first.co_name.endswith("comp>"):
                    if not _alike(first, second):
                        found.append((first, second))
                elif not compare(first, second):
                    return False
            elif (type(first), first) != (type(second), second):
                return False
        return True

    if not compare(before, after) or len(found) != 1 or found[0][0].co_name == "<genexpr>":
        return None
    return found[0] if found[0][0].co_freevars == found[0][1].co_freevars else None


def _alike(one: CodeType, other: CodeType) -> bool:
    """Whether two functions do the same, wherever they are."""
    if one.co_code != other.co_code or one.co_names != other.co_names:
        return False
    if len(one.co_consts) != len(other.co_consts):
        return False
    return all(
        _alike(first, second)
        if isinstance(first, CodeType) and isinstance(second, CodeType)
        else repr((type(first), first)) == repr((type(second), second))
        for first, second in zip(one.co_consts, other.co_consts, strict=True)
    )


def forked(run: Callable[[], Any], cpu_seconds: float = 100_000) -> bool:
    """Whether this ends with a failure, in a process of its own."""
    child = os.fork()
    if not child:
        try:
            os.setpgid(0, 0)
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds)))
            run()
        finally:
            os._exit(101)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # what its tests have started
    return status != 0


def _fresh(subject: Subject, code: str, plugin: Verdict, folder: str) -> Callable[[], None]:
    """Run all tests with this text of the module, from the import on."""

    def run() -> None:
        for loaded in [one for one in sys.modules if one.split(".")[0] in OURS]:
            del sys.modules[loaded]
        sys.meta_path.insert(0, Changed(subject, code))
        os._exit(
            int(pytest.main([*OPTIONS, f"--basetemp={folder}", *subject.tests], plugins=[plugin])) or 101
        )

    return run


def prepare(subject: Subject) -> None:
    """Find out which lines each test uses, and load the libraries once for all processes that are forked.

    Raises
    ------
    SystemExit
        The tests fail without a mistake.
    """
    with tempfile.TemporaryFile("w+") as file, _folder() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if forked(_fresh(subject, subject.code, Recording(subject, file.fileno()), folder)):
            raise SystemExit(f"{subject.name}: its tests fail without a mistake: {' '.join(subject.tests)}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        file.seek(0)
        report = json.load(file)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    subject.cpu_seconds = max(CPU_SECONDS, 3 * used)
    subject.uses = {name: (seconds, frozenset(lines)) for name, (seconds, lines) in report["uses"].items()}
    for one in report["modules"]:
        if one.split(".")[0] not in OURS and one not in sys.modules:
            with contextlib.suppress(Exception):  # a module that is made while another is loaded
                import_module(one)
    gc.collect()
    gc.freeze()  # pytest collects garbage in each process: what is here already is none


def unnoticed(subject: Subject, texts: Sequence[str]) -> Iterable[str]:
    """The texts of the module with which all tests pass."""
    with tempfile.TemporaryFile("w+") as file, _folder() as folder:
        forked(_fresh(subject, subject.code, Exchanges(subject, texts, file.fileno()), folder))
        file.seek(0)
        found = {int(line) for line in file}
        for number, text in enumerate(texts):
            if number not in found and not forked(
                _fresh(subject, text, Verdict(), folder), subject.cpu_seconds
            ):
                yield text


@contextlib.contextmanager
def _folder() -> Any:
    folder = tempfile.mkdtemp()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
