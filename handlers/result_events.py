"""One event on an EventBridge bus for each recorded result, if the service names a bus.

It is sent once the result is recorded and before the execution ends: a run that fails in between is repeated and sends it again, so each
recorded result has at least one event. Those of one upload and one outcome are the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from handlers import aws

SOURCE = "dropsort"
DETAIL_TYPE = "Result Recorded"


class EventRejected(Exception):
    """EventBridge took the request, but not the event; the workflow retries."""


def send(bus: str, result: Mapping[str, Any], location: str) -> None:
    """Send the event of a recorded result.

    Parameters
    ----------
    bus
        Name of the bus.
    location
        Key of the result.

    Raises
    ------
    EventRejected, ClientError
        It was not sent.
    """
    entry = {
        "EventBusName": bus,
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Detail": json.dumps(detail(result, location)),
    }
    response = aws.events().put_events(Entries=[entry])  # type: ignore[list-item]
    if response["FailedEntryCount"]:
        (rejected,) = response["Entries"]
        raise EventRejected(f"{rejected.get('ErrorCode')}: {rejected.get('ErrorMessage')}")


def detail(result: Mapping[str, Any], location: str) -> dict[str, Any]:
    """What the event says: where the result is, and its main members. A few KB at most: probabilities are in the result alone."""
    source, reason, model = result["source"], result["reason"] or {}, result["model"] or {}
    return {
        "bucket": source["bucket"],
        "key": source["key"],
        "version_id": source["version_id"],
        "result_key": location,
        "inference_id": result["inference_id"],
        "outcome": result["outcome"],
        "label": result["label"],
        "confidence": result["confidence"],
        "reason": reason.get("code"),
        "retryable": reason.get("retryable", False),
        "model": model.get("version"),
        "recorded": result["times"]["recorded"],
    }
