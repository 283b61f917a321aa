"""The bounds of the backlog function: when a comparison is due or late, what counts in it, and how its probes judge the endpoint."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dropsort.contract import ignored_paths, reconciliation
from dropsort.contract.backlog import UploadList
from handlers import backlog, telemetry
from handlers.backlog import BacklogInvocation, BacklogSettings, healthy
from handlers.backlog_state import INTERVAL, BacklogState, FailureScan, Reconciliation

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECOND, MOMENT = timedelta(seconds=1), timedelta(microseconds=1)
SETTINGS = BacklogSettings("images", "machine", 7, "serialize", "classify")


def ago(age: timedelta, **members: Any) -> Reconciliation:
    return Reconciliation((NOW - age).isoformat(), **members)


@pytest.mark.parametrize(
    ("state", "due"),
    [
        (BacklogState(), True), (BacklogState(comparison=ago(SECOND)), True),
        (BacklogState(comparison=ago(SECOND), last=ago(SECOND)), True),
        (BacklogState(last=ago(INTERVAL)), True), (BacklogState(last=ago(INTERVAL - MOMENT)), False),
        # Ten times as long as it took, where that is more than the interval.
        (BacklogState(last=ago(2 * INTERVAL, seconds=720)), True), (BacklogState(last=ago(2 * INTERVAL - MOMENT, seconds=720)), False),
        (BacklogState(last=ago(INTERVAL, seconds=360)), True), (BacklogState(last=ago(INTERVAL, seconds=361)), False),
    ],
)  # fmt: skip
def test_when_a_comparison_is_due(state: BacklogState, due: bool) -> None:
    assert state.due(NOW, INTERVAL) is due


@pytest.mark.parametrize(
    ("state", "late"),
    [
        (BacklogState(), False), (BacklogState(comparison=ago(3 * INTERVAL)), False),
        (BacklogState(comparison=ago(3 * INTERVAL + MOMENT)), True),
        (BacklogState(last=ago(2 * INTERVAL)), False), (BacklogState(last=ago(2 * INTERVAL + MOMENT)), True),
        (BacklogState(last=ago(4 * INTERVAL, seconds=720)), False), (BacklogState(last=ago(4 * INTERVAL + MOMENT, seconds=720)), True),
    ],
)  # fmt: skip
def test_when_a_comparison_is_late(state: BacklogState, late: bool) -> None:
    assert state.late(NOW) is late


def checked(
    key: str = "incoming/a",
    written: datetime = NOW,
    why: str | None = reconciliation.NO_RESULT,
    **members: Any,
) -> Any:
    return SimpleNamespace(
        **{"upload": SimpleNamespace(key=key, written=written), "why": why, "next_try": None, "unreviewed": None, "review": None}
        | members
    )  # fmt: skip


def test_an_upload_counts_from_the_age_on_and_is_started_when_its_time_has_come() -> None:
    found = Reconciliation(NOW.isoformat())
    assert found.add(checked(), NOW, NOW)
    assert not found.add(checked(written=NOW + MOMENT), NOW, NOW)
    assert not found.add(checked(why=None), NOW, NOW)
    retryable = {"why": reconciliation.RETRYABLE, "written": NOW - SECOND}
    assert found.add(checked(next_try=NOW, **retryable), NOW, NOW)
    assert not found.add(checked(next_try=NOW + MOMENT, **retryable), NOW, NOW)
    # Retryable failures have a result.
    assert (found.uploads, found.without_result, found.oldest) == (5, 1, "incoming/a")


def test_the_oldest_upload_is_named_and_of_several_the_first_key() -> None:
    found = Reconciliation(NOW.isoformat())
    for key, age in (("c", 1), ("d", 2), ("b", 2), ("a", 1)):
        found.add(checked(key, NOW - age * SECOND), NOW, NOW)
    assert (found.oldest, found.oldest_uploaded) == ("b", (NOW - 2 * SECOND).isoformat())
    for age in (3, 5, 4):
        found.add(checked(why=None, unreviewed=NOW - age * SECOND), NOW, NOW)
    assert found.values() == {
        "UploadsWithoutResult": 4, "OldestUploadAge": 2.0, "Unreviewed": 3, "OldestUnreviewedAge": 5.0,
    }  # fmt: skip
    # AND what came after the beginning, by another clock, has no age
    assert (
        Reconciliation(NOW.isoformat(), oldest_uploaded=(NOW + SECOND).isoformat()).values()[
            "OldestUploadAge"
        ]
        == 0
    )
    assert Reconciliation(NOW.isoformat()).values()["OldestUnreviewedAge"] == 0


def test_reviews_count_from_a_minute_before_one_comparison_to_a_minute_before_the_next() -> None:
    minute = timedelta(seconds=60)
    last = BacklogState(last=ago(2 * INTERVAL))
    assert last.reviewed(NOW.isoformat()) == (NOW - 2 * INTERVAL - minute, NOW - minute)
    assert BacklogState().reviewed(NOW.isoformat()) == (NOW - minute - INTERVAL, NOW - minute)


class Failures:
    """Results below failed/, each written so many seconds from `NOW`, and how many seconds later it is tried again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *written: tuple[int, int]) -> None:
        self.written = written
        monkeypatch.setattr(backlog.reconciliation, "failures", self._list)

    def _list(
        self, _s3: Any, _bucket: str, since: datetime, until: datetime, after: str
    ) -> Iterator[reconciliation.FailedResult]:
        assert after == ""
        for number, (seconds, wait) in enumerate(self.written):
            at = NOW + seconds * SECOND
            if since <= at <= until:
                key = f"incoming/{number}"
                yield reconciliation.FailedResult(f"failed/{number}.json", at, key, at + wait * SECOND)

    @staticmethod
    def collect(state: BacklogState) -> tuple[int, FailureScan | None]:
        """How many one invocation starts, and from where the next one reads."""
        tick = BacklogInvocation(SETTINGS, None, None, None, NOW, SECOND, INTERVAL, time.monotonic() + 600)
        with UploadList() as uploads:
            scan = tick._collect(uploads, state)
            return uploads.count, scan


