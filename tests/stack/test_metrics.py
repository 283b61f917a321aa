"""Dashboard and alarms against a real run: whatever they ask for was emitted, under just the dimensions they ask for.

What AWS itself emits (AWS/...) is not to be had here: tests/unit/infra/test_template_monitoring.py holds it against AWS's
documentation.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dropsort.contract import keys, metrics
from dropsort.local.service import LocalService
from monitoring.cloudwatch.expressions import evaluate
from monitoring.cloudwatch.widgets import WidgetMetric, fetch, lines, widgets
from monitoring.history import AUDIT
from monitoring.quality import audit as auditing
from monitoring.quality.audit import AuditedResult
from tests.stack.helpers import sample_image
from tests.stack.upload_folder import UploadFolder, drawn
from tests.unit.infra import requested_metrics
from tests.unit.infra.requested_metrics import RequestedMetric

pytestmark = pytest.mark.stack

UNITS = metrics.WORKFLOW | metrics.BACKLOG | metrics.MONITORING
WITH_LABEL = metrics.WITH_LABEL
PATIENCE_SECONDS = 60
SURE, UNSURE, TEXTS = 44, 12, 3  # more than 50 invocations: fewer do not show the share that was captured


@dataclass(frozen=True)
class Emitted:
    """CloudWatch after a run: a client, the span of the data, and which series there are."""

    cloudwatch: Any
    start: datetime
    end: datetime
    series: dict[str, list[frozenset[tuple[str, str]]]]  # dimensions by name of the metric

    def points(
        self, name: str, dimensions: frozenset[tuple[str, str]], stat: str, period: int
    ) -> list[float]:
        """Values of a series."""
        requested = WidgetMetric("Dropsort", name, tuple(sorted(dimensions)), stat, period)
        return list(fetch(self.cloudwatch, [requested], self.start, self.end)[0].values())


def series(cloudwatch: Any) -> dict[str, list[frozenset[tuple[str, str]]]]:
    found: dict[str, list[frozenset[tuple[str, str]]]] = {}
    for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace="Dropsort"):
        for metric in page["Metrics"]:
            dimensions = frozenset((item["Name"], item["Value"]) for item in metric["Dimensions"])
            found.setdefault(metric["MetricName"], []).append(dimensions)
    return found


@pytest.fixture(scope="module")
def reference(service: LocalService, s3: Any) -> Iterator[None]:
    """What drift is measured from; the service's own, if it has one, comes back."""
    place = {"Bucket": service.bucket, "Key": "monitoring/reference.json"}
    known = s3.list_objects_v2(Bucket=place["Bucket"], Prefix=place["Key"]).get("KeyCount")
    before = s3.get_object(**place)["Body"].read() if known else None
    row = {"label": "bicycle", "confidence": 0.97, "familiarity": 0.5}
    s3.put_object(**place, Body=json.dumps([row, {**row, "label": "motorcycle"}] * 100).encode())
    yield
    if before is None:
        s3.delete_object(**place)
    else:
        s3.put_object(**place, Body=before)


@pytest.fixture(scope="module")
def audit(service: LocalService, s3: Any) -> Iterator[None]:
    """The findings of an audit, as `dropsort audit --store` leaves them."""
    reviewed = [
        AuditedResult(f"{number:064x}", "2026-11-26", keys.CLASSIFIED, correct=True) for number in range(400)
    ]
    place = {"Bucket": service.bucket, "Key": f"monitoring/{AUDIT}"}
    s3.put_object(**place, Body=json.dumps(auditing.audit(reviewed, 0.99).to_json()).encode())
    yield
    s3.delete_object(**place)


