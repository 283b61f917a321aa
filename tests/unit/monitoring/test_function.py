"""The hourly function over a bucket, from capture files to lines of metrics."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from dropsort.contract.metrics import MONITORING
from monitoring.drift.sample import Sample
from monitoring.errors import MonitoringError
from monitoring.function import handler, observe
from monitoring.settings import Settings

NOW = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
SETTINGS = Settings("dropsort", "images", labels=("bicycle", "motorcycle"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    found = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    found.start()
    host, port = found.get_host_and_port()
    yield f"http://{host}:{port}"
    found.stop()


@pytest.fixture
def aws(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """Clients of an AWS with an empty bucket ``images`` that keeps versions."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    boto3.DEFAULT_SESSION = None
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="images")
    s3.put_bucket_versioning(Bucket="images", VersioningConfiguration={"Status": "Enabled"})
    yield s3, boto3.client("cloudwatch")
    boto3.client("s3")  # keeps the session of this test until here
    import requests

    requests.post(f"{server}/moto-api/reset", timeout=10)
    boto3.DEFAULT_SESSION = None


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
        (b'{"verdict": "broken", "precision": 0.95}', {"PromiseBroken": 1, "AuditedPrecision": 0.95}),
        (b'{"verdict": "open", "precision": null}', {}),
        (b"[]", {}),
        (b"{", {}),
    ):
        s3.put_object(Bucket="images", Key="monitoring/audit.json", Body=body)
        lines, _ = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)
        values = metrics_of(lines)
        assert {
            name: values[name] for name in ("PromiseBroken", "AuditedPrecision") if name in values
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


def test_a_second_run_adds_nothing(aws: tuple[Any, Any]) -> None:
    """GIVEN captures that were read WHEN the function runs again THEN no capture counts twice."""
    s3, cloudwatch = aws
    put_captures(s3, NOW - timedelta(hours=2), 40)
    observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    lines, _ = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    assert metrics_of(lines)["Captured"] == 0
    assert metrics_of(lines)["Duplicates"] == 0


def test_a_backlog_is_read_run_by_run_and_alarms_nobody(
    aws: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN two and a half days of captures and runs without time WHEN they follow each other THEN all is read, and nothing alarms."""
    s3, cloudwatch = aws
    monkeypatch.setattr("monitoring.ingest.tasks.TASK_FILES", 6)  # that a run reads before it checks the time
    now = datetime.now(UTC)
    for i in range(3, 61, 3):
        put_captures(s3, now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=i), 72)
    common = {"Dimensions": [{"Name": "Stack", "Value": "dropsort"}], "Timestamp": now - timedelta(hours=3)}
    latency = {"MetricName": "EndpointLatency", "Values": [20.0], "Counts": [576.0], **common}
    cloudwatch.put_metric_data(Namespace="Dropsort", MetricData=[latency])

    captured, runs = 0.0, 0
    for _ in range(60):
        lines, response = observe(SETTINGS, now, s3=s3, cloudwatch=cloudwatch, seconds=0.0)
        values = metrics_of(lines)
        captured, runs = captured + values["Captured"], runs + 1
        assert response["alarms"] == []
        if values["Captured"] == 0:
            break
        assert not {"SilenceAlarm", "DriftAlarms", "CapturedShare"} & set(values)
        assert values["Behind"] == 1
    lines, response = observe(SETTINGS, now, s3=s3, cloudwatch=cloudwatch)

    assert runs == 5
    assert captured == 60 * 24
    assert response["complete"]
    assert response["day"]["reference_size"] >= 1000
    assert metrics_of(lines)["Behind"] == metrics_of(lines)["SilenceAlarm"] == 0
    assert metrics_of(lines)["CapturedShare"] == pytest.approx(1, abs=0.05)


def test_nothing_is_judged_on_captures_that_were_read_in_part(
    aws: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a day of other labels, then silence WHEN a part of the captures is read THEN neither is judged before the rest is."""
    s3, cloudwatch = aws
    monkeypatch.setattr("monitoring.ingest.tasks.TASK_FILES", 1)
    start = NOW.replace(minute=0)
    reference = Sample.of(["bicycle", "motorcycle"] * 500, [0.95] * 1000).to_json()
    s3.put_object(Bucket="images", Key="monitoring/reference.json", Body=json.dumps(reference))
    hours = [start - timedelta(hours=hour) for hour in range(7, 14 * 24)]
    traffic = {f"{hour:%Y-%m-%dT%H}:00:00Z": 60 for hour in hours}
    s3.put_object(Bucket="images", Key="monitoring/traffic.json", Body=json.dumps(traffic))
    for hour in (7, 8):
        put_captures(s3, start - timedelta(hours=hour), 200, share=0.98)

    lines, response = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch, seconds=0.0)

    assert metrics_of(lines)["Captured"] == 200
    assert metrics_of(lines)["Behind"] == 1
    assert not {"DriftAlarms", "SilentHours", "SilenceAlarm", "CapturedShare"} & set(metrics_of(lines))
    assert (response["complete"], response["read"], response["alarms"]) == (False, None, [])
    assert response["day"]["window_size"] == 0
    assert response["silence"] == "captures are still being read"

    lines, response = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    assert metrics_of(lines)["Captured"] == 200
    assert metrics_of(lines)["Behind"] == 0
    assert metrics_of(lines)["DriftAlarms"] >= 1
    assert (metrics_of(lines)["SilenceAlarm"], metrics_of(lines)["SilentHours"]) == (1, 6)
    assert response["complete"]
    assert response["day"]["window_size"] == 400
    assert any("of the captures" in alarm for alarm in response["alarms"])
    assert response["silence"] in response["alarms"]


@pytest.mark.parametrize(
    ("percent", "invoked", "share"), [(100, 50, 1.2), (50, 100, 1.2), (50, 99, None), (25, 400, 0.6)]
)
def test_the_captured_share_is_of_the_invocations_that_are_sampled(
    aws: tuple[Any, Any], percent: int, invoked: int, share: float | None
) -> None:
    """GIVEN an endpoint that captures a part of its invocations WHEN 60 were captured THEN they are a share of that part, from 50 on."""
    s3, cloudwatch = aws
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    put_captures(s3, hour, 60)
    common = {"Dimensions": [{"Name": "Stack", "Value": "dropsort"}], "Timestamp": hour}
    latency = {"MetricName": "EndpointLatency", "Values": [20.0], "Counts": [float(invoked)], **common}
    cloudwatch.put_metric_data(Namespace="Dropsort", MetricData=[latency])
    lines, _ = observe(replace(SETTINGS, capture_percent=percent), now, s3=s3, cloudwatch=cloudwatch)
    assert metrics_of(lines).get("CapturedShare") == (share and pytest.approx(share))


def test_what_came_while_the_function_was_down_is_read(aws: tuple[Any, Any]) -> None:
    """GIVEN a function that last read everything nine days ago WHEN it runs again THEN captures of those days count."""
    s3, cloudwatch = aws
    now = datetime.now(UTC)
    put_captures(s3, now - timedelta(days=9), 10)
    observe(SETTINGS, now, s3=s3, cloudwatch=cloudwatch)
    last_read_at(s3, now - timedelta(days=9))
    put_captures(s3, now - timedelta(days=6), 20)

    lines, _ = observe(SETTINGS, now, s3=s3, cloudwatch=cloudwatch)

    assert metrics_of(lines)["Captured"] == 20
    traffic = json.loads(s3.get_object(Bucket="images", Key="monitoring/traffic.json")["Body"].read())
    assert sum(traffic.values()) == 30


def test_late_files_are_found_for_hours_and_at_midnight_for_a_day(aws: tuple[Any, Any]) -> None:
    """GIVEN files that come two and twenty hours late WHEN checked by day and at midnight THEN each is found in its time."""
    s3, cloudwatch = aws
    now = datetime.now(UTC)
    midday, midnight = now.replace(hour=12), now.replace(hour=0)
    observe(SETTINGS, midday, s3=s3, cloudwatch=cloudwatch)
    put_captures(s3, now - timedelta(hours=2), 10)
    put_captures(s3, now - timedelta(hours=20), 20)

    found = [
        metrics_of(observe(SETTINGS, look, s3=s3, cloudwatch=cloudwatch)[0])["Captured"]
        for look in (midday, midnight)
    ]

    assert found == [10, 20]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"yesterday": "many"}'])
