"""Events of results: one at least for each that is recorded (moto's EventBridge and SQS)."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from handlers import aws, result_events, settings
from handlers import filter as last
from tests.unit.handlers.test_filter import Document, only, payload


@pytest.fixture
def received(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Document]]:
    """The events that a rule of a consumer has sent to its queue since the last call, with a bus as the service's parameter."""
    events, sqs = boto3.client("events"), boto3.client("sqs")
    queue = sqs.create_queue(QueueName="consumer")["QueueUrl"]
    target = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.create_event_bus(Name="results")
    events.put_rule(Name="r", EventBusName="results", EventPattern='{"source": ["dropsort"]}')
    events.put_targets(Rule="r", EventBusName="results", Targets=[{"Id": "q", "Arn": target}])
    monkeypatch.setattr(last, "_SETTINGS", settings.load({"EVENT_BUS_NAME": "results"}))

    def receive() -> list[Document]:
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found]

    return receive


def test_each_recorded_result_has_an_event_at_least_once(
    s3: Any,
    started: Document,
    context: SimpleNamespace,
    received: Callable[[], list[Document]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # GIVEN an event that EventBridge does not take THEN the run fails after it recorded, to be tried again
    answer = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "later"}]}
    with monkeypatch.context() as patch:
        patch.setattr(aws.events(), "put_events", lambda **_: answer)
        with pytest.raises(result_events.EventRejected, match="InternalFailure: later"):
            last.handler(payload(started), context)
    key, result = only(s3)
    # WHEN it is run again, twice, THEN there are two events with one inference id and outcome
    for _ in range(2):
        last.handler(payload(started), context)
    first, second = received()
    assert (first["source"], first["detail-type"]) == ("dropsort", "Result Recorded")
    detail = first["detail"]
    assert (detail["result_key"], detail["key"]) == (key, result["source"]["key"])
    for name in ("inference_id", "outcome", "label", "confidence"):
        assert detail[name] == second["detail"][name] == result[name]
    # AND a failure has one with its reason
    rejected = payload(started, rejection={"code": "not_an_image", "message": "m"})
    del rejected["state"]["labels"]
    rejected["input"] = json.loads(json.dumps(started).replace("a.jpg", "b.jpg"))
    rejected["state"]["s3_key"] = "incoming/cam1/b.jpg"
    last.handler(rejected, context)
    (event,) = received()
    assert (event["detail"]["outcome"], event["detail"]["reason"]) == ("failed", "not_an_image")
    # AND an upload that a newer one has overtaken has none
    older = payload(started)
    older["state"]["upload"]["sequencer"] = "00"
    older["state"]["upload"] |= {"uploaded": "2001-11-12T00:00:00Z", "version_id": "older", "etag": "older"}
    assert last.handler(older, context)["outcome"] == "superseded"
    assert received() == []


def test_what_an_event_says() -> None:
    classified = {
        "source": {"bucket": "b", "key": "incoming/a", "version_id": "v1"}, "reason": None, "label": "bicycle", "confidence": 0.9,
        "model": {"version": "m-1"}, "inference_id": "1", "outcome": "classified", "times": {"recorded": "2026"},
    }  # fmt: skip
    shown = {
        "bucket": "b", "key": "incoming/a", "version_id": "v1", "result_key": "classified/a.json", "inference_id": "1",
        "outcome": "classified", "label": "bicycle", "confidence": 0.9, "reason": None, "retryable": False, "model": "m-1",
        "recorded": "2026",
    }  # fmt: skip
    assert result_events.detail(classified, "classified/a.json") == shown
    for retryable in (True, False):
        failed = classified | {"model": None, "reason": {"code": "timeout", "retryable": retryable}}
        expected = shown | {"model": None, "reason": "timeout", "retryable": retryable}
        assert result_events.detail(failed, "classified/a.json") == expected
    assert (result_events.SOURCE, result_events.DETAIL_TYPE) == ("dropsort", "Result Recorded")
