"""Claims: the images that each reviewer works on, so that two do not review the same ones, and the list of what may be half done.

One object per reviewer, `reviews-claims/{digest of the name}.json`: a reviewer's name and, by path, until when an image is theirs. Every
image is claimed before it is decided and until its decision has become a result. So whoever starts finds what a killed process left, in
objects of a few paths instead of in a listing of all reviews. A claim reserves nothing: the conditional write of a decision is what counts.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dropsort.client import results
from dropsort.contract import keys, reviews, s3_documents
from dropsort.contract.result import is_moment
from dropsort.review.errors import ReviewError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEMA = "dropsort/claims/1"
DURATION = timedelta(minutes=10)
ATTEMPTS = 20  # lost races in a row


def key(reviewer: str) -> str:
    """Key of the claims of a reviewer."""
    return f"{reviews.CLAIMS}{keys.digest(reviewer)}.json"


def parse(body: bytes) -> tuple[str, dict[str, str]]:
    """The reviewer's name, and until when by path; what is not a claim is left out, as nothing depends on it but a hint.

    Examples
    --------
    >>> parse(b"[]")
    ('', {})
    """
    try:
        document = json.loads(body)
        reviewer, paths = document["reviewer"], document["paths"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "", {}
    if not reviews.is_reviewer(reviewer) or not isinstance(paths, dict):
        return "", {}
    return reviewer, {path: until for path, until in paths.items() if is_moment(until)}


class Claims:
    """The claims of one reviewer; several processes of the same reviewer share them."""

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        reviewer: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._s3, self._bucket, self._reviewer, self._clock = s3, bucket, reviewer, clock
        self._lock = threading.Lock()
        self._held: dict[str, str] = {}
        self._busy: dict[str, int] = {}  # decisions of this process that are not results yet
        self._done: set[str] = set()

    def hold(self, paths: Iterable[str], *, busy: bool = False) -> None:
        """Claim images; written only if one is not held or held for less than half the time.

        Parameters
        ----------
        busy
            They are about to be decided: they stay claimed until `release`.

        Raises
        ------
        ReviewError
            The claims cannot be written as others keep changing them.
        """
        wanted = list(paths)
        now = self._clock()
        with self._lock:
            soon = (now + DURATION / 2).isoformat()
            if not all(self._held.get(path, "") > soon for path in wanted):
                self._write(wanted, now)
            for path in wanted if busy else ():
                self._busy[path] = self._busy.get(path, 0) + 1

    def release(self, path: str) -> None:
        """The decisions about an image are results: its claim goes with the next that are written."""
        with self._lock:
            left = self._busy.get(path, 0) - 1
            if left > 0:
                self._busy[path] = left
            else:
                self._busy.pop(path, None)
                self._done.add(path)

    def _write(self, wanted: list[str], now: datetime) -> None:
        for _ in range(ATTEMPTS):
            body, etag = s3_documents.read(self._s3, self._bucket, key(self._reviewer))
            _, found = parse(body)
            done = self._done - set(self._busy)
            held = {
                path: until
                for path, until in (found | self._held).items()
                if path not in done and (path in self._busy or until > now.isoformat())
            }
            held |= dict.fromkeys(wanted, (now + DURATION).isoformat())
            document = {"schema": SCHEMA, "reviewer": self._reviewer, "paths": held}
            if s3_documents.replace(self._s3, self._bucket, key(self._reviewer), document, etag):
                self._held, self._done = held, set()
                return
        raise ReviewError(f"Claims of {self._reviewer} were changed {ATTEMPTS} times in a row; try again.")

    def others(self) -> dict[str, str]:
        """Who works on what now, by path, without this reviewer."""
        now = self._clock().isoformat()
        return {
            path: reviewer
            for reviewer, paths in self._all()
            if reviewer != self._reviewer
            for path, until in paths.items()
            if until > now
        }

    def left_over(self) -> list[str]:
        """Paths whose decisions may not be results yet: claims of this reviewer, and expired ones of others."""
        now = self._clock().isoformat()
        return [
            path
            for reviewer, paths in self._all()
            for path, until in paths.items()
            if reviewer == self._reviewer or until <= now
        ]

    def _all(self) -> list[tuple[str, dict[str, str]]]:
        names = results.listed(self._s3, self._bucket, reviews.CLAIMS)
        return [parse(s3_documents.read(self._s3, self._bucket, name)[0]) for name in names]