def test_damaged_traffic_is_made_again(aws: tuple[Any, Any], body: bytes) -> None:
    """GIVEN stored documents that are damaged but can be made again WHEN the function runs THEN it makes them again."""
    s3, cloudwatch = aws
    put_captures(s3, NOW - timedelta(hours=2), 40)
    observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)
    for name in ("traffic", "latest"):
        s3.put_object(Bucket="images", Key=f"monitoring/{name}.json", Body=body)

    observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    kept = json.loads(s3.get_object(Bucket="images", Key="monitoring/traffic.json")["Body"].read())
    assert list(kept.values()) == [40]


def test_captures_are_held_against_invocations_and_cost_is_counted(aws: tuple[Any, Any]) -> None:
    """GIVEN what the handlers emit WHEN the function runs THEN captured share and cost come from it."""
    s3, cloudwatch = aws
    put_captures(s3, NOW - timedelta(hours=2), 40)
    dimensions = [{"Name": "Stack", "Value": "dropsort"}]
    common = {"Dimensions": dimensions, "Timestamp": NOW - timedelta(hours=2)}
    cloudwatch.put_metric_data(
        Namespace="Dropsort",
        MetricData=[
            {"MetricName": "EndpointLatency", "Values": [20.0], "Counts": [80.0], **common},
            {"MetricName": "Classified", "Value": 1000.0, **common},
        ],
    )

    lines, _ = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    assert metrics_of(lines)["CostSoFar"] > 0
    assert metrics_of(lines)["CapturedShare"] == 0.5
    # AND of a sample fewer captures are expected: 50 of 80 invocations, below which a share means nothing
    for percent, share in ((62.5, 0.8), (62.4, None)):
        sampled = replace(SETTINGS, capture_percent=percent)
        lines, _ = observe(sampled, NOW, s3=s3, cloudwatch=cloudwatch)
        assert metrics_of(lines).get("CapturedShare") == share


