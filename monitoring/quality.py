"""How good the predictions were, where somebody said what is right: captures joined with ground truth.

Ground truth is joined by inference id, else by event id, as SageMaker does it: a line's ``eventMetadata.eventId`` holds the
inference id if the capture has one. Accuracy, calibration (ECE, Brier), AUROC of confidence against correctness and the
confusion matrix, each with its number of pictures, accuracy with its interval.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monitoring.comparison.statistics import Interval, wilson
from monitoring.records.outputs import index_of, label_of, predictions
from monitoring.stores import open_store
from monitoring.stores.base import Access, Fill

BINS = 15  # of the expected calibration error, equal in width


@dataclass(frozen=True)
class Outcome:
    """One prediction and what was right."""

    predicted: str
    confidence: float
    truth: str
    probabilities: Mapping[str, float] = field(default_factory=dict)  # of all labels, where known


@dataclass(frozen=True)
class Quality:
    """Measured quality; NaN where it cannot be said (AUROC without an error, everything without pictures)."""

    count: int
    correct: int
    accuracy: float
    accuracy_interval: Interval  # Wilson, 95 %
    ece: float  # expected calibration error of the predicted label's confidence
    brier: float  # of the whole vector where it is known for all, else of the predicted label alone
    brier_is_multiclass: bool
    auroc: float  # of confidence against correctness
    confusion: Mapping[str, Mapping[str, int]]  # truth to predicted to count
    unmatched: int = 0  # ground truth without a capture
    conflicting: int = 0  # inferences that were labelled more than once and differently; the last counts

    def to_json(self) -> dict[str, object]:
        """Plain types for JSON; None for NaN."""
        numbers = {k: getattr(self, k) for k in ("accuracy", "ece", "brier", "auroc")}
        return {
            "count": self.count,
            "correct": self.correct,
            **{k: None if math.isnan(v) else v for k, v in numbers.items()},
            "accuracy_interval": list(self.accuracy_interval),
            "brier_is_multiclass": self.brier_is_multiclass,
            "confusion": {truth: dict(row) for truth, row in self.confusion.items()},
            "unmatched": self.unmatched,
            "conflicting": self.conflicting,
        }


def measure(outcomes: Iterable[Outcome], *, unmatched: int = 0, conflicting: int = 0) -> Quality:
    """Measure predictions against the truth."""
    every = list(outcomes)
    n = len(every)
    right = np.array([o.predicted == o.truth for o in every], dtype=bool)
    confidence = np.array([o.confidence for o in every], dtype=np.float64)
    correct = int(right.sum())
    confusion: dict[str, dict[str, int]] = {}
    for o in every:
        row = confusion.setdefault(o.truth, {})
        row[o.predicted] = row.get(o.predicted, 0) + 1
    whole = n > 0 and all(o.probabilities for o in every)
    if whole:
        brier = float(np.mean([_brier(o) for o in every]))
    else:
        brier = float(np.mean((confidence - right) ** 2)) if n else math.nan
    return Quality(
        n,
        correct,
        correct / n if n else math.nan,
        wilson(correct, n),
        calibration_error(confidence, right),
        brier,
        whole,
        auroc(confidence, right),
        {truth: dict(sorted(row.items())) for truth, row in sorted(confusion.items())},
        unmatched,
        conflicting,
    )


def calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal bins, weighted by count.

    Parameters
    ----------
    confidence
        (n,) in [0, 1].
    right
        (n,) whether each was right.
    """
    values, hits = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    if not len(values):
        return math.nan
    index = np.minimum(bins - 1, (values * bins).astype(np.int64))
    gaps = np.bincount(index, weights=values - hits, minlength=bins)
    return float(np.abs(gaps).sum() / len(values))


def auroc(score: ArrayLike, positive: ArrayLike) -> float:
    """Probability that a positive scores higher than a negative, ties counted half; NaN without either."""
    values, chosen = np.asarray(score, np.float64), np.asarray(positive, bool)
    n, m = int(chosen.sum()), int((~chosen).sum())
    if not n or not m:
        return math.nan
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[index]  # mean rank of equal values
    return float((ranks[chosen].sum() - n * (n + 1) / 2) / (n * m))


def _brier(o: Outcome) -> float:
    known = sum((p - (label == o.truth)) ** 2 for label, p in o.probabilities.items())
    return known + (1.0 if o.truth not in o.probabilities else 0.0)


