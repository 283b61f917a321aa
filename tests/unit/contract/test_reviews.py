"""A review document: decisions are appended, the last one that is not undone is in force, and anything else is not a review."""

from __future__ import annotations

import contextlib
import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropsort.contract import keys, reviews
from dropsort.contract.reviews import Review, ReviewedResult
from monitoring.quality.ground_truth import truth_of

KEY = "incoming/cam1/a.png"
ID = keys.inference_id("pictures", KEY, "v1")
PREDICTION: dict[str, Any] = {
    "schema": keys.RESULT_SCHEMA,
    "outcome": "low-confidence",
    "source": {
        "bucket": "pictures",
        "key": KEY,
        "version_id": "v1",
        "etag": "e",
        "size": 5,
        "sequencer": "1f",
    },
    "label": "bicycle",
    "confidence": 0.6,
    "probabilities": {"bicycle": 0.6, "motorcycle": 0.4},
    "familiarity": 0.5,
    "threshold": 0.9,
    "familiarity_threshold": 0.01,
    "reason": {"code": "below_threshold", "message": "0.6 < 0.9.", "retryable": False},
    "model": {"endpoint": "bikes", "variant": "main", "version": "bikes-1.0.0"},
    "image": {"format": "PNG", "width": 32, "height": 32},
    "review": None,
    "inference_id": ID,
    "times": {"uploaded": "2026-11-21T09:00:00Z", "recorded": "2026-11-21T09:00:01.000Z"},
    "execution": None,
    "trace": None,
}
ORDER = {"sequencer": "1f", "version-id": "v1", "recorded": "2026-11-21T09:00:01.000Z"}
AT = "2026-11-26T10:00:00.000Z"
VALIDATOR = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parents[3] / "docs" / "reference" / "result.schema.json").read_text())
)


def decided(*actions: tuple[str, str | None]) -> Review:
    """A review with these decisions, one after another."""
    review = reviews.begin(PREDICTION, ORDER)
    for number, (action, label) in enumerate(actions):
        review = reviews.append_decision(
            review, id=f"id-{number}", by="Ada", at=AT, action=action, label=label
        )  # type: ignore[arg-type]
    return review


def test_a_decision_says_what_it_changed() -> None:
    (decision,) = decided(("label", "motorcycle")).decisions
    assert decision.was == ReviewedResult("low-confidence", "bicycle", 0.6, "below_threshold", "bikes-1.0.0")
    assert decision.became == ReviewedResult("classified", "motorcycle", 0.4, None, "bikes-1.0.0")
    # AND the next one changes what that one made of it
    (_, second) = decided(("label", "motorcycle"), ("none", None)).decisions
    assert (second.was, second.became.reason) == (decision.became, "no_label_fits")


@pytest.mark.parametrize(
    ("actions", "action", "label"),
    [
        ([], None, None),
        ([("label", "a")], "label", "a"),
        ([("label", "a"), ("undo", None)], None, None),
        ([("label", "a"), ("none", None), ("undo", None)], "label", "a"),
        ([("label", "a"), ("none", None), ("undo", None), ("undo", None)], None, None),
        ([("label", "a"), ("undo", None), ("unusable", None)], "unusable", None),
    ],
)
def test_the_last_decision_that_is_not_undone_is_in_force(
    actions: list[tuple[str, str | None]], action: str | None, label: str | None
) -> None:
    review = decided(*actions)
    standing = reviews.in_force(review)
    assert (standing.action if standing else None, standing.label if standing else None) == (action, label)
    result = reviews.result_of(review)
    VALIDATOR.validate(result)
    assert (result == PREDICTION) is (standing is None)
    # AND the undo itself says what it restored
    if actions and actions[-1][0] == "undo":
        assert review.decisions[-1].became == (standing.became if standing else reviews.state_of(PREDICTION))


@pytest.mark.parametrize("action", ["label", "none", "unusable"])
@pytest.mark.parametrize("code", ["below_threshold", "not_an_image", None])
def test_a_reviewed_result_is_one_of_the_schema(action: str, code: str | None) -> None:
    # GIVEN results of all outcomes
    prediction = copy.deepcopy(PREDICTION)
    if code is None:
        prediction |= {"outcome": "classified", "reason": None}
    if code == "not_an_image":
        prediction |= dict.fromkeys(
            ["label", "confidence", "probabilities", "threshold", "familiarity_threshold", "model", "image"]
        )
        prediction |= {"outcome": "failed", "reason": {"code": code, "message": "No.", "retryable": False}}
    VALIDATOR.validate(prediction)
    review = reviews.begin(prediction, ORDER)
    review = reviews.append_decision(
        review, id="1", by="Ada", at=AT, action=action, label="cat" if action == "label" else None
    )  # type: ignore[arg-type]
    result = reviews.result_of(review)
    VALIDATOR.validate(result)
    assert (
        result["outcome"] == {"label": "classified", "none": "low-confidence", "unusable": "failed"}[action]
    )
    assert (result["review"]["by"], result["review"]["was"]["outcome"]) == ("Ada", prediction["outcome"])


