"""Decisions from a file of labels: each is made as on the page, but where somebody decided otherwise, theirs stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from dropsort.client import results
from dropsort.contract import keys
from dropsort.review.claims import Claims
from dropsort.review.decisions import DecisionRequest, Decisions
from dropsort.review.errors import ReviewError
from dropsort.review.labels import ImportedLabel

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DECIDED, UNCHANGED, CONFLICT, MISSING = "decided", "unchanged", "conflict", "missing"
STATES = (DECIDED, UNCHANGED, CONFLICT, MISSING)
BATCH = 200  # images that are claimed at a time


def take_over(
    s3: S3Client,
    bucket: str,
    reviewer: str,
    given: Iterable[ImportedLabel],
    note: Callable[[str], None] = lambda _: None,
) -> Counter[str]:
    """Decide what a file says, and record it.

    Parameters
    ----------
    note
        Called with a sentence for each label that is not taken over, and for each earlier decision that is still not a result.

    Returns
    -------
    Counter
        How many are ``decided``, ``unchanged`` (decided so already), ``conflict`` (somebody decided otherwise, or the image was uploaded
        again since it was exported) and ``missing``.
    """
    claims, decisions = Claims(s3, bucket, reviewer), Decisions(s3, bucket, reviewer)
    found: Counter[str] = Counter()

    def one(item: ImportedLabel) -> tuple[str, str]:
        path = keys.path_of(item.key)
        try:
            return _decide(s3, bucket, decisions, item)
        finally:
            claims.release(path)

    # Before what has expired leaves the claims with the next that are written.
    decisions.complete(claims.left_over(), note)
    waiting = list(given)
    for start in range(0, len(waiting), BATCH):
        batch = waiting[start : start + BATCH]
        claims.hold([keys.path_of(item.key) for item in batch], busy=True)
        for item, (status, sentence) in zip(batch, results.ahead(one, batch), strict=True):
            found[status] += 1
            if sentence:
                note(f"{item.key}: {sentence}")
    return found


def _decide(s3: S3Client, bucket: str, decisions: Decisions, item: ImportedLabel) -> tuple[str, str]:
    path = keys.path_of(item.key)
    current = results.find(s3, bucket, path)
    if current is None:
        return MISSING, "there is no such image, or it has no result that can be read."
    inference_id = str(current.document.get("inference_id"))
    if item.inference_id not in (None, inference_id):
        return CONFLICT, "it was uploaded again since it was exported."
    review = current.document.get("review") or {}
    if (review.get("action"), current.label) == (item.action, item.label):
        return UNCHANGED, ""
    wanted = DecisionRequest(
        item.decision_id(inference_id), item.action, item.label, item.key, inference_id, None
    )
    try:
        decisions.store(wanted)
        decisions.apply(path)
    except ReviewError as error:
        return CONFLICT, str(error)
    return DECIDED, ""
