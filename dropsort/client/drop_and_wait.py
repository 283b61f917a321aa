"""Uploads files and waits for their results at the same time."""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dropsort.client.drop import WORKERS, Uploaded, drop
from dropsort.client.errors import MissingResultsError
from dropsort.client.files import LocalFile
from dropsort.client.wait import FinishedUpload, Waiter
from dropsort.contract.defaults import PATIENCE_SECONDS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 5.0  # between polls


def drop_and_wait(
    s3: S3Client,
    bucket: str,
    files: Sequence[LocalFile],
    *,
    again: bool = False,
    workers: int = WORKERS,
    in_flight: int | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
    ignored: Callable[[str], bool] = lambda _: False,
    uploaded: Callable[[Uploaded], None] = lambda _: None,
    done: Callable[[FinishedUpload], None] = lambda _: None,
    retrying: Callable[[FinishedUpload], None] | None = None,
) -> list[FinishedUpload]:
    """Upload `files` and return each with its result, in the order in which these came.

    Parameters
    ----------
    again
        Upload also what is there already, byte for byte; its earlier result counts otherwise.
    in_flight
        Uploads without a result at a time; None for any number. A service with few functions at a time, such as the one
        on a single machine, is fully used by as many, and keeps latency from being the length of a queue.
    patience_seconds
        How long to go on when nothing is uploaded and no result comes.
    uploaded, done
        Called for each upload and for each result, in this thread.
    ignored, retrying
        As in `Waiter`. A failure that is still to be tried again when patience ends is returned as the result.

    Raises
    ------
    MissingResultsError
        If results are missing when patience ends.
    botocore.exceptions.ClientError, OSError
        If an upload fails.
    """
    uploader = _Uploader(s3, bucket, files, again, workers, in_flight)
    retries = _Retries(uploader.release, retrying)
    waiter = Waiter(s3, bucket, ignored=ignored, retrying=retries if retrying is not None else None)
    found: list[FinishedUpload] = []
    pauses = _Pauses()
    uploader.start()
    try:
        while True:
            uploading = uploader.uploading()
            fresh_uploads = uploader.arrived()
            without_result = waiter.expect(fresh_uploads)
            for upload in fresh_uploads:
                uploaded(upload)
            uploader.check()
            begin = time.monotonic()
            retries.found = False
            fresh = waiter.poll()
            for item in fresh:
                done(item)
            found += fresh
            ended = [item.upload for item in fresh if not retries.released(item.upload)]
            uploader.release(sum(upload.fresh for upload in (*without_result, *ended)))
            full = in_flight is not None and len(waiter.missing) - waiter.retryable >= in_flight
            if fresh or retries.found or fresh_uploads or (uploading and not full):
                pauses.restart()
            elif not uploading and not waiter.missing:
                return found
            elif time.monotonic() - pauses.since > patience_seconds:
                return found + _end(waiter, len(files), patience_seconds, done)
            pauses.sleep(time.monotonic() - begin)
    finally:
        uploader.stop()


class _Uploader:
    """Uploads in a thread of its own, with at most `in_flight` uploads that have neither a result nor been released."""

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        files: Sequence[LocalFile],
        again: bool,
        workers: int,
        in_flight: int | None,
    ) -> None:
        self._slots = threading.Semaphore(in_flight or len(files) or 1)
        self._arrivals: queue.SimpleQueue[Uploaded] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        # It does not keep the process from ending if an upload hangs.
        self._thread = threading.Thread(target=self._run, name="drop", daemon=True)
        self._drop = functools.partial(
            drop, s3, bucket, files, again=again, workers=workers, admit=self._admit, done=self._arrive
        )

    def start(self) -> None:
        """Begin to upload."""
        self._thread.start()

    def uploading(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._drop()
        except BaseException as error:
            self._failure = error

    def arrived(self) -> list[Uploaded]:
        """What was uploaded since the last call."""
        items: list[Uploaded] = []
        while not self._arrivals.empty():
            items.append(self._arrivals.get())
        return items

    def check(self) -> None:
        """Raise what ended the uploads, if anything did."""
        if self._failure is not None:
            raise self._failure

    def release(self, uploads: int) -> None:
        """Let so many more uploads begin."""
        if uploads:
            self._slots.release(uploads)

    def stop(self) -> None:
        """Begin no further upload."""
        self._stopping.set()

    def _admit(self) -> None:
        while not self._slots.acquire(timeout=0.2):
            if self._stopping.is_set():
                raise InterruptedError("stopped")

    def _arrive(self, upload: Uploaded) -> None:
        if self._stopping.is_set():
            raise InterruptedError("stopped")
        self._arrivals.put(upload)


class _Pauses:
    """The pauses between polls, which cost requests in proportion to what is listed: longer while nothing arrives."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin with the shortest pause, as something has arrived."""
        self.since, self._pause = time.monotonic(), SHORTEST_PAUSE_SECONDS

    def sleep(self, poll_seconds: float) -> None:
        """Pause after a poll that took so long."""
        time.sleep(min(max(self._pause, 0.5 * poll_seconds), LONGEST_PAUSE_SECONDS))
        self._pause *= 1.2


class _Retries:
    """Failures that the service tries again: each upload's slot is free meanwhile, once."""

    def __init__(
        self, release: Callable[[int], None], retrying: Callable[[FinishedUpload], None] | None
    ) -> None:
        self._release, self._retrying = release, retrying
        self._keys: set[str] = set()  # whose slot is free
        self.found = False  # by the last poll

    def __call__(self, item: FinishedUpload) -> None:
        """Note a failure that is tried again."""
        self.found = True
        if item.upload.fresh and not self.released(item.upload):
            self._keys.add(item.upload.file.key)
            self._release(1)
        if self._retrying is not None:
            self._retrying(item)

    def released(self, upload: Uploaded) -> bool:
        """Whether its slot is free already."""
        return upload.file.key in self._keys


def _end(
    waiter: Waiter, files: int, patience_seconds: float, done: Callable[[FinishedUpload], None]
) -> list[FinishedUpload]:
    """Wait no longer: return the failures that are still to be tried again, as results.

    Raises
    ------
    MissingResultsError
        If other uploads have no result.
    """
    retryable = waiter.end_retries()
    for item in retryable:
        done(item)
    if missing := waiter.missing:
        raise MissingResultsError(
            f"{len(missing)} of {files} uploads have no result, and none came for {patience_seconds:.0f} seconds "
            f"({missing[0]} is one of them). `dropsort redrive` starts them again.",
            missing,
        )
    return retryable