def test_a_decision_overturns_the_label_that_was_predicted() -> None:
    assert not reviews.overturns(decided())
    assert reviews.overturns(decided(("label", "motorcycle")))
    assert reviews.overturns(decided(("none", None)))
    assert not reviews.overturns(decided(("label", "bicycle")))
    assert not reviews.overturns(decided(("label", "motorcycle"), ("undo", None)))
    # AND nothing where no label was predicted
    unlabelled = reviews.begin({**PREDICTION, "label": None}, ORDER)
    named = reviews.append_decision(unlabelled, id="1", by="Ada", at=AT, action="label", label="bicycle")
    assert not reviews.overturns(named)


def test_a_decision_that_is_sent_twice_is_in_the_review_once() -> None:
    review = decided(("label", "a"))
    with pytest.raises(reviews.DuplicateDecision):
        reviews.append_decision(review, id="id-0", by="Ada", at=AT, action="label", label="a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"action": "delete"}, "action is 'delete'"),
        ({"action": "undo"}, "nothing to undo"),
        ({"label": None}, "label is none"),
        ({"label": "a\nb"}, "label is none"),
        ({"label": " a"}, "label is none"),
        ({"label": "a" * 257}, "label is none"),
        ({"by": ""}, "by is not a name"),
        ({"by": "\x1b[31m"}, "by is not a name"),
        ({"at": "yesterday"}, "at is not a moment"),
        ({"id": "../x"}, "id is none"),
    ],
)
def test_what_is_no_decision_is_rejected(change: dict[str, Any], message: str) -> None:
    given = {"id": "1", "by": "Ada", "at": AT, "action": "label", "label": "a"} | change
    with pytest.raises(ValueError, match=message):
        reviews.append_decision(reviews.begin(PREDICTION, ORDER), **given)


def test_a_review_has_a_bound() -> None:
    (one,) = decided(("label", "a")).decisions
    many = tuple(replace(one, id=str(n)) for n in range(reviews.MAX_DECISIONS))
    with pytest.raises(ValueError, match="1000 decisions already"):
        reviews.append_decision(replace(decided(), decisions=many), id="x", by="Ada", at=AT, action="none")


def test_a_review_of_two_megabytes_is_read_and_no_longer_one() -> None:
    review = decided(("none", None))
    body = json.dumps(reviews.encode(review)).encode().ljust(2 * 1024 * 1024)
    assert reviews.parse(body) == review
    with pytest.raises(ValueError, match="longer than"):
        reviews.parse(body + b" ")


def test_a_review_is_read_as_it_was_written() -> None:
    review = decided(("label", "オートバイ"), ("undo", None), ("unusable", None))
    assert reviews.parse(json.dumps(reviews.encode(review)).encode(), KEY) == review


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["schema"], "dropsort/review/2", "schema is"),
        (["source"], None, "source is not an object"),
        (["source", "key"], "incoming/b.png", "source.key is 'incoming/b.png'"),
        (["source", "bucket"], 5, "source.bucket or source.key"),
        (["source", "etag"], 5, "source.etag is not text"),
        (["inference_id"], "short", "inference_id is not a SHA-256"),
        (["inference_id"], "0" * 64, "prediction is of another upload"),
        (["prediction"], None, "not a JSON object"),
        (["prediction", "source", "key"], "incoming/b.png", "source.key is"),
        (["order"], {"sequencer": 5}, "order is not an object of texts"),
        (["decisions"], {}, "decisions is not a list"),
        (["decisions", 0], "label", "a decision is not an object"),
        (["decisions", 0, "id"], 5, "id is none"),
        (["decisions", 0, "action"], "x", "action is 'x'"),
        (["decisions", 0, "action"], ["label"], "action is"),
        (["decisions", 0, "label"], None, "label is none"),
        (["decisions", 0, "was"], None, "was is not an object"),
        (["decisions", 0, "was", "outcome"], "lost", "was.outcome is 'lost'"),
        (["decisions", 0, "became", "confidence"], "0.5", "became.confidence is not a number"),
        (["decisions", 1, "id"], "id-0", "two decisions have one id"),
        (["decisions", 1, "label"], "a", "label of the action none is not null"),
    ],
)
def test_what_is_no_review_is_named(path: list[Any], value: Any, message: str) -> None:
    document = json.loads(json.dumps(reviews.encode(decided(("label", "a"), ("none", None)))))
    place = document
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=message):
        reviews.parse(json.dumps(document).encode(), KEY)


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["schema", "source", "decisions", "order"]), inner, max_size=4)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_nothing_makes_the_reader_fail_otherwise(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        reviews.parse(body)


@pytest.mark.parametrize("label", ["bicycle", "オートバイ", '"quoted"', "null", "a,b", "[1]", "[x"])
def test_ground_truth_is_read_by_monitoring(label: str) -> None:
    line = json.loads(reviews.ground_truth_line(ID, label))
    assert truth_of(line, ["bicycle"]) == label
    assert line["eventMetadata"]["eventId"] == ID


def test_keys_fit_for_the_longest_path() -> None:
    assert reviews.key("cam1/a.png") == "reviews/cam1/a.png.json"
    longest = "x" * (keys.MAX_KEY_BYTES - len(keys.INCOMING))
    assert len(reviews.key(longest).encode()) <= keys.MAX_KEY_BYTES
    assert reviews.ground_truth_key(ID) == f"ground-truth/reviews/{ID}.jsonl"
