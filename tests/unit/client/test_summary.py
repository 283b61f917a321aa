"""The figures of a run: counts, accuracy by folder, rate and latency, and the lines that show them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dropsort.cli.totals import totals
from dropsort.client.drop import Uploaded
from dropsort.client.files import LocalFile
from dropsort.client.results import Result
from dropsort.client.summary import (
    Accuracy,
    accuracy,
    cold_starts,
    folder_label,
    quantile,
    summarise,
    warm_latency,
)
from dropsort.client.wait import FinishedUpload

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
SHARES = {"bicycle": 0.9, "motorcycle": 0.1}


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def finished(
    name: str,
    outcome: str = "classified",
    label: str | None = "bicycle",
    *,
    started: float | None = 0.0,
    took: float = 1.0,
    retryable: bool = False,
) -> FinishedUpload:
    """A result whose upload began and ended so many seconds after the start, `took` seconds before it was recorded."""
    key = f"incoming/{name}"
    moment = None if started is None else after(started)
    document: dict[str, Any] = {
        "outcome": outcome, "label": label, "source": {"key": key}, "probabilities": SHARES if label else None,
        "reason": {"code": "throttled", "retryable": retryable} if outcome == "failed" else None,
        "times": {"recorded": after((started or 0.0) + took).isoformat()},
    }  # fmt: skip
    return FinishedUpload(
        Uploaded(LocalFile(Path(name), key, 1), "e", "1", moment, moment), Result("", document)
    )


RUN = [
    finished("bicycle/a", took=1),
    finished("x/motorcycle/b", "low-confidence", "motorcycle", started=1, took=2),
    finished("motorcycle/c", started=2, took=3),
    finished("other/d", "failed", None, started=3, took=4),
    finished("bicycle/e", "failed", None, started=4, took=5, retryable=True),
    finished("bicycle/f", started=None),  # was there before
]


def test_everything_is_counted_once() -> None:
    assert summarise(7, RUN) == {
        "images": 7, "results": 6,
        "outcomes": {"classified": 3, "low-confidence": 1, "failed": 1},
        "labels": {"bicycle": 3, "motorcycle": 1}, "reasons": {"throttled": 2}, "retryable": 1,
        "accuracy": 0.6,
        "by_folder": {"images": 5, "right": 3, "accuracy": 0.6, "reviewed": 0, "classified": 3, "classified_accuracy": 2 / 3},
        "seconds": 9.0, "images_per_second": round(5 / 9, 2), "latency_seconds": {"p50": 3.0, "p95": 5.0, "max": 5.0},
    }  # fmt: skip


def test_of_nothing_there_are_no_figures() -> None:
    for run in ([], [finished("a", started=None)]):
        found = summarise(1, run)
        assert (found["accuracy"], found["images_per_second"], found["seconds"]) == (None, None, 0.0)
        assert found["latency_seconds"] == {"p50": None, "p95": None, "max": None}
    found = summarise(1, [finished("a", took=1.23456)])
    assert (found["seconds"], found["images_per_second"]) == (1.235, 0.81)
    assert Accuracy(1, 0, 0, 0).to_json()["classified_accuracy"] is None
    assert Accuracy(0, 0, 0, 0).accuracy is None


def test_what_failed_in_a_folder_of_a_label_counts_as_wrong() -> None:
    found = accuracy([finished("bicycle/a").result, finished("bicycle/b", "failed", None).result])
    assert found == Accuracy(images=2, right=1, classified=1, classified_right=1)


def test_decisions_of_people_are_not_predictions_of_the_model() -> None:
    # GIVEN a wrong and a right prediction of low confidence, both decided since, and a failure that was
    wrong, right = (finished(f"motorcycle/{name}", "classified", "motorcycle").result for name in "ab")
    right.document["probabilities"] = {"bicycle": 0.4, "motorcycle": 0.6}
    failed = finished("bicycle/c", "classified", "bicycle").result
    failed.document["probabilities"] = None
    for one, outcome in ((wrong, "low-confidence"), (right, "low-confidence"), (failed, "failed")):
        one.document["review"] = {"by": "ann", "action": "label", "was": {"outcome": outcome, "label": None}}
    sure = finished("bicycle/d").result

    found = accuracy([wrong, right, failed, sure])

    assert found == Accuracy(images=4, right=2, classified=1, classified_right=1, reviewed=3)


@pytest.mark.parametrize(
    ("key", "label"),
    [("a/b/c.jpg", "b"), ("b/a/c.jpg", "a"), ("a/x/c.jpg", "a"), ("x/a", None), ("a", None)],
)
def test_the_nearest_folder_counts_and_the_name_of_the_file_does_not(key: str, label: str | None) -> None:
    assert folder_label(key, ["a", "b"]) == label


@pytest.mark.parametrize(
    ("count", "share", "found"),
    [(1, 0.0, 1), (1, 1.0, 1), (2, 0.5, 1), (2, 0.51, 2), (20, 0.95, 19), (20, 0.951, 20), (21, 0.95, 20)],
)
def test_a_quantile_is_a_value_that_was_measured(count: int, share: float, found: int) -> None:
    assert quantile([float(n) for n in range(1, count + 1)], share) == found


def test_latency_without_the_first_uploads() -> None:
    # GIVEN two cold starts, in no order, and an upload that was there before
    run = [
        finished("c", started=2, took=1),
        finished("a", started=0, took=9),
        RUN[-1],
        finished("b", started=1, took=8),
    ]
    assert warm_latency(run, 2) == {"p50": 1.0, "p95": 1.0}
    assert warm_latency(run, 1) == {"p50": 1.0, "p95": 8.0}
    assert warm_latency(run, 3) == {"p50": None, "p95": None}


@pytest.mark.parametrize("member", ["started", "finished"])
def test_an_upload_that_is_timed_in_part_is_left_out(member: str) -> None:
    partly = finished("a", started=0, took=9)
    partly = replace(partly, upload=replace(partly.upload, **{member: None}))
    assert warm_latency([partly], 0) == {"p50": None, "p95": None}
    assert cold_starts([partly]) == 0
    assert warm_latency([partly, finished("b", started=1, took=2)], 0) == {"p50": 2.0, "p95": 2.0}
    assert cold_starts([partly, finished("b", started=1, took=3)]) == 1


def test_uploads_before_a_first_result_that_took_long_are_cold_starts() -> None:
    # GIVEN two uploads before the first result, which took 9 seconds, one after it, and one that was there before
    slow = [finished("a", started=0, took=9), finished("b", started=5, took=9), RUN[-1]]
    assert cold_starts([*slow, finished("c", started=20, took=1)]) == 2
    # AND none where the first result came soon, or nothing was timed
    assert cold_starts([*slow, finished("c", started=0, took=2)]) == 0
    assert cold_starts([RUN[-1]]) == cold_starts([]) == 0


def test_the_lines_of_a_whole_run() -> None:
    more = {
        "skipped": [1], "lost": [f"incoming/{n}" for n in range(6)], "twice": ["incoming/\x1b"], "cold_starts": 2,
        "warm_latency_seconds": {"p50": 1.0, "p95": 8.0},
    }  # fmt: skip
    assert totals(summarise(7, RUN) | more, started=True) == [
        ("images", "7"), ("results", "5"), ("classified", "3"), ("low-confidence", "1"), ("failed", "1"),
        ("waiting", "1 retryable: the service starts them again by itself"), ("not uploaded", "1"),
        ("lost", "incoming/0, incoming/1, incoming/2, incoming/3, incoming/4"), ("twice", "incoming/\ufffd"),
        ("accuracy", "0.600 (3 of 5 in folders named like a label)"), ("", "0.667 of the 3 classified"),
        ("rate", "0.6 images/s, first upload to last result"),
        ("latency", "p50 3.00 s, p95 5.00 s, upload to result at this rate"),
        ("", "p50 1.00 s, p95 8.00 s without the first 2, which waited for functions to start (cold start)"),
    ]  # fmt: skip


def test_the_lines_leave_out_what_there_is_not() -> None:
    nothing = summarise(0, [])
    assert totals(nothing) == [("images", "0"), ("results", "0")]
    cold = {"cold_starts": 1, "warm_latency_seconds": {"p50": None, "p95": None}}
    assert totals(nothing | cold, started=True)[-1] == (
        "",
        "it waited for functions to start (cold start)",
    )
    assert totals(nothing | cold)[-1][1] == ("it probably waited for functions to start (cold start)")
    assert totals(nothing | cold | {"cold_starts": 2})[-1][1] == (
        "all of them probably waited for functions to start (cold start)"
    )
    # AND what is lost does not depend on what was skipped
    assert totals(nothing | {"lost": ["incoming/a"]})[2:] == [("lost", "incoming/a")]
    assert totals(nothing | {"skipped": [1]})[2:] == [("not uploaded", "1")]
    unsure = totals(summarise(1, [finished("bicycle/a", "low-confidence")]))
    assert [name for name, _ in unsure] == [
        "images", "results", "low-confidence", "accuracy", "rate", "latency"
    ]  # fmt: skip


def test_a_summary_of_an_earlier_version_has_lines_too_and_keys_are_separated() -> None:
    earlier = {name: value for name, value in summarise(1, [finished("a")]).items() if name != "retryable"}
    earlier |= {"twice": ["incoming/a", "incoming/b"], "lost": ["incoming/c", "incoming/d"]}
    found = dict(totals(earlier))
    assert (found["results"], found["twice"], found["lost"]) == (
        "1",
        "incoming/a, incoming/b",
        "incoming/c, incoming/d",
    )