@pytest.fixture(scope="module")
def emitted(
    service: LocalService, reference: None, audit: None, tmp_path_factory: pytest.TempPathFactory
) -> Emitted:
    """Images of every outcome go through the service, one upload is overtaken, and the hourly function runs."""
    uploads = UploadFolder(service, "metrics")
    cloudwatch = service.session().client("cloudwatch")
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)

    # Images that the model is sure of, noise, and what is not an image.
    bicycle, motorcycle = drawn(tmp_path_factory.mktemp("drawn"))
    contents = {f"sure-{number}.png": (bicycle, motorcycle)[number % 2] for number in range(SURE)}
    contents |= {f"noise-{number}.png": sample_image(number) for number in range(UNSURE)}
    contents |= {f"text-{number}.png": b"no picture" for number in range(TEXTS)}
    uploads.upload({".DS_Store": b"of a file system"})  # ignored: it has no result
    results = uploads.final(uploads.upload(contents))
    assert {result["outcome"] for result in results.values()} == set(keys.OUTCOMES)

    # An event of an upload that a newer one of the same key has overtaken.
    item = {"key": uploads.key("sure-0.png"), "etag": "0" * 32, "sequencer": "00"}
    overtaken = {"detail-type": "Object Created", "time": "2026-11-21T12:00:00Z"}
    overtaken |= {"detail": {"bucket": {"name": service.bucket}, "object": item}}
    assert uploads.wait(uploads.start(overtaken))["status"] == "SUCCEEDED"

    # The monitoring run reads complete hours, and holds captures against the invocations that CloudWatch knows of.
    hour = datetime.now(UTC).replace(minute=5, second=0, microsecond=0) + timedelta(hours=1)
    found = Emitted(cloudwatch, start, hour + timedelta(hours=1), {})
    dimensions = frozenset({("Stack", service.stack)})
    for _ in attempts():
        service.flush()
        outcomes = ("Classified", "LowConfidence", "Failed")
        counts = [sum(found.points(name, dimensions, "Sum", 3600)) for name in outcomes]
        calls = sum(found.points("EndpointLatency", dimensions, "SampleCount", 3600))
        overtakes = sum(found.points("Superseded", dimensions, "Sum", 3600))
        if sum(counts) >= len(contents) and calls >= SURE + UNSURE and overtakes:
            break

    def evaluations() -> float:
        return sum(found.points("Captured", dimensions, "SampleCount", 3600))

    before, event = evaluations(), json.dumps({"time": hour.isoformat()})
    functions = service.session().client("lambda")
    # The one that runs every five minutes, and may not have yet.
    response = functions.invoke(FunctionName=service.outputs["BacklogFunction"], Payload="{}")
    assert "FunctionError" not in response, response["Payload"].read().decode()
    answer = functions.invoke(FunctionName=service.outputs["MonitorFunction"], Payload=event)
    assert "FunctionError" not in answer, answer["Payload"].read().decode()
    for _ in attempts():
        service.flush()
        if evaluations() > before:
            break
    return Emitted(cloudwatch, start, found.end, series(cloudwatch))


