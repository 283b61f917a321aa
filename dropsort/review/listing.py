"""The images to review: what their results say, in bins, filtered and in an order; read in the background, shown from the first on."""

from __future__ import annotations

import random
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from dropsort.client import results
from dropsort.contract import keys
from dropsort.contract.reviews import ACTIONS, LABEL, Review, in_force, result_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WORKERS = 12
FIRST = (keys.LOW_CONFIDENCE, keys.FAILED, keys.CLASSIFIED)  # the order in which outcomes are read
REVIEWED = "reviewed"
VIEWS = 16  # views that are remembered
LABELS = 100  # that the page offers


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image with a result, as far as the page lists it.

    ``decision`` is the id of the decision in force and ``action`` what it was, None for a prediction.
    """

    key: str
    inference_id: str
    version_id: str | None
    etag: str | None
    outcome: str
    label: str | None
    confidence: float | None
    familiarity: float | None
    reason: str | None
    uploaded: str
    decision: str | None
    action: str | None
    by: str | None

    @property
    def path(self) -> str:
        """The path below ``incoming/``."""
        return keys.path_of(self.key)


class GroupPosition(NamedTuple):
    """The key of an image in a view, where its group begins and how many images that has."""

    key: str
    begin: int
    size: int


Groups = Callable[[list[ListedImage]], Iterable[list[ListedImage]]]


def one_by_one(items: list[ListedImage]) -> Iterable[list[ListedImage]]:
    """Each image in a group of its own."""
    return ([item] for item in items)


def item_of(document: Mapping[str, Any]) -> ListedImage:
    """What the page lists of a result; ValueError if it has no inference id."""
    source, review = document["source"], document.get("review")
    if not isinstance(document.get("inference_id"), str):
        raise ValueError("it has no inference id")
    review = review if isinstance(review, dict) and review.get("action") in ACTIONS else {}
    familiarity = document.get("familiarity")
    return ListedImage(
        source["key"],
        document["inference_id"],
        source.get("version_id"),
        source.get("etag"),
        document["outcome"],
        document.get("label"),
        document.get("confidence"),
        familiarity if isinstance(familiarity, int | float) else None,
        (document.get("reason") or {}).get("code"),
        str(document["times"].get("uploaded") or document["times"]["recorded"]),
        str(review["id"]) if review.get("id") else None,
        review.get("action"),
        str(review.get("by")) if review else None,
    )


def bin_of(item: ListedImage) -> tuple[str, str, str]:
    """The bin of an image: outcome or ``reviewed``; ``label`` or ``reason``; and which."""
    group = REVIEWED if item.decision else item.outcome
    by_label = item.outcome == keys.CLASSIFIED
    return group, "label" if by_label else "reason", (item.label if by_label else item.reason) or ""


def in_bin(item: ListedImage, group: str, kind: str = "", value: str = "") -> bool:
    """Whether an image is in a bin, or in the whole group."""
    found = bin_of(item)
    return found[0] == group and (not kind or found[1:] == (kind, value))


def ordered(items: Iterable[ListedImage], order: str, seed: int = 0) -> list[ListedImage]:
    """Images in one of `dropsort.review.ORDERS`; those without a confidence or familiarity come last.

    Parameters
    ----------
    seed
        Of the random order. That of the audit has none: inference ids are digests, so the first ones in their order are a random
        sample (:mod:`monitoring.quality.audit`), the same for every reviewer and each time.
    """
    by_key = sorted(items, key=lambda item: item.key)
    if order == "uncertain":
        return sorted(by_key, key=lambda item: 2.0 if item.confidence is None else item.confidence)
    if order == "unfamiliar":
        return sorted(by_key, key=lambda item: 2.0 if item.familiarity is None else item.familiarity)
    if order in ("newest", "similar"):  # the latter is grouped afterwards
        return sorted(by_key, key=lambda item: item.uploaded, reverse=True)
    if order == "random":
        random.Random(seed).shuffle(by_key)
        return by_key
    if order == "audit":
        return sorted(by_key, key=lambda item: item.inference_id)
    raise ValueError(f"order is {order!r:.50}")


class ImageListing:
    """All images of a bucket that have a result, by their keys; several threads use it."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket
        self._lock = threading.Lock()
        self._items: dict[str, ListedImage] = {}
        self._keys: dict[str, str] = {}  # by inference id
        self._views: OrderedDict[int, list[GroupPosition]] = OrderedDict()
        self._labels: Counter[str] = Counter()
        self._next_view = 1
        self.loading, self.problems = True, list[str]()

    def load(
        self, stopped: Callable[[], bool] = lambda: False, wait: Callable[[], object] = lambda: None
    ) -> None:
        """Read all results; what is not a result is left out and counted in ``problems``, of which a hundred are remembered.

        Parameters
        ----------
        stopped
            Whether to end before all are read.
        wait
            Called before each one is read.
        """
        try:
            found = results.iterate(
                self._s3,
                self._bucket,
                outcomes=FIRST,
                workers=WORKERS,
                unreadable=self._problem,
                wait=wait,
            )
            for result in found:
                if stopped():
                    return
                self.add(result.document)
        finally:
            self.loading = False

    def _problem(self, sentence: str) -> None:
        if len(self.problems) < 100:
            self.problems.append(sentence)

    def add(self, document: Mapping[str, Any]) -> None:
        """Add a result, or replace the one of the same key."""
        try:
            item = item_of(document)
        except ValueError as error:
            self._problem(f"{document['source']['key']}: {error}")
            return
        labels = document.get("probabilities")
        with self._lock:
            for name in labels if isinstance(labels, dict) else ():
                self._labels[name] += 1
            if item.action == LABEL and item.label and item.label not in self._labels:
                self._labels[item.label] += 1
            before = self._items.get(item.key)
            if before and before.inference_id != item.inference_id:
                self._keys.pop(before.inference_id, None)
            self._items[item.key] = item
            self._keys[item.inference_id] = item.key

    def decided(self, review: Review) -> ListedImage | None:
        """Take over a decision about an image that is listed."""
        with self._lock:
            known = self._keys.get(review.inference_id)
        if known is None:
            return None
        self.add(result_of(review))
        standing = in_force(review)
        if standing is None:
            with self._lock:
                self._items[known] = replace(self._items[known], decision=None, action=None, by=None)
        return self._items[known]

    def remove(self, inference_id: str) -> None:
        """An image is gone."""
        with self._lock:
            key = self._keys.pop(inference_id, None)
            if key is not None:
                del self._items[key]

    def find(self, inference_id: str) -> ListedImage | None:
        """The image of an upload."""
        with self._lock:
            key = self._keys.get(inference_id)
            return self._items.get(key) if key is not None else None

    def labels(self) -> list[str]:
        """The most frequent labels of those that models know and reviewers gave, at most `LABELS`, the most frequent first."""
        with self._lock:
            return [name for name, _ in self._labels.most_common(LABELS)]

    def bins(self) -> list[tuple[str, str, str, int]]:
        """Group, kind, value and number of images of every bin that has some."""
        with self._lock:
            counts = Counter(map(bin_of, self._items.values()))
        return [(*found, count) for found, count in sorted(counts.items())]

    def view(
        self, group: str, kind: str, value: str, order: str, seed: int = 0, groups: Groups = one_by_one
    ) -> tuple[int, int]:
        """Make a view: the images of a bin in an order, which stays as it is; return its number and its length.

        Parameters
        ----------
        groups
            Makes groups of images of the ordered ones; they stand one after another.
        """
        with self._lock:
            items = [item for item in self._items.values() if in_bin(item, group, kind, value)]
        found: list[GroupPosition] = []
        for together in groups(ordered(items, order, seed)):
            begin = len(found)
            found += [GroupPosition(item.key, begin, len(together)) for item in together]
        with self._lock:
            number = self._next_view
            self._next_view += 1
            self._views[number] = found
            while len(self._views) > VIEWS:
                self._views.popitem(last=False)
        return number, len(found)

    def page(
        self, view: int, offset: int, limit: int
    ) -> list[tuple[ListedImage | None, GroupPosition]] | None:
        """Images of a view and their places, None for an image that is gone; None if the view is not remembered."""
        with self._lock:
            found = self._views.get(view)
            if found is None:
                return None
            self._views.move_to_end(view)
            return [(self._items.get(one.key), one) for one in found[offset : offset + limit]]

    def index(self, view: int, inference_id: str) -> int | None:
        """Where an image stands in a view; None if it does not."""
        with self._lock:
            key = self._keys.get(inference_id)
            return next((at for at, one in enumerate(self._views.get(view, ())) if one.key == key), None)
