"""What a running service shows of itself, from the lines that its functions log."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from dropsort.cli.status_line import StatusLine, row, sentence
from dropsort.local.activity import Activity, ExecutionCounts, RecordedResult

SERIALIZE, CLASSIFY, FILTER = (f"/aws/lambda/dropsort-{name}" for name in ("serialize", "classify", "filter"))


def logged(activity: Activity, group: str, at: int = 2000, **fields: object) -> None:
    activity.add(group, at, json.dumps({"message": "Done.", **fields}))


def test_images_are_counted_by_outcome_until_none_waits() -> None:
    # GIVEN three images, one of which is classified, one no image, one replaced while it was on its way
    activity = Activity("dropsort", since=1000)
    for key in ("incoming/a.jpg", "incoming/b.jpg", "incoming/c.jpg"):
        logged(activity, SERIALIZE, at=1000, s3_key=key)
        logged(activity, CLASSIFY, s3_key=key)
    assert sentence(activity.counts) == "3 images in · 3 waiting"
    logged(activity, FILTER, s3_key="incoming/a.jpg", Classified=1, Confidence=0.99, label="bicycle")
    logged(activity, FILTER, s3_key="incoming/b.jpg", Failed=1, reason="not_an_image")
    logged(activity, FILTER, Superseded=1)

    # AND lines that are none of these, and those of a previous run
    activity.add(FILTER, 2000, "START RequestId: 1")
    activity.add(FILTER, 2000, "{cut")
    logged(activity, SERIALIZE, at=999, s3_key="incoming/old.jpg")
    # AND the probe of a deployment, which is not an image
    for members in ({}, {"Failed": 1, "reason": "not_an_image"}):
        logged(activity, FILTER if members else SERIALIZE, s3_key="incoming/dropsort-probe/1.txt", **members)
    logged(activity, "/aws/lambda/other-serialize", s3_key="incoming/x.jpg")

    # THEN all are counted once, and results are shown once
    assert activity.counts == ExecutionCounts(3, 1, 0, 1, 1)
    assert sentence(activity.counts) == "3 images in · 1 classified · 1 failed · 1 replaced or ignored"
    assert activity.take_recent() == [
        RecordedResult("incoming/a.jpg", "classified", "bicycle", 0.99),
        RecordedResult("incoming/b.jpg", "failed", reason="not_an_image"),
    ]
    assert activity.take_recent() == []

    # AND what failed before the first function counts too
    logged(activity, FILTER, s3_key="incoming/d.jpg", Failed=1, reason="unreadable")
    assert (activity.counts.images, activity.counts.waiting) == (4, 0)
    assert activity.take_recent().pop().reason == "unreadable"


def test_what_is_tried_again_waits_and_counts_once() -> None:
    # GIVEN an image that was throttled
    activity = Activity("dropsort", since=1000)
    logged(activity, SERIALIZE, s3_key="incoming/a.jpg")
    failure = {"s3_key": "incoming/a.jpg", "Failed": 1, "RetryableFailed": 1, "reason": "throttled"}
    logged(activity, FILTER, **failure)
    assert sentence(activity.counts) == "1 image in · 1 waiting, 1 of them tried again soon"
    (shown,) = activity.take_recent()
    assert row(shown).plain.endswith("a.jpg  waiting  throttled")
    # AND throttled once more, before it reaches the end
    logged(activity, SERIALIZE, s3_key="incoming/a.jpg")
    logged(activity, FILTER, **failure)
    logged(activity, SERIALIZE, s3_key="incoming/a.jpg")
    logged(activity, FILTER, s3_key="incoming/a.jpg", Classified=1, Confidence=0.99, label="bicycle")
    # THEN it is one image with one result
    assert sentence(activity.counts) == "1 image in · 1 classified"


def test_a_result_is_one_line_without_control_characters() -> None:
    shown = row(
        RecordedResult("incoming/a\x1b[2J.jpg", "low-confidence", "bicycle", 0.5, "below_threshold")
    ).plain
    assert shown.endswith(".jpg  low-confidence  bicycle 0.500 below_threshold")
    assert "\x1b" not in shown


def test_nothing_is_shown_without_a_terminal_or_when_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a service with a result
    activity = Activity("dropsort", since=0)
    logged(activity, FILTER, s3_key="incoming/a.jpg", Classified=1, label="bicycle")
    for quiet, terminal, lines in ((False, False, 0), (True, True, 0), (False, True, 1)):
        out = io.StringIO()
        shown = Console(file=out, force_terminal=terminal, width=80)
        monkeypatch.setattr("dropsort.cli.status_line.console", lambda shown=shown, **_: shown)

        # WHEN it is shown
        with StatusLine(activity, quiet) as live:
            live.show()

        # THEN only a terminal that is not to be quiet gets lines
        assert out.getvalue().count("incoming") == 0
        assert out.getvalue().count("a.jpg") == lines


def test_twenty_results_are_remembered_and_an_upload_that_is_ignored_waits_for_none() -> None:
    activity = Activity("dropsort", since=1000)
    for number in range(21):
        logged(activity, FILTER, s3_key=f"incoming/{number}.jpg", Classified=1)
    assert [one.key for one in activity.take_recent()] == [
        f"incoming/{number}.jpg" for number in range(1, 21)
    ]
    for metric in ("Superseded", "Ignored"):
        logged(activity, FILTER, **{metric: 1})
    assert activity.counts == ExecutionCounts(0, 21, 0, 0, 2)


def test_an_image_that_was_throttled_before_the_first_function_is_one() -> None:
    assert (
        ExecutionCounts(retryable=2, failed=1).images,
        ExecutionCounts(serialized=5, failed=1).images,
    ) == (3, 5)
