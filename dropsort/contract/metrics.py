"""Every metric of the service: namespace, dimensions, names and units. Who emits it is in the comment above its group.

What each one means is in docs/reference/metrics.md. Units are CloudWatch's; a share is between 0 and 1 and has the unit None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dropsort.contract import keys

NAMESPACE = "Dropsort"
STACK = "Stack"  # the dimension of every metric
LABEL = "Label"  # the second dimension of the metrics in WITH_LABEL
MODEL = "Model"  # the second dimension of the metrics in BY_MODEL, which are emitted without it too
# Labels with metrics of their own; a metric costs $0.30 per month, and a model may have 1,000 labels
LABELS_COUNTED = 20
OTHER_LABELS = "other"  # the rest of the labels, together


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
    CLASSIFIED: "Count",
    LOW_CONFIDENCE: "Count",
    FAILED: "Count",
    RETRYABLE_FAILED: "Count",
    ENDPOINT_MISCONFIGURED: "Count",
    SUPERSEDED: "Count",
    LABELLED: "Count",
    CONFIDENCE: "None",
    UPLOAD_TO_RESULT: "Milliseconds",
    ENDPOINT_LATENCY: "Milliseconds",
    SERIALIZED_BYTES: "Bytes",
    REJECTED: "Count",
    IGNORED: "Count",
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
    REDRIVEN: "Count",
    ENDPOINT_UNHEALTHY: "Count",
    RECONCILIATION_LATE: "Count",
    OLDEST_UPLOAD_AGE: "Seconds",
    UPLOADS_WITHOUT_RESULT: "Count",
    UNREVIEWED: "Count",
    OLDEST_UNREVIEWED_AGE: "Seconds",
    REVIEWED: "Count",
    OVERTURNED: "Count",
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
PRECISION_BELOW_TARGET = "PrecisionBelowTarget"
COST_SO_FAR = "CostSoFar"

# Emitted by the monitoring function, every hour.
MONITORING = {
    CAPTURED: "Count",
    BAD_LINES: "Count",
    DUPLICATES: "Count",
    BEHIND: "Count",
    CAPTURED_SHARE: "None",
    MEAN_CONFIDENCE: "None",
    LOW_CONFIDENCE_RATE: "None",
    UNFAMILIAR_RATE: "None",
    ESTIMATED_ACCURACY: "None",
    LABEL_SHARE: "None",
    LABEL_SHARE_CHANGE: "None",
    CONFIDENCE_WASSERSTEIN: "None",
    CONFIDENCE_JENSEN_SHANNON: "None",
    DRIFT_ALARMS: "Count",
    SILENT_HOURS: "None",
    SILENCE_ALARM: "Count",
    AUDITED_PRECISION: "None",
    PRECISION_BELOW_TARGET: "Count",
    COST_SO_FAR: "None",
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
