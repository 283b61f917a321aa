"""Logger, metrics and tracer of the functions; `dropsort.contract.metrics` names the metrics.

Metrics of one image are one line, that of Filter, because a line costs as much as the work that it reports: half a dollar per gigabyte.
Serialize and Classify put theirs into the state.

The tracer uses the X-Ray SDK, whose support ends in 2027-02: it is used only in this module, so that it can be replaced here, and
imported only where traces are recorded, since the import alone takes longer than all the other work of a cold start but boto's. The
logger is imported with its first line, which most functions never write.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from dropsort.contract import defaults, emf
from dropsort.contract.metrics import BACKLOG, STACK, WORKFLOW
from dropsort.contract.text import escaped_json

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

_STACK_NAME = os.environ.get("STACK_NAME", defaults.STACK)
_LEVEL = os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO").upper()

_DECLARED = WORKFLOW | BACKLOG

_EventT = TypeVar("_EventT")
_ResponseT = TypeVar("_ResponseT")


class Invocation:
    """Metrics and notes of one invocation."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.sets: dict[tuple[str, ...], list[str]] = {}  # metrics by their dimensions
        self.dimensions = {STACK: _STACK_NAME}
        self.notes: dict[str, Any] = {}

    def line(self) -> str:
        """All of it as one line; empty without a metric."""
        now = time.time_ns() // 1_000_000
        return emf.line(self.values, self.sets.items(), self.dimensions, _DECLARED, now, self.notes)


_invocation = Invocation()  # a function runs one at a time


@cache
def logger() -> Logger:
    """Get the logger of exceptions and of lines for debugging."""
    from aws_lambda_powertools import Logger

    return Logger(service="dropsort", level=_LEVEL, json_serializer=_serialize)


def _serialize(members: dict[str, Any]) -> str:
    """One line, also for a log that ends lines at each of Unicode's line separators."""
    return escaped_json(json.dumps(members, default=str, ensure_ascii=False, separators=(",", ":")))


def debugging() -> bool:
    """Whether each invocation and each image gets a line of its own."""
    return _LEVEL == "DEBUG"


def observed(handler: Callable[[_EventT, Any], _ResponseT]) -> Callable[[_EventT, Any], _ResponseT]:
    """Decorate a function's handler: traced, its metrics printed as one line when it ends, its exceptions as one line of JSON."""

    @wraps(handler)
    def logged(event: _EventT, context: Any) -> _ResponseT:
        global _invocation
        _invocation = Invocation()
        try:
            return handler(event, context)
        except Exception:
            logger().exception("The workflow will retry or record this.", extra=dict(_invocation.notes))
            raise
        finally:
            if line := _invocation.line():
                print(line)
            elif debugging():
                logger().debug("Done.", extra=dict(_invocation.notes))

    if os.environ.get("POWERTOOLS_TRACE_DISABLED", "").lower() in ("true", "1"):
        return logged
    from aws_lambda_powertools.tracing import Tracer

    return cast(
        "Callable[[_EventT, Any], _ResponseT]",
        Tracer(service="dropsort").capture_lambda_handler(logged, capture_response=False),
    )


def emit(**values: float) -> None:
    """Add metrics, by name, to the line of this invocation."""
    _add((STACK,), values)


def emit_by(dimension: str, value: str, **values: float) -> None:
    """Add metrics with a second dimension; a metric has one value per invocation, whatever its dimensions."""
    _invocation.dimensions[dimension] = emf.dimension(value)
    _add((STACK, dimension), values)


def note(**fields: Any) -> None:
    """Put fields on the line of this invocation that are searched but not counted: key, reason."""
    _invocation.notes.update(fields)


def _add(dimensions: tuple[str, ...], values: dict[str, float]) -> None:
    if unknown := sorted(values.keys() - _DECLARED.keys()):
        raise KeyError(f"not in dropsort/contract/metrics.py: {', '.join(unknown)}")
    _invocation.values.update(values)
    _invocation.sets.setdefault(dimensions, []).extend(values)
