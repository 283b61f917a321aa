"""Logger, metrics and tracer of the functions; `dropsort.contract.metrics` names the metrics.

The tracer rides on the X-Ray SDK, whose support ends in 2027-02: it is used here and nowhere else, so that it can be swapped here, and
imported only where traces are recorded, since the import alone takes longer than all the other work of a cold start but boto's.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit, single_metric

from dropsort.contract import defaults
from dropsort.contract.metrics import LABEL, LABELLED, NAMESPACE, STACK, WORKFLOW

# An invocation that raises has no metrics; that is no news.
warnings.filterwarnings("ignore", message="No application metrics to publish")

_STACK_NAME = os.environ.get("STACK_NAME", defaults.STACK)

logger = Logger(service="dropsort", level=os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO"))
metrics = Metrics(namespace=NAMESPACE)
metrics.set_default_dimensions(**{STACK: _STACK_NAME})

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def observed(handler: Handler) -> Handler:
    """Decorate a function's handler: traced, its metrics printed as one line when it returns, its exceptions as one line of JSON."""

    @wraps(handler)
    def logged(event: dict[str, Any], context: Any) -> dict[str, Any]:
        metrics.clear_metrics()  # an invocation that raised before its first metric leaves its notes behind
        try:
            return handler(event, context)
        except Exception:
            logger.exception("The workflow will retry or record this.", extra=dict(metrics.metadata_set))
            raise

    measured = cast(Handler, metrics.log_metrics(logged))
    if os.environ.get("POWERTOOLS_TRACE_DISABLED", "").lower() in ("true", "1"):
        return measured
    from aws_lambda_powertools.tracing import Tracer

    return cast(Handler, Tracer(service="dropsort").capture_lambda_handler(measured, capture_response=False))


def emit(**values: float) -> None:
    """Add metrics, by name, to the line of this invocation."""
    for name, value in values.items():
        metrics.add_metric(name=name, unit=WORKFLOW[name].unit, value=value)


def emit_label(label: str) -> None:
    """Count one image under its label, on a line of its own: its dimensions are others."""
    # CloudWatch takes dimensions of ASCII alone, of at most 1,024 characters.
    ascii_label = label.encode("ascii", "backslashreplace").decode()[:1024]
    dimensions = {STACK: _STACK_NAME, LABEL: ascii_label}
    with single_metric(
        name=LABELLED,
        unit=MetricUnit(WORKFLOW[LABELLED].unit),
        value=1,
        namespace=NAMESPACE,
        default_dimensions=dimensions,
    ):
        pass


def note(**fields: Any) -> None:
    """Put fields on the line of this invocation that are searched but not counted: key, inference id, outcome."""
    for name, value in fields.items():
        metrics.add_metadata(name, value)
