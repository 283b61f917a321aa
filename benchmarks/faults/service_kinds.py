"""Faults of the whole service, each with one of its own: everything killed, stopped in the middle, its disk full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.faults.batch import BatchVerdict, ImageBatch
from benchmarks.faults.kinds import Skipped
from benchmarks.faults.separate_service import SeparateService
from benchmarks.faults.target import images

_PATIENCE_SECONDS = 240.0
_DISK_BYTES = 300_000_000
_RESERVE_BYTES = 60_000_000


@dataclass(frozen=True)
class Alone:
    """A kind of fault that takes a service of its own.

    ``run`` takes a number of images; it returns the verdict, and the seconds from the end of the fault until then.
    """

    name: str
    sentence: str
    run: Callable[[int], tuple[BatchVerdict, float]]


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dropsort-faults-") as folder:
        yield Path(folder) / "data"


def _while_uploading(batch: ImageBatch, service: SeparateService, end: Callable[[], None]) -> None:
    """Upload, and end the service when two thirds of the uploads are confirmed; the others may fail, and count only if they did not."""

    def put(index: int) -> None:
        try:
            batch.put(service.site, index)
        except (BotoCoreError, ClientError):
            return

    with ThreadPoolExecutor(8) as pool:
        for index in range(batch.count):
            pool.submit(put, index)
        while len(batch.uploads) < batch.count * 2 // 3:
            time.sleep(0.01)
        end()


def _killed(count: int) -> tuple[BatchVerdict, float]:
    """Kill everything with uploads under way, twice, and start it again."""
    batch = ImageBatch("faults/killed", count, images())
    with _folder() as folder:
        service = SeparateService(folder)
        _while_uploading(batch, service, service.kill)
        service = SeparateService(folder)
        time.sleep(3)
        service.kill()
        service = SeparateService(folder)
        try:
            return batch.drain(service.site, _PATIENCE_SECONDS)
        finally:
            service.stop()


def _stopped(count: int) -> tuple[BatchVerdict, float]:
    """Stop it in order, with uploads under way, and start it again."""
    batch = ImageBatch("faults/stopped", count, images())
    with _folder() as folder:
        service = SeparateService(folder)
        _while_uploading(batch, service, service.stop)
        service = SeparateService(folder)
        try:
            return batch.drain(service.site, _PATIENCE_SECONDS)
        finally:
            service.stop()


@contextmanager
def _small_disk() -> Iterator[Path]:
    """A file system of its own, in memory.

    Raises
    ------
    Skipped
        Only Linux's root can make one.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Skipped("a small file system can be mounted by root on Linux only")
    place = Path(tempfile.mkdtemp(prefix="dropsort-faults-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        place.rmdir()
        raise Skipped(mounted.stderr.strip() or "mount failed")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)
        place.rmdir()


def _full_disk(count: int) -> tuple[BatchVerdict, float]:
    """Another program fills the disk: up to the reserve, then altogether; later it frees the space, and the service is started again."""
    batch = ImageBatch("faults/disk", count, images())
    with _small_disk() as place:
        service = SeparateService(place / "data", _RESERVE_BYTES)
        over = threading.Event()
        rejected: set[int] = set()

        def put(index: int) -> None:
            """As any client does: until it is confirmed."""
            while True:
                try:
                    batch.put(service.site, index)
                    return
                except ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] not in (500, 507):
                        raise
                    rejected.add(index)
                    over.wait(0.5)

        with ThreadPoolExecutor(8) as pool:
            third = count // 3
            list(pool.map(put, range(third)))
            _fill(place / "half", shutil.disk_usage(place).free - _RESERVE_BYTES // 2)
            uploads = [pool.submit(put, index) for index in range(third, 2 * third)]
            time.sleep(2)
            _fill(place / "rest", shutil.disk_usage(place).free)
            uploads += [pool.submit(put, index) for index in range(2 * third, count)]
            time.sleep(3)
            (place / "half").unlink()
            (place / "rest").unlink()
            over.set()
            for upload in uploads:
                upload.result()
        if count > third and not rejected:
            raise AssertionError("a full disk took uploads")
        verdict, seconds = batch.drain(service.site, _PATIENCE_SECONDS)
        service.stop()
        service = SeparateService(place / "data", _RESERVE_BYTES)
        try:
            again, more = batch.drain(service.site, _PATIENCE_SECONDS)
        finally:
            service.stop()
        return (again if verdict.finished else verdict), seconds + more


def _fill(file: Path, size: int) -> None:
    block = bytes(1_000_000)
    with file.open("wb", buffering=0) as out:
        try:
            while size > 0:
                size -= out.write(block[:size])
        except OSError:  # full: that was the aim
            pass


ALONE = {
    kind.name: kind
    for kind in (
        Alone("all-killed", "kill -9 of every process with uploads under way, twice", _killed),
        Alone("stopped", "Ctrl-C with uploads under way", _stopped),
        Alone("disk-full", "another program fills the disk", _full_disk),
    )
}
