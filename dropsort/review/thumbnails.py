"""Thumbnails and large views of uploads: decoded as the workflow does, in processes of their own, and cached within a bound.

The bytes are those of anybody who may upload. They are decoded by `handlers.imaging` with its limits; a decoder that crashes or takes too
long ends its process, not the page's.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING

from dropsort.contract.interrupts import without_interrupts
from dropsort.contract.reasons import REASONS
from dropsort.review.decoding import DisplayImage, end_with_parent, make, warm_up
from dropsort.review.listing import ListedImage
from handlers.rejections import Rejection
from handlers.uploads import Upload

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CACHE_BYTES = 64_000_000
MAX_OBJECT_BYTES = 100_000_000
SIDES = {"thumbnail": 192, "large": 1024}  # pixels
SECONDS = 60
FAILED = "Decoding it failed."
WORKERS = 2
AHEAD = 3  # images that are read from S3 at once before the page requests them


class Thumbnails:
    """Makes and caches them; several threads use it."""

    def __init__(self, s3: S3Client, bucket: str, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._s3, self._bucket, self._most = s3, bucket, cache_bytes
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, str], DisplayImage] = OrderedDict()
        self._making: dict[tuple[str, str], Future[DisplayImage]] = {}
        self._ahead = ThreadPoolExecutor(AHEAD, "ahead")
        self.cached_bytes = 0
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> ProcessPoolExecutor:
        """The processes, started if they are not there: the first image should not wait for them."""
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPoolExecutor(
                    WORKERS, multiprocessing.get_context("spawn"), initializer=end_with_parent
                )
                with without_interrupts():
                    for _ in range(WORKERS):
                        self._pool.submit(warm_up)
            return self._pool

    def get(self, item: ListedImage, size: str) -> DisplayImage:
        """An image at a size of `SIDES`.

        Raises
        ------
        botocore.exceptions.ClientError
            S3 failed.
        """
        name = (item.inference_id, size)
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
            other = self._making.get(name)
            if other is None:
                made = self._making[name] = Future[DisplayImage]()
        if other is not None:
            return other.result()
        try:
            shown = self._make(item, SIDES[size])
            self._remember(name, shown)
            made.set_result(shown)
        except BaseException as error:
            made.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._making[name]
        return shown

    def prepare(self, items: Iterable[ListedImage]) -> None:
        """Make the thumbnails that the page is about to request."""

        def work(item: ListedImage) -> None:
            with contextlib.suppress(Exception):  # the page's own request says why
                self.get(item, "thumbnail")

        for item in items:
            self._ahead.submit(work, item)

    def _remember(self, name: tuple[str, str], shown: DisplayImage) -> None:
        with self._lock:
            if shown.reason != FAILED:  # which may be due to another image
                self._cache[name] = shown
                self.cached_bytes += len(shown.data)
            while self.cached_bytes > self._most:
                _, oldest = self._cache.popitem(last=False)
                self.cached_bytes -= len(oldest.data)

    def _make(self, item: ListedImage, side: int) -> DisplayImage:
        from handlers.reading import Overwritten, read

        upload = Upload(self._bucket, item.key, item.version_id, item.etag)
        try:
            _, body = read(self._s3, upload, MAX_OBJECT_BYTES)
        except Overwritten:
            return DisplayImage(b"", "", "It was uploaded again.")
        if isinstance(body, Rejection):
            return DisplayImage(b"", "", REASONS[body.code].sentence)
        pool = self.start()
        try:
            return pool.submit(make, body, side).result(SECONDS)
        except (CancelledError, TimeoutError, RuntimeError):  # another image may have ended the pool
            self._end(pool)
            return DisplayImage(b"", "", FAILED)

    def _end(self, broken: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is broken:
                self._pool = None
        processes = list((broken._processes or {}).values())
        broken.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()

    def close(self) -> None:
        """End the processes."""
        self._ahead.shutdown(wait=False, cancel_futures=True)
        if self._pool is not None:
            self._end(self._pool)
