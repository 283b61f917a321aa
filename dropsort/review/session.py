"""A reviewing session: listing, claims, decisions and thumbnails of one reviewer, and the threads that work for them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dropsort.client import results
from dropsort.contract import keys
from dropsort.contract.reviews import ACTIONS, Action
from dropsort.review.claims import Claims
from dropsort.review.decisions import DecisionRequest, Decisions
from dropsort.review.errors import Conflict, ReviewError
from dropsort.review.listing import ImageListing, ListedImage
from dropsort.review.similar import SimilarImages
from dropsort.review.thumbnails import Thumbnails

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WORKERS = 8
READING_WAITS_SECONDS = 1.0  # before each result, at most, while the page waits for something
BETWEEN_REQUESTS_SECONDS = 0.2  # of the page, after one of which the next one follows
RETRY_SECONDS = (0.5, 2, 5, 15, 30)  # between attempts to make a decision a result; the last again and again


@dataclass(frozen=True, slots=True)
class DecisionStatus:
    """What became of one decision: ``stored``, ``conflict``, ``error`` or ``retry``; with the image as it is now, if it is known."""

    inference_id: str
    status: str
    message: str = ""
    item: ListedImage | None = None


class Session:
    """What the page does, without the page."""

    def __init__(self, s3: S3Client, bucket: str, reviewer: str) -> None:
        self._s3, self.bucket, self.reviewer = s3, bucket, reviewer
        self.listing, self.thumbnails = ImageListing(s3, bucket), Thumbnails(s3, bucket)
        self.similar = SimilarImages(self.thumbnails)
        self.claims, self._decisions = Claims(s3, bucket, reviewer), Decisions(s3, bucket, reviewer)
        self._pool = ThreadPoolExecutor(WORKERS, "decide")
        self._applying = ThreadPoolExecutor(WORKERS, "apply")
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._serving, self._served = 0, 0.0
        self.waiting, self.trouble = 0, ""
        self._times: deque[float] = deque(maxlen=1000)

    def start(self) -> None:
        """Begin to read results, and complete what a killed process left."""
        self.thumbnails.start()
        for work in (self._load, self.complete):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    def _load(self) -> None:
        try:
            self.listing.load(self._stopping.is_set, self._wait_for_the_page)
        except Exception as error:
            self.trouble = f"Not all results could be read: {error}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """While the page waits for a response."""
        with self._lock:
            self._serving += 1
        try:
            yield
        finally:
            with self._lock:
                self._serving -= 1
                self._served = time.monotonic()

    def _wait_for_the_page(self) -> None:
        """Reading results takes all cores: it waits until the page has what it requests, but never stops."""
        deadline = time.monotonic() + READING_WAITS_SECONDS
        while time.monotonic() < deadline and (
            self._serving or time.monotonic() - self._served < BETWEEN_REQUESTS_SECONDS
        ):
            if self._stopping.wait(0.02):
                return

    def complete(self) -> None:
        """Make decisions results that a killed process left."""
        try:
            self._decisions.complete(self.claims.left_over(), self._incomplete)
        except Exception as error:
            self._incomplete(str(error))

    def _incomplete(self, sentence: str) -> None:
        self.trouble = f"Decisions of an earlier session could not be completed: {sentence}"

    def submit(self, wanted: list[DecisionRequest]) -> list[DecisionStatus]:
        """Store decisions; results follow in the background."""
        try:
            self.claims.hold([keys.path_of(one.key) for one in wanted], busy=True)
        except Exception as error:  # nothing is stored: the page sends them again
            return [DecisionStatus(one.inference_id, "retry", str(error)) for one in wanted]
        return list(self._pool.map(self._submit, wanted))

    def _submit(self, wanted: DecisionRequest) -> DecisionStatus:
        """Store a decision, and have its result written; without one, its claim is released."""
        path = keys.path_of(wanted.key)
        try:
            made = self._stored(wanted)
        except Exception as error:
            # Whether it is stored is not known: the page sends it again, with the same id.
            made = DecisionStatus(wanted.inference_id, "retry", f"{type(error).__name__}: {error}")
        if made.status != "stored":
            self.claims.release(path)
            return made
        with self._lock:
            self.waiting += 1
            self._times.append(time.monotonic())
        self._applying.submit(self._apply, path)
        return made

    def _stored(self, wanted: DecisionRequest) -> DecisionStatus:
        try:
            review = self._decisions.store(wanted)
        except Conflict as conflict:
            return DecisionStatus(
                wanted.inference_id, "conflict", str(conflict), self._again(wanted, conflict)
            )
        except ReviewError as error:
            return DecisionStatus(wanted.inference_id, "error", str(error))
        return DecisionStatus(wanted.inference_id, "stored", item=self.listing.decided(review))

    def _again(self, wanted: DecisionRequest, conflict: Conflict) -> ListedImage | None:
        """The image as it is now, for the page and the listing."""
        if conflict.review is not None:
            return self.listing.decided(conflict.review)
        self.listing.remove(wanted.inference_id)
        found = results.find(self._s3, self.bucket, keys.path_of(wanted.key))
        if found is None:
            return None
        self.listing.add(found.document)
        return self.listing.find(str(found.document.get("inference_id")))

    def _apply(self, path: str) -> None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                self._decisions.apply(path)
            except Exception as error:
                self.trouble = f"Results of decisions could not be written yet: {error}"
                self._stopping.wait(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
                attempt += 1
            else:
                self.claims.release(path)
                with self._lock:
                    self.waiting -= 1
                    if attempt:
                        self.trouble = ""
                return

    def per_minute(self) -> float:
        """Decisions a minute, over the last five minutes."""
        now = time.monotonic()
        with self._lock:
            recent = [moment for moment in self._times if now - moment < 300]
        return 60 * len(recent) / max(now - recent[0], 10) if recent else 0.0

    def details(self, item: ListedImage) -> dict[str, Any]:
        """The result document of an image as it is now, and its decisions."""
        review = self._decisions.read(item.path)
        same = review if review and review.inference_id == item.inference_id else None
        found = results.find(self._s3, self.bucket, item.path, item.outcome)
        return {
            "result": found.document if found else None,
            "decisions": [
                {"by": one.by, "at": one.at, "action": one.action, "label": one.label}
                for one in (same.decisions if same else ())
            ],
        }

    def stop(self, seconds: float = 30) -> None:
        """Wait until decisions are results, at most so long, and end; what is left is completed by the next session."""
        deadline = time.monotonic() + seconds
        try:
            while self.waiting and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:  # also at another Ctrl-C
            self._stopping.set()
            for pool in (self._pool, self._applying):
                pool.shutdown(wait=False, cancel_futures=True)
            self.similar.stop()
            self.thumbnails.close()


def action_of(value: Any) -> Action:
    """The action of that name.

    Raises
    ------
    ReviewError
        There is none.
    """
    for action in ACTIONS:
        if action == value:
            return action
    raise ReviewError(f"There is no action {value!r:.100}.")
