"""Metric lines, prices, and uploads without a result."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from dropsort.contract.keys import result_keys
from dropsort.contract.metrics import NAMESPACE
from monitoring.cloudwatch.emf import emf
from monitoring.pending import pending
from monitoring.prices import INSTANCES, PRICES, ResourceUse, cost, price, redrive_dollars

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


class Bucket:
    """A bucket in memory with times of our choosing."""

    def __init__(self) -> None:
        self.client = boto3.client("s3", region_name="us-east-1")
        self.client.create_bucket(Bucket="images")
        versioning = {"Status": "Enabled"}
        self.client.put_bucket_versioning(Bucket="images", VersioningConfiguration=versioning)

    def put(self, *keys: str) -> None:
        for key in keys:
            self.client.put_object(Bucket="images", Key=key, Body=b"x")

    def run(self, **options: Any) -> Any:
        return pending(self.client, "images", datetime.now(UTC) + timedelta(hours=2), **options)


@mock_aws
class TestPending:
    """Uploads without a result."""

    def test_every_outcome_is_a_result(self) -> None:
        """GIVEN a result under each outcome WHEN searched for THEN nobody waits; folder markers are no uploads."""
        bucket = Bucket()
        bucket.put("incoming/a", "incoming/b.png", "incoming/c d/ü+%2B.jpg", "incoming/folder/")
        bucket.put("classified/a.json", "low-confidence/b.png.json", "failed/c d/ü+%2B.jpg.json")

        found = bucket.run()

        assert (found.waiting, found.oldest, found.age, found.complete) == (0, "", 0, True)

    def test_who_waits_is_named(self) -> None:
        """GIVEN two uploads without a result WHEN searched for THEN both are counted and one is named with its age."""
        bucket = Bucket()
        bucket.put("incoming/a", "incoming/b", "classified/other.json")

        found = bucket.run()

        assert found.waiting == 2
        assert found.oldest in ("incoming/a", "incoming/b")
        assert found.age == pytest.approx(7200, abs=30)

    def test_fresh_uploads_have_time(self) -> None:
        """GIVEN an upload of a moment ago WHEN searched for THEN it does not wait yet."""
        bucket = Bucket()
        bucket.put("incoming/a")

        assert pending(bucket.client, "images", datetime.now(UTC)).waiting == 0

    def test_a_comparison_that_was_cut_short_says_so(self) -> None:
        """GIVEN no time WHEN searched for THEN it says that it is incomplete, and what it compared it compared rightly."""
        bucket = Bucket()
        bucket.put(*(f"incoming/{i:04}" for i in range(105)))
        bucket.put(*(f"classified/{i:04}.json" for i in range(103)))

        found = bucket.run(seconds=0.0)

        assert (found.complete, found.uploads, found.waiting) == (False, 100, 0)
        assert bucket.run().waiting == 2

    def test_an_empty_bucket(self) -> None:
        """GIVEN nothing WHEN searched for THEN nobody waits."""
        assert Bucket().run().waiting == 0


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


@mock_aws
@pytest.mark.parametrize("tail", ["", "~" + "0f" * 16], ids=["plain", "as if cut"])
def test_a_result_of_any_length_of_path_ends_the_wait(tail: str) -> None:
    """GIVEN uploads around the length from which results' keys are cut WHEN their results are written THEN they wait no longer."""
    bucket = Bucket()
    paths = [
        "é" * ((length - len(tail)) // 2) + "x" * ((length - len(tail)) % 2) + tail
        for length in range(999, 1016)
    ]
    for path in paths:
        bucket.put(f"incoming/{path}")
    assert bucket.run().waiting == len(paths)
    for path in paths:
        bucket.put(result_keys(path)["classified"])
    found = bucket.run()
    assert found.waiting == 0, found.oldest


def test_a_thousand_labels_are_the_most_frequent_and_the_others_together() -> None:
    """GIVEN a model of 1,000 labels WHEN their shares are emitted THEN 20 and "other" are, which cost 21 metrics, not 1,000."""
    shares = {f"label-{number:03}": (number + 1) / 500500 for number in range(1000)}
    lines = [json.loads(line) for line in emf("s", {}, shares, NOW)]
    found = {line["Label"]: line["LabelShare"] for line in lines}
    assert len(found) == 21
    assert "label-999" in found
    assert "label-979" not in found
    assert sum(found.values()) == pytest.approx(1)
