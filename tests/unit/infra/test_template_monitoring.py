"""Dashboard and alarms: every series they ask for is one that somebody emits, under exactly those dimensions.

What the service itself emits is held against a real run in tests/stack/test_metrics.py. What AWS emits cannot be had
here, so it is held against AWS's documentation.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dropsort.contract import metrics
from monitoring.cloudwatch.expressions import evaluate
from monitoring.cloudwatch.widgets import widgets
from tests.unit.infra import requested_metrics
from tests.unit.infra.requested_metrics import RequestedMetric
from tests.unit.infra.template import RESOURCES, of_type, resolve

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"

OURS = metrics.WORKFLOW.keys() | metrics.BACKLOG.keys() | metrics.MONITORING.keys()
WITH_LABEL = metrics.WITH_LABEL

# By namespace and name: the dimensions, and the statistics that the documentation calls valid or useful.
#   AWS/States     Step Functions Developer Guide, "Monitoring Step Functions metrics using Amazon CloudWatch", execution
#                  metrics: of Standard and of Express workflows
#   AWS/Lambda     Lambda Developer Guide, "Types of metrics for Lambda functions", invocation metrics: view them with Sum
#   AWS/SQS        SQS Developer Guide, "Available CloudWatch metrics for Amazon SQS": QueueName is the only dimension
#   AWS/SageMaker  SageMaker AI Developer Guide, "Amazon SageMaker AI metrics in Amazon CloudWatch", endpoint invocation metrics
#                  and "Auto-Rollback Configuration and Monitoring": with EndpointConfigName too, the metrics of one fleet of an update
STATES, FUNCTION, QUEUE, VARIANT = (
    {"StateMachineArn"},
    {"FunctionName"},
    {"QueueName"},
    {"EndpointName", "VariantName"},
)
FLEET = VARIANT | {"EndpointConfigName"}
OF_AWS = {
    ("AWS/States", "ExecutionsFailed"): (STATES, {"Sum"}),
    ("AWS/States", "ExecutionsTimedOut"): (STATES, {"Sum"}),
    ("AWS/Lambda", "Errors"): (FUNCTION, {"Sum"}),
    ("AWS/Lambda", "Throttles"): (FUNCTION, {"Sum"}),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): (QUEUE, {"Maximum"}),  # it is a level, no count
    ("AWS/SageMaker", "Invocations"): (FLEET, {"Sum"}),
    ("AWS/SageMaker", "InvocationModelErrors"): (FLEET, {"Sum"}),
    ("AWS/SageMaker", "Invocation5XXErrors"): (VARIANT, {"Sum"}),
    ("AWS/SageMaker", "ModelLatency"): (FLEET, {"p90"}),
}

# What the value of a dimension may be: a reference that gives just that value, by the type of the resource.
REFERENCES = {
    "StateMachineArn": ("AWS::StepFunctions::StateMachine", "{}"),  # its Ref is its ARN
    "FunctionName": ("AWS::Lambda::Function", "{}"),
    "QueueName": ("AWS::SQS::Queue", "{}.QueueName"),  # its Ref is its URL
}

REQUESTED = [
    *requested_metrics.everything(),
    *requested_metrics.everything(NamesVersion=False),
    *requested_metrics.everything(NamesEndpoint=False),
    *requested_metrics.everything(CreatesEndpoint=False),
]
REQUESTED = list(dict.fromkeys(REQUESTED))


@pytest.mark.parametrize("requested", [a for a in REQUESTED if a.namespace == "Dropsort"], ids=str)
def test_our_metrics_are_used_by_name_and_dimensions(requested: RequestedMetric) -> None:
    assert requested.name in OURS
    assert requested.name not in WITH_LABEL, "without its label it has no data: use SEARCH"
    dimensions = dict(requested.dimensions)
    if dimensions.pop("Model", None):
        assert requested.name in metrics.BY_MODEL
    assert dimensions == {"Stack": "dropsort"}


@pytest.mark.parametrize("requested", [a for a in REQUESTED if a.namespace != "Dropsort"], ids=str)
def test_metrics_of_aws_are_documented_ones_of_a_resource_of_ours(requested: RequestedMetric) -> None:
    # GIVEN what AWS documents
    dimensions, statistics = OF_AWS[requested.namespace, requested.name]
    # THEN it is requested under just those dimensions, with a statistic that fits
    assert {name for name, _ in requested.dimensions} == dimensions
    assert requested.stat in statistics
    # AND their values belong to resources of the template
    values = dict(requested.dimensions)
    if dimensions >= VARIANT:
        assert values.pop("EndpointConfigName", "EndpointConfig.EndpointConfigName") == (
            "EndpointConfig.EndpointConfigName"
        )
        endpoints = [
            resolve(RESOURCES["Endpoint"]["Properties"]["EndpointName"], NamesEndpoint=named)
            for named in (True, False)
        ]
        assert values["EndpointName"] in [*endpoints, "Endpoint.EndpointName"]
        variants = RESOURCES["EndpointConfig"]["Properties"]["ProductionVariants"]
        assert values["VariantName"] in [variant["VariantName"] for variant in variants]
    else:
        ((name, value),) = values.items()
        kind, reference = REFERENCES[name]
        assert value in [reference.format(resource) for resource in of_type(kind)]


def test_every_documented_metric_of_the_list_is_used() -> None:
    assert OF_AWS.keys() == {(a.namespace, a.name) for a in REQUESTED if a.namespace != "Dropsort"}


def test_a_search_names_a_metric_and_all_its_dimensions() -> None:
    found = requested_metrics.searches(requested_metrics.dashboard())
    assert found
    for namespace, dimensions, terms, _ in found:
        assert (namespace, dimensions) == ("Dropsort", {"Stack", "Label"})
        assert terms.pop("MetricName") in WITH_LABEL
        assert terms == {"Stack": "dropsort"}, "another stack's would be shown"


@pytest.mark.parametrize("creates", [True, False])
def test_expressions_are_of_metrics_of_the_same_alarm(creates: bool) -> None:
    given = [
        pair
        for a in requested_metrics.alarms(CreatesEndpoint=creates).values()
        for pair in requested_metrics.expressions(a)
    ]
    for widget in widgets(requested_metrics.dashboard(CreatesEndpoint=creates)):
        ids = [metric.id for metric in widget.metrics if metric.id and not metric.expression]
        found = [m.expression for m in widget.metrics if m.expression and "SEARCH" not in m.expression]
        given += [(expression, ids) for expression in found]
    assert given
    for expression, ids in given:
        assert evaluate(expression, {key: {0.0: 1.0} for key in ids}, 300)


def test_a_rate_is_zero_where_only_the_other_count_came() -> None:
    """An outcome that did not occur has no data, not a zero."""
    (rate,) = [
        m.expression for w in widgets(requested_metrics.dashboard()) for m in w.metrics if m.id == "rate"
    ]
    assert evaluate(rate, {"low": {}, "sure": {0.0: 5.0}}, 3600) == {0.0: 0.0}
    assert evaluate(rate, {"low": {0.0: 5.0}, "sure": {}}, 3600) == {0.0: 100.0}


@pytest.mark.parametrize("creates", [True, False])
def test_the_dashboard_shows_every_alarm(creates: bool) -> None:
    body = requested_metrics.dashboard(CreatesEndpoint=creates)
    (shown,) = [w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm"]
    assert sorted(shown) == sorted(
        f"{name}.Arn" for name in requested_metrics.alarms(CreatesEndpoint=creates)
    )


def test_an_alarm_says_what_to_do_with_the_stack_in_its_commands() -> None:
    for name, alarm in requested_metrics.alarms().items():
        said = alarm["AlarmDescription"]
        assert len(said) <= 1024
        commands = ("dropsort redrive", "dropsort report", "dropsort review", "dropsort status --stack")
        assert sum(map(said.count, commands)) == said.count("--stack dropsort"), name


def test_a_percentile_is_judged_however_few_there_are() -> None:
    """With "ignore", a p95 of fewer than 200 samples would never alarm."""
    for name, alarm in requested_metrics.alarms().items():
        assert "EvaluateLowSampleCountPercentile" not in alarm, name


def test_what_rolls_a_model_back_watches_the_new_fleet_alone() -> None:
    """An alarm that the current fleet can trip would stop its replacement."""
    rolls_back = RESOURCES["Endpoint"]["Properties"]["DeploymentConfig"]["AutoRollbackConfiguration"][
        "Alarms"
    ]
    for alarm in rolls_back:
        for requested in requested_metrics.of_alarm(requested_metrics.alarms()[alarm["AlarmName"]["Ref"]]):
            names = {name for name, _ in requested.dimensions}
            assert (
                "EndpointConfigName" in names if requested.namespace == "AWS/SageMaker" else "Model" in names
            )


def test_an_alarm_without_conditions_uses_nothing_that_has_one() -> None:
    assert not [
        a for a in requested_metrics.everything(CreatesEndpoint=False) if a.namespace == "AWS/SageMaker"
    ]


def rows(heading: str) -> dict[str, list[str]]:
    """The tables of a chapter of the documentation: first column, all names in it, to the others."""
    chapter = DOCS.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found: dict[str, list[str]] = {}
    for line in chapter.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] not in ("metric", "alarm") and not set(cells[0]) <= set("-"):
            for name in re.findall(r"`([^`]+)`", cells[0].split("(")[0]):
                assert name not in found, f"{name} stands twice"
                found[name] = cells[1:]
    return found


def test_every_metric_is_documented_with_its_unit() -> None:
    units = metrics.WORKFLOW | metrics.BACKLOG | metrics.MONITORING
    said = {name: cells[0] for name, cells in rows("Metrics").items()}
    assert said == units


def test_every_alarm_is_documented() -> None:
    names = {alarm["AlarmName"].removeprefix("dropsort-") for alarm in requested_metrics.alarms().values()}
    assert rows("Alarms").keys() == names