def test_failures_are_read_up_to_a_minute_after_the_invocation_and_then_from_a_minute_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = SECOND * 60
    # GIVEN failures whose time has come, by a clock that is ahead of ours
    for ahead, count in ((59, 1), (60, 1), (61, 0)):
        failures = Failures(monkeypatch, (ahead, -100))
        assert failures.collect(BacklogState()) == (count, FailureScan("", (NOW - seconds).isoformat()))
    # AND by one that is behind, THEN those that may have come after the last invocation are read
    for behind, count in ((59, 1), (60, 1), (61, 0)):
        failures = Failures(monkeypatch, (-behind, 0))
        state = BacklogState(retryable_since=(NOW - seconds).isoformat())
        assert failures.collect(state) == (count, FailureScan("", (NOW - seconds).isoformat()))


def test_failures_that_wait_are_read_again_from_a_minute_before_the_first_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # GIVEN two that wait until after this invocation, and one whose time comes with it
    failures = Failures(monkeypatch, (-300, 301), (-200, 201), (-400, 400))
    assert failures.collect(BacklogState()) == (1, FailureScan("", (NOW - 360 * SECOND).isoformat()))
    # THEN nothing is read from before where reading began
    state = BacklogState(retryable_since=(NOW - 330 * SECOND).isoformat())
    assert failures.collect(state) == (0, FailureScan("", (NOW - 330 * SECOND).isoformat()))


def test_more_failures_than_one_run_starts_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MOST_UPLOADS", 2)
    # GIVEN three whose time has come, of which the last one has waited longest
    failures = Failures(monkeypatch, (-200, 0), (-300, 0), (-400, 0))
    assert failures.collect(BacklogState()) == (2, FailureScan("", (NOW - 460 * SECOND).isoformat()))


def test_the_settings_are_of_the_environment_and_none_may_be_missing() -> None:
    environment = {
        "BUCKET_NAME": "images", "BACKLOG_STATE_MACHINE": "machine", "BACKLOG_CONCURRENCY": "7", "SERIALIZE_FUNCTION": "serialize",
        "CLASSIFY_FUNCTION": "classify", "IGNORED_PATTERNS": ignored_paths.DEFAULT,
    }  # fmt: skip
    assert BacklogSettings.of(environment) == SETTINGS
    for name in environment:
        with pytest.raises(KeyError, match=name):
            BacklogSettings.of({other: value for other, value in environment.items() if other != name})


class Functions:
    """Lambda: what each function returns, an error of its, or one of Lambda's; and what was requested."""

    def __init__(self, **returned: Any) -> None:
        self.returned, self.requests = returned, list[tuple[str, Any]]()

    def invoke(self, *, FunctionName: str, Payload: bytes) -> Any:
        self.requests.append((FunctionName, json.loads(Payload)))
        body = self.returned[FunctionName]
        if isinstance(body, ClientError):
            raise body
        failed = {"FunctionError": "Unhandled"} if body is None or "errorType" in body else {}
        return {"Payload": io.BytesIO(b"" if body is None else json.dumps(body).encode())} | failed


THROTTLE = ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke")
SERIALIZED = {"image_data": "aQ==", "s3_key": "incoming/a"}


@pytest.mark.parametrize(
    ("serialized", "classified", "expected", "noted"),
    [
        (SERIALIZED, {"inferences": [1]}, True, None), ({"rejection": {}}, {}, None, None),
        (THROTTLE, {}, False, "TooManyRequestsException"), (SERIALIZED, THROTTLE, False, "TooManyRequestsException"),
        (SERIALIZED, {"errorType": "EndpointBusy"}, False, "EndpointBusy"), ({"errorType": "ClientError"}, {}, False, "ClientError"),
        (SERIALIZED, None, False, "None"),
    ],
)  # fmt: skip
def test_a_probe_is_what_the_workflow_would_do(
    serialized: Any, classified: Any, expected: bool | None, noted: str | None
) -> None:
    functions = Functions(serialize=serialized, classify=classified)
    assert healthy(functions, SETTINGS, "incoming/a") is expected
    assert telemetry._invocation.notes.get("probe") == noted
    upload = {"s3_bucket": "images", "s3_key": "incoming/a"}
    assert functions.requests == [("serialize", upload), ("classify", SERIALIZED)][: len(functions.requests)]
    assert (len(functions.requests) == 2) is (serialized is SERIALIZED)


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        ([False] * 3, False), ([False, True, False], True), ([None] * 3, True), ([None, False, None], False), ([True], True),
    ],
)  # fmt: skip
def test_the_endpoint_is_judged_by_three_uploads_once(
    monkeypatch: pytest.MonkeyPatch, judged: list[bool | None], expected: bool
) -> None:
    left, keys = iter(judged), [f"incoming/{n}" for n in range(9 if len(judged) == 3 else len(judged))]
    probed: list[str] = []
    monkeypatch.setattr(backlog, "healthy", lambda _f, _s, key: probed.append(key) or next(left))
    tick = BacklogInvocation(SETTINGS, None, None, None, NOW, SECOND, INTERVAL, 0.0, _keys=set(keys))
    assert [tick._healthy(), tick._healthy(), tick.unhealthy] == [expected, expected, not expected]
    assert (len(probed), len(set(probed)), set(probed) <= set(keys)) == (len(judged), len(judged), True)
