"""An object that was copied onto itself keeps its prediction; what is another image, or of another model, is classified (moto's S3)."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from handlers import filter as last
from handlers import serialize, settings, telemetry
from handlers.uploads import Upload
from tests.unit.handlers.conftest import BUCKET
from tests.unit.handlers.sample_images import drawn, encoded
from tests.unit.handlers.test_filter import results

KEY, MODEL = "incoming/cam1/a.png", "bikes-1.0.0"
PREDICTION = {
    "inferences": [0.02, 0.98],
    "labels": ["bicycle", "motorcycle"],
    "familiarity": 0.4,
    "model": MODEL,
    "choice": None,
    "endpoint": {"endpoint": "bikes", "variant": "main"},
}
Document = dict[str, Any]


class Bucket:
    """The two functions around Classify, on one key."""

    def __init__(self, s3: Any, context: SimpleNamespace) -> None:
        self.s3, self.context, self._events = s3, context, 0

    def event(self, put: Document, reason: str) -> Document:
        self._events += 1
        item = {"key": KEY, "version-id": put["VersionId"], "sequencer": f"{self._events:016x}"}
        return {
            "detail-type": "Object Created",
            "time": "2026-11-26T00:00:00Z",
            "detail": {"bucket": {"name": BUCKET}, "object": item, "reason": reason},
        }

    def upload(self, body: bytes, prediction: Document = PREDICTION) -> Document:
        """Upload, classify by `prediction`, and return the result."""
        event = self.event(self.s3.put_object(Bucket=BUCKET, Key=KEY, Body=body), "PutObject")
        state = serialize.handler(event, self.context)
        state.pop("image_data")
        return self.record(event, state | prediction)

    def copy(self) -> tuple[Document, Document]:
        """Copy the object onto itself, with other metadata; the event, and the state after Serialize."""
        put = self.s3.copy_object(
            Bucket=BUCKET,
            Key=KEY,
            CopySource={"Bucket": BUCKET, "Key": KEY},
            Metadata={"camera": "1"},
            MetadataDirective="REPLACE",
        )
        event = self.event(put, "CopyObject")
        return event, serialize.handler(event, self.context)

    def record(self, event: Document, state: Document) -> Document:
        last.handler({"state": state, "input": event}, self.context)
        (found,) = results(self.s3, "classified/", "low-confidence/", "failed/").values()
        return found


@pytest.fixture
def bucket(s3: Any, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for module in (serialize, last):
        monkeypatch.setattr(module, "_SETTINGS", settings.load({"MODEL_VERSION": MODEL, "THRESHOLD": "0.9"}))
    return Bucket(s3, context)


def test_a_copy_onto_itself_renews_the_result(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    first = bucket.upload(encoded(drawn(), "PNG"))
    # WHEN the object gets other metadata THEN it goes past the endpoint
    event, state = bucket.copy()
    assert "image_data" not in state
    assert telemetry._invocation.notes == {"s3_key": KEY, "renewed": True}  # for the log
    second = bucket.record(event, state)
    # AND its result is of the new version, with the same prediction, by which captures are found
    assert second["source"]["version_id"] == event["detail"]["object"]["version-id"]
    for name in (
        "outcome",
        "label",
        "confidence",
        "probabilities",
        "familiarity",
        "model",
        "image",
        "inference_id",
    ):
        assert second[name] == first[name]
    assert Upload.from_state(state).inference_id != first["inference_id"]
    # AND the thresholds are those of now
    monkeypatch.setattr(last, "_SETTINGS", settings.load({"THRESHOLD": "0.99"}))
    assert bucket.record(*bucket.copy())["outcome"] == "low-confidence"
    # AND a result that was renewed is renewed again
    assert "renewed" in bucket.copy()[1]


def test_another_image_or_model_is_classified(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN no result, a result of another image, one of another model, and a model without a version
    bucket.s3.put_object(Bucket=BUCKET, Key=KEY, Body=encoded(drawn(), "PNG"))
    assert "image_data" in bucket.copy()[1]
    bucket.upload(encoded(drawn(40, 40), "PNG"))
    bucket.s3.put_object(Bucket=BUCKET, Key=KEY, Body=encoded(drawn(), "PNG"))
    assert "image_data" in bucket.copy()[1]
    bucket.upload(encoded(drawn(), "PNG"), PREDICTION | {"model": "bikes-0.9.0"})
    assert "image_data" in bucket.copy()[1]
    bucket.upload(encoded(drawn(), "PNG"), PREDICTION | {"model": None})
    assert "image_data" in bucket.copy()[1]
    bucket.upload(encoded(drawn(), "PNG"))
    monkeypatch.setattr(serialize, "_SETTINGS", settings.load({}))
    assert "image_data" in bucket.copy()[1]


@pytest.mark.parametrize(
    "edited",
    [
        {"probabilities": None},
        {"probabilities": {"bicycle": "much"}},
        {"probabilities": {"bicycle": True, "motorcycle": 0.98}},
        {"label": "train"},
        {"review": {"label": "motorcycle"}},
        {"familiarity": "a"},
        {"image": 7},
        {"inference_id": None},
        {"model": "bikes-1.0.0"},
        {"source": {"key": "incoming/other.png"}},
    ],
    ids=str,
)
def test_an_edited_result_is_not_taken_over(bucket: Bucket, edited: Document) -> None:
    document = bucket.upload(encoded(drawn(), "PNG")) | edited
    bucket.s3.put_object(Bucket=BUCKET, Key="classified/cam1/a.png.json", Body=json.dumps(document))
    assert "image_data" in bucket.copy()[1]


def test_a_second_upload_of_the_same_content_is_classified(bucket: Bucket) -> None:
    body = encoded(drawn(), "PNG")
    bucket.upload(body)
    event = bucket.event(bucket.s3.put_object(Bucket=BUCKET, Key=KEY, Body=body), "PutObject")
    assert "image_data" in serialize.handler(event, bucket.context)
