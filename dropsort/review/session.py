"""A reviewing session: listing, claims, decisions and thumbnails of one reviewer, and the threads that work for them."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dropsort.client.results import get as get_result
from dropsort.contract import keys
from dropsort.contract.reviews import ACTIONS, Action, in_force
from dropsort.review.claims import Claims
from dropsort.review.decisions import Decisions, Wanted
from dropsort.review.errors import Conflict, ReviewError
from dropsort.review.listing import Item, Listing
from dropsort.review.similar import Similar
from dropsort.review.thumbnails import Thumbnails

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WORKERS = 8
RETRY_SECONDS = (0.5, 2, 5, 15, 30)  # between attempts to make a decision a result; the last again and again


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one decision: ``stored``, ``conflict`` or ``error``; with the image as it is now, if it is known."""

    inference_id: str
    status: str
    message: str = ""
    item: Item | None = None


class Session:
    """What the page does, without the page."""

    def __init__(self, s3: S3Client, bucket: str, reviewer: str) -> None:
        self._s3, self.bucket, self.reviewer = s3, bucket, reviewer
        self.listing, self.thumbnails = Listing(s3, bucket), Thumbnails(s3, bucket)
        self.similar = Similar(self.thumbnails)
        self.claims, self._decisions = Claims(s3, bucket, reviewer), Decisions(s3, bucket, reviewer)
        self._pool = ThreadPoolExecutor(WORKERS, "decide")
        self._applying = ThreadPoolExecutor(WORKERS, "apply")
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.waiting, self.trouble = 0, ""
        self._times: deque[float] = deque(maxlen=1000)

    def start(self) -> None:
        """Begin to read results, and complete what a killed process left."""
        self.thumbnails.start()
        for work in (self._load, self.complete):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    def _load(self) -> None:
        try:
            self.listing.load(self._stopping.is_set)
        except Exception as error:
            self.trouble = f"Not all results could be read: {error}"

    def complete(self) -> int:
        """Make decisions results that a killed process left; return how many images there were."""
        count = 0
        try:
            for path in self.claims.left_over():
                if not self._decisions.is_applied(path):
                    self._decisions.apply(path)
                    count += 1
        except Exception as error:
            self.trouble = f"Decisions of an earlier session could not be completed: {error}"
        return count

    def decide(self, wanted: list[Wanted]) -> list[Made]:
        """Store decisions; results follow in the background."""
        self.claims.hold([keys.path_of(one.key) for one in wanted], busy=True)
        return list(self._pool.map(self._decide, wanted))

    def _decide(self, wanted: Wanted) -> Made:
        path = keys.path_of(wanted.key)
        try:
            review = self._decisions.decide(wanted)
        except Conflict as conflict:
            self.claims.release(path)
            return Made(wanted.inference_id, "conflict", str(conflict), self._again(wanted, conflict))
        except ReviewError as error:
            self.claims.release(path)
            return Made(wanted.inference_id, "error", str(error))
        except Exception as error:
            # Whether it is stored is not known: the page sends it again, with the same id.
            self.claims.release(path)
            return Made(wanted.inference_id, "retry", f"{type(error).__name__}: {error}")
        with self._lock:
            self.waiting += 1
            self._times.append(time.monotonic())
        self._applying.submit(self._apply, path)
        return Made(wanted.inference_id, "stored", item=self.listing.decided(review))

    def _again(self, wanted: Wanted, conflict: Conflict) -> Item | None:
        """The image as it is now, for the page and the listing."""
        if conflict.review is not None:
            return self.listing.decided(conflict.review)
        self.listing.remove(wanted.inference_id)
        for location in keys.result_keys(keys.path_of(wanted.key)).values():
            found = get_result(self._s3, self.bucket, location)
            if found is not None:
                self.listing.add(found.document)
                return self.listing.find(str(found.document.get("inference_id")))
        return None

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

    def details(self, item: Item) -> dict[str, Any]:
        """The result document of an image as it is now, and its decisions."""
        review = self._decisions.read(item.path)
        same = review if review and review.inference_id == item.inference_id else None
        locations = keys.result_keys(item.path)
        for outcome in (item.outcome, *(name for name in keys.OUTCOMES if name != item.outcome)):
            found = get_result(self._s3, self.bucket, locations[outcome])
            if found is not None:
                break
        return {
            "result": found.document if found else None,
            "decisions": [
                {"by": one.by, "at": one.at, "action": one.action, "label": one.label}
                for one in (same.decisions if same else ())
            ],
            "in_force": standing.id if same and (standing := in_force(same)) else None,
        }

    def stop(self, seconds: float = 30) -> None:
        """Wait until decisions are results, at most so long, and end; what is left is completed by the next session."""
        deadline = time.monotonic() + seconds
        while self.waiting and time.monotonic() < deadline:
            time.sleep(0.05)
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