def test_a_reference_of_ones_own_is_used(aws: tuple[Any, Any]) -> None:
    """GIVEN the evaluation set's predictions as the reference WHEN the function runs THEN drift compares with them."""
    s3, cloudwatch = aws
    rows = [{"label": "bicycle", "confidence": 0.99}] * 200
    s3.put_object(Bucket="images", Key="monitoring/reference.json", Body=json.dumps(rows).encode())
    put_captures(s3, NOW - timedelta(hours=2), 100)

    _, response = observe(SETTINGS, NOW, s3=s3, cloudwatch=cloudwatch)

    assert response["day"]["reference_size"] == 200
    assert response["alarms"]


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"schema": "other"}'])
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
        assert all(
            MONITORING[m["Name"]].unit == m["Unit"] and m["Name"] in line for m in described["Metrics"]
        )
        assert all(d in line for d in described["Dimensions"][0])
        assert line["_aws"]["Timestamp"] == 1795251900000


@pytest.mark.parametrize(
    ("environment", "said"),
    [({}, "STACK_NAME is missing"), ({"STACK_NAME": "s", "BUCKET_NAME": "b", "THRESHOLD": "high"}, "THRESHOLD is no number")],
)  # fmt: skip
def test_a_wrong_setting_is_named(environment: dict[str, str], said: str) -> None:
    """GIVEN an environment that is incomplete WHEN the settings are read THEN the variable is named."""
    with pytest.raises(MonitoringError, match=said):
        Settings.of(environment)


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
