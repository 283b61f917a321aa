"""A result document has the form that every reader relies on, or it is not a result; no input makes a reader fail otherwise."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropsort.contract import result

GOOD: dict[str, Any] = {
    "outcome": "failed",
    "source": {"key": "incoming/a.png", "etag": "e", "version_id": None, "sequencer": "1f"},
    "label": None,
    "confidence": None,
    "reason": {"code": "throttled", "message": "Later.", "retryable": True},
    "times": {"uploaded": "2026-11-21T09:00:00Z", "recorded": "2026-11-21T09:00:01.000Z"},
}


def test_a_result_is_read() -> None:
    assert result.parse(json.dumps(GOOD).encode(), "incoming/a.png") == GOOD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reason": "because"}, "reason is not an object"),
        ({"reason": {"code": 5}}, "reason.code is not text"),
        ({"reason": {"code": "throttled", "retryable": "yes"}}, "reason.retryable"),
        ({"source": None}, "source is not an object"),
        ({"source": ["incoming/a.png"]}, "source is not an object"),
        ({"source": {}}, "source.key is not text"),
        ({"source": {"key": "incoming/b.png"}}, "source.key is 'incoming/b.png'"),
        ({"source": {"key": "incoming/a.png", "etag": 5}}, "source.etag is not text"),
        ({"times": "yesterday"}, "times is not an object"),
        ({"times": {"recorded": 5}}, "times.recorded is not a moment"),
        ({"times": {"recorded": "2026-11-21T09:00:01"}}, "times.recorded is not a moment"),
        (
            {"times": {"recorded": "2026-11-21T09:00:01Z", "uploaded": "soon"}},
            "times.uploaded is not a moment",
        ),
        ({"label": ["bicycle"]}, "label is not text"),
        ({"confidence": "0.9"}, "confidence is not a number"),
        ({"outcome": "lost"}, "outcome is 'lost'"),
        ({"outcome": ["failed"]}, "outcome is"),
    ],
)
def test_a_member_of_a_wrong_type_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        result.parse(json.dumps(GOOD | change).encode(), "incoming/a.png")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b" " * (result.MAX_BYTES + 1),
    ],
    ids=["empty", "half", "list", "null", "no-text", "deep-lists", "deep-objects", "long"],
)
def test_what_is_no_result_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        result.parse(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(list(GOOD)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "key", "recorded"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(list(GOOD)), json_values))
def test_any_document_is_read_or_a_value_error(change: dict[str, Any]) -> None:
    body = json.dumps(GOOD | change).encode()
    with contextlib.suppress(ValueError):
        read = result.parse(body)
        assert (read.get("reason") or {}).get("retryable") in (None, True, False)
        assert datetime.fromisoformat(read["times"]["recorded"]) < datetime.now(UTC)


def test_a_result_has_at_most_a_mebibyte() -> None:
    body = json.dumps(GOOD).encode()
    assert result.parse(body + b" " * (1024 * 1024 - len(body))) == GOOD
    with pytest.raises(ValueError, match="longer than 1048576 bytes"):
        result.parse(body + b" " * (1024 * 1024 + 1 - len(body)))


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({"confidence": True}, False), ({"confidence": 1}, True), ({"confidence": 0.5}, True), ({"label": "a"}, True),
        ({"reason": {}}, True), ({"reason": {"code": "timeout"}}, True), ({"reason": {"code": "timeout", "retryable": None}}, False),
        ({"source": {"key": "incoming/a.png", "version_id": 5}}, False), ({"source": {"key": "incoming/a.png", "sequencer": 5}}, False),
        ({"times": {"recorded": "2026-11-21T09:00:01Z", "uploaded": None}}, True), ({"times": {"recorded": None}}, False),
    ],
)  # fmt: skip
def test_members_may_be_absent_but_have_no_other_type(change: dict[str, Any], taken: bool) -> None:
    body = json.dumps(GOOD | change).encode()
    with contextlib.nullcontext() if taken else pytest.raises(ValueError):
        assert result.parse(body) == GOOD | change


def test_the_first_fault_is_named() -> None:
    for body, fault in (
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "not a JSON object"),
        (b"{}", "outcome is None"),
    ):
        with pytest.raises(ValueError, match=fault):
            result.parse(body)
