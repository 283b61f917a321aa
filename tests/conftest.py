"""Fixtures that every test may use, and the order in which tests are handed to the processors.

With ``-n``, the tests of one module stay on one processor, as they share fixtures. Those of modules with slow tests are
handed out one by one, and all that use the shared embedded service stay together: there is one of it.
"""

from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from dropsort.deployment import package
from dropsort.deployment.errors import PackageError
from dropsort.local import venv
from dropsort.local.errors import InstallError
from tests import models, needs

ROOT = Path(__file__).resolve().parent.parent
# Modules that take longest, most of them first: one that began last would run alone at the end. Those that need the embedded AWS come
# after the others: in a fresh checkout it is being installed at first.
LONGEST = (
    "unit/training/test_train",
    "unit/monitoring/test_function",
    "unit/review/test_page",
    "unit/contract/test_reconciliation",
    "unit/handlers/test_imaging_damage",
    "unit/local/test_venv",
    "unit/monitoring/test_captures",
    "unit/benchmarks/test_capacity",
    "unit/monitoring/test_fast_path",
    "unit/handlers/test_recording",
    "unit/local/test_endpoint",
    "unit/client/test_drop_and_wait",
    "unit/pages/test_report",
    "unit/monitoring/test_drift",
    "unit/local/test_untrusted_clients",
    "conformance/test_workflow",
    "conformance/test_s3",
)

# Each of the workers, and each process that tests start, would compile all modules again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure() -> None:
    """A requirement with a typing mistake ends the run before it begins."""
    needs.required()
    for name in [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL")]:
        del os.environ[name]  # of a service that this terminal uses
    models.share_models()
    # A machine that has other work draws examples slowly.
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")
    # In the background a shell makes its jobs ignore Ctrl-C, and what tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are processors, as tests of the whole service wait for its processes.

    It counts for ``-n auto`` alone.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return 1 + (len(affinity(0)) if affinity else os.cpu_count() or 1)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long bytes by their argument: some hold the time at which they were made, and all workers need the same names."""
    return argname if isinstance(val, bytes) and len(val) > 32 else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect without the garbage collector, which would go through thousands of items again and again, and never sees them after that."""
    gc.disable()
    try:
        _compile_one_part(session.config)
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)  # from 700: much of what a test makes is gone before then
        gc.enable()


def _compile_one_part(config: pytest.Config) -> None:
    """Have each worker begin with another part of the modules: in a fresh checkout all would compile all of them side by side."""
    worker = getattr(config, "workerinput", None)
    if worker is None or [Path(config.rootpath, path) for path in config.args] != [ROOT / "tests"]:
        return
    first = int(worker["workerid"].removeprefix("gw"))
    for path in sorted((ROOT / "tests").rglob("test_*.py"))[first :: worker["workercount"]]:
        # Reported when it is collected
        with suppress(Exception, pytest.skip.Exception, pytest.fail.Exception):
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def pytest_unconfigure() -> None:
    """Let the end of the process find what `pytest_collection` has hidden: libraries report what is not taken apart."""
    gc.unfreeze()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Say which tests stay on one processor, and let no test be slow without a reason."""
    slow = item.get_closest_marker("slow")
    if slow is not None and not slow.kwargs.get("reason"):
        raise pytest.UsageError(f"{item.nodeid} is slow for no reason")
    if item.get_closest_marker("xdist_group"):
        return
    fixtures = set(getattr(item, "fixturenames", ()))
    if "service" in fixtures and item.nodeid.startswith("tests/stack/"):
        item.add_marker(pytest.mark.xdist_group("service"))
    elif "embedded_aws" in fixtures or not item.get_closest_marker("slow"):
        item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; within that, the order stays as it is."""
    places = {f"tests/{module}.py": place for place, module in enumerate(LONGEST)}

    def rank(item: pytest.Item) -> tuple[int, int]:
        group = item.get_closest_marker("xdist_group")
        if group is not None and group.args == ("service",):
            return 0, 0
        return 1 if item.get_closest_marker("slow") else 2, places.get(
            item.nodeid.split("::")[0], len(places)
        )

    items.sort(key=rank)


def pytest_collection_finish(session: pytest.Session) -> None:
    """End a distributed run whose workers do not know the groups: each would start what one is to share."""
    models.quicken_moto()
    if getattr(session.config.option, "loadgroup", False):
        lost = [
            item.nodeid
            for item in session.items
            if item.get_closest_marker("xdist_group") and "@" not in item.nodeid
        ]
        if lost:
            raise pytest.UsageError(
                f"pytest-xdist does not group tests with this version of pytest: {lost[0]}"
            )


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images and capture files."""
    folder = Path(os.environ.get("DROPSORT_DATA") or ROOT.parent / "shared" / "data").resolve()
    if not (folder / "bicycle-motorcycle" / "manifest.csv").is_file():
        needs.lacking("data", f"not in {folder}")
    return folder


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have a worker send what is shown alone: of most tests one message instead of six, each of which costs half a millisecond."""
    config = session.config
    if not hasattr(config, "workerinput") or config.get_verbosity() > 0 or config.option.xmlpath:
        return
    (worker,) = (
        plugin for plugin in config.pluginmanager.get_plugins() if type(plugin).__name__ == "WorkerInteractor"
    )
    send = worker.sendevent

    def fewer(name: str, **event: Any) -> None:
        report = event.get("data")
        if name in ("logstart", "logfinish") or (
            name == "testreport"
            and (report["when"], report["outcome"]) in (("setup", "passed"), ("teardown", "passed"))
            and not report["sections"]
            and report["duration"] < 0.01
        ):
            return
        send(name, **event)

    worker.sendevent = fewer


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processors' tests from building the same at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "tests.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def embedded_python() -> Path:
    """The interpreter of the embedded AWS, which is installed on first use."""
    try:
        return venv.ensure()
    except InstallError as error:
        needs.lacking("embedded-aws", error)


@pytest.fixture(scope="session")
def host_packages() -> package.Packages:
    """The functions and their libraries as the embedded AWS runs them."""
    try:
        with _alone(package.CACHE):
            return package.build("host", package.CACHE)
    except PackageError as error:
        needs.lacking("libraries", error)
