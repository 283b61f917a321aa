"""Metric lines, prices, and uploads without a result."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from dropsort.contract.metrics import NAMESPACE
from monitoring.aggregates.cells import Aggregate, Health
from monitoring.cloudwatch import metric_values
from monitoring.cloudwatch.emf import emf
from monitoring.drift.sample import Sample
from monitoring.prices import INSTANCES, PRICES, ResourceUse, cost, price, redrive_dollars
from monitoring.settings import MonitoringSettings

NOW = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)


def test_lines_name_metrics_units_and_dimensions() -> None:
    """GIVEN values and label shares WHEN written as lines THEN names, units, dimensions and finite values are all there."""
    values = {"Captured": 12, "MeanConfidence": 0.97, "EstimatedAccuracy": math.nan}
    shares = {"bicycle": 0.75, "motör cycle": 0.25}

    lines = [json.loads(line) for line in emf("s", values, shares, NOW, {"alarms": ["x"]})]

    found = set()
    for line in lines:
        (described,) = line["_aws"]["CloudWatchMetrics"]
        assert described["Namespace"] == NAMESPACE
        assert line["_aws"]["Timestamp"] == NOW.timestamp() * 1000
        dimensions = tuple((d, line[d]) for d in described["Dimensions"][0])
        found |= {(m["Name"], m["Unit"], dimensions, line[m["Name"]]) for m in described["Metrics"]}
    stack = ("Stack", "s")
    assert found == {
        ("Captured", "Count", (stack,), 12.0),
        ("MeanConfidence", "None", (stack,), 0.97),
        ("LabelShare", "None", (stack, ("Label", "bicycle")), 0.75),
        ("LabelShare", "None", (stack, ("Label", "mot\\xf6r cycle")), 0.25),
    }
    assert lines[0]["alarms"] == ["x"]


def test_an_unknown_metric_is_rejected() -> None:
    """GIVEN a name that is not in the table WHEN emitted THEN it is an error: names have one place."""
    with pytest.raises(KeyError, match="Nonsense"):
        emf("s", {"Nonsense": 1}, None, NOW)


def test_nothing_finite_is_no_line() -> None:
    """GIVEN values that are not finite WHEN emitted THEN there is no line."""
    assert emf("s", {"MeanConfidence": math.nan, "CostSoFar": math.inf}, {}, NOW) == []
    assert emf("s", {"MeanConfidence": math.nan}, None, NOW) == []


def test_costs_are_those_of_the_vendors_examples() -> None:
    """GIVEN a million images WHEN their cost is estimated THEN Express is a tenth of Standard, and an endpoint adds its hours."""
    express, standard = cost(10**6, ResourceUse()), cost(10**6, ResourceUse(express=False))

    assert 3 < express < 30
    assert standard > 100
    assert cost(0, ResourceUse(), endpoint_hours=10, instance="ml.m5.xlarge", instances=2) == pytest.approx(
        4.6
    )
    assert cost(0, ResourceUse(), endpoint_hours=10, instance="ml.unknown.xlarge") == pytest.approx(2.3)
    assert cost(0, ResourceUse(), endpoint_hours=10) == 0
    assert all(value > 0 and source.startswith("https://") for value, source in PRICES.values())
    assert all(value > 0 for value in INSTANCES.values())


def test_a_redrive_pays_neither_for_an_upload_nor_for_its_event() -> None:
    """GIVEN a million uploads WHEN they are redriven THEN three more requests and a transition each are all that comes on top."""
    first = ResourceUse().parts()
    saved = first["S3 PUT of the upload"] + first["EventBridge"]
    more = 3 * price("s3-get") + price("states-standard-transition")
    assert saved > 0
    assert redrive_dollars(10**6) == pytest.approx(10**6 * (sum(first.values()) - saved + more))


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


def test_a_thousand_labels_are_the_most_frequent_and_the_others_together() -> None:
    """GIVEN a model of 1,000 labels WHEN their shares are emitted THEN 20 and "other" are, which cost 21 metrics, not 1,000."""
    shares = {f"label-{number:03}": (number + 1) / 500500 for number in range(1000)}
    lines = [json.loads(line) for line in emf("s", {}, shares, NOW)]
    found = {line["Label"]: line["LabelShare"] for line in lines}
    assert len(found) == 21
    assert "label-999" in found
    assert "label-979" not in found
    assert sum(found.values()) == pytest.approx(1)


def test_values_are_what_a_run_added_and_what_either_window_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a day with a low confidence in one of four captures and one unfamiliar image
    day = Sample.of("aabb", [0.5, 0.92, 0.95, 0.99], [0.005, 0.015, 0.5, 1.0])
    monkeypatch.setattr(metric_values, "sample", lambda _: day)

    def signals(**found: tuple[float, bool]) -> Any:
        every = [SimpleNamespace(name=name, effect=one, alarm=alarm) for name, (one, alarm) in found.items()]
        return SimpleNamespace(signals=every, estimated_accuracy=0.84)

    # AND alarms of the day and of the last hours, of which one is in both
    found: Any = SimpleNamespace(
        day=signals(
            LabelShares=(0.3, True), ConfidenceWasserstein=(0.1, False), ConfidenceJensenShannon=(0.2, True)
        ),
        recent=signals(LabelShares=(0.4, True), ConfidenceWasserstein=(0.5, True)),
        silence=SimpleNamespace(hours=3, alarm=False),
    )
    before = Health(records=10, bad_lines=3, duplicates=5)
    after = Health(records=17, bad_lines=4, duplicates=7)
    settings = MonitoringSettings("s", "b", threshold=0.91, familiarity_threshold=0.01)
    expected = {
        "Captured": 7, "BadLines": 1, "Duplicates": 2, "MeanConfidence": 0.84, "LowConfidenceRate": 0.25, "UnfamiliarRate": 0.25,
        "EstimatedAccuracy": 0.84, "LabelShareChange": 0.3, "ConfidenceWasserstein": 0.1, "ConfidenceJensenShannon": 0.2,
        "DriftAlarms": 3, "SilentHours": 3, "SilenceAlarm": 0,
    }  # fmt: skip
    assert metric_values.metric_values(settings, after, before, Aggregate(), found) == pytest.approx(
        expected, abs=1e-3
    )
    # AND what is no alarm in the last hours does not count
    found.recent = signals(LabelShares=(0.4, True), ConfidenceWasserstein=(0.5, False))
    assert metric_values.metric_values(settings, after, before, Aggregate(), found)["DriftAlarms"] == 2
    # AND nothing is known of what was not measured
    found.day, found.silence.alarm = signals(LabelShares=(0.3, False)), True
    for sample in (Sample.of("ab", [0.5, 0.9]), Sample.of("", [])):
        monkeypatch.setattr(metric_values, "sample", lambda _, sample=sample: sample)
        values = metric_values.metric_values(settings, after, before, Aggregate(), found)
        assert values["SilenceAlarm"] == 1
        unknown = {"UnfamiliarRate", "ConfidenceWasserstein", "ConfidenceJensenShannon"}
        unknown |= set() if sample.count else {"MeanConfidence", "LowConfidenceRate"}
        assert {name for name, value in values.items() if math.isnan(value)} == unknown
    monkeypatch.setattr(metric_values, "sample", lambda _: day)
    found.day = signals(LabelShares=(0.3, True), ConfidenceJensenShannon=(0.2, True))
    # AND without a window of the last hours only those of the day count
    found.recent = None
    assert metric_values.metric_values(settings, after, before, Aggregate(), found)["DriftAlarms"] == 2


def test_settings_are_of_the_environment_and_empty_ones_are_the_defaults() -> None:
    needed = {"STACK_NAME": "s", "BUCKET_NAME": "b"}
    given = {
        "THRESHOLD": "0.8", "FAMILIARITY_THRESHOLD": "0.02", "LABELS": " a, b ,", "CAPTURE_PERCENT": "25",
        "WORKFLOW_TYPE": "STANDARD", "INSTANCE_TYPE": "ml.m5.large", "INSTANCE_COUNT": "3",
    }  # fmt: skip
    settings = MonitoringSettings("s", "b", 0.8, 0.02, ("a", "b"), 25.0, "STANDARD", "ml.m5.large", 3)
    assert MonitoringSettings.of(needed | given) == settings
    numbers = ("THRESHOLD", "FAMILIARITY_THRESHOLD", "CAPTURE_PERCENT", "INSTANCE_COUNT")
    assert MonitoringSettings.of(needed | dict.fromkeys(numbers, "")) == MonitoringSettings("s", "b")
