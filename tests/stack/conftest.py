"""One whole embedded service for all tests of this folder; those that stop or kill one start their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dropsort.deployment import package
from dropsort.local import embedded
from dropsort.local.embedded import EmbeddedAws
from dropsort.local.service import LocalService
from tests.stack.helpers import PROXIES, find_result


@pytest.fixture(scope="module")
def embedded_aws(embedded_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """An embedded AWS with nothing in it, of one module's own."""
    aws = EmbeddedAws(embedded_python, tmp_path_factory.mktemp("embedded"))
    aws.start()
    yield aws
    aws.stop()


@pytest.fixture(scope="session")
def service(embedded_python: Path, host_packages: package.Packages) -> Iterator[LocalService]:
    """The running service. Tests share its bucket: upload below a folder of your own.

    It starts in an environment with a proxy, which it must not use. Half as many invocations as usual run at once: each is a
    process, and its start takes a quarter of a second of processor time.
    """
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in PROXIES.items():
                patch.setenv(name, value)
            patch.setitem(embedded.SETTINGS, "LAMBDA_ACCOUNT_CONCURRENCY", "4")
            running = stack.enter_context(LocalService())
        yield running


@pytest.fixture(scope="session")
def s3(service: LocalService) -> Any:
    """S3 client of the service."""
    return service.session().client("s3")


@pytest.fixture(scope="session")
def wait_for_result(service: LocalService, s3: Any) -> Callable[[str], str]:
    """Waits for the result of an upload, by its whole key; gives the result's key."""

    def wait(upload: str) -> str:
        return find_result(s3, service.bucket, upload)

    return wait
