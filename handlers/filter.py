"""Last function of the workflow: decides by confidence, records exactly one result, and sends its event if the service names an event bus.

In: ``state``, the output of the state before; ``input``, that of the execution, unless it was started manually; ``execution``, its ARN.
Out: outcome, result key, label and confidence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dropsort.contract import ignored_paths, keys, metrics
from dropsort.contract.predictions import Prediction
from dropsort.contract.times import moment
from handlers import aws, recording, recording_requests, result_events, results, settings, telemetry
from handlers.decision import Decision, decide, failed
from handlers.rejections import Rejection, from_error
from handlers.uploads import Upload

if TYPE_CHECKING:
    from handlers.state import Ending, WorkflowState

_SETTINGS = settings.load()
_matches_ignored = ignored_paths.parse(_SETTINGS.ignored_patterns)
if aws.starting():
    aws.s3()
    if _SETTINGS.event_bus:
        aws.events()


@telemetry.observed
def handler(event: Ending, _context: Any) -> dict[str, Any]:
    """Decide and record one image.

    Raises
    ------
    InvalidInput
        The execution's input names no upload: there is nowhere to put a result.
    Contended, ClientError, EventRejected
        The result could not be recorded, or its event not be sent; the workflow retries.
    """
    state = event["state"]
    started_with = event.get("input", state)  # the input of a manual start is part of every state
    upload = _upload(state, started_with)
    telemetry.emit(**_carried(state))
    if state.get("superseded"):
        telemetry.emit(**{metrics.SUPERSEDED: 1})
        return {"outcome": "superseded", "s3_key": upload.key}
    # Serialize ends the execution of an ignored upload, unless it failed itself.
    if upload.is_ignored(_matches_ignored):
        telemetry.emit(**{metrics.IGNORED: 1})
        return {"outcome": "ignored", "s3_key": upload.key}
    prediction, decision = _decide(state)
    now = datetime.now(UTC)
    result = results.document(
        upload,
        recorded=moment(now),
        prediction=prediction,
        decision=decision,
        image=state.get("image"),
        endpoint=state.get("endpoint"),
        familiarity_threshold=_SETTINGS.familiarity_threshold,
        execution=event.get("execution"),
        trace=os.environ.get("_X_AMZN_TRACE_ID"),
        inference_id=state.get("renewed"),
    )
    stands, key = _record(upload, result, state.get("upload", {}).get("uploaded"))
    if stands and _SETTINGS.event_bus:
        result_events.send(_SETTINGS.event_bus, result, key)
    _observe(result, prediction, now, started_with, stands)
    return {
        "outcome": result["outcome"] if stands else "superseded",
        "result_key": key,
        "s3_key": upload.key,
        "label": result["label"],
        "confidence": result["confidence"],
    }


def _carried(state: WorkflowState) -> dict[str, float]:
    """Metrics of the states before, which are emitted here: one line of the log per image."""
    found = state.get("metrics")
    # Without Serialize's output the state is the execution's input
    carried = found if isinstance(found, dict) else {}
    return {
        name: value
        for name in (metrics.SERIALIZED_BYTES, metrics.REJECTED, metrics.ENDPOINT_LATENCY)
        if isinstance(value := carried.get(name), int | float)
    }


def _upload(state: WorkflowState, started_with: Mapping[str, Any]) -> Upload:
    """The upload as Serialize read it, or, if it did not, as the event names it."""
    upload = Upload.from_state(state) if "upload" in state else Upload.from_input(started_with)
    return upload.with_defaults(uploaded=_event_time(started_with))


def _event_time(started_with: Mapping[str, Any]) -> str | None:
    """When the object was uploaded, to the second, as the event says; None for a manual start, whose input may have no valid time."""
    if "detail" not in started_with:
        return None
    try:
        return moment(datetime.fromisoformat(started_with["time"]), "seconds")
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _decide(state: WorkflowState) -> tuple[Prediction | None, Decision]:
    """The prediction in the state, if there is one, and the decision."""
    if "error" in state:  # put there by a Catch
        error = state["error"]
        return None, failed(from_error(str(error.get("Error", "")), str(error.get("Cause", ""))))
    if "rejection" in state:
        return None, failed(Rejection.from_state(**state["rejection"]))
    prediction = Prediction(
        tuple(state["inferences"]),
        tuple(state["labels"]),
        state.get("familiarity"),
        state.get("model"),
        choice=state.get("choice"),
    )
    return prediction, decide(
        prediction,
        threshold=_SETTINGS.threshold,
        label_thresholds=_SETTINGS.label_thresholds,
        familiarity_threshold=_SETTINGS.familiarity_threshold,
    )


def _record(upload: Upload, result: dict[str, Any], last_modified: str | None) -> tuple[bool, str]:
    """Record the result; only S3's own time of the object orders it, as that of the event may be a second later."""
    result_keys = keys.result_keys(upload.path)
    entry = recording.Entry(
        sequencer=upload.sequencer,
        version_id=upload.version_id,
        etag=upload.etag,
        uploaded=last_modified,
        recorded=result["times"]["recorded"],
        outcome=result["outcome"],
        key_digest=keys.digest(upload.key),
    )
    steps = recording.record(entry, result_keys)
    return recording_requests.perform(aws.s3(), upload.bucket, results.encode(result), steps), result_keys[
        entry.outcome
    ]


def _observe(
    result: dict[str, Any],
    prediction: Prediction | None,
    now: datetime,
    started_with: Mapping[str, Any],
    stands: bool,
) -> None:
    if not stands:
        telemetry.emit(**{metrics.SUPERSEDED: 1})
        return
    outcome = {metrics.OF_OUTCOME[result["outcome"]]: 1}
    telemetry.emit(**outcome)
    reason = result["reason"]
    if result["outcome"] == keys.FAILED:
        misconfigured = int(reason["code"] == "endpoint_misconfigured")
        telemetry.emit(
            **{
                metrics.RETRYABLE_FAILED: int(reason["retryable"]),
                metrics.ENDPOINT_MISCONFIGURED: misconfigured,
            }
        )
    if result["label"] is not None and prediction:
        telemetry.emit(**{metrics.CONFIDENCE: result["confidence"]})
        label = metrics.counted_label(result["label"], prediction.labels)
        telemetry.emit_by(metrics.LABEL, label, **{metrics.LABELLED: 1})
        if prediction.model and outcome.keys() <= metrics.BY_MODEL:
            telemetry.emit_by(metrics.MODEL, prediction.model, **outcome)
    if reason:
        telemetry.note(s3_key=result["source"]["key"], reason=reason["code"])
    if telemetry.debugging():  # otherwise every image would cost more of the log
        telemetry.note(s3_key=result["source"]["key"], label=result["label"])
    if uploaded := _event_time(started_with):  # a manual start says nothing about latency
        milliseconds = (now - datetime.fromisoformat(uploaded)).total_seconds() * 1000
        telemetry.emit(**{metrics.UPLOAD_TO_RESULT: max(0, round(milliseconds))})
