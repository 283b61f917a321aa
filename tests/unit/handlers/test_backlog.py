"""The backlog function: what it starts and when, what it leaves alone, and that it continues where it stopped (moto's services)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws

from dropsort.contract import backlog as contract
from dropsort.contract import defaults, keys, reviews
from handlers import backlog, backlog_state, classify, settings, telemetry
from handlers.backlog_state import BacklogState
from tests.unit.handlers.backlog_setup import CONTEXT, BacklogSetup
from tests.unit.handlers.conftest import BUCKET, Runtime


@pytest.fixture
def prepared(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[BacklogSetup]:
    monkeypatch.setattr(classify, "_SETTINGS", settings.load({"ENDPOINT_NAME": "bikes"}))
    with mock_aws():
        yield BacklogSetup()


def test_failures_that_may_pass_are_started_once_the_endpoint_is_healthy(
    prepared: BacklogSetup, runtime: Runtime
) -> None:
    # GIVEN failures that may pass, one that does not, and a result, while the endpoint is down
    for name in ("a.png", "b.png"):
        prepared.result(prepared.upload(name), retryable=True)
    prepared.result(prepared.upload("hopeless"), retryable=False)
    prepared.result(prepared.upload("fine"))
    runtime.says(b"down", 503)
    # THEN nothing is started, after no more than three attempts
    tick, _ = prepared.tick()
    assert (tick.started, tick.unhealthy, prepared.started()) == (0, True, [])
    assert len(runtime.requests) <= backlog.PROBES
    # WHEN it works again THEN they are started in one run
    runtime.says([0.9, 0.1])
    tick, _ = prepared.tick(300)
    assert (tick.started, tick.unhealthy) == (2, False)
    assert prepared.started() == [["a.png", "b.png"]]


def test_a_failure_of_what_is_ignored_now_is_not_started_again(prepared: BacklogSetup) -> None:
    prepared.result(prepared.upload("Thumbs.db"), retryable=True)
    assert prepared.tick()[0].started == 0


def test_while_a_run_is_in_progress_none_is_started(prepared: BacklogSetup) -> None:
    source = prepared.upload("a.png")
    prepared.result(source, retryable=True)
    assert prepared.tick()[0].started == 1
    prepared.result(prepared.upload("b.png"), retryable=True)
    assert prepared.tick(300)[0].started == 0
    # AND once it has ended, what failed in the meantime and what failed again is started
    prepared.end_runs()
    prepared.result(source, retryable=True)
    assert prepared.tick(600)[0].started == 2


def test_a_failure_is_not_read_again_but_one_that_waits_is(prepared: BacklogSetup) -> None:
    # GIVEN one failure of a new upload, and one of an upload that has failed for an hour
    source = prepared.upload("new.png")
    prepared.result(source, retryable=True)
    prepared.result(prepared.upload("old.png"), retryable=True, age=3600)
    assert prepared.tick()[0].started == 1
    assert prepared.started() == [["new.png"]]
    prepared.end_runs()
    prepared.s3.delete_object(Bucket=BUCKET, Key="failed/new.png.json")
    prepared.result(source)
    # THEN the second is found again when its time has come, half an hour later, although nothing was written since
    assert prepared.tick(1200)[0].started == 0
    _, state = prepared.tick(1860)
    assert prepared.started()[0] == ["old.png"]
    # AND what need not be read again is not
    assert state.since() > prepared.now


def test_what_the_whole_service_caused_does_not_wait(prepared: BacklogSetup) -> None:
    for code in ("throttled", "service_error", "invalid_prediction"):
        prepared.result(prepared.upload(code), retryable=True, age=3600, code=code)
    # GIVEN a failure of each kind, an hour after the upload, THEN the first is started at once, also by the comparison
    assert prepared.tick()[0].started == 1
    assert prepared.started() == [["throttled"]]
    prepared.end_runs()
    prepared.s3.delete_object(Bucket=BUCKET, Key="failed/throttled.json")
    prepared.s3.delete_object(Bucket=BUCKET, Key="incoming/throttled")
    # AND the second after half an hour, the third after an hour
    assert prepared.tick(1860)[0].started == 1
    prepared.end_runs()
    assert prepared.tick(3660)[0].started == 2


def test_failures_that_do_not_pass_are_read_on_in_the_next_invocation(prepared: BacklogSetup) -> None:
    # GIVEN a comparison that has ended, and more failures that do not pass than one invocation can read, and one that does behind them
    assert prepared.tick()[1].last is not None
    for number in range(4):
        prepared.result(prepared.upload(f"{number}.png"), retryable=False)
    prepared.result(prepared.upload("z.png"), retryable=True)
    # WHEN the function runs with time for one of them each THEN the last one is reached
    tick, state = prepared.tick(seconds=0.0)
    markers = []
    while state.reading is not None and len(markers) < 20:
        markers.append(state.reading.marker)
        assert len(prepared.started()) == ("failed/z.png.json" in markers)
        prepared.end_runs()
        tick, state = prepared.tick(seconds=0.0)
    assert markers == [f"failed/{name}.png.json" for name in ("0", "1", "2", "3", "z")]
    assert prepared.started() == [["z.png"]]
    # AND then nothing is read again
    assert state.since() == tick.now - defaults.CLOCK_DIFFERENCE


def test_the_time_is_up_among_failures_of_long_ago_too(prepared: BacklogSetup) -> None:
    # GIVEN failures that were read an hour ago
    for number in range(3):
        prepared.result(prepared.upload(f"{number}.png"), retryable=False)
    assert prepared.tick(3660)[1].reading is None
    # WHEN the time is up while they are listed THEN the next invocation continues after them
    _, state = prepared.tick(7200, seconds=0.0)
    assert state.reading is not None
    assert state.reading.marker == "failed/2.png.json"
    assert prepared.tick(7205)[1].reading is None


def test_the_last_comparison_says_what_has_no_result(prepared: BacklogSetup) -> None:
    # GIVEN two uploads without a result, one of whose keys ends in a slash without being a folder marker
    for name in ("a.png", "z/"):
        prepared.upload(name)
    prepared.result(prepared.upload("fine.png"))
    now = datetime(2026, 11, 26, tzinfo=UTC)
    _, state = prepared.tick(3700)
    assert state.last is not None
    assert state.last.values()["UploadsWithoutResult"] == 2
    assert state.last.values()["OldestUploadAge"] == pytest.approx(3700, abs=30)
    # AND one that found nothing has the age 0
    assert set(backlog_state.Reconciliation(now.isoformat()).values().values()) == {0}


def test_a_comparison_counts_what_waits_for_a_review_and_what_was_reviewed_since_the_one_before(
    prepared: BacklogSetup,
) -> None:
    # GIVEN two images of low confidence that wait, one about which somebody decided, and one that a label was given otherwise
    for name, action in (("waits.png", ""), ("too.png", ""), ("none.png", "none"), ("label.png", "label")):
        source = prepared.upload(name)
        times = {"uploaded": None, "recorded": prepared.now.isoformat()}
        result = {
            "outcome": "low-confidence",
            "label": "bicycle",
            "source": {"bucket": BUCKET, **source},
            "times": times,
        }
        result["inference_id"] = keys.inference_id(BUCKET, source["key"], source["version_id"])
        if action:
            decided = reviews.append_decision(
                reviews.begin(result, {}), id="1", by="Ada", at=prepared.now.isoformat(), action=action,
                label="bicycle" if action == "label" else None,
            )  # fmt: skip
            body = json.dumps(reviews.encode(decided)).encode()
            prepared.s3.put_object(Bucket=BUCKET, Key=f"reviews/{name}.json", Body=body)
        outcome = "classified" if action == "label" else "low-confidence"
        body = json.dumps({**result, "outcome": outcome}).encode()
        prepared.s3.put_object(Bucket=BUCKET, Key=f"{outcome}/{name}.json", Body=body)
    # WHEN they are compared a minute after it THEN the decisions may belong to the next comparison, but two images wait
    tick, state = prepared.tick(30)
    assert (tick.ended, state.last) == (state.last, tick.ended)
    assert state.last is not None
    assert state.last.counts() == {"Reviewed": 0, "Overturned": 0}
    values = state.last.values()
    assert (values["Unreviewed"], values["OldestUnreviewedAge"]) == (2, pytest.approx(30, abs=20))
    # AND the next one counts both
    assert prepared.tick(300)[0].ended is None
    tick, _ = prepared.tick(3700)
    assert tick.ended is not None
    assert tick.ended.counts() == {"Reviewed": 2, "Overturned": 1}
    # AND the one after it none again
    tick, _ = prepared.tick(7400)
    assert tick.ended is not None
    assert tick.ended.counts() == {"Reviewed": 0, "Overturned": 0}
    assert tick.ended.values()["Unreviewed"] == 2


def test_uploads_without_a_result_are_started_when_no_execution_can_run_any_more(
    prepared: BacklogSetup,
) -> None:
    prepared.upload("lost.png")
    prepared.result(prepared.upload("fine.png"))
    # GIVEN an upload that is a minute old THEN it is left alone, and compared again an hour later
    assert prepared.tick(60)[0].started == 0
    assert prepared.tick(1200)[0].started == 0
    tick, state = prepared.tick(3700)
    assert (tick.started, prepared.started()) == (1, [["lost.png"]])
    assert state.last is not None
    assert (state.last.uploads, state.last.without_result, state.last.oldest) == (2, 1, "incoming/lost.png")


def test_a_comparison_continues_where_the_time_was_up(prepared: BacklogSetup) -> None:
    # GIVEN invocations with time for one upload each, some of which sort differently from their results
    names = ["a", "a-b", "a-b-c", "b.png", "c.png", "d.png"]
    for name in names:
        prepared.upload(name)
    ticks = 0
    state = BacklogState()
    while state.last is None and ticks < 20:
        _, state = prepared.tick(3700, seconds=0.0)
        prepared.end_runs()
        ticks += 1
    # THEN together they compare all of them, each once
    assert state.last is not None
    assert (state.last.uploads, state.last.without_result) == (6, 6)
    assert ticks > 2
    assert sorted(name for run in prepared.started() for name in run) == names


def test_an_invocation_has_its_times_from_the_event_and_its_context(
    prepared: BacklogSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "BUCKET_NAME": BUCKET,
        "BACKLOG_STATE_MACHINE": prepared.machine,
        "BACKLOG_CONCURRENCY": "7",
        "SERIALIZE_FUNCTION": "serialize",
        "CLASSIFY_FUNCTION": "classify",
        "IGNORED_PATTERNS": ",",
    }.items():
        monkeypatch.setenv(name, value)
    clients = {"lister": prepared.s3, "stepfunctions": prepared.states, "functions": prepared.functions}
    for name, client in clients.items():
        monkeypatch.setattr(backlog.aws, name, lambda client=client: client)

    monkeypatch.setattr(backlog_state, "SHARE", 0)

    def invoke(event: dict[str, Any], seconds: float = 60) -> dict[str, Any]:
        remaining = 1000 * (backlog.RESERVE_SECONDS + seconds)
        context = SimpleNamespace(**vars(CONTEXT), get_remaining_time_in_millis=lambda: remaining)
        return dict(backlog.handler(event, context))

    # GIVEN two uploads without a result
    prepared.upload("b.png")
    prepared.upload("a.png")

    # WHEN there is no time THEN the comparison does not end
    assert invoke({}, seconds=0)["compared"] is None
    assert "UploadsWithoutResult" not in telemetry._invocation.values
    # WHEN there is THEN it does, and uploads of this moment need no result yet
    nothing = {"started": 0, "endpoint_unhealthy": False, "compared": 2, "without_result": 0, "oldest": ""}
    assert invoke({}) == nothing
    # WHEN the event has another age THEN that counts in the next comparison, which is not due before its interval
    assert invoke({"min_age_seconds": 0}) == nothing
    # AND metrics of the last comparison are emitted in each run, those that add up only in the one in which it ends
    assert {"UploadsWithoutResult", "Unreviewed"} <= telemetry._invocation.values.keys()
    assert not {"Reviewed", "Overturned"} & telemetry._invocation.values.keys()
    found = invoke({"min_age_seconds": 0, "interval_seconds": 0})
    assert telemetry._invocation.values["UploadsWithoutResult"] == 2
    assert {"Reviewed", "Overturned"} <= telemetry._invocation.values.keys()
    assert (found["started"], found["without_result"]) == (2, 2)
    assert found["oldest"] in ("incoming/a.png", "incoming/b.png")  # S3 gives whole seconds


def test_a_comparison_that_is_overdue_is_late() -> None:
    now = datetime(2026, 11, 26, tzinfo=UTC)
    state = BacklogState(
        last=backlog_state.Reconciliation((now - timedelta(hours=2, minutes=1)).isoformat(), seconds=20.0)
    )
    assert state.late(now)
    # One that works for a quarter of an hour is begun every two and a half.
    state.last = backlog_state.Reconciliation((now - timedelta(hours=4)).isoformat(), seconds=900.0)
    assert not state.late(now)
    assert state.due(now, backlog_state.INTERVAL)
    assert state.late(now + timedelta(hours=1, minutes=1))
    # AND before the first has ended
    assert not BacklogState().late(now)
    assert BacklogState(comparison=backlog_state.Reconciliation((now - timedelta(hours=4)).isoformat())).late(
        now
    )


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[" * 100_000,
        b"[]",
        b'{"retryable_since": "soon", "comparison": null, "last": null}',
        b'{"retryable_since": "", "comparison": null, "last": null, "reading": {"marker": "", "since": "soon"}}',
        b'{"retryable_since": "", "comparison": null, "last": null, "reading": {"marker": 5}}',
    ],
)
def test_a_damaged_state_is_replaced(prepared: BacklogSetup, body: bytes) -> None:
    prepared.s3.put_object(Bucket=BUCKET, Key=backlog_state.STATE, Body=body)
    prepared.s3.put_object(Bucket=BUCKET, Key=contract.CURRENT, Body=body)
    prepared.result(prepared.upload("a.png"), retryable=True)
    assert prepared.tick()[0].started == 1
    assert prepared.tick()[1].last is not None


def test_one_image_that_always_fails_does_not_stop_the_others(
    prepared: BacklogSetup, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an endpoint that fails with one of two images
    for name in ("a.png", "bb.png"):
        prepared.result(prepared.upload(name), retryable=True)
    runtime.answers = [(500, {}, b"no"), (200, {"Content-Type": "application/json"}, b"[0.9, 0.1]")]
    assert prepared.tick()[0].started == 2


def test_an_upload_that_does_not_reach_the_endpoint_is_no_sign_of_its_health(
    prepared: BacklogSetup, runtime: Runtime
) -> None:
    prepared.s3.put_object(Bucket=BUCKET, Key="incoming/a.txt", Body=b"text")
    prepared.upload("b.png")
    runtime.says(b"down", 503)
    assert prepared.tick(3700)[0].unhealthy
    # AND if there is nothing else it is started
    prepared.s3.delete_object(Bucket=BUCKET, Key="incoming/b.png")
    assert prepared.tick(7400)[0].started == 1
