"""Near-duplicates and repeated scenes among images: one decision for a thousand images of the same scene.

Images are compared by a perceptual hash of their thumbnails. The first image of a group is its leader, and every other one is within
`DISTANCE` of it, so that a chain of small differences joins no images that differ.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np

from dropsort.review.listing import ListedImage
from dropsort.review.thumbnails import FAILED, Thumbnails

DISTANCE = 5  # of 64 bits
ATTEMPTS = 3  # to make the thumbnail of an image, one each time that groups are made
MOST_HASHES = 500_000  # that are remembered


def grouped(items: Sequence[ListedImage], hashes: Sequence[int | None]) -> list[list[ListedImage]]:
    """Groups of near-duplicates, the largest first, then single images; within both in the order of `items`.

    Parameters
    ----------
    hashes
        64 bits for each image; None for one that has none yet, or cannot be read: it is in no group.
    """
    leaders = np.zeros(len(items), np.uint64)
    groups: list[list[ListedImage]] = []
    single: list[list[ListedImage]] = []
    for item, found in zip(items, hashes, strict=True):
        if found is None:
            single.append([item])
            continue
        bits = np.uint64(found)
        near = np.bitwise_count(leaders[: len(groups)] ^ bits) <= DISTANCE
        if near.any():
            groups[int(near.argmax())].append(item)
        else:
            leaders[len(groups)] = bits
            groups.append([item])
    return sorted([*groups, *single], key=len, reverse=True)


class SimilarImages:
    """Hashes of images, made one after another in the background."""

    def __init__(self, thumbnails: Thumbnails) -> None:
        self._thumbnails = thumbnails
        self._lock = threading.Condition()
        self._hashes: OrderedDict[str, int | None] = OrderedDict()
        self._failures: Counter[str] = Counter()
        self._waiting: OrderedDict[str, ListedImage] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def pending(self) -> int:
        """Images that have no hash yet."""
        return len(self._waiting)

    def groups(self, items: Iterable[ListedImage]) -> list[list[ListedImage]]:
        """The groups as far as hashes are known; the others are made from now on, in this order."""
        found = list(items)
        with self._lock:
            hashes = [self._hashes.get(item.inference_id) for item in found]
            self._waiting = OrderedDict(
                (item.inference_id, item) for item in found if item.inference_id not in self._hashes
            )
            if self._waiting and self._thread is None:
                self._thread = threading.Thread(target=self._work, name="similar", daemon=True)
                self._thread.start()
            self._lock.notify()
        return grouped(found, hashes)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._stopped:
                    self._lock.wait()
                if self._stopped:
                    return
                name, item = next(iter(self._waiting.items()))
            shown = None
            with contextlib.suppress(Exception):  # S3 failed
                shown = self._thumbnails.get(item, "thumbnail")
            with self._lock:
                self._waiting.pop(name, None)
                failed = shown is None or shown.reason == FAILED  # which may be due to another image
                if failed:
                    self._failures[name] += 1
                if not failed or self._failures[name] >= ATTEMPTS:
                    self._hashes[name] = shown.hash if shown else None
                while len(self._hashes) > MOST_HASHES:
                    self._hashes.popitem(last=False)

    def stop(self) -> None:
        """End the thread."""
        with self._lock:
            self._stopped = True
            self._lock.notify()
