"""Reviews: what people decided of an image, as one JSON object per image that decisions are appended to.

Its key is derived from the upload's path as that of a result is, below ``reviews/``. It is written under a condition only
(:mod:`dropsort.contract.s3_documents`), so no decision replaces another one. Decisions are numbered by their position, from 1. Everything
here is pure: bytes, documents and keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from dropsort.contract import keys
from dropsort.contract import result as results
from dropsort.contract.predictions import is_name
from dropsort.contract.reasons import REASONS
from dropsort.contract.result import expect, is_moment, is_number, is_text

SCHEMA = "dropsort/review/1"
PREFIX = "reviews/"
TRUTH_PREFIX = "ground-truth/"  # that monitoring reads ground truth from
GROUND_TRUTH = f"{TRUTH_PREFIX}reviews/"
CLAIMS = "reviews-claims/"

Action = Literal["label", "none", "unusable", "undo"]
ACTIONS: tuple[Action, ...] = get_args(Action)
LABEL, NONE, UNUSABLE, UNDO = ACTIONS
OUTCOME = {LABEL: keys.CLASSIFIED, NONE: keys.LOW_CONFIDENCE, UNUSABLE: keys.FAILED}  # of a reviewed result
REASON = {NONE: "no_label_fits", UNUSABLE: "unusable_image"}  # keys of reasons.REASONS

MAX_LABEL = 256  # characters
MAX_NAME = 128  # characters of a reviewer's name
MAX_DECISIONS = 1000
MAX_BYTES = 2 * results.MAX_BYTES  # of a review
_ID = re.compile(r"[0-9a-zA-Z-]{1,64}")


class DuplicateDecision(Exception):
    """A decision with this id is in the document already: it was sent twice."""


@dataclass(frozen=True, slots=True)
class ReviewedResult:
    """What a result says of an image: before a decision, or after it.

    ``reason`` is a reason code, ``model`` the version of the model that predicted.
    """

    outcome: str
    label: str | None
    confidence: float | None = None
    reason: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class ReviewDecision:
    """One decision: an id made by whoever sends it, by whom and when, and what it changes.

    ``label`` is the label of the action ``label`` and None otherwise. ``at`` is ISO 8601 in UTC.
    """

    id: str
    by: str
    at: str
    action: Action
    label: str | None
    was: ReviewedResult
    became: ReviewedResult


@dataclass(frozen=True, slots=True)
class ReviewedUpload:
    """The upload that is reviewed, exactly: its version, or its ETag in a bucket without versions."""

    bucket: str
    key: str
    version_id: str | None
    etag: str | None


@dataclass(frozen=True, slots=True)
class Review:
    """All decisions about one upload, oldest first.

    ``prediction`` is the result document that the workflow recorded, which an undo of every decision restores; ``order`` is the metadata
    of its object, which orders results (:mod:`handlers.recording`).
    """

    source: ReviewedUpload
    inference_id: str
    prediction: Mapping[str, Any]
    order: Mapping[str, str]
    decisions: tuple[ReviewDecision, ...] = field(default=())


def key(path: str) -> str:
    """Key of the review of an upload, by its path below ``incoming/``."""
    return PREFIX + keys.result_path(path)


def ground_truth_key(inference_id: str) -> str:
    """Key of the ground truth of an upload."""
    return f"{GROUND_TRUTH}{inference_id}.jsonl"


def ground_truth_line(inference_id: str, label: str) -> bytes:
    """The line that monitoring reads: the label as JSON text."""
    document = {
        "groundTruthData": {"data": json.dumps(label), "encoding": "JSON"},
        "eventMetadata": {"eventId": inference_id},
        "eventVersion": "0",
    }
    return json.dumps(document).encode() + b"\n"


def begin(prediction: Mapping[str, Any], order: Mapping[str, str]) -> Review:
    """A review without decisions, of an upload with this result.

    Parameters
    ----------
    prediction
        The result document of the workflow.
    order
        Metadata of the result's object.
    """
    of = prediction["source"]
    source = ReviewedUpload(of["bucket"], of["key"], of.get("version_id"), of.get("etag"))
    return Review(source, prediction["inference_id"], prediction, order)


def state_of(result: Mapping[str, Any]) -> ReviewedResult:
    """What a result document says."""
    reason, model = result.get("reason") or {}, result.get("model") or {}
    return ReviewedResult(
        result["outcome"],
        result.get("label"),
        result.get("confidence"),
        reason.get("code"),
        model.get("version"),
    )


def in_force(review: Review) -> ReviewDecision | None:
    """The last decision that is not undone; None if there is none."""
    standing: list[ReviewDecision] = []
    for decision in review.decisions:
        if decision.action != UNDO:
            standing.append(decision)
        elif standing:
            standing.pop()
    return standing[-1] if standing else None


def current(review: Review) -> ReviewedResult:
    """What the result says with the decision in force, or without any."""
    decision = in_force(review)
    return decision.became if decision else state_of(review.prediction)


def overturns(review: Review) -> bool:
    """Whether the decision in force replaces the label that the model predicted, by another one or by none."""
    predicted = review.prediction.get("label")
    return predicted is not None and current(review).label != predicted


def append_decision(
    review: Review, *, id: str, by: str, at: str, action: Action, label: str | None = None
) -> Review:
    """The review with one more decision.

    Parameters
    ----------
    id
        Made once for each decision by whoever sends it, so that one that is sent again is not counted again.
    at
        ISO 8601 with an offset from UTC.

    Raises
    ------
    Unchanged
        The decision is in the review already.
    ValueError
        It is not a decision: an unknown action, a label that is none, nothing to undo, or too many decisions.
    """
    if any(decision.id == id for decision in review.decisions):
        raise DuplicateDecision(id)
    if len(review.decisions) >= MAX_DECISIONS:
        raise ValueError(f"it has {MAX_DECISIONS} decisions already")
    was = current(review)
    if action == UNDO:
        if in_force(review) is None:
            raise ValueError("there is nothing to undo")
        undone = replace(
            review,
            decisions=(*review.decisions, ReviewDecision(id, by, at, UNDO, None, was, was)),
        )
        became = current(undone)
    else:
        became = _became(review, action, label)
    decision = ReviewDecision(id, by, at, action, label if action == LABEL else None, was, became)
    _check(decision)
    return replace(review, decisions=(*review.decisions, decision))


def _became(review: Review, action: Action, label: str | None) -> ReviewedResult:
    if action not in OUTCOME:
        raise ValueError(f"action is {action!r:.100}")
    probabilities = review.prediction.get("probabilities") or {}
    model = state_of(review.prediction).model
    confidence = probabilities.get(label) if action == LABEL else None
    return ReviewedResult(
        OUTCOME[action], label if action == LABEL else None, confidence, REASON.get(action), model
    )


def result_of(review: Review) -> dict[str, Any]:
    """The result document with the decision in force; the prediction itself if there is none.

    What the model predicted stays in ``probabilities``, ``familiarity``, ``threshold`` and ``model``; ``confidence`` is the probability
    that it gave the reviewed label, None if it does not know it.
    """
    decision = in_force(review)
    if decision is None:
        return {**review.prediction, "review": review.prediction.get("review")}
    became, code = decision.became, decision.became.reason
    reason = {"code": code, "message": REASONS[code].sentence, "retryable": False} if code else None
    failed = became.outcome == keys.FAILED
    return {
        **review.prediction,
        "outcome": became.outcome,
        "label": became.label,
        "confidence": became.confidence,
        "threshold": None if failed else review.prediction.get("threshold"),
        "familiarity_threshold": None if failed else review.prediction.get("familiarity_threshold"),
        "reason": reason,
        "review": {
            "id": decision.id,
            "by": decision.by,
            "at": decision.at,
            "action": decision.action,
            "was": asdict(decision.was),
        },
        "times": {**review.prediction["times"], "recorded": review.decisions[-1].at},
    }


def encode(review: Review) -> dict[str, Any]:
    """The document of the review's object."""
    return {"schema": SCHEMA, **asdict(review), "decisions": [asdict(one) for one in review.decisions]}


