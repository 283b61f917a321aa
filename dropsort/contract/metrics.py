"""Every metric of the service: namespace, dimensions, names, units, meanings. Who emits it is in the comment above its group.

Units are CloudWatch's; a share is between 0 and 1 and has the unit None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dropsort.contract import keys

NAMESPACE = "Dropsort"
STACK = "Stack"  # the dimension of every metric
LABEL = "Label"  # the second dimension of the metrics in WITH_LABEL
MODEL = "Model"  # the second dimension of the metrics in BY_MODEL, which are emitted without it too
LABELS_COUNTED = (
    20  # labels with metrics of their own; a metric costs $0.30 per month, and a model may have 1,000 labels
)
OTHER_LABELS = "other"  # the rest of the labels, together


class Metric(NamedTuple):
    """The CloudWatch unit of a metric and what it counts."""

    unit: str
    meaning: str


CLASSIFIED = "Classified"
LOW_CONFIDENCE = "LowConfidence"
FAILED = "Failed"
RETRYABLE_FAILED = "RetryableFailed"
ENDPOINT_MISCONFIGURED = "EndpointMisconfigured"
SUPERSEDED = "Superseded"
LABELLED = "Labelled"
CONFIDENCE = "Confidence"
UPLOAD_TO_RESULT = "UploadToResult"
ENDPOINT_LATENCY = "EndpointLatency"
SERIALIZED_BYTES = "SerializedBytes"
REJECTED = "Rejected"
IGNORED = "Ignored"

# Emitted by the functions of the workflow, for each image.
WORKFLOW = {
    CLASSIFIED: Metric("Count", "images classified"),
    LOW_CONFIDENCE: Metric("Count", "images below a threshold"),
    FAILED: Metric("Count", "images without a prediction"),
    RETRYABLE_FAILED: Metric("Count", "failed images that may succeed later"),
    ENDPOINT_MISCONFIGURED: Metric(
        "Count", "failed images that the endpoint rejected for its own configuration"
    ),
    SUPERSEDED: Metric("Count", "executions whose upload was replaced by a newer one"),
    LABELLED: Metric(
        "Count", "images with a label; with the dimension Label: the model's first 20 labels, and other"
    ),
    CONFIDENCE: Metric("None", "confidence of an image's label"),
    UPLOAD_TO_RESULT: Metric("Milliseconds", "time from the upload to its result"),
    ENDPOINT_LATENCY: Metric("Milliseconds", "time of one endpoint invocation, as Classify measures it"),
    SERIALIZED_BYTES: Metric("Bytes", "size of the image in the workflow's state"),
    REJECTED: Metric("Count", "uploads that Serialize rejected: not there, not readable, or no image"),
    IGNORED: Metric("Count", "uploads without a result: folder markers, and keys that IgnoredPatterns match"),
}
# By the outcome of the image that they count: together, every recorded image.
OF_OUTCOME = {keys.CLASSIFIED: CLASSIFIED, keys.LOW_CONFIDENCE: LOW_CONFIDENCE, keys.FAILED: FAILED}

REDRIVEN = "Redriven"
ENDPOINT_UNHEALTHY = "EndpointUnhealthy"
RECONCILIATION_LATE = "ReconciliationLate"
OLDEST_UPLOAD_AGE = "OldestUploadAge"
UPLOADS_WITHOUT_RESULT = "UploadsWithoutResult"
UNREVIEWED = "Unreviewed"
OLDEST_UNREVIEWED_AGE = "OldestUnreviewedAge"
REVIEWED = "Reviewed"
OVERTURNED = "Overturned"

# Emitted by the backlog function, every five minutes.
BACKLOG = {
    REDRIVEN: Metric("Count", "uploads that a run of the backlog was started for"),
    ENDPOINT_UNHEALTHY: Metric(
        "Count", "1 if uploads wait because the endpoint classified none of them, else 0"
    ),
    RECONCILIATION_LATE: Metric(
        "Count", "1 if the comparison of all uploads with their results is overdue, else 0"
    ),
    OLDEST_UPLOAD_AGE: Metric(
        "Seconds",
        "age of the oldest upload without a result when the last comparison began; 0 if all had one",
    ),
    UPLOADS_WITHOUT_RESULT: Metric(
        "Count", "uploads older than ten minutes without a result in the last comparison"
    ),
    UNREVIEWED: Metric(
        "Count", "images of low confidence that nobody has decided about, in the last comparison"
    ),
    OLDEST_UNREVIEWED_AGE: Metric(
        "Seconds", "age of the oldest result of these when the last comparison began; 0 without one"
    ),
    REVIEWED: Metric("Count", "images that people decided about from one comparison to the next"),
    OVERTURNED: Metric("Count", "of these, images whose predicted label the decision replaced"),
}

CAPTURED = "Captured"
BAD_LINES = "BadLines"
DUPLICATES = "Duplicates"
BEHIND = "Behind"
CAPTURED_SHARE = "CapturedShare"
MEAN_CONFIDENCE = "MeanConfidence"
LOW_CONFIDENCE_RATE = "LowConfidenceRate"
UNFAMILIAR_RATE = "UnfamiliarRate"
ESTIMATED_ACCURACY = "EstimatedAccuracy"
LABEL_SHARE = "LabelShare"
LABEL_SHARE_CHANGE = "LabelShareChange"
CONFIDENCE_WASSERSTEIN = "ConfidenceWasserstein"
CONFIDENCE_JENSEN_SHANNON = "ConfidenceJensenShannon"
DRIFT_ALARMS = "DriftAlarms"
SILENT_HOURS = "SilentHours"
SILENCE_ALARM = "SilenceAlarm"
AUDITED_PRECISION = "AuditedPrecision"
PROMISE_BROKEN = "PromiseBroken"
COST_SO_FAR = "CostSoFar"

# Emitted by the monitoring function, every hour.
MONITORING = {
    CAPTURED: Metric("Count", "new capture records of this run"),
    BAD_LINES: Metric("Count", "new lines in capture files that are not records"),
    DUPLICATES: Metric("Count", "new records whose event id had been seen"),
    BEHIND: Metric("Count", "1 if captures were left to the next run, and so nothing was judged, else 0"),
    CAPTURED_SHARE: Metric(
        "None", "captures of 24 hours, as a share of the invocations that should be captured"
    ),
    MEAN_CONFIDENCE: Metric("None", "mean confidence of 24 hours"),
    LOW_CONFIDENCE_RATE: Metric("None", "share of 24 hours' captures below the threshold"),
    UNFAMILIAR_RATE: Metric("None", "share of 24 hours' captures that look like none of the classes"),
    ESTIMATED_ACCURACY: Metric("None", "accuracy that calibrated confidences promise: an estimate"),
    LABEL_SHARE: Metric(
        "None",
        "share of a label among 24 hours' captures; with the dimension Label: the 20 most frequent, and other",
    ),
    LABEL_SHARE_CHANGE: Metric("None", "how far the share of the most changed label is from the reference's"),
    CONFIDENCE_WASSERSTEIN: Metric("None", "distance of 24 hours' confidences from the reference's"),
    CONFIDENCE_JENSEN_SHANNON: Metric("None", "Jensen-Shannon distance of the same two"),
    DRIFT_ALARMS: Metric(
        "Count", "signals of drift that alarm now, in either window; silence is none of them"
    ),
    SILENT_HOURS: Metric("None", "complete hours without a capture"),
    SILENCE_ALARM: Metric("Count", "1 if that silence is not usual at this time, else 0"),
    AUDITED_PRECISION: Metric("None", "precision of what is classified, by the last stored audit"),
    PROMISE_BROKEN: Metric("Count", "1 if that audit found the promised precision broken, else 0"),
    COST_SO_FAR: Metric("None", "estimated cost since the month began, US dollars"),
}
WITH_LABEL = frozenset({LABELLED, LABEL_SHARE})
BY_MODEL = frozenset({CLASSIFIED, LOW_CONFIDENCE})


def counted_label(label: str, labels: Sequence[str]) -> str:
    """The label under which an image is counted: its own if it is one of the model's first `LABELS_COUNTED`, else `OTHER_LABELS`.

    Examples
    --------
    >>> counted_label("bicycle", ["bicycle", "motorcycle"])
    'bicycle'
    """
    return label if label in labels[:LABELS_COUNTED] else OTHER_LABELS


def largest_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """The `LABELS_COUNTED` largest shares by label, and the sum of the others as `OTHER_LABELS`."""
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    found = dict(ordered[:LABELS_COUNTED])
    if rest := ordered[LABELS_COUNTED:]:
        found[OTHER_LABELS] = found.get(OTHER_LABELS, 0.0) + sum(share for _, share in rest)
    return found
