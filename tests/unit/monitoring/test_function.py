"""The hourly function over a bucket, from capture files to lines of metrics."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from dropsort.contract.metrics import MONITORING
from monitoring import function
from monitoring.drift.sample import Sample
from monitoring.errors import MonitoringError
from monitoring.function import handler, observe
from monitoring.settings import MonitoringSettings

NOW = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
SETTINGS = MonitoringSettings("dropsort", "images", labels=("bicycle", "motorcycle"))


def put_captures(
    s3: Any, hour: datetime, count: int, share: float = 0.5, seed: int = 0, model: str = ""
) -> None:
    """One capture file of an hour."""
    random = np.random.default_rng((seed, int(hour.timestamp())))
    lines = []
    for i in range(count):
        sure = 0.5 + 0.5 * random.beta(12, 1)
        vector = [sure, 1 - sure] if random.random() < share else [1 - sure, sure]
        given = {"observedContentType": "image/png", "mode": "INPUT", "data": "aGk=", "encoding": "BASE64"}
        response = {"observedContentType": "application/json", "data": json.dumps(vector), "encoding": "JSON"}
        if model:
            response["data"] = json.dumps(
                {"probabilities": vector, "labels": ["a", "b"], "familiarity": None, "model": model}
            )
        meta = {"eventId": f"{hour:%d%H}-{i}", "inferenceTime": f"{hour:%Y-%m-%dT%H}:30:00Z"}
        capture = {"endpointInput": given, "endpointOutput": response}
        lines.append(json.dumps({"captureData": capture, "eventMetadata": meta, "eventVersion": "0"}))
    key = f"captures/bikes/main/{hour:%Y/%m/%d/%H}/30-00-000-{seed}.jsonl"
    s3.put_object(Bucket="images", Key=key, Body="\n".join(lines).encode())


def last_read_at(s3: Any, at: datetime) -> None:
    """As if the last run that read everything had been then."""
    latest = json.loads(s3.get_object(Bucket="images", Key="monitoring/latest.json")["Body"].read())
    latest["read"] = at.isoformat()
    s3.put_object(Bucket="images", Key="monitoring/latest.json", Body=json.dumps(latest).encode())


def metrics_of(lines: list[str]) -> dict[str, float]:
    first = json.loads(lines[0])
    return {m["Name"]: first[m["Name"]] for m in first["_aws"]["CloudWatchMetrics"][0]["Metrics"]}


def test_an_empty_bucket_is_no_alarm(aws: tuple[Any, Any]) -> None:
    """GIVEN a bucket with nothing in it WHEN the function runs THEN it says so and nothing alarms."""
    lines, response = observe(SETTINGS, NOW, s3=aws[0], cloudwatch=aws[1])

    values = metrics_of(lines)
    assert values["Captured"] == values["DriftAlarms"] == values["SilenceAlarm"] == 0
    assert "MeanConfidence" not in values
    assert response["alarms"] == []


def test_the_stored_audit_becomes_metrics_and_a_damaged_one_does_not(aws: tuple[Any, Any]) -> None:
    s3, cloudwatch = aws
    for body, expected in (
        (b'{"verdict": "missed", "precision": 0.95}', {"PrecisionBelowTarget": 1, "AuditedPrecision": 0.95}),
        (b'{"verdict": "undecided", "precision": null}', {}),
        (b'{"verdict": "of another version", "precision": 0.95}', {}),
        (b"[]", {}),
        (b"{", {}),
    ):
        s3.put_object(Bucket="images", Key="monitoring/audit.json", Body=body)
        lines, _ = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)
        values = metrics_of(lines)
        assert {
            name: values[name] for name in ("PrecisionBelowTarget", "AuditedPrecision") if name in values
        } == expected


def test_a_change_is_found_and_reported(aws: tuple[Any, Any]) -> None:
    """GIVEN two days of balanced labels and then a day of others WHEN the function runs each day THEN it alarms at last."""
    s3, cloudwatch = aws
    start = NOW.replace(minute=0) - timedelta(days=3)
    for i in range(0, 48, 3):
        put_captures(s3, start + timedelta(hours=i), 135)
    lines, response = observe(SETTINGS, start + timedelta(hours=48, minutes=5), s3=s3, cloudwatch=cloudwatch)
    assert metrics_of(lines)["Captured"] == 48 * 45
    assert response["alarms"] == []
    assert response["day"]["reference_size"] >= 1000

    last_read_at(s3, start + timedelta(hours=48))
    for i in range(48, 72, 3):
        put_captures(s3, start + timedelta(hours=i), 60, share=0.85)
    lines, response = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    values = metrics_of(lines)
    assert values["Captured"] == 24 * 20
    assert values["DriftAlarms"] >= 1
    assert values["LabelShareChange"] > 0.25
    assert any("of the captures" in alarm for alarm in response["alarms"])
    labels = {json.loads(line)["Label"]: json.loads(line)["LabelShare"] for line in lines[1:]}
    assert labels["bicycle"] == pytest.approx(0.85, abs=0.08)
    assert sum(labels.values()) == pytest.approx(1)
    assert json.loads(s3.get_object(Bucket="images", Key="monitoring/latest.json")["Body"].read()) == response


def test_a_new_model_gets_a_reference_of_its_own(aws: tuple[Any, Any]) -> None:
    """GIVEN a reference of an earlier model's captures WHEN another model has run for a day THEN it replaces the reference."""
    s3, cloudwatch = aws
    start = NOW.replace(minute=0) - timedelta(hours=24)
    put_captures(s3, start - timedelta(hours=1), 20, share=0.9, model="one")
    observe(SETTINGS, start + timedelta(minutes=5), s3=s3, cloudwatch=cloudwatch)
    last_read_at(s3, start)
    before = Sample.of(["bicycle"] * 900, [0.99] * 900).to_json()
    reference = {**before, "until": "2026-11-19T00:00:00Z", "model": "one"}
    s3.put_object(Bucket="images", Key="monitoring/reference.json", Body=json.dumps(reference))
    for i in range(24):
        put_captures(s3, start + timedelta(hours=i), 45, model="two")

    _, response = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    assert response["alarms"] == []
    assert (response["model"], response["model_since"]) == ("two", f"{start:%Y-%m-%dT%H}:00:00Z")
    made = json.loads(s3.get_object(Bucket="images", Key="monitoring/reference.json")["Body"].read())
    assert (made["model"], sum(made["labels"].values())) == ("two", 24 * 45)

    # AND one that names another model and was put there stays, and is not compared with
    given = {"model": "one", "predictions": [{"label": "a", "confidence": 0.99}] * 900}
    s3.put_object(Bucket="images", Key="monitoring/reference.json", Body=json.dumps(given))
    _, response = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)
    assert (response["alarms"], response["day"]["reference_size"]) == ([], 0)
    stays = s3.get_object(Bucket="images", Key="monitoring/reference.json")["Body"].read()
    assert json.loads(stays) == given


