"""Claims: who works on what, and what a killed process left (moto's S3)."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dropsort.contract import reviews
from dropsort.review import claims
from dropsort.review.claims import Claims
from dropsort.review.errors import ReviewError
from tests.unit.review.conftest import BUCKET, stored


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 26, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def test_claims_are_seen_by_others_and_expire(s3: Any) -> None:
    clock = Clock()
    ada, bob = (Claims(s3, BUCKET, name, clock) for name in ("Ada", "Bøb/../x"))
    ada.hold(["a.png", "b.png"])
    bob.hold(["c.png"])
    assert bob.others() == {"a.png": "Ada", "b.png": "Ada"}
    assert ada.others() == {"c.png": "Bøb/../x"}
    clock.now += timedelta(minutes=10) - timedelta(seconds=1)
    assert set(bob.others().values()) == {"Ada"}
    clock.now += timedelta(seconds=1)
    assert bob.others() == {}
    # AND what others may have left is found, once it has expired
    assert sorted(Claims(s3, BUCKET, "Eve", clock).left_over()) == ["a.png", "b.png", "c.png"]


def test_what_is_held_is_not_written_again(s3: Any) -> None:
    clock = Clock()
    ada = Claims(s3, BUCKET, "Ada", clock)
    ada.hold(["a.png"])
    before = s3.head_object(Bucket=BUCKET, Key=claims.key("Ada"))["VersionId"]
    ada.hold(["a.png"], busy=True)
    assert s3.head_object(Bucket=BUCKET, Key=claims.key("Ada"))["VersionId"] == before
    clock.now += claims.DURATION / 2 + timedelta(seconds=1)
    ada.hold(["a.png"])
    assert s3.head_object(Bucket=BUCKET, Key=claims.key("Ada"))["VersionId"] != before


def test_an_image_stays_claimed_until_all_its_decisions_are_results(s3: Any) -> None:
    clock = Clock()
    ada = Claims(s3, BUCKET, "Ada", clock)
    ada.hold(["a.png"], busy=True)
    ada.hold(["a.png"], busy=True)
    ada.release("a.png")
    clock.now += 2 * claims.DURATION
    ada.hold(["b.png"])
    assert Claims(s3, BUCKET, "Ada", clock).left_over() == ["a.png", "b.png"]
    ada.release("a.png")
    ada.hold(["c.png"])
    assert Claims(s3, BUCKET, "Ada", clock).left_over() == ["b.png", "c.png"]


def test_what_is_not_being_decided_is_claimed_for_its_time_alone(s3: Any) -> None:
    clock = Clock()
    ada = Claims(s3, BUCKET, "Ada", clock)
    ada.hold(["a.png"])
    clock.now += claims.DURATION
    ada.hold(["b.png"])
    assert Claims(s3, BUCKET, "Ada", clock).left_over() == ["b.png"]


def test_an_image_that_is_decided_once_more_stays_claimed(s3: Any) -> None:
    clock = Clock()
    ada = Claims(s3, BUCKET, "Ada", clock)
    # GIVEN an image whose decision is a result, and which is decided once more before claims are written
    ada.hold(["a.png"], busy=True)
    ada.release("a.png")
    ada.hold(["a.png"], busy=True)
    # WHEN they are THEN it is among them
    ada.hold(["b.png"])
    assert Claims(s3, BUCKET, "Ada", clock).left_over() == ["a.png", "b.png"]
    # AND one that is claimed again after its claim went stays, too
    ada.release("a.png")
    ada.hold(["c.png"])
    ada.hold(["a.png"])
    ada.hold(["d.png"])
    assert Claims(s3, BUCKET, "Eve", clock).others() == dict.fromkeys(
        ("b.png", "c.png", "a.png", "d.png"), "Ada"
    )


def test_two_processes_of_one_reviewer_share_their_claims(s3: Any) -> None:
    one, two = Claims(s3, BUCKET, "Ada"), Claims(s3, BUCKET, "Ada")
    one.hold(["a.png"], busy=True)
    two.hold(["b.png"], busy=True)
    assert sorted(one.left_over()) == ["a.png", "b.png"]


class Meddling:
    """S3 where somebody changes claims just before they are written, as long as it ``meddles``."""

    def __init__(self, s3: Any) -> None:
        self.s3, self.meddles = s3, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self.s3, name)

    def put_object(self, **request: Any) -> Any:
        if self.meddles and request["Key"].startswith(reviews.CLAIMS):
            self.s3.put_object(Bucket=BUCKET, Key=request["Key"], Body=uuid.uuid4().bytes)
        return self.s3.put_object(**request)


def test_endless_lost_races_end(s3: Any) -> None:
    clock, meddling = Clock(), Meddling(s3)
    ada = Claims(meddling, BUCKET, "Ada", clock)  # type: ignore[arg-type]
    with pytest.raises(ReviewError, match="changed 20 times"):
        ada.hold(["a.png"], busy=True)
    # AND what could not be claimed is not held indefinitely once it is
    meddling.meddles = False
    ada.hold(["a.png"], busy=True)
    ada.release("a.png")
    ada.hold(["b.png"])
    assert Claims(s3, BUCKET, "Ada", clock).left_over() == ["b.png"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 9999,
        b'{"reviewer": "A", "paths": []}',
        b'{"reviewer": 5, "paths": {"a": "2999-01-01T00:00:00+00:00"}}',
        b'{"reviewer": "A\\u001b[31m", "paths": {"a": "2999-01-01T00:00:00+00:00"}}',
        b'{"reviewer": "A", "paths": {"a": "tomorrow", "b": 5, "c": null}}',
    ],
)
def test_damaged_claims_count_as_none(s3: Any, body: bytes) -> None:
    s3.put_object(Bucket=BUCKET, Key=claims.key("Bob"), Body=body)
    assert Claims(s3, BUCKET, "Ada").others() == {}


def test_what_is_stored_of_a_reviewer(s3: Any) -> None:
    clock = Clock()
    Claims(s3, BUCKET, "Ada", clock).hold(["a.png"])
    assert stored(s3)[claims.key("Ada")] == {
        "schema": "dropsort/claims/1", "reviewer": "Ada", "paths": {"a.png": "2026-11-26T12:10:00+00:00"}
    }  # fmt: skip


def test_what_is_not_a_claim_has_neither_a_name_nor_paths() -> None:
    until = "2999-01-01T00:00:00+00:00"
    for body in (
        b"[]",
        b"{",
        b'{"reviewer": "A"}',
        b'{"reviewer": "", "paths": {}}',
        b'{"reviewer": "A", "paths": 5}',
    ):
        assert claims.parse(body) == ("", {})
    body = json.dumps({"reviewer": "A", "paths": {"a": until, "b": 5}}).encode()
    assert claims.parse(body) == ("A", {"a": until})


@pytest.mark.parametrize(("seconds", "theirs"), [(-1, True), (0, False)])
def test_a_claim_is_over_at_its_moment(s3: Any, seconds: int, theirs: bool) -> None:
    clock = Clock()
    Claims(s3, BUCKET, "Ada", clock).hold(["a.png"])
    clock.now += timedelta(minutes=10, seconds=seconds)
    assert bool(Claims(s3, BUCKET, "Bob", clock).others()) is theirs
    assert bool(Claims(s3, BUCKET, "Bob", clock).left_over()) is not theirs


@pytest.mark.parametrize(("seconds", "written"), [(299, False), (300, True)])
def test_a_claim_is_renewed_when_half_its_time_is_over(s3: Any, seconds: int, written: bool) -> None:
    clock = Clock()
    ada = Claims(s3, BUCKET, "Ada", clock)
    ada.hold(["a.png"])
    clock.now += timedelta(seconds=seconds)
    before = stored(s3)
    ada.hold(["a.png"])
    assert (stored(s3) != before) is written


def test_the_end_of_a_decision_that_was_not_claimed_is_harmless(s3: Any) -> None:
    ada = Claims(s3, BUCKET, "Ada", Clock())
    ada.release("a.png")
    assert (ada._busy, ada._done) == ({}, {"a.png"})
