"""Every member of a result: with a decision, with a prediction that was rejected, and without a prediction; and its bytes."""

from __future__ import annotations

from typing import Any

import pytest

from dropsort.contract.predictions import Prediction
from handlers import results
from handlers.decision import decide, failed
from handlers.rejections import Rejection
from handlers.uploads import Upload

UPLOAD = Upload("b", "incoming/a.jpg", "v1", "0" * 32, 5, "1f", "2026-11-21T09:00:00Z")
PREDICTION = Prediction((0.98, 0.02), ("bicycle", "motorcycle"), 0.43, "m-1")
RECORDED = "2026-11-21T09:00:01.234Z"
ALWAYS: dict[str, Any] = {
    "schema": "dropsort/result/1", "outcome": "failed", "source": UPLOAD.source(), "label": None, "confidence": None,
    "probabilities": None, "familiarity": None, "threshold": None, "familiarity_threshold": None, "reason": None, "model": None,
    "image": None, "review": None, "inference_id": UPLOAD.inference_id,
    "times": {"uploaded": "2026-11-21T09:00:00Z", "recorded": RECORDED}, "execution": None, "trace": None,
}  # fmt: skip
PREDICTED = {"probabilities": {"bicycle": 0.98, "motorcycle": 0.02}, "familiarity": 0.43}
AROUND: dict[str, Any] = {
    "image": {"format": "PNG", "width": 4, "height": 3}, "endpoint": {"endpoint": "bikes", "variant": "main"},
    "familiarity_threshold": 0.01, "execution": "arn", "trace": "Root=1",
}  # fmt: skip
AROUND_SHOWN = {"image": AROUND["image"], "execution": "arn", "trace": "Root=1"}


def test_a_decision() -> None:
    sure = decide(PREDICTION, threshold=0.9)
    assert results.document(UPLOAD, recorded=RECORDED, decision=sure, prediction=PREDICTION, **AROUND) == {
        **ALWAYS, **PREDICTED, **AROUND_SHOWN, "outcome": "classified", "label": "bicycle", "confidence": 0.98, "threshold": 0.9,
        "familiarity_threshold": 0.01, "model": {"endpoint": "bikes", "variant": "main", "version": "m-1"},
    }  # fmt: skip
    # AND of one below the threshold the reason is there, too
    unsure = decide(PREDICTION, threshold=0.99)
    found = results.document(UPLOAD, recorded=RECORDED, decision=unsure, prediction=PREDICTION)
    assert (found["outcome"], found["reason"]["code"]) == ("low-confidence", "below_threshold")


def test_a_rejection_with_a_prediction_and_without() -> None:
    rejection = Rejection("tied_prediction", "a, b")
    of = failed(rejection)
    reason = {"code": "tied_prediction", "message": str(rejection), "retryable": False}
    assert results.document(UPLOAD, recorded=RECORDED, prediction=PREDICTION, decision=of, **AROUND) == {
        **ALWAYS, **PREDICTED, **AROUND_SHOWN, "reason": reason,
        "model": {"endpoint": "bikes", "variant": "main", "version": "m-1"},
    }  # fmt: skip
    assert results.document(UPLOAD, recorded=RECORDED, decision=of, **AROUND) == {
        **ALWAYS, **AROUND_SHOWN, "reason": reason, "model": {"endpoint": "bikes", "variant": "main", "version": None},
    }  # fmt: skip
    assert results.document(UPLOAD, recorded=RECORDED, decision=of) == {**ALWAYS, "reason": reason}
    renewed = results.document(UPLOAD, recorded=RECORDED, decision=of, inference_id="1")
    assert renewed == {**ALWAYS, "reason": reason, "inference_id": "1"}


@pytest.mark.parametrize(
    ("recorded", "retryable"), [("2026-11-22T08:59:59.999Z", True), ("2026-11-22T09:00:00.000Z", False)]
)
def test_whether_a_failure_may_pass_depends_on_both_times(recorded: str, retryable: bool) -> None:
    found = results.document(UPLOAD, recorded=recorded, decision=failed(Rejection("invalid_prediction")))
    assert found["reason"]["retryable"] is retryable


def test_the_bytes_are_lines_for_people() -> None:
    assert results.encode({"a": "写", "b": [1]}) == '{\n "a": "写",\n "b": [\n  1\n ]\n}\n'.encode()