def join(
    captures: Iterable[Mapping[str, Any]], truths: Mapping[str, str], labels: Sequence[str] = ()
) -> Iterator[tuple[str, Outcome]]:
    """Outcomes of those capture records that have a ground truth, with the id they were joined by.

    Parameters
    ----------
    captures
        Capture records, decoded; a record may carry its ground truth itself (SageMaker's merged records).
    truths
        Label by inference id or event id.
    labels
        Labels by class index, for endpoints and labellers that say an index.
    """
    seen: set[str] = set()
    for record in captures:
        meta = _dict(record.get("eventMetadata"))
        ids = [str(meta[k]) for k in ("inferenceId", "eventId") if meta.get(k)]
        event = ids[-1] if ids else ""
        found = next((i for i in ids if i in truths), None)
        own = truth_of(record, labels)
        if (found is None and own is None) or (event and event in seen):
            continue
        seen.add(event)
        capture = _dict(record.get("captureData"))
        out = _dict(capture.get("endpointOutput")) or _dict(capture.get("batchTransformOutput"))
        for prediction in predictions(out.get("data"), out.get("encoding"), labels)[:1]:
            outcome = _outcome(prediction, truths[found] if found is not None else str(own))
            if outcome:
                yield (found or event), outcome


def truth_of(record: Mapping[str, Any], labels: Sequence[str] = ()) -> str | None:
    """The label of a record's ``groundTruthData``: a label, or a class index that `labels` names; None without one.

    It stands there as it is, alone in a list, or as ``{"label": ...}``, and in base64 if ``encoding`` says so.
    """
    given = _dict(record.get("groundTruthData"))
    data = given.get("data")
    if not isinstance(data, str):
        return None
    if str(given.get("encoding")).upper() == "BASE64":
        try:
            data = base64.b64decode(data, validate=True).decode()
        except ValueError:
            return None
    text = data.strip().strip('"')
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = text
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("label")
    return label_of(value, labels)


def read_truth(
    source: str | os.PathLike[str], labels: Sequence[str] = (), access: Access | None = None
) -> tuple[dict[str, str], int]:
    """Ground truth of a folder or prefix: label by id, and how many ids were labelled differently later.

    Files are read in the order of their names, which is that of labelling; the last label counts. Lines that are no ground
    truth are skipped.

    Raises
    ------
    MonitoringError
        There is no such folder, or it cannot be read.
    """
    truths: dict[str, str] = {}
    changed: set[str] = set()
    for record in read_records(source, access):
        label = truth_of(record, labels)
        key = str(_dict(record.get("eventMetadata")).get("eventId") or "")
        if label is None or not key:
            continue
        if truths.get(key, label) != label:
            changed.add(key)
        truths[key] = label
    return truths, len(changed)


def read_records(source: str | os.PathLike[str], access: Access | None = None) -> Iterator[dict[str, Any]]:
    """JSON objects of all ``*.jsonl`` of a folder or ``s3://bucket/prefix``, in the order of names; other lines are skipped."""
    store = open_store(source, access)
    for folder in store.folders({}):
        for entry in folder.entries:
            with store.read(entry.name, 0, entry.size) as fill:
                data = _whole(fill, entry.size)
            for line in data.split(b"\n"):
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(value, dict):
                    yield value


def assess_sources(
    captures: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    labels: Sequence[str] = (),
    access: Access | None = None,
) -> Quality:
    """Measure the captures of one folder or prefix against the ground truth of another."""
    truths, conflicting = read_truth(truth, labels, access)
    joined = dict(join(read_records(captures, access), truths, labels))
    return measure(joined.values(), unmatched=len(set(truths) - set(joined)), conflicting=conflicting)


def _whole(fill: Fill, size: int) -> bytes:
    buffer = bytearray(size)
    done = 0
    with memoryview(buffer) as view:
        while done < size and (count := fill(view[done:])):
            done += count
    return bytes(buffer[:done])


def _outcome(prediction: Any, truth: str) -> Outcome | None:
    if prediction.probabilities is None:
        return Outcome(prediction.label, prediction.confidence, truth) if prediction.label else None
    values: NDArray[np.float64] = np.asarray(prediction.clipped())
    choice = int(np.argmax(values)) if prediction.choice is None else prediction.choice
    names = prediction.labels or tuple(str(i) for i in range(len(values)))
    index = index_of(truth)
    if index is not None and truth not in names and index < len(names):
        truth = names[index]  # the labeller said an index, the answer brings the labels
    return Outcome(
        names[choice], float(values[choice]), truth, dict(zip(names, values.tolist(), strict=True))
    )


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