def parse(body: bytes, key: str | None = None) -> Review:
    """The review in an object.

    Parameters
    ----------
    body
        The object's bytes.
    key
        Key of the upload that is reviewed; None if any will do.

    Raises
    ------
    ValueError
        It is not a review: no JSON object, too long, of another upload, or a member has a wrong type.

    Examples
    --------
    >>> parse(b'{"schema": "dropsort/result/1"}')
    Traceback (most recent call last):
    ...
    ValueError: schema is 'dropsort/result/1'
    """
    document = results.load(body, MAX_BYTES)
    if document.get("schema") != SCHEMA:
        raise ValueError(f"schema is {document.get('schema')!r:.100}")
    source = _source(document.get("source"))
    expect(key is None or source.key == key, f"source.key is {source.key!r:.100}")
    inference_id = document.get("inference_id")
    if not isinstance(inference_id, str) or not re.fullmatch(r"[0-9a-f]{64}", inference_id):
        raise ValueError("inference_id is not a SHA-256")
    prediction = document.get("prediction")
    if not isinstance(prediction, dict):
        raise ValueError("prediction is not a JSON object")
    results.check(prediction, source.key)
    expect(prediction.get("inference_id") == inference_id, "prediction is of another upload")
    order = document.get("order")
    if not isinstance(order, dict) or not all(isinstance(value, str) for value in order.values()):
        raise ValueError("order is not an object of texts")
    found = document.get("decisions")
    if not isinstance(found, list) or len(found) > MAX_DECISIONS:
        raise ValueError(f"decisions is not a list of at most {MAX_DECISIONS}")
    decisions = tuple(map(_decision, found))
    expect(len({one.id for one in decisions}) == len(decisions), "two decisions have one id")
    return Review(source, inference_id, prediction, order, decisions)


