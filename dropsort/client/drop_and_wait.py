"""Uploads files and waits for their results at the same time."""

from __future__ import annotations

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
    ignored
        As in `Waiter`.
    uploaded, done
        Called for each upload and for each result, in this thread.
    retrying
        As in `Waiter`. A failure that is still to be tried again when patience ends is returned as the result.

    Raises
    ------
    MissingResultsError
        If results are missing when patience ends.
    botocore.exceptions.ClientError, OSError
        If an upload fails.
    """
    arrivals: queue.SimpleQueue[Uploaded] = queue.SimpleQueue()
    failure: list[BaseException] = []
    stop = threading.Event()
    slots = threading.Semaphore(in_flight or len(files) or 1)

    def admit() -> None:
        while not slots.acquire(timeout=0.2):
            if stop.is_set():
                raise InterruptedError("stopped")

    def arrived(upload: Uploaded) -> None:
        if stop.is_set():
            raise InterruptedError("stopped")
        arrivals.put(upload)

    def upload_all() -> None:
        try:
            drop(s3, bucket, files, again=again, workers=workers, admit=admit, done=arrived)
        except BaseException as error:
            failure.append(error)

    uploader = threading.Thread(target=upload_all, name="drop", daemon=True)
    uploader.start()
    admitted: set[str] = set()  # keys whose slot is free again, as their upload waits for another attempt
    again_soon = 0

    def retry(item: FinishedUpload) -> None:
        nonlocal again_soon
        again_soon += 1
        if item.upload.fresh and item.upload.file.key not in admitted:
            admitted.add(item.upload.file.key)
            slots.release()
        if retrying is not None:
            retrying(item)

    waiter = Waiter(s3, bucket, ignored=ignored, retrying=retry if retrying is not None else None)
    found: list[FinishedUpload] = []
    last = time.monotonic()
    pause = 0.02
    try:
        while True:
            uploading = uploader.is_alive()
            fresh_uploads = _drain(arrivals)
            without_result = waiter.expect(fresh_uploads)
            for upload in fresh_uploads:
                uploaded(upload)
            if failure:
                raise failure[0]
            begin = time.monotonic()
            again_soon = 0
            fresh = waiter.poll()
            for item in fresh:
                done(item)
            found += fresh
            ended = [item.upload for item in fresh if item.upload.file.key not in admitted]
            taken = sum(upload.fresh for upload in (*without_result, *ended))
            if taken:
                slots.release(taken)
            now = time.monotonic()
            full = in_flight is not None and len(waiter.missing) - waiter.retryable >= in_flight
            if fresh or again_soon or fresh_uploads or (uploading and not full):
                last, pause = now, 0.02
            elif not uploading and not waiter.missing:
                return found
            elif now - last > patience_seconds:
                for item in (retryable := waiter.end_retries()):
                    done(item)
                found += retryable
                if waiter.missing:
                    raise _missing(waiter.missing, len(files), patience_seconds)
                return found
            # A poll costs requests in proportion to what is listed: poll less often while nothing arrives.
            time.sleep(min(max(pause, 0.5 * (now - begin)), 5.0))
            pause *= 1.2
    finally:
        stop.set()


def _drain(arrivals: queue.SimpleQueue[Uploaded]) -> list[Uploaded]:
    items: list[Uploaded] = []
    while not arrivals.empty():
        items.append(arrivals.get())
    return items


def _missing(missing: list[str], files: int, patience_seconds: float) -> MissingResultsError:
    return MissingResultsError(
        f"{len(missing)} of {files} uploads have no result, and none came for {patience_seconds:.0f} seconds "
        f"({missing[0]} is one of them). `dropsort redrive` starts them again.",
        missing,
    )