def attempts() -> Iterator[None]:
    """Goes round until patience ends: which metrics are not there is for the tests to say."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.3)


OURS = [
    requested
    for requested in requested_metrics.everything(NamesVersion=False)
    if requested.namespace == "Dropsort"
]


@pytest.mark.parametrize("requested", OURS, ids=str)
def test_what_a_widget_or_an_alarm_uses_was_emitted(emitted: Emitted, requested: RequestedMetric) -> None:
    assert requested.dimensions in emitted.series.get(requested.name, []), (
        f"emitted: {emitted.series.get(requested.name)}"
    )
    points = emitted.points(requested.name, requested.dimensions, requested.stat, requested.period)
    assert points
    assert all(math.isfinite(point) for point in points)


def test_every_metric_is_emitted_under_its_documented_dimensions_and_unit(
    emitted: Emitted, service: LocalService
) -> None:
    # GIVEN names, units and dimensions as the code declares them, THEN a run emits all of them and nothing else
    assert emitted.series.keys() == UNITS.keys()
    for name, series_of_name in emitted.series.items():
        # `second` is deployed by test_cli_service.
        assert {dict(dimensions).get("Stack") for dimensions in series_of_name} <= {service.stack, "second"}
        found = [dimensions for dimensions in series_of_name if dict(dimensions)["Stack"] == service.stack]
        wanted = {frozenset({"Stack", "Label"} if name in WITH_LABEL else {"Stack"})}
        if name in metrics.BY_MODEL:
            wanted |= {frozenset({"Stack", "Model"})}
        assert {frozenset(dict(dimensions)) for dimensions in found} == wanted, name
        points = emitted.cloudwatch.get_metric_statistics(
            Namespace="Dropsort",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in sorted(found[0])],
            StartTime=emitted.start,
            EndTime=emitted.end,
            Period=86400,
            Statistics=["SampleCount"],
        )["Datapoints"]
        assert {point["Unit"] for point in points} == {UNITS[name]}, name


def test_a_search_finds_every_label(emitted: Emitted, service: LocalService) -> None:
    ((_, dimensions, terms, stat),) = requested_metrics.searches(requested_metrics.dashboard())
    found = [
        dict(each)
        for each in emitted.series[terms["MetricName"]]
        if {name for name, _ in each} == dimensions and ("Stack", terms["Stack"]) in each
    ]
    assert {"bicycle", "motorcycle"} <= {each["Label"] for each in found}
    for each in found:
        assert sum(emitted.points(terms["MetricName"], frozenset(each.items()), stat, 3600)) > 0


def body_of(service: LocalService) -> dict[str, Any]:
    """The dashboard as it was deployed."""
    answer = (
        service.session().client("cloudwatch").get_dashboard(DashboardName=service.outputs["DashboardName"])
    )
    body: dict[str, Any] = json.loads(answer["DashboardBody"])
    return body


def test_every_line_of_the_dashboard_has_points(emitted: Emitted, service: LocalService) -> None:
    # GIVEN the deployed dashboard's widgets of our metrics, expressions computed on this side
    drawn_here = [
        widget
        for widget in widgets(body_of(service))
        if widget.metrics and {metric.namespace for metric in widget.metrics} <= {"Dropsort", ""}
    ]
    # THEN nothing that it draws is empty
    assert len(drawn_here) >= 10
    for widget in drawn_here:
        found = lines(emitted.cloudwatch, widget, emitted.start, emitted.end)
        assert found, widget.title
        assert [line.label for line in found if not line.points] == [], widget.title


def test_what_was_deployed_uses_the_metrics_of_the_template(service: LocalService) -> None:
    """So that nothing is forgotten above: the names come from the template, and are those that CloudWatch has."""
    # GIVEN dashboard and alarms as CloudWatch has them, for an endpoint that is not the stack's
    cloudwatch = service.session().client("cloudwatch")
    deployed = list(requested_metrics.of_dashboard(body_of(service)))
    pages = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{service.stack}-")
    alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
    deployed += [requested for alarm in alarms for requested in requested_metrics.of_alarm(alarm)]

    # THEN they ask for the same series; values of AWS's dimensions are names that only a deployment knows
    def described(requested: RequestedMetric) -> tuple[object, ...]:
        ours = requested.namespace == "Dropsort"
        dimensions = sorted(requested.dimensions if ours else (name for name, _ in requested.dimensions))
        return (
            requested.where,
            requested.namespace,
            requested.name,
            tuple(dimensions),
            requested.stat,
            requested.period,
        )

    assert {described(requested) for requested in deployed} == {
        described(requested)
        for requested in requested_metrics.everything(CreatesEndpoint=False, LimitsUnreviewed=False)
    }

    # AND those belong to resources of the stack
    pages = service.session().client("cloudformation").get_paginator("list_stack_resources")
    resources = [
        resource["PhysicalResourceId"]
        for page in pages.paginate(StackName=service.stack)
        for resource in page["StackResourceSummaries"]
    ]
    known = {name for resource in resources for name in (resource, resource.rpartition("/")[2])}
    for requested in deployed:
        if requested.namespace != "Dropsort":
            assert {value for _, value in requested.dimensions} <= known, requested


def test_the_alarms_of_the_dashboard_are_there(service: LocalService) -> None:
    (shown,) = [widget.alarms for widget in widgets(body_of(service)) if widget.kind == "alarm"]
    answer = service.session().client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{service.stack}-")
    assert sorted(shown) == sorted(alarm["AlarmName"] for alarm in answer["MetricAlarms"])


def test_metric_math_of_an_alarm_gives_a_share(emitted: Emitted) -> None:
    # GIVEN the alarms that compute something of our metrics alone
    computed = [
        alarm
        for alarm in requested_metrics.alarms(NamesVersion=False).values()
        if requested_metrics.expressions(alarm)
        and {requested.namespace for requested in requested_metrics.of_alarm(alarm)} == {"Dropsort"}
    ]
    assert computed
    for alarm in computed:
        # WHEN it is computed of what was emitted
        ((expression, ids),) = requested_metrics.expressions(alarm)
        requested = list(requested_metrics.of_alarm(alarm))
        plain = [
            WidgetMetric(a.namespace, a.name, tuple(sorted(a.dimensions)), a.stat, a.period)
            for a in requested
        ]
        points = fetch(emitted.cloudwatch, plain, emitted.start, emitted.end)
        found = evaluate(expression, dict(zip(ids, points, strict=True)), requested[0].period)
        # THEN there is a share to hold against the threshold
        assert found
        assert all(0 <= value <= 1 for value in found.values())
