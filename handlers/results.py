"""The result document: one JSON object per image, as docs/reference/result.schema.json says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dropsort.contract import keys
from dropsort.contract.predictions import Prediction
from handlers.decision import Decision
from handlers.uploads import Upload


def document(
    upload: Upload,
    *,
    recorded: str,
    decision: Decision,
    prediction: Prediction | None = None,
    image: Mapping[str, Any] | None = None,
    endpoint: Mapping[str, Any] | None = None,
    familiarity_threshold: float | None = None,
    execution: str | None = None,
    trace: str | None = None,
    inference_id: str | None = None,
) -> dict[str, Any]:
    """A result: the decision on an upload, with the prediction that it was made by, if there was one.

    Parameters
    ----------
    recorded
        ISO 8601 in UTC, to the millisecond.
    image
        ``format``, and ``width`` and ``height`` in pixels.
    endpoint
        ``endpoint`` and ``variant`` that responded.
    inference_id
        Of the prediction, if that is one of an earlier upload of the same object.
    """
    failed = decision.outcome == keys.FAILED
    reason = decision.rejection.reason(upload.uploaded, recorded) if decision.rejection else None
    return {
        "schema": keys.RESULT_SCHEMA,
        "outcome": decision.outcome,
        "source": upload.source(),
        "label": decision.label,
        "confidence": decision.confidence,
        "probabilities": dict(zip(prediction.labels, prediction.probabilities, strict=True))
        if prediction
        else None,
        "familiarity": prediction.familiarity if prediction else None,
        "threshold": decision.threshold,
        "familiarity_threshold": None if failed else familiarity_threshold,
        "reason": reason,
        "model": {**endpoint, "version": prediction.model if prediction else None} if endpoint else None,
        "image": dict(image) if image else None,
        "review": None,
        "inference_id": inference_id or upload.inference_id,
        "times": {"uploaded": upload.uploaded, "recorded": recorded},
        "execution": execution,
        "trace": trace,
    }


def encode(result: Mapping[str, Any]) -> bytes:
    """A result as the bytes of its object: UTF-8, indented for people, at most one line per member of a list."""
    return json.dumps(result, ensure_ascii=False, indent=1, allow_nan=False).encode() + b"\n"
