"""The state of a service is counted from its bucket, Step Functions, SageMaker and CloudWatch (moto's services)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest

from dropsort.cli.status import facts
from dropsort.client import status
from dropsort.client.deployed_service import DeployedService
from dropsort.contract import backlog
from tests.unit.client.conftest import BUCKET

SERVICE = DeployedService(
    "dropsort",
    BUCKET,
    "arn",
    "bikes",
    {},
    {
        "Threshold": "0.88",
        "FamiliarityThreshold": "0.01",
        "LabelThresholds": "",
        "ModelVersion": "bikes-1.0.0",
    },
)


def test_everything_is_counted(
    s3: Any, write_result: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fine", "young", "waits", "hopeless", "unsure"):
        s3.put_object(Bucket=BUCKET, Key=f"incoming/{name}", Body=b"x")
    write_result("incoming/unsure", "low-confidence")
    write_result("incoming/fine")
    write_result("incoming/waits", "failed", reason={"code": "throttled", "message": "m", "retryable": True})
    write_result(
        "incoming/hopeless", "failed", reason={"code": "empty_object", "message": "m", "retryable": False}
    )
    # GIVEN a run in progress, and one alarm of this stack
    states = boto3.client("stepfunctions")
    definition = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}})
    made = states.create_state_machine(
        name="b", definition=definition, roleArn="arn:aws:iam::123456789012:role/r"
    )
    with backlog.UploadList() as uploads:
        uploads.add(BUCKET, "incoming/waits")
        run = backlog.start(s3, states, BUCKET, made["stateMachineArn"], uploads)
    # Moto has no map runs
    monkeypatch.setattr(status.redrive, "counts", lambda *_: {"pending": 0, "running": 1})
    for name, value in (("dropsort-slow", "ALARM"), ("dropsort-drift", "OK"), ("other-slow", "ALARM")):
        cloudwatch = boto3.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=name, ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, Threshold=1,
            MetricName="m", Namespace="n", Period=60, Statistic="Sum",
        )  # fmt: skip
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=value, StateReason="test")
    found = status.read(boto3.client, SERVICE)
    assert (found.uploads, found.in_progress, found.retryable, found.without_result) == (5, 1, 1, 0)
    assert found.failed == {"empty_object": 1}  # what is tried again waits, and has not failed
    assert (found.run, found.endpoint, found.alarms) == (run, "not found", ["dropsort-slow"])
    shown = dict(facts(found))
    assert (shown["endpoint"], shown["model"]) == ("bikes: not found", "bikes-1.0.0")
    assert shown["thresholds"] == "Threshold 0.88, FamiliarityThreshold 0.01"
    assert (found.unreviewed, found.oldest_unreviewed is not None) == (1, True)
    assert dict(facts(found))["to review"].startswith("1 of low confidence, the oldest since 20")
    assert dict(facts(found))["backlog"] == f"1 uploads since {run.started}: 1 running"
    # AND an alarm that is none by its own rules is not shown
    assert status.read(boto3.client, SERVICE, lambda alarm: alarm["AlarmName"] == "other").alarms == []
    # AND an upload that has had no result for long is named
    monkeypatch.setattr(status, "LONGEST_EXECUTION", timedelta(0))
    later = status.read(boto3.client, SERVICE)
    assert (later.in_progress, later.without_result, later.oldest) == (0, 1, "incoming/young")
    assert json.dumps(later.to_json(), default=str)