def test_a_reference_of_ones_own_is_used(aws: tuple[Any, Any]) -> None:
    """GIVEN the evaluation set's predictions as the reference WHEN the function runs THEN drift compares with them."""
    s3, cloudwatch = aws
    rows = [{"label": "bicycle", "confidence": 0.99}] * 200
    s3.put_object(Bucket="images", Key="monitoring/reference.json", Body=json.dumps(rows).encode())
    put_captures(s3, NOW - timedelta(hours=2), 100)

    _, response = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    assert response["day"]["reference_size"] == 200
    assert response["alarms"]


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"[1]", b'{"schema": "other"}'])
def test_a_broken_reference_is_named(aws: tuple[Any, Any], body: bytes) -> None:
    """GIVEN a reference that is none WHEN the function runs THEN the error names the object and what to do."""
    s3, cloudwatch = aws
    s3.put_object(Bucket="images", Key="monitoring/reference.json", Body=body)

    with pytest.raises(MonitoringError, match=r"s3://images/monitoring/reference\.json.*delete or replace"):
        observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)


def test_the_handler_prints_metrics(
    aws: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GIVEN the environment of the template WHEN Lambda calls THEN every printed line is valid and known."""
    put_captures(aws[0], NOW - timedelta(hours=2), 50)
    monkeypatch.setenv("STACK_NAME", "dropsort")
    monkeypatch.setenv("BUCKET_NAME", "images")

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 60_000

    handler({"time": "2026-11-21T09:05:00Z"}, Context())

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for line in lines:
        (described,) = line["_aws"]["CloudWatchMetrics"]
        assert described["Namespace"] == "Dropsort"
        assert all(MONITORING[m["Name"]] == m["Unit"] and m["Name"] in line for m in described["Metrics"])
        assert all(d in line for d in described["Dimensions"][0])
        assert line["_aws"]["Timestamp"] == 1795251900000


def test_captures_get_six_tenths_of_the_time_that_is_left(
    aws: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACK_NAME", "dropsort")
    monkeypatch.setenv("BUCKET_NAME", "images")
    given: list[float] = []

    def run(*arguments: Any, seconds: float, **more: Any) -> Any:
        given.append(seconds)
        return aggregation(*arguments, seconds=seconds, **more)

    aggregation = function.run
    monkeypatch.setattr(function, "run", run)

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 60_000

    handler({"time": "2026-11-21T09:05:00Z"}, Context())
    handler({"time": "2026-11-21T09:05:00Z"}, None)
    assert given == pytest.approx([36.0, 180.0])


@pytest.mark.parametrize(
    ("environment", "said"),
    [({}, "STACK_NAME is missing"), ({"STACK_NAME": "s", "BUCKET_NAME": "b", "THRESHOLD": "high"}, "THRESHOLD is not a number")],
)  # fmt: skip
def test_a_wrong_setting_is_named(environment: dict[str, str], said: str) -> None:
    """GIVEN an environment that is incomplete WHEN the settings are read THEN the variable is named."""
    with pytest.raises(MonitoringError, match=said):
        MonitoringSettings.of(environment)


def test_the_function_imports_only_what_its_layer_holds() -> None:
    """GIVEN a fresh interpreter WHEN the function is imported THEN nothing beyond requirements/monitoring.in comes along."""
    script = "import sys, monitoring.function; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.split()
    )

    assert not loaded & {
        "matplotlib",
        "PIL",
        "scipy",
        "pandas",
        "pyarrow",
        "click",
        "rich",
        "handlers",
        "training",
        "local",
        "cli",
        "bench",
    }
