"""What the last function takes from the states before it, and what it notes in its log."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from handlers import filter as last
from handlers import settings
from tests.unit.handlers.test_filter import Document, only, payload, results

KEY = "incoming/cam1/a.jpg"


@pytest.fixture(autouse=True)
def thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last, "_SETTINGS", settings.load({"THRESHOLD": "0.9"}))


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (found,) = (json.loads(one) for one in capsys.readouterr().out.splitlines())
    return dict(found)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"inferences": [0.2, 0.8]}, "below_threshold"),
        ({"rejection": {"code": "not_an_image", "message": "m"}}, "not_an_image"),
        ({"error": {"Error": "States.Timeout", "Cause": ""}}, "timeout"),
        ({}, None),
    ],
)
def test_the_key_and_the_reason_of_each_image_that_is_not_classified_are_in_the_log(
    s3: Any,
    started: Document,
    context: SimpleNamespace,
    capsys: pytest.CaptureFixture[str],
    members: Document,
    reason: str | None,
) -> None:
    last.handler(payload(started, **members), context)
    found = line(capsys)
    assert (found.get("s3_key"), found.get("reason")) == ((KEY, reason) if reason else (None, None))


@pytest.mark.parametrize(
    ("choice", "label", "confidence"),
    [(None, "bicycle", 0.55), (0, "bicycle", 0.55), (1, "motorcycle", 0.45)],
)
def test_the_class_that_the_model_chose_itself_is_the_label(
    s3: Any,
    started: Document,
    context: SimpleNamespace,
    choice: int | None,
    label: str,
    confidence: float,
) -> None:
    last.handler(payload(started, inferences=[0.55, 0.45], choice=choice), context)
    _, result = only(s3)
    assert (result["label"], result["confidence"]) == (label, confidence)
    assert (result["familiarity"], result["model"]["version"]) == (0.4, "bikes-1.0.0")
    assert result["image"] == {"format": "JPEG", "width": 40, "height": 30}


def test_only_the_time_of_the_object_itself_orders_its_result(
    s3: Any, started: Document, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries: list[Any] = []
    record = last.recording.record
    monkeypatch.setattr(
        last.recording, "record", lambda entry, *rest: entries.append(entry) or record(entry, *rest)
    )
    # GIVEN an upload that Serialize read, and one of whose event alone the time is known
    last.handler(payload(started), context)
    state = started | {"error": {"Error": "States.Timeout", "Cause": ""}}
    last.handler({"state": state, "input": started, "execution": None}, context)
    # THEN the first is ordered by S3's time, the second by none, and both results say when the upload was there
    assert [entry.uploaded for entry in entries] == ["2021-11-12T00:00:00Z", None]
    assert {found["times"]["uploaded"] for found in results(s3).values()} == {"2021-11-12T00:00:00Z"}


@pytest.mark.parametrize("trace", ["Root=1-5e272390-8c398be037738dc042009320", None])
def test_a_result_names_its_trace(
    s3: Any, started: Document, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, trace: str | None
) -> None:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    if trace:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    last.handler(payload(started), context)
    assert only(s3)[1]["trace"] == trace
