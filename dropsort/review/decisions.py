"""Decisions: first the review document, which is what counts, then what follows from it: ground truth and the image's result.

`Decisions.store` returns once the decision is stored. `Decisions.apply` makes the rest of it true, and does so again without harm: it
reads the review, writes what the decision in force says, and is done when the review has not changed in the meantime. So of two who apply
decisions about one image at the same time, the last one to end has applied the last decision. What a killed process left is found by its
claims (:mod:`dropsort.review.claims`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError as AwsError

from dropsort.contract import keys, reviews, s3_documents
from dropsort.contract import result as documents
from dropsort.contract.reviews import Action, Review
from dropsort.contract.times import moment
from dropsort.review.errors import Conflict, ReviewError
from handlers import deletion, recording_requests, results
from handlers.recording import MAX_ROUNDS, Delete, Entry, Head, Operation, Response, record

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """A decision that a reviewer makes about an image as the page showed it.

    ``id`` is new for each decision. ``seen`` is the id of the decision that was in force when the reviewer saw the image, None for the
    model's prediction.
    """

    id: str
    action: Action
    label: str | None
    key: str
    inference_id: str
    seen: str | None


def now() -> str:
    """Now, ISO 8601 in UTC, to the millisecond."""
    return moment(datetime.now(UTC))


class Decisions:
    """Makes the decisions of one reviewer in one bucket."""

    def __init__(self, s3: S3Client, bucket: str, reviewer: str) -> None:
        self._s3, self._bucket, self._reviewer = s3, bucket, reviewer

    def store(self, wanted: DecisionRequest) -> Review:
        """Store a decision; return the review with it. One that is stored already, as it was sent twice, changes nothing.

        Raises
        ------
        Conflict
            The image is not as the reviewer saw it.
        ReviewError
            It is not a decision.
        """
        path = keys.path_of(wanted.key)
        for attempt in range(MAX_ROUNDS):
            # Most images have no review yet, which the write itself finds out: a request less until it is acknowledged.
            found, etag = (None, None) if wanted.seen is None and not attempt else self._read(path)
            review = found if found and found.inference_id == wanted.inference_id else None
            if review is None:
                review = self._begin(wanted, path)
            if any(one.id == wanted.id for one in review.decisions):
                return review
            decided = self._decided(review, wanted)
            source = decided.source
            order = {
                "version-id": source.version_id,
                "etag": source.etag,
                "inference-id": decided.inference_id,
            }
            metadata = {name: value for name, value in order.items() if value}
            document = reviews.encode(decided)
            if s3_documents.replace(self._s3, self._bucket, reviews.key(path), document, etag, metadata):
                return decided
        raise ReviewError(
            f"{wanted.key}: others changed its review {MAX_ROUNDS} times in a row; decide again."
        )

    def _decided(self, review: Review, wanted: DecisionRequest) -> Review:
        standing = reviews.in_force(review)
        # A review that somebody removed, with the decision that was seen, starts as a new one.
        if review.decisions and (standing.id if standing else None) != wanted.seen:
            last = review.decisions[-1]
            raise Conflict(f"{last.by} decided in the meantime: {_words(last)}.", review)
        try:
            return reviews.append_decision(
                review, id=wanted.id, by=self._reviewer, at=now(), action=wanted.action, label=wanted.label
            )
        except ValueError as error:
            raise ReviewError(f"{wanted.key}: {error}.") from error

    def _begin(self, wanted: DecisionRequest, path: str) -> Review:
        """A review without decisions of the result that the reviewer saw."""
        locations = keys.result_keys(path)
        for location in dict.fromkeys((locations[keys.LOW_CONFIDENCE], *locations.values())):
            found = self._result(location, wanted.key)
            if found and found[0].get("inference_id") == wanted.inference_id:
                document, metadata = found
                return reviews.begin(document, metadata if metadata.get("recorded") else _order(document))
        known, _ = self._read(path)
        if known and known.inference_id == wanted.inference_id:
            return known  # whose result is about to be written
        raise Conflict(f"{wanted.key} was uploaded again or deleted in the meantime.")

    def apply(self, path: str) -> Review | None:
        """Make result and ground truth of an image what its review says; return that, None if there is none.

        Raises
        ------
        ReviewError
            Others keep changing it.
        botocore.exceptions.ClientError, handlers.recording.Contended
            S3 failed, or others keep changing the result: apply it again.
        """
        for _ in range(MAX_ROUNDS):
            review, etag = self._read(path)
            if review is None:
                return None
            self._apply(path, review)
            if deletion.head(self._s3, self._bucket, review.source.key) is None:
                # Its deletion may have come before these results: what it found it removed, this removes the rest.
                deletion.delete_result(self._s3, self._bucket, review.source.key)
            if self._read(path)[1] == etag:
                return review
        raise ReviewError(f"{path}: others changed its review {MAX_ROUNDS} times in a row.")

    def _apply(self, path: str, review: Review) -> None:
        standing = reviews.in_force(review)
        truth = reviews.ground_truth_key(review.inference_id)
        if standing and standing.label is not None:
            line = reviews.ground_truth_line(review.inference_id, standing.label)
            self._s3.put_object(Bucket=self._bucket, Key=truth, Body=line, ContentType="application/jsonl")
        else:
            self._s3.delete_object(Bucket=self._bucket, Key=truth)
        document = reviews.result_of(review)
        entry = Entry.from_metadata(review.order, document["outcome"])
        if standing:
            entry = replace(entry, recorded=document["times"]["recorded"], review=_number(review))
            steps = record(entry, keys.result_keys(path))
        else:
            steps = _taken_back(entry, keys.result_keys(path))
        recording_requests.perform(self._s3, self._bucket, results.encode(document), steps)

    def is_applied(self, path: str) -> bool:
        """Whether the last decision about an image is its result: ground truth is written before."""
        review, _ = self._read(path)
        standing = reviews.in_force(review) if review else None
        if review is None or not review.decisions:
            return True
        if standing is None:
            return False  # applied again: without a mark of its own, a prediction does not say that it was restored
        location = keys.result_keys(path)[standing.became.outcome]
        head = deletion.head(self._s3, self._bucket, location)
        return head is not None and head["Metadata"].get("review") == _number(review)

    def complete(self, paths: Iterable[str], failed: Callable[[str], None]) -> None:
        """Make decisions results that a killed process left.

        Parameters
        ----------
        failed
            Called with a sentence for each image of which that fails; the others are completed all the same.
        """
        for path in paths:
            try:
                if not self.is_applied(path):
                    self.apply(path)
            except Exception as error:
                failed(str(error))

    def read(self, path: str) -> Review | None:
        """The review of an image, None if it has none."""
        return self._read(path)[0]

    def _read(self, path: str) -> tuple[Review | None, str | None]:
        location = reviews.key(path)
        body, etag = s3_documents.read(self._s3, self._bucket, location)
        if etag is None:
            return None, None
        try:
            return reviews.parse(body), etag
        except ValueError as error:
            raise ReviewError(
                f"s3://{self._bucket}/{location} is not a review of Dropsort ({error}): delete it, or restore an earlier version of it."
            ) from error

    def _result(self, location: str, key: str) -> tuple[dict[str, Any], dict[str, str]] | None:
        try:
            response = self._s3.get_object(Bucket=self._bucket, Key=location)
        except AwsError as error:
            if s3_documents.code(error) in s3_documents.MISSING:
                return None
            raise
        with response["Body"] as stream:
            try:
                return documents.parse(stream.read(), key), response["Metadata"]
            except ValueError:
                return None


def _taken_back(prediction: Entry, locations: Mapping[str, str]) -> Generator[Operation, Response, bool]:
    """Record a prediction again in the place of the reviewed result of the same upload, which would beat it: that goes first."""
    for outcome, location in locations.items():
        head = yield Head(location)
        if isinstance(head, tuple):
            found = prediction.found(head[1], outcome)
            if found.review and (found.version_id, found.etag) == (prediction.version_id, prediction.etag):
                yield Delete(location, if_match=head[0])
    return (yield from record(prediction, locations))


def _number(review: Review) -> str:
    """The number of the last decision: after those of a review that somebody removed while its result stayed."""
    before = review.order.get("review", "")
    return str((int(before) if before.isdecimal() else 0) + len(review.decisions))


def _order(document: Mapping[str, Any]) -> dict[str, str]:
    """Metadata that orders a result whose object has none, as of one that was copied there."""
    source = document["source"]
    order = {name.replace("_", "-"): source.get(name) for name in ("sequencer", "version_id", "etag")}
    order |= {"recorded": document["times"]["recorded"], "key-digest": keys.digest(source["key"])}
    return {name: value for name, value in order.items() if value}


def _words(decision: reviews.ReviewDecision) -> str:
    return {
        reviews.LABEL: str(decision.label),
        reviews.NONE: "none of the labels",
        reviews.UNUSABLE: "unusable",
        reviews.UNDO: "undone",
    }[decision.action]
