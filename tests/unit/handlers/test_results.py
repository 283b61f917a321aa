"""Result documents, held against the published schema."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dropsort.contract import formats, keys
from dropsort.contract.predictions import Prediction
from handlers import result_events, results
from handlers.decision import Decision, decide, failed
from handlers.rejections import REASONS, Rejection
from handlers.uploads import Upload

DOCS = Path(__file__).parents[3] / "docs" / "reference"
SCHEMA = json.loads((DOCS / "result.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
# Codes of images with a prediction, and those of a reviewer's decision.
NOT_FAILED = ("below_threshold", "unfamiliar", "no_label_fits", "unusable_image")
UPLOAD = Upload(
    "pictures", "incoming/写真/a+b.jpg", "v1", "0" * 32, 5, "617f08299329d189", "2026-11-21T09:00:00Z"
)
PREDICTION = Prediction((0.98, 0.02), ("bicycle", "オートバイ"), 0.43, "bikes-1.0.0")


def predicted(**thresholds: float) -> dict[str, Any]:
    decision = decide(PREDICTION, **{"threshold": 0.93, **thresholds})  # type: ignore[arg-type]
    return document(decision=decision, prediction=PREDICTION)


def document(**members: Any) -> dict[str, Any]:
    return results.document(
        UPLOAD,
        recorded="2026-11-21T09:00:01.234Z",
        image={"format": "JPEG", "width": 4000, "height": 3000},
        endpoint={"endpoint": "bikes", "variant": "main"},
        familiarity_threshold=0.02,
        execution="arn:aws:states:us-east-1:1:express:dropsort:a:b",
        **members,
    )


@pytest.mark.parametrize(
    ("recorded", "retryable"), [("2026-11-22T08:59:59.999Z", True), ("2026-11-22T09:00:00.000Z", False)]
)
def test_an_invalid_prediction_is_retryable_for_a_day(recorded: str, retryable: bool) -> None:
    # Whether the endpoint was out of order or the image is to blame shows when the endpoint is well again.
    result = results.document(
        UPLOAD, recorded=recorded, decision=failed(Rejection("invalid_prediction", "b'<html>'"))
    )
    VALIDATOR.validate(result)
    assert result["reason"]["retryable"] is retryable


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema"]["const"] == keys.RESULT_SCHEMA
    assert SCHEMA["properties"]["outcome"]["enum"] == list(keys.OUTCOMES)
    assert SCHEMA["properties"]["reason"]["properties"]["code"]["enum"] == list(REASONS)


def test_a_classified_image() -> None:
    result = predicted()
    VALIDATOR.validate(result)
    assert (result["outcome"], result["label"], result["confidence"], result["reason"]) == (
        "classified",
        "bicycle",
        0.98,
        None,
    )
    assert result["probabilities"] == {"bicycle": 0.98, "オートバイ": 0.02}
    assert result["model"] == {"endpoint": "bikes", "variant": "main", "version": "bikes-1.0.0"}


@pytest.mark.parametrize(
    ("thresholds", "code"),
    [({"threshold": 0.99}, "below_threshold"), ({"familiarity_threshold": 0.5}, "unfamiliar")],
)
def test_an_image_of_low_confidence(thresholds: dict[str, float], code: str) -> None:
    result = predicted(**thresholds)
    VALIDATOR.validate(result)
    assert (result["outcome"], result["reason"]["code"], result["label"]) == (
        "low-confidence",
        code,
        "bicycle",
    )


@pytest.mark.parametrize("code", [code for code in REASONS if code not in NOT_FAILED])
def test_a_failed_image(code: str) -> None:
    result = results.document(
        Upload("b", "incoming/a"), recorded="2026-11-21T09:00:01.234Z", decision=failed(Rejection(code))
    )
    VALIDATOR.validate(result)
    assert (result["outcome"], result["reason"]["code"], result["label"]) == ("failed", code, None)


def test_a_tie_keeps_the_prediction() -> None:
    tied = Prediction((0.5, 0.5), ("a", "b"))
    result = document(prediction=tied, decision=decide(tied, threshold=0.5))
    VALIDATOR.validate(result)
    assert (result["outcome"], result["probabilities"], result["confidence"]) == (
        "failed",
        {"a": 0.5, "b": 0.5},
        None,
    )


def test_every_format_that_is_read_is_in_the_schema() -> None:
    assert set(formats.ALL) == set(SCHEMA["properties"]["image"]["properties"]["format"]["enum"])


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "lost"}, {"label": None}, {"confidence": 1.1}, {"extra": 1},
        {"reason": {"code": "unfamiliar", "message": "x", "retryable": False}},
        {"inference_id": "short"}, {"probabilities": {}}, {"schema": "dropsort/result/2"}, {"threshold": None},
    ],
)  # fmt: skip
def test_the_schema_says_no(change: dict[str, Any]) -> None:
    result = copy.deepcopy(predicted()) | change
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(result)


def test_every_member_is_required_and_documented() -> None:
    text = (DOCS / "results.md").read_text()
    assert set(predicted()) == set(SCHEMA["properties"]) == set(SCHEMA["required"])
    for name in SCHEMA["properties"]:
        assert re.search(rf"^\| `{name}` \|", text, re.MULTILINE), (
            f"docs/reference/results.md does not say what {name} is"
        )


def _chapter(title: str) -> str:
    """A chapter of the page on results."""
    return (DOCS / "results.md").read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_event_of_the_documentation_has_the_members_of_one() -> None:
    event, _ = (json.loads(one) for one in re.findall(r"```json\n(.*?)```", _chapter("Events"), re.DOTALL))
    assert (event["source"], event["detail-type"]) == (result_events.SOURCE, result_events.DETAIL_TYPE)
    assert list(event["detail"]) == list(result_events.detail(predicted(), "classified/a.json"))


def test_the_examples_of_the_documentation_are_results() -> None:
    examples = re.findall(r"```json\n(.*?)```", _chapter("Examples"), re.DOTALL)
    assert {json.loads(example)["outcome"] for example in examples} == set(keys.OUTCOMES)
    for example in examples:
        VALIDATOR.validate(json.loads(example))


def test_the_examples_of_the_documentation_have_the_inference_ids_of_their_uploads() -> None:
    found = [json.loads(one) for one in re.findall(r"```json\n(.*?)```", _chapter("Examples"), re.DOTALL)]
    event = json.loads(re.findall(r"```json\n(.*?)```", _chapter("Events"), re.DOTALL)[0])["detail"]
    uploads = [(one["source"], one["inference_id"]) for one in found] + [(event, event["inference_id"])]
    assert len(uploads) == 4
    for upload, inference_id in uploads:
        assert inference_id == keys.inference_id(upload["bucket"], upload["key"], upload["version_id"])


def test_encoded_for_people_and_programs() -> None:
    data = results.encode(predicted())
    assert "オートバイ".encode() in data
    assert data.endswith(b"}\n")
    assert json.loads(data) == predicted()


def test_what_is_no_number_is_never_written() -> None:
    decision = Decision("classified", "a", float("nan"), 0.9, None)
    with pytest.raises(ValueError, match="not JSON compliant"):
        results.encode(document(decision=decision, prediction=PREDICTION))


def test_the_examples_of_the_page_are_results_of_the_model_that_is_part_of_dropsort() -> None:
    blocks = re.findall(r"^```json\n(.*?)^```$", _chapter("Examples"), re.DOTALL | re.MULTILINE)
    examples = [json.loads(block) for block in blocks]
    assert [example["outcome"] for example in examples] == list(keys.OUTCOMES)
    figures = json.loads((DOCS.parents[1] / "models" / "bikes" / "metrics.json").read_text())
    for example in examples:
        VALIDATOR.validate(example)
        if example["model"]:
            assert example["model"]["version"] == figures["model"]
            assert example["threshold"] == figures["threshold"]
