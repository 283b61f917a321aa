"""Which result a copied object takes its prediction over from: where that is, and the bounds of its numbers (moto's S3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dropsort.contract import keys
from dropsort.contract.result import MAX_BYTES
from handlers.renewal import renewed
from handlers.uploads import Upload
from tests.unit.handlers.conftest import BUCKET

KEY, MODEL = "incoming/a.png", "m-1"
UPLOAD = Upload(BUCKET, KEY, "v2", "e", 5, "1f", "2026-11-21T09:00:00Z")


def document(**members: Any) -> dict[str, Any]:
    return {
        "outcome": "classified", "source": {"key": KEY, "etag": "e"}, "label": "b", "probabilities": {"a": 0.1, "b": 0.9},
        "familiarity": 0.5, "model": {"endpoint": "bikes", "variant": "main", "version": MODEL, "more": 1}, "image": None,
        "inference_id": "i", "reason": None, "times": {"uploaded": None, "recorded": "2026-11-21T09:00:00Z"},
    } | members  # fmt: skip


def put(s3: Any, found: dict[str, Any], outcome: str = "classified", size: int = 0) -> None:
    location = keys.result_keys("a.png")[outcome]
    s3.put_object(
        Bucket=BUCKET, Key=location, Body=json.dumps(found | {"outcome": outcome}).encode().rjust(size)
    )


def test_everything_of_the_prediction_is_taken_over(s3: Any) -> None:
    put(s3, document())
    assert renewed(s3, UPLOAD, MODEL) == {
        "inferences": [0.1, 0.9], "labels": ["a", "b"], "familiarity": 0.5, "model": MODEL, "choice": 1,
        "endpoint": {"endpoint": "bikes", "variant": "main"}, "image": None, "renewed": "i",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("members", "taken"),
    [
        ({"probabilities": {"a": 0, "b": 1}}, True), ({"probabilities": {"a": 0.0, "b": 1.0}}, True),
        ({"probabilities": {"a": 0.0, "b": 1.0000001}}, False), ({"probabilities": {"a": -0.0000001, "b": 1.0}}, False),
        ({"familiarity": None}, True), ({"familiarity": 0}, True), ({"familiarity": 1}, True),
        ({"familiarity": 1.0000001}, False), ({"familiarity": -0.0000001}, False), ({"familiarity": True}, False),
        ({"source": {"key": KEY, "etag": "other"}}, False), ({"source": {"key": KEY}}, False),
        ({"model": {"version": "m-0"}}, False), ({"model": None}, False), ({"label": None}, False),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_prediction_of_this_content_and_model_is_not(
    s3: Any, members: dict[str, Any], taken: bool
) -> None:
    put(s3, document(**members))
    assert (renewed(s3, UPLOAD, MODEL) is not None) is taken


def test_a_result_of_low_confidence_is_read_after_one_that_does_not_fit(s3: Any) -> None:
    put(s3, document(inference_id="low"), "low-confidence")
    for other in (document(source={"key": KEY, "etag": "other"}), document(review={"by": "ada"})):
        put(s3, other)
        found = renewed(s3, UPLOAD, MODEL)
        assert found is not None
        assert found["renewed"] == "low"
    # AND a failure has no prediction to take over
    s3.delete_object(Bucket=BUCKET, Key="low-confidence/a.png.json")
    put(s3, document(), "failed")
    assert renewed(s3, UPLOAD, MODEL) is None


@pytest.mark.parametrize(("etag", "model"), [("e", ""), ("", MODEL), (None, MODEL)])
def test_without_an_etag_or_a_model_nothing_is_taken_over(s3: Any, etag: str | None, model: str) -> None:
    put(s3, document(source={"key": KEY, "etag": etag}, model={"version": model}))
    assert renewed(s3, Upload(BUCKET, KEY, "v2", etag), model) is None


@pytest.mark.parametrize(("size", "taken"), [(MAX_BYTES, True), (MAX_BYTES + 1, False)])
def test_a_result_has_a_longest_size(s3: Any, size: int, taken: bool) -> None:
    put(s3, document(), size=size)
    assert (renewed(s3, UPLOAD, MODEL) is not None) is taken
