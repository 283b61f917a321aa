"""What a session returns for each decision when something fails, and what it completes of earlier sessions (moto's S3)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from dropsort.contract import keys, reviews
from dropsort.review import claims, imports
from dropsort.review import session as sessions
from dropsort.review.claims import Claims
from dropsort.review.decisions import DecisionRequest, Decisions
from dropsort.review.labels import ImportedLabel
from dropsort.review.session import Session
from tests.unit.review.conftest import BUCKET, Upload, stored
from tests.unit.review.test_claims import Meddling
from tests.unit.review.test_server import eventually


@contextmanager
def session_of(s3: Any) -> Iterator[Session]:
    """A session without its page, which has read the results."""
    session = Session(s3, BUCKET, "Ada")
    try:
        session.listing.load()
        yield session
    finally:
        session.stop()


def unusable(path: str, inference_id: str) -> DecisionRequest:
    """The first decision about an image."""
    return DecisionRequest(f"id-{path[0]}", "unusable", None, keys.INCOMING + path, inference_id, None)


def test_decisions_that_cannot_be_claimed_are_sent_again(s3: Any, upload: Upload) -> None:
    # GIVEN claims that others keep changing
    wanted = [unusable(path, upload(path)) for path in ("a.png", "b.png")]
    meddling = Meddling(s3)
    with session_of(meddling) as session:
        # WHEN images are decided THEN none is stored, and the page sends each again
        made = session.submit(wanted)
        assert [(one.status, "changed 20 times" in one.message) for one in made] == [("retry", True)] * 2
        meddling.meddles = False
        assert [one.status for one in session.submit(wanted)] == ["stored"] * 2


def test_a_conflict_where_s3_fails_leaves_the_other_decisions_as_they_are(s3: Any, upload: Upload) -> None:
    # GIVEN an image that was uploaded again, and whose result cannot be read now
    old, other = upload("a.png"), upload("b.png")

    class Failing:
        fails = False

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def get_object(self, **request: Any) -> Any:
            # The last of the results that are read to find that it was uploaded again is followed by its review.
            if self.fails and request["Key"].endswith("/a.png.json") and self.reviewed:
                raise ConnectionError("S3 is away")
            self.reviewed = self.reviewed or request["Key"] == reviews.key("a.png")
            return s3.get_object(**request)

        reviewed = False

    failing = Failing()
    with session_of(failing) as session:
        newer = upload("a.png", b"newer", "2f")
        failing.fails = True
        made = session.submit([unusable("a.png", old), unusable("b.png", other)])
        # THEN it is sent again, the other decision is stored
        assert [one.status for one in made] == ["retry", "stored"]
        failing.fails = False
        (again,) = session.submit([unusable("a.png", old)])
        assert again.status == "conflict"
        assert again.item
        assert again.item.inference_id == newer


def test_a_result_that_is_none_does_not_hide_the_image_as_it_is_now(s3: Any, upload: Upload) -> None:
    old = upload("a.png")
    with session_of(s3) as session:
        newer = upload("a.png", b"newer", "2f")
        s3.put_object(Bucket=BUCKET, Key=keys.result_keys("a.png")["classified"], Body=b"{}")
        (made,) = session.submit([unusable("a.png", old)])
        assert made.status == "conflict"
        assert made.item
        assert made.item.inference_id == newer


def leave(s3: Any, upload: Upload) -> None:
    """What a killed process left: a review that is damaged, then a decision that is not a result."""
    wanted = [unusable(path, upload(path)) for path in ("a.png", "b.png")]
    Claims(s3, BUCKET, "Ada").hold(["a.png", "b.png"], busy=True)
    for one in wanted:
        Decisions(s3, BUCKET, "Ada").store(one)
    s3.put_object(Bucket=BUCKET, Key=reviews.key("a.png"), Body=b"{}")


def test_a_damaged_review_does_not_stop_the_others_from_being_completed(s3: Any, upload: Upload) -> None:
    leave(s3, upload)
    with session_of(s3) as session:
        session.complete()
        assert keys.result_keys("b.png")["failed"] in stored(s3)
        assert "reviews/a.png.json is not a review" in session.trouble


def test_an_import_completes_what_a_killed_process_left(s3: Any, upload: Upload) -> None:
    leave(s3, upload)
    upload("c.png")
    notes: list[str] = []
    given = [ImportedLabel("incoming/c.png", None, "label", "tandem")]
    assert imports.take_over(s3, BUCKET, "Ada", given, notes.append) == {"decided": 1}
    assert keys.result_keys("b.png")["failed"] in stored(s3)
    assert any("reviews/a.png.json is not a review" in one for one in notes)


class Applying:
    """Fails so many times to make a decision a result, and counts."""

    def __init__(self, failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self.failures, apply = 0, failures, Decisions.apply

        def counted(decisions: Decisions, path: str) -> Any:
            self.calls += 1
            if self.calls <= self.failures:
                raise ConnectionError("S3 is away")
            return apply(decisions, path)

        monkeypatch.setattr(Decisions, "apply", counted)


def test_a_decision_becomes_a_result_however_long_that_fails(
    s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an S3 that is away for more attempts than there are pauses
    monkeypatch.setattr(sessions, "RETRY_SECONDS", (0.0, 0.2))
    applying = Applying(3, monkeypatch)
    pauses: list[float] = []
    with session_of(s3) as session:
        wait = session._stopping.wait
        monkeypatch.setattr(
            session._stopping, "wait", lambda seconds: pauses.append(seconds) or wait(seconds)
        )
        assert [one.status for one in session.submit([unusable("a.png", upload("a.png"))])] == ["stored"]
        eventually(lambda: session.trouble != "")
        # THEN it is tried until it succeeds, less often, and then there is no trouble any more
        eventually(lambda: not session.waiting)
        assert (applying.calls, pauses, session.trouble) == (4, [0.0, 0.2, 0.2], "")
        # AND its claim goes with the next that are written
        session.claims.hold(["b.png"])
        assert set(stored(s3)[claims.key("Ada")]["paths"]) == {"b.png"}


def test_an_image_stays_claimed_until_its_decision_is_a_result(
    s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "RETRY_SECONDS", (0.02,))
    applying = Applying(10**6, monkeypatch)
    with session_of(s3) as session:
        session.submit([unusable("a.png", upload("a.png"))])
        eventually(lambda: applying.calls > 0)
        monkeypatch.setattr(session.claims, "_clock", lambda: datetime.now(UTC) + 2 * claims.DURATION)
        session.claims.hold(["b.png"])
        assert set(stored(s3)[claims.key("Ada")]["paths"]) == {"a.png", "b.png"}
        applying.failures = 0


def test_the_end_waits_for_decisions_that_are_not_results_yet(
    s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "RETRY_SECONDS", (0.2,))
    Applying(1, monkeypatch)
    with session_of(s3) as session:
        session.submit([unusable("a.png", upload("a.png"))])
        session.stop()
        assert session.waiting == 0
        assert keys.result_keys("a.png")["failed"] in stored(s3)


def test_results_are_read_while_the_page_waits_for_nothing(
    s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a page that waits for a response
    monkeypatch.setattr(sessions, "READING_WAITS_SECONDS", 3600.0)
    for path in ("a.png", "b.png"):
        upload(path)
    session = Session(s3, BUCKET, "Ada")
    try:
        with session.serving():
            session.start()
            time.sleep(0.3)
            # THEN no result is read
            assert session.listing.loading
            assert session.listing.bins() == []
        # WHEN it has it THEN all are
        eventually(lambda: not session.listing.loading)
        assert sum(count for *_, count in session.listing.bins()) == 2
    finally:
        session.stop()


def test_a_page_that_always_waits_for_something_does_not_stop_the_reading(
    s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "READING_WAITS_SECONDS", 0.1)
    upload("a.png")
    session = Session(s3, BUCKET, "Ada")
    try:
        with session.serving():
            session.start()
            eventually(lambda: not session.listing.loading)
        assert session.listing.bins()
    finally:
        session.stop()


def test_a_result_that_cannot_be_written_is_tried_less_and_less_often_to_twice_a_minute(
    s3: Any, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    with session_of(s3) as session:
        attempts = iter([True] * 7 + [False])

        def apply(path: str) -> None:
            if next(attempts):
                raise ConnectionError("S3 is away")

        monkeypatch.setattr(session._decisions, "apply", apply)
        monkeypatch.setattr(session._stopping, "wait", pauses.append)
        session.waiting = 1
        session._apply("a.png")
        assert session.trouble == ""
    assert pauses == [0.5, 2, 5, 15, 30, 30, 30]


def test_eight_decisions_are_stored_and_eight_applied_at_once(s3: Any) -> None:
    with session_of(s3) as session:
        assert session._pool._max_workers == session._applying._max_workers == 8


def test_what_was_not_stored_is_no_longer_claimed(s3: Any, upload: Upload) -> None:
    old = upload("a.png")
    with session_of(s3) as session:
        upload("a.png", b"newer", "2f")
        (made,) = session.submit([unusable("a.png", old)])
        assert made.status == "conflict"
        assert session.claims._busy == {}


@pytest.mark.parametrize(
    ("ago", "rate"), [([], 0.0), ([1], 6.0), ([10], 6.0), ([301, 300, 120, 60], 1.0), ([299], 60 / 299)]
)
def test_the_rate_is_of_the_last_five_minutes_and_of_ten_seconds_at_least(
    s3: Any, monkeypatch: pytest.MonkeyPatch, ago: list[float], rate: float
) -> None:
    with session_of(s3) as session:
        session._times.extend(1000.0 - seconds for seconds in ago)
        with monkeypatch.context() as patched:
            patched.setattr(sessions.time, "monotonic", lambda: 1000.0)
            assert session.per_minute() == pytest.approx(rate)