def _source(value: Any) -> ReviewedUpload:
    if not isinstance(value, dict):
        raise ValueError("source is not an object")
    bucket, key = value.get("bucket"), value.get("key")
    if not isinstance(bucket, str) or not isinstance(key, str):
        raise ValueError("source.bucket or source.key is not text")
    for name in ("version_id", "etag"):
        expect(is_text(value.get(name)), f"source.{name} is not text")
    return ReviewedUpload(bucket, key, value.get("version_id"), value.get("etag"))


def _decision(value: Any) -> ReviewDecision:
    if not isinstance(value, dict):
        raise ValueError("a decision is not an object")
    decision = ReviewDecision(
        value.get("id", ""),
        value.get("by", ""),
        value.get("at", ""),
        value.get("action", ""),
        value.get("label"),
        _state(value.get("was"), "was"),
        _state(value.get("became"), "became"),
    )
    _check(decision)
    return decision


def _check(decision: ReviewDecision) -> None:
    expect(isinstance(decision.id, str) and bool(_ID.fullmatch(decision.id)), "a decision's id is none")
    expect(is_reviewer(decision.by), "a decision's by is not a name")
    expect(is_moment(decision.at), "a decision's at is not a moment with an offset from UTC")
    expect(decision.action in ACTIONS, f"action is {decision.action!r:.100}")
    if decision.action == LABEL:
        expect(is_label(decision.label), "label is none: it has 1 to 256 visible characters on one line")
    else:
        expect(decision.label is None, f"label of the action {decision.action} is not null")


def is_label(value: Any) -> bool:
    """Whether a reviewer may give it as a label."""
    return is_name(value) and len(value) <= MAX_LABEL and value == value.strip()


def is_reviewer(value: Any) -> bool:
    """Whether it can be the name of a reviewer."""
    return is_name(value) and len(value) <= MAX_NAME and value == value.strip()


def _state(value: Any, name: str) -> ReviewedResult:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")
    expect(value.get("outcome") in keys.OUTCOMES, f"{name}.outcome is {value.get('outcome')!r:.100}")
    for member in ("label", "reason", "model"):
        expect(is_text(value.get(member)), f"{name}.{member} is not text")
    confidence = value.get("confidence")
    expect(is_number(confidence), f"{name}.confidence is not a number")
    return ReviewedResult(
        value["outcome"], value.get("label"), confidence, value.get("reason"), value.get("model")
    )
