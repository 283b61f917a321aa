"""Logger, metrics and tracer of the functions, and the name of every metric that they emit.

The tracer rides on the X-Ray SDK, whose support ends in 2027-02; it is used here and nowhere else, so that it can be swapped here.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, cast

from aws_lambda_powertools import Logger, Metrics, Tracer, single_metric
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE = "Dropsort"
STACK = "Stack"  # the dimension of every metric
LABEL = "Label"  # the second dimension of LABELLED

# One image, one outcome.
CLASSIFIED = "Classified"
LOW_CONFIDENCE = "LowConfidence"
FAILED = "Failed"
RETRYABLE_FAILED = "RetryableFailed"
SUPERSEDED = "Superseded"
LABELLED = "Labelled"
CONFIDENCE = "Confidence"
UPLOAD_TO_RESULT = "UploadToResult"
# The endpoint, as the function sees it.
ENDPOINT_LATENCY = "EndpointLatency"
# What travels.
SERIALIZED_BYTES = "SerializedBytes"
REFUSED = "Refused"

UNITS = {
    CLASSIFIED: MetricUnit.Count,
    LOW_CONFIDENCE: MetricUnit.Count,
    FAILED: MetricUnit.Count,
    RETRYABLE_FAILED: MetricUnit.Count,
    SUPERSEDED: MetricUnit.Count,
    LABELLED: MetricUnit.Count,
    CONFIDENCE: MetricUnit.NoUnit,
    UPLOAD_TO_RESULT: MetricUnit.Milliseconds,
    ENDPOINT_LATENCY: MetricUnit.Milliseconds,
    SERIALIZED_BYTES: MetricUnit.Bytes,
    REFUSED: MetricUnit.Count,
}

# An invocation that raises has no metrics; that is no news.
warnings.filterwarnings("ignore", message="No application metrics to publish")

_STACK_NAME = os.environ.get("STACK_NAME", "dropsort")

logger = Logger(service="dropsort", level=os.environ.get("POWERTOOLS_LOG_LEVEL", "WARNING"))
tracer = Tracer(service="dropsort")
metrics = Metrics(namespace=NAMESPACE)
metrics.set_default_dimensions(**{STACK: _STACK_NAME})

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def observed(handler: Handler) -> Handler:
    """Decorate a function's handler: traced, and its metrics printed as one line when it returns."""
    return cast(Handler, tracer.capture_lambda_handler(metrics.log_metrics(handler), capture_response=False))


def emit(**values: float) -> None:
    """Add metrics, by name, to the line of this invocation."""
    for name, value in values.items():
        metrics.add_metric(name=name, unit=UNITS[name], value=value)


def emit_label(label: str) -> None:
    """Count one image under its label, on a line of its own: its dimensions are others."""
    dimensions = {STACK: _STACK_NAME, LABEL: label}
    with single_metric(
        name=LABELLED, unit=UNITS[LABELLED], value=1, namespace=NAMESPACE, default_dimensions=dimensions
    ):
        pass


def note(**fields: Any) -> None:
    """Put fields on the line of this invocation that are searched but not counted: key, inference id, outcome."""
    for name, value in fields.items():
        metrics.add_metadata(name, value)
