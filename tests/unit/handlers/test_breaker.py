"""The circuit breaker opens when nothing succeeds for some time, tries the endpoint after a pause, and closes at the first success."""

from __future__ import annotations

import time
from time import perf_counter
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from handlers import breaker as module
from handlers import classify
from handlers.breaker import (
    FAILING_SECONDS,
    IDLE_SECONDS,
    LONGEST_GAP_SECONDS,
    LONGEST_PAUSE_SECONDS,
    PAUSE_SECONDS,
    Breaker,
)
from handlers.endpoint_errors import EndpointBusy, EndpointUnavailable
from handlers.rejections import from_error
from tests.unit.handlers.conftest import Runtime
from tests.unit.handlers.test_classify import endpoint, state  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("endpoint")


def test_a_busy_endpoint_that_responds_now_and_then_does_not_open_it() -> None:
    breaker = Breaker()
    for now in range(0, 600, 2):
        if now % 20 == 0:
            breaker.succeeded()
        else:
            breaker.failed(now)
        assert breaker.allows(now)


def test_failures_within_a_few_seconds_do_not_open_it() -> None:
    breaker = Breaker()
    for tenth in range(10 * int(FAILING_SECONDS)):
        breaker.failed(tenth / 10)
    assert breaker.allows(FAILING_SECONDS)


def test_a_hanging_endpoint_opens_it_earlier_and_for_longer() -> None:
    breaker = Breaker()
    breaker.failed(10.0, 10.0)
    assert breaker.allows(10.0)
    breaker.failed(20.0, 10.0)
    assert not breaker.allows(20.0 + LONGEST_PAUSE_SECONDS - 1)
    assert breaker.allows(20.0 + LONGEST_PAUSE_SECONDS)
    # AND one that responds again closes it, and single slow requests do not open it
    breaker.succeeded()
    for now in range(100, 200, 20):
        breaker.failed(now, 10.0)
        assert breaker.allows(now)
        breaker.succeeded()
    # AND one request, however long it takes, is not a sign
    breaker.failed(300.0, 60.0)
    assert breaker.allows(300.0)


def test_failures_before_an_idle_time_do_not_count() -> None:
    breaker = Breaker()
    for now in (0.0, 1.0, 1.0 + IDLE_SECONDS + 1, 1.0 + IDLE_SECONDS + 2):
        breaker.failed(now)
        assert breaker.allows(now)


def test_time_without_a_request_counts_for_little() -> None:
    # GIVEN an endpoint that rejected what came last of a burst
    breaker = Breaker()
    for now in range(10):
        breaker.failed(float(now))
    # WHEN it rejects the first images of the next burst, half a minute after the first failure
    begin = 9 + LONGEST_GAP_SECONDS + 30
    breaker.failed(begin)
    # THEN it has been failing for the time in which it was tried, and a pause of bounded length
    assert breaker.failing == 9 + LONGEST_GAP_SECONDS
    assert breaker.allows(begin)
    breaker.failed(begin + 0.99)
    assert breaker.allows(begin + 0.99)
    breaker.failed(begin + 1)
    assert not breaker.allows(begin + 1)
    # AND the time that a request takes is not a time without one
    breaker = Breaker()
    for now in (0.0, 25.0):
        breaker.failed(now, 5.0)
    assert breaker.failing == 25


def test_after_a_pause_one_request_decides() -> None:
    breaker = Breaker()
    for now in (0.0, 10.0, FAILING_SECONDS):
        breaker.failed(now)
    reopened = FAILING_SECONDS + PAUSE_SECONDS
    assert not breaker.allows(reopened - 1)
    assert breaker.allows(reopened)
    breaker.failed(reopened)
    assert not breaker.allows(reopened + 1)
    breaker.succeeded()
    assert breaker.allows(reopened + 1)
    breaker.failed(reopened + 2)
    assert breaker.allows(reopened + 2), "it counts from zero"


def test_classify_sends_nothing_while_it_is_open(
    runtime: Runtime, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an endpoint that has failed for half a minute
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(
        classify, "time", SimpleNamespace(monotonic=lambda: clock.now, perf_counter=perf_counter)
    )
    monkeypatch.setattr(classify, "_BREAKER", Breaker())
    runtime.says(b"down", 503)
    for seconds in (0, 10, 20, 32):
        clock.now = 1000.0 + seconds
        with pytest.raises(EndpointBusy):
            classify.handler(state(), context)
    sent = len(runtime.requests)
    # THEN no request is sent, and the error is the one that the workflow does not retry
    with pytest.raises(EndpointUnavailable, match="4 requests in a row failed"):
        classify.handler(state(), context)
    assert len(runtime.requests) == sent
    reason = from_error("EndpointUnavailable", "").reason()
    assert (reason["code"], reason["retryable"]) == ("endpoint_unavailable", True)
    # WHEN it works again after the pause THEN everything does
    clock.now += PAUSE_SECONDS
    runtime.says([0.9, 0.1])
    assert classify.handler(state(), context)["inferences"] == (0.9, 0.1)
    assert classify.handler(state(), context)["inferences"] == (0.9, 0.1)


@pytest.mark.parametrize(("status", "failed"), [(422, False), (500, True)])
def test_a_model_that_rejects_an_image_is_healthy(
    runtime: Runtime, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, status: int, failed: bool
) -> None:
    breaker = Breaker(failures=2, last_failure=time.monotonic())
    monkeypatch.setattr(classify, "_BREAKER", breaker)
    document = {"OriginalStatusCode": status, "OriginalMessage": "no", "Message": "m", "Code": "ModelError"}
    runtime.says(document, 424, **{"x-amzn-ErrorType": "ModelError"})
    if failed:
        with pytest.raises(ClientError):
            classify.handler(state(), context)
    else:
        assert "rejection" in classify.handler(state(), context)
    assert breaker.failures == (3 if failed else 0)


def test_the_limits_are_those_of_the_documentation() -> None:
    limits = (module.FAILURES, module.FAILING_SECONDS, module.HANGING_SECONDS, module.PAUSE_SECONDS)
    assert limits == (3, 30.0, 20.0, 5.0)
    assert (module.LONGEST_PAUSE_SECONDS, module.IDLE_SECONDS, module.PAUSE_SHARE) == (30.0, 120.0, 3)


@pytest.mark.parametrize(
    ("failures", "opens_until"),
    [
        ([(0, 0), (10, 0), (29.9, 0)], 0),  # not yet for half a minute
        ([(0, 0), (10, 0), (30, 0)], 35),
        ([(0, 0), (30, 0)], 0),  # two alone
        ([(0, 0), (120, 0), (240, 0)], 245),  # a minute later they still count
        ([(0, 0), (10, 0), (130.1, 0)], 0),  # after more than two minutes they do not
        ([(0, 9.9), (10, 10)], 0),
        ([(0, 10), (10, 10)], 40),  # together twenty seconds; the pause is three times the last
        ([(0, 15), (5, 5)], 20),
        ([(0, 19), (5, 1)], 10),  # but five seconds at least
        ([(0, 10), (10, 10.5)], 40),  # and half a minute at most
        ([(0, 60)], 0),
    ],
)
def test_when_it_opens_and_for_how_long(failures: list[tuple[float, float]], opens_until: float) -> None:
    found = Breaker()
    for now, took in failures:
        found.failed(now, took)
    assert found.open_until == pytest.approx(opens_until)
    assert found.allows(opens_until)
    assert not opens_until or not found.allows(opens_until - 0.001)
