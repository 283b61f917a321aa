"""Summary of a run: counts by outcome, accuracy where folders are labels, rate and latency."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dropsort.client.drop import listing
from dropsort.client.results import Result
from dropsort.client.wait import FinishedUpload
from dropsort.contract import keys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


COLD_SECONDS = 2.0  # latency of the first result: functions that run already take less


@dataclass(frozen=True)
class Accuracy:
    """How often the label that the model predicted equals the name of the folder.

    ``images`` counts the uploads in a folder named like a label of the model, ``right`` those with that label, sure or
    not; ``classified`` and ``classified_right`` the same of those that were sure enough. ``reviewed`` are those that a person
    has decided about: they count as the model predicted them, not as they were decided.
    """

    images: int
    right: int
    classified: int
    classified_right: int
    reviewed: int = 0

    @property
    def accuracy(self) -> float | None:
        """Share of right labels; what failed counts as wrong. None without such folders."""
        return self.right / self.images if self.images else None

    def to_json(self) -> dict[str, Any]:
        """Counts and shares."""
        return {
            "images": self.images,
            "right": self.right,
            "accuracy": self.accuracy,
            "reviewed": self.reviewed,
            "classified": self.classified,
            "classified_accuracy": self.classified_right / self.classified if self.classified else None,
        }


def accuracy(results: Iterable[Result]) -> Accuracy:
    """Accuracy of the model over the results whose upload lies in a folder named like one of its labels."""
    results = list(results)
    labels = {label for result in results for label in (result.document.get("probabilities") or {})}
    images = right = classified = classified_right = reviewed = 0
    for result in results:
        truth = folder_label(result.key, labels)
        if truth is None:
            continue
        hit = result.predicted == truth
        sure = result.predicted_outcome == keys.CLASSIFIED
        reviewed += result.reviewer is not None
        images, right = images + 1, right + hit
        classified, classified_right = classified + sure, classified_right + (sure and hit)
    return Accuracy(images, right, classified, classified_right, reviewed)


def folder_label(key: str, labels: Iterable[str]) -> str | None:
    """The nearest folder of a key that is one of the labels, or None."""
    known = set(labels)
    return next((part for part in reversed(key.split("/")[:-1]) if part in known), None)


def summarise(images: int, finished: Sequence[FinishedUpload]) -> dict[str, Any]:
    """The summary of a run.

    Parameters
    ----------
    images
        Files that were dropped.
    finished
        Those that have their result.

    Returns
    -------
    dict
        ``images``, ``results``, ``outcomes``, ``labels``, ``reasons`` (counts), ``retryable`` (failures that the
        service tries again by itself, which no outcome counts), ``accuracy`` (None where no folder is a
        label), ``by_folder`` (`Accuracy.to_json`), ``images_per_second`` (from the first upload's start to the last
        result's writing), ``latency_seconds`` (``p50``, ``p95``, ``max``; see `FinishedUpload.latency_seconds`).
    """
    results = [item.result for item in finished]
    by_folder = accuracy(results)
    latencies = sorted(item.latency_seconds for item in finished if item.latency_seconds is not None)
    starts = [item.upload.started for item in finished if item.upload.started]
    seconds = (max(result.recorded for result in results) - min(starts)).total_seconds() if starts else 0.0
    return {
        "images": images,
        "results": len({item.upload.file.key for item in finished}),
        "outcomes": outcomes(results),
        "labels": dict(Counter(result.label for result in results if result.label)),
        "reasons": dict(Counter(result.reason["code"] for result in results if result.reason)),
        "retryable": sum(result.retryable for result in results),
        "accuracy": by_folder.accuracy,
        "by_folder": by_folder.to_json(),
        "seconds": round(seconds, 3),
        "images_per_second": round(len(starts) / seconds, 2) if seconds > 0 else None,
        "latency_seconds": {
            "p50": quantile(latencies, 0.5),
            "p95": quantile(latencies, 0.95),
            "max": latencies[-1] if latencies else None,
        },
    }


def outcomes(results: Iterable[Result]) -> dict[str, int]:
    """Results by outcome, without those that are tried again: they have none yet."""
    counts = Counter(result.outcome for result in results if not result.retryable)
    return {name: counts[name] for name in keys.OUTCOMES}


def cold_starts(finished: Sequence[FinishedUpload]) -> int:
    """Uploads that probably waited for functions to start: all that began before the first result, if that took long; else 0."""
    timed = [
        (item.result.recorded, item.latency_seconds, item.upload.started)
        for item in finished
        if item.upload.started and item.latency_seconds is not None
    ]
    if not timed:
        return 0
    first, seconds, _ = min(timed)
    return sum(started <= first for *_, started in timed) if seconds > COLD_SECONDS else 0


def warm_latency(finished: Sequence[FinishedUpload], cold: int) -> dict[str, float | None]:
    """``p50`` and ``p95`` of latency without the first `cold` uploads, whose functions had to start; None without others."""
    timed = [
        (item.upload.started, item.latency_seconds)
        for item in finished
        if item.upload.started and item.latency_seconds is not None
    ]
    rest = sorted(seconds for _, seconds in sorted(timed)[cold:])
    return {"p50": quantile(rest, 0.5), "p95": quantile(rest, 0.95)}


def result_locations(s3: S3Client, bucket: str, uploads: Iterable[str]) -> dict[str, list[str]]:
    """Keys of the results of these uploads: exactly one each, if all is well."""
    where = {location: key for key in uploads for location in keys.result_keys(keys.path_of(key)).values()}
    found: dict[str, list[str]] = {key: [] for key in where.values()}
    for outcome in keys.OUTCOMES:
        for item in listing(
            s3, bucket, (location for location in where if location.startswith(f"{outcome}/"))
        ):
            if item["Key"] in where:
                found[where[item["Key"]]].append(item["Key"])
    return found


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Nearest-rank quantile of ascending values; None without any."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
