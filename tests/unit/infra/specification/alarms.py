"""Every alarm: what it watches, when it is in alarm, and why there.

``python -m tests.unit.infra.specification.alarms`` prints the table of docs/reference/metrics.md, which a test compares.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.unit.infra.specification.canonical import ENDPOINT_NAME, NO_VALUE, STACK, one_of, resource

COMPARISONS = {
    "≥": "GreaterThanOrEqualToThreshold",
    ">": "GreaterThanThreshold",
    "<": "LessThanThreshold",
}
OURS = {"Stack": STACK}
VARIANT = {"EndpointName": "${Endpoint.EndpointName}", "VariantName": "main"}
# Of the new fleet alone during an update: the current one must not stop its own replacement.
FLEET = {
    "EndpointName": ENDPOINT_NAME,
    "VariantName": "main",
    "EndpointConfigName": "${EndpointConfig.EndpointConfigName}",
}
MODEL = [
    {"Name": "Stack", "Value": STACK},
    one_of("NamesVersion", {"Name": "Model", "Value": "${ModelVersion}"}, NO_VALUE),
]


def throttles(function: str) -> dict[str, str]:
    """The dimension of a function."""
    return {"FunctionName": f"${{{function}}}"}


@dataclass(frozen=True)
class Alarm:
    """One alarm: in `datapoints` of `periods` of `minutes` each, `statistic` of `metric` is as `line` says.

    Parameters
    ----------
    metric
        Namespace and name; of an alarm on an expression, the expression's namespace and the metrics in it.
    line
        Comparison and threshold.
    missing
        What a period without data counts as.
    rolls_back
        It ends a roll-out and notifies nobody; all others publish both changes of state.
    expression, inputs
        Metric math, and its metrics by their ids: namespace, name and dimensions.
    """

    metric: str
    dimensions: dict[str, Any]
    statistic: str
    line: tuple[str, Any]
    minutes: int
    periods: int
    why: str
    datapoints: int | None = None
    missing: str = "notBreaching"
    condition: str = ""
    rolls_back: bool = False
    expression: str = ""
    inputs: dict[str, tuple[str, str, list[Any]]] = field(default_factory=dict)
    unit: str = ""


FLEET_LIST = [{"Name": name, "Value": value} for name, value in FLEET.items()]
HOUR = "one incident is one notification"

ALARMS = {
    "failed-executions": Alarm(
        "AWS/States ExecutionsFailed", {"StateMachineArn": "${StateMachine}"}, "Sum", ("≥", 1), 5, 12, datapoints=1,
        why=f"each is an upload without a result; {HOUR}",
    ),
    "late-executions": Alarm(
        "AWS/States ExecutionsTimedOut", {"StateMachineArn": "${StateMachine}"}, "Sum", ("≥", 1), 5, 12, datapoints=1,
        why=f"each is an upload without a result; {HOUR}",
    ),
    "dead-letters": Alarm(
        "AWS/SQS ApproximateNumberOfMessagesVisible", {"QueueName": "${DeadLetterQueue.QueueName}"}, "Maximum", ("≥", 1), 5, 1,
        why="each is an upload that started nothing",
    ),
    "retryable": Alarm(
        "Dropsort RetryableFailed", OURS, "Sum", ("≥", 1), 5, 12, datapoints=1,
        why=f"each is an image that waits; {HOUR}",
    ),
    "misconfigured": Alarm(
        "Dropsort EndpointMisconfigured", OURS, "Sum", ("≥", 1), 5, 12, datapoints=1,
        why=f"no image is classified until a person acts; {HOUR}",
    ),
    "slow": Alarm(
        "Dropsort UploadToResult", OURS, "p95", (">", 60_000), 5, 3,
        why="an upload takes about a second; a minute in three periods is more than a burst",
    ),
    "throttles": Alarm(
        "AWS/Lambda Throttles", throttles("SerializeFunction"), "Sum", ("≥", 100), 5, 3,
        why="calls are retried; 15 minutes are more than a burst",
    ),
    "large-throttles": Alarm(
        "AWS/Lambda Throttles", throttles("SerializeLargeFunction"), "Sum", ("≥", 10), 5, 3,
        why="large images are few",
    ),
    "classify-throttles": Alarm(
        "AWS/Lambda Throttles", throttles("ClassifyFunction"), "Sum", ("≥", 100), 5, 3,
        why="calls are retried; 15 minutes are more than a burst",
    ),
    "filter-throttles": Alarm(
        "AWS/Lambda Throttles", throttles("FilterFunction"), "Sum", ("≥", 100), 5, 3,
        why="calls are retried; 15 minutes are more than a burst",
    ),
    "deletion-throttles": Alarm(
        "AWS/Lambda Throttles", throttles("DeletionFunction"), "Sum", ("≥", 100), 5, 3,
        why="events are delivered again; 15 minutes are more than a burst",
    ),
    "endpoint-unhealthy": Alarm(
        "Dropsort EndpointUnhealthy", OURS, "Maximum", ("≥", 1), 10, 3,
        why="two runs in each period; roll-outs take less than 30 minutes",
    ),
    "reconciliation": Alarm(
        "Dropsort ReconciliationLate", OURS, "Maximum", ("≥", 1), 15, 4, missing="breaching",
        why="no data: the backlog function does not run, so nothing finds lost uploads",
    ),
    "endpoint": Alarm(
        "AWS/SageMaker Invocation5XXErrors", VARIANT, "Sum", ("≥", 5), 5, 2, condition="CreatesEndpoint",
        why="single errors are retried",
    ),
    "oldest-upload": Alarm(
        "Dropsort OldestUploadAge", OURS, "Maximum", (">", 1800), 15, 1,
        why="30 minutes: more than all retries; emitted every 5 minutes, compared hourly",
    ),
    "unreviewed": Alarm(
        "Dropsort Unreviewed", OURS, "Maximum", (">", "${UnreviewedLimit}"), 60, 6, condition="LimitsUnreviewed",
        why="compared hourly; a burst of uploads may wait for a working day's reviewers",
    ),
    "drift": Alarm(
        "Dropsort DriftAlarms", OURS, "Maximum", ("≥", 1), 60, 3, datapoints=1,
        why="one signal is enough, as each has its own false alarm rate; recovers after three hourly runs",
    ),
    "silence": Alarm(
        "Dropsort SilenceAlarm", OURS, "Maximum", ("≥", 1), 60, 1,
        why="the run has compared with other weeks already",
    ),
    "precision": Alarm(
        "Dropsort PrecisionBelowTarget", OURS, "Maximum", ("≥", 1), 60, 1,
        why="the interval of the audit excludes the target already; measured once an hour",
    ),
    "capture": Alarm(
        "Dropsort CapturedShare", OURS, "Maximum", ("<", 0.5), 60, 2, condition="CreatesEndpoint",
        why="the share varies with late files; a full disk stops all captures",
    ),
    "behind": Alarm(
        "Dropsort Behind", OURS, "Maximum", ("≥", 1), 60, 6,
        why="a backlog of captures is read within a few runs",
    ),
    "monitor-throttles": Alarm(
        "AWS/Lambda Throttles", throttles("MonitorFunction"), "Sum", ("≥", 1), 60, 6, datapoints=3,
        why="one run per hour; a later one catches up",
    ),
    "backlog-throttles": Alarm(
        "AWS/Lambda Throttles", throttles("BacklogFunction"), "Sum", ("≥", 1), 60, 6, datapoints=3,
        why="the next run is five minutes later",
    ),
    "monitor": Alarm(
        "AWS/Lambda Errors", throttles("MonitorFunction"), "Sum", ("≥", 1), 60, 3, datapoints=2,
        why="one run per hour; the next one continues where a failed one stopped",
    ),
    "endpoint-errors": Alarm(
        "AWS/SageMaker InvocationModelErrors / Invocations", {}, "Sum", (">", 0.05), 2, 3, datapoints=2,
        condition="CreatesEndpoint", rolls_back=True,
        expression="IF(errors >= 5, errors / invocations, 0)",
        inputs={
            "errors": ("AWS/SageMaker", "InvocationModelErrors", FLEET_LIST),
            "invocations": ("AWS/SageMaker", "Invocations", FLEET_LIST),
        },
        why="a share, as traffic varies; below five errors a share means nothing",
    ),
    "endpoint-latency": Alarm(
        "AWS/SageMaker ModelLatency", FLEET, "p90", (">", 1_000_000), 1, 5, datapoints=3,
        condition="CreatesEndpoint", rolls_back=True, unit="Microseconds",
        why="the model takes 7 ms; the first requests of a new container are slow",
    ),
    "endpoint-low-confidence": Alarm(
        "Dropsort LowConfidence / (LowConfidence + Classified)", {}, "Sum", (">", "${RollbackLowConfidenceShare}"), 5, 1,
        condition="CreatesEndpoint", rolls_back=True,
        expression="IF(low + FILL(sure, 0) >= 50, low / (low + FILL(sure, 0)), 0)",
        inputs={"low": ("Dropsort", "LowConfidence", MODEL), "sure": ("Dropsort", "Classified", MODEL)},
        why="below 50 images: chance",
    ),
}  # fmt: skip


def logical(name: str) -> str:
    """The name in the template of an alarm."""
    return "".join(word.capitalize() for word in name.split("-")) + "Alarm"


# Those of a roll-out.
ROLLS_BACK = [logical(name) for name, alarm in ALARMS.items() if alarm.rolls_back]


def properties(name: str, alarm: Alarm) -> dict[str, Any]:
    """The alarm as CloudFormation has it."""
    sign, threshold = alarm.line
    found: dict[str, Any] = {
        "AlarmName": f"{STACK}-{name}",
        "ComparisonOperator": COMPARISONS[sign],
        "Threshold": threshold,
        "EvaluationPeriods": alarm.periods,
        "TreatMissingData": alarm.missing,
    }
    if alarm.datapoints:
        found["DatapointsToAlarm"] = alarm.datapoints
    if not alarm.rolls_back:
        found |= {"AlarmActions": ["${AlarmTopic}"], "OKActions": ["${AlarmTopic}"]}
    if alarm.unit:
        found["Unit"] = alarm.unit
    if not alarm.expression:
        namespace, metric = alarm.metric.split()
        statistic = "ExtendedStatistic" if alarm.statistic.startswith("p") else "Statistic"
        return found | {
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": [{"Name": key, "Value": value} for key, value in alarm.dimensions.items()],
            "Period": 60 * alarm.minutes,
            statistic: alarm.statistic,
        }
    found["Metrics"] = [{"Id": "share", "Expression": alarm.expression}]
    for identity, (namespace, metric, dimensions) in alarm.inputs.items():
        series = {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions}
        found["Metrics"].append(
            {
                "Id": identity,
                "ReturnData": False,
                "MetricStat": {"Stat": alarm.statistic, "Period": 60 * alarm.minutes, "Metric": series},
            }
        )
    return found


RESOURCES = {
    logical(name): resource(
        "AWS::CloudWatch::Alarm",
        properties(name, alarm),
        **({"Condition": alarm.condition} if alarm.condition else {}),
    )
    for name, alarm in ALARMS.items()
}


# What a person does, as docs/reference/metrics.md says.
NOTHING = "none: it rolls the model back"
ACTIONS = {
    "failed-executions": "an execution failed: see the workflow's log; `dropsort redrive`",
    "late-executions": "an execution timed out: see the dashboard; `dropsort redrive`",
    "dead-letters": "an event started nothing: see the queue; `dropsort redrive`; purge it",
    "retryable": "none: it is started again when the endpoint works",
    "misconfigured": "the endpoint rejects every image: check `EndpointAccept`, its log, the role",
    "slow": "check throttles and endpoint latency",
    "throttles": "request more concurrency, or upload more slowly",
    "large-throttles": "the same",
    "classify-throttles": "images wait for the endpoint: add instances; raise `ClassifyConcurrency`",
    "filter-throttles": "results may be missing: request more concurrency",
    "deletion-throttles": "results of deleted uploads are deleted later: delete more slowly",
    "endpoint-unhealthy": "uploads wait for the endpoint: see its log and status",
    "reconciliation": "comparisons are overdue: see the log of the backlog function",
    "endpoint": "see its log; check the last roll-out first",
    "oldest-upload": "none, unless it stays for hours: see the log of the backlog function",
    "unreviewed": "[review](../guides/review.md), similar images at once; train again",
    "drift": "`dropsort report --stack …`",
    "silence": "check uploads and data capture",
    "precision": "raise the threshold, or [train again](../guides/learning.md)",
    "capture": "check the disk of the instance",
    "behind": "captures are unread: wait, or lower `CaptureSamplingPercentage`",
    "monitor-throttles": "request more concurrency",
    "backlog-throttles": "request more concurrency",
    "monitor": "see its log",
    "endpoint-errors": NOTHING,
    "endpoint-latency": NOTHING,
    "endpoint-low-confidence": NOTHING,
}


def table() -> str:
    """The table of the documentation."""
    rows = ["| alarm | in alarm if | in | action |", "|---|---|---|---|"]
    for name, alarm in ALARMS.items():
        sign, threshold = alarm.line
        shown = f"{threshold:,}" if isinstance(threshold, (int, float)) else f"`{threshold[2:-1]}`"
        metric = alarm.metric.split(maxsplit=1)[1]
        function = str(alarm.dimensions.get("FunctionName", "")).strip("${}").removesuffix("Function")
        metric = f"`{metric}`" + (f" of {function}" if function else "")
        if not alarm.expression and " " not in metric.split("`")[1]:
            metric += f", {alarm.statistic.lower()}"
        within = f"{alarm.datapoints or alarm.periods} of {alarm.periods} × {alarm.minutes} min"
        rows.append(f"| `{name}` | {metric} {sign} {shown} | {within} | {ACTIONS[name]} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table(), end="")
