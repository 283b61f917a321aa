"""Every widget of the dashboard: where it is, its series, their statistic, period and colour."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tests.unit.infra.specification.alarms import ALARMS, logical
from tests.unit.infra.specification.canonical import STACK

# One colour for one meaning; distinguishable with any colour vision (Okabe and Ito).
GOOD, WARNING, BAD, SECOND, ESTIMATE, SILENCE = (
    "#0072b2",
    "#e69f00",
    "#d55e00",
    "#56b4e9",
    "#009e73",
    "#cc79a7",
)
FIVE_MINUTES, HOUR = 300, 3600  # the workflow's metrics; those of the hourly monitoring
FROM_ZERO = {"left": {"min": 0}}
SECONDS = {"min": 0, "label": "s", "showUnits": False}
MILLISECONDS = {"left": {"min": 0, "label": "ms", "showUnits": False}}


def ours(metric: str, label: str, color: str = "", **more: Any) -> list[Any]:
    """A series of the service."""
    return [
        "Dropsort",
        metric,
        "Stack",
        STACK,
        {"label": label, **({"color": color} if color else {}), **more},
    ]


def hidden(metric: str, identity: str) -> list[Any]:
    """A series for an expression."""
    return ["Dropsort", metric, "Stack", STACK, {"id": identity, "visible": False}]


def of_function(metric: str, function: str, identity: str) -> list[Any]:
    return [
        "AWS/Lambda",
        metric,
        "FunctionName",
        f"${{{function}Function}}",
        {"id": identity, "visible": False},
    ]


def expression(text: str, identity: str, label: str, color: str = "") -> list[Any]:
    more = {"color": color} if color else {}
    return [{"expression": text, "id": identity, "label": label, **more}]


def percentiles(metric: str) -> list[list[Any]]:
    """The middle, and the slowest of a hundred."""
    return [ours(metric, "p50", GOOD, stat="p50"), ours(metric, "p99", BAD, stat="p99")]


def widget(
    title: str,
    place: tuple[int, int, int],
    period: int,
    metrics: list[list[Any]],
    stat: str = "",
    **more: Any,
) -> dict[str, Any]:
    """A widget; place is its column, row and width."""
    column, row, width = place
    properties = {
        "title": title,
        "region": "${AWS::Region}",
        "view": "timeSeries",
        "period": period,
        "metrics": metrics,
        **({"stat": stat} if stat else {}),
        **more,
    }
    return {"type": "metric", "x": column, "y": row, "width": width, "height": 6, "properties": properties}


# An outcome that did not occur has no data, not a zero.
LOW_RATE = "100 * FILL(low, 0) / (FILL(low, 0) + FILL(sure, 0))"
ENDPOINT_ERRORS = [
    "AWS/SageMaker", "Invocation5XXErrors", "EndpointName", "${Endpoint.EndpointName}", "VariantName", "main",
    {"label": "errors of the model", "color": BAD},
]  # fmt: skip
RESULTS = [
    ("Classified", "classified", GOOD),
    ("LowConfidence", "low confidence", WARNING),
    ("Failed", "failed", BAD),
]
FUNCTIONS = ("Serialize", "Classify", "Filter")


def widgets(creates: bool) -> list[dict[str, Any]]:
    """The widgets of a stack that creates its endpoint, or uses another."""
    errors = [
        of_function("Errors", name, f"e{i}")
        for i, name in enumerate((*FUNCTIONS, "Monitor", "SerializeLarge"), 1)
    ]
    throttles = [
        of_function("Throttles", name, f"t{i}") for i, name in enumerate((*FUNCTIONS, "SerializeLarge"), 1)
    ]
    return [
        widget("Images per outcome", (0, 0, 12), FIVE_MINUTES, [ours(*series) for series in RESULTS], "Sum", stacked=True),
        widget("Upload to result", (12, 0, 12), FIVE_MINUTES, percentiles("UploadToResult"), yAxis=MILLISECONDS),
        widget(
            "Low-confidence rate", (0, 6, 8), HOUR,
            [
                expression(LOW_RATE, "rate", "low confidence, %", WARNING),
                hidden("LowConfidence", "low"), hidden("Classified", "sure"),
            ],
            "Sum", yAxis={"left": {"min": 0, "label": "%", "showUnits": False}},
        ),
        widget(
            "Images per label", (8, 6, 8), HOUR,
            [expression(
                f"SEARCH('{{Dropsort,Label,Stack}} MetricName=\"Labelled\" Stack=\"{STACK}\"', 'Sum', 3600)",
                "labels", "${!PROP('Dim.Label')}",
            )],
            stacked=True,
        ),
        widget(
            "Confidence of captures, 24 hours", (16, 6, 8), HOUR,
            [
                ours("MeanConfidence", "mean confidence", GOOD),
                ours("EstimatedAccuracy", "estimated accuracy (an estimate)", ESTIMATE),
                ours("LowConfidenceRate", "below the threshold", WARNING),
            ],
            "Average",
        ),
        widget(
            "Drift from the reference", (0, 12, 8), HOUR,
            [
                ours("ConfidenceWasserstein", "Wasserstein", GOOD),
                ours("ConfidenceJensenShannon", "Jensen-Shannon", SECOND),
                ours("LabelShareChange", "label share", WARNING),
            ],
            "Average", yAxis=FROM_ZERO,
        ),
        widget(
            "Alarming signals", (8, 12, 8), HOUR,
            [ours("DriftAlarms", "drift", BAD), ours("SilenceAlarm", "silence", SILENCE)], "Maximum", yAxis=FROM_ZERO,
        ),
        widget(
            "Uploads without a result", (16, 12, 8), HOUR,
            [
                ours("OldestUploadAge", "oldest", GOOD),
                ours("UploadsWithoutResult", "how many", WARNING, yAxis="right"),
            ],
            "Maximum", yAxis={"left": SECONDS, "right": {"min": 0}},
        ),
        widget("Endpoint latency", (0, 18, 8), FIVE_MINUTES, percentiles("EndpointLatency"), yAxis=MILLISECONDS),
        widget(
            "Failures that may be retried, endpoint errors", (8, 18, 8), FIVE_MINUTES,
            [ours("RetryableFailed", "retryable failures", WARNING), *([ENDPOINT_ERRORS] if creates else [])],
            "Sum", yAxis=FROM_ZERO,
        ),
        widget(
            "Errors and throttles of the functions", (16, 18, 8), FIVE_MINUTES,
            [
                expression("SUM([e1, e2, e3, e4, e5])", "errors", "errors", BAD),
                expression("SUM([t1, t2, t3, t4])", "throttles", "throttles", WARNING),
                *errors, *throttles,
            ],
            "Sum", yAxis=FROM_ZERO,
        ),
        widget(
            "Executions that failed, dead letters", (0, 24, 8), FIVE_MINUTES,
            [
                ["AWS/States", "ExecutionsFailed", "StateMachineArn", "${StateMachine}", {"label": "failed", "color": BAD}],
                ["AWS/States", "ExecutionsTimedOut", "StateMachineArn", "${StateMachine}", {"label": "timed out", "color": WARNING}],
                ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${DeadLetterQueue.QueueName}",
                 {"label": "dead letters", "stat": "Maximum", "color": GOOD}],
            ],
            "Sum", yAxis=FROM_ZERO,
        ),
        widget(
            "Capture health", (8, 24, 8), HOUR,
            [
                ours("Captured", "captured", GOOD), ours("BadLines", "bad lines", BAD), ours("Duplicates", "duplicates", WARNING),
                ours("CapturedShare", "share of invocations", ESTIMATE, stat="Average", yAxis="right"),
            ],
            "Sum", yAxis={"left": {"min": 0}, "right": {"min": 0, "max": 1}},
        ),
        widget(
            "Cost of this month so far, estimated, US dollars", (16, 24, 8), HOUR,
            [ours("CostSoFar", "US dollars")], "Maximum", view="singleValue",
        ),
        widget(
            "Images to review", (0, 30, 12), HOUR,
            [
                ours("OldestUnreviewedAge", "oldest", GOOD),
                ours("Unreviewed", "how many", WARNING, yAxis="right"),
            ],
            "Maximum", yAxis={"left": SECONDS, "right": {"min": 0}},
        ),
        widget(
            "Reviewed images", (12, 30, 12), HOUR,
            [ours("Reviewed", "reviewed", GOOD), ours("Overturned", "overturned", BAD)], "Sum", yAxis=FROM_ZERO,
        ),
    ]  # fmt: skip


def body(conditions: Collection[str]) -> dict[str, Any]:
    """The dashboard of a stack with these conditions, its series written in full; alarms in any order."""
    shown = sorted(
        f"${{{logical(name)}.Arn}}" for name, alarm in ALARMS.items() if alarm.condition in {"", *conditions}
    )
    alarms = {
        "type": "alarm",
        "x": 0,
        "y": 36,
        "width": 24,
        "height": 3,
        "properties": {"title": "Alarms", "alarms": shown},
    }
    return {
        "start": "-P1D",
        "periodOverride": "inherit",
        "widgets": [*widgets("CreatesEndpoint" in conditions), alarms],
    }


def in_full(metrics: list[list[Any]]) -> list[list[Any]]:
    """Series without CloudWatch's abbreviations: ``.`` is what the one before has there, ``...`` is all but the last."""
    found: list[list[Any]] = []
    previous: list[Any] = []
    for row in metrics:
        *names, options = row if isinstance(row[-1], dict) else [*row, {}]
        if names and names[0] == "...":
            names = [*previous[: len(previous) - len(names[1:])], *names[1:]]
        names = [previous[i] if name == "." else name for i, name in enumerate(names)]
        previous = names or previous
        found.append([*names, options])
    return found
