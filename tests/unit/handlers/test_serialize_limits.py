"""The first function where an image takes more memory or work than it has, and what it notes for its log."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from handlers import serialize, telemetry
from handlers.imaging import limits
from tests.unit.handlers.conftest import BUCKET

STARTED = {"s3_bucket": BUCKET, "s3_key": "incoming/a.gif"}
# Before its first frame, one block more than is read.
GIF = b"GIF89a" + bytes(7) + b"!\xfe\x01x\x00" * (limits.MAX_SEGMENTS // 2 + 1)


@pytest.mark.parametrize(("decoding_bytes", "large"), [(1_299_999_999, True), (1_300_000_000, False)])
def test_what_is_too_complex_goes_to_the_function_with_more_memory_once(
    s3: Any, context: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, decoding_bytes: int, large: bool
) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/a.gif", Body=GIF)
    given = dataclasses.replace(serialize._SETTINGS, decoding_bytes=decoding_bytes)
    monkeypatch.setattr(serialize, "_SETTINGS", given)
    state = serialize.handler(dict(STARTED), context)
    assert state.get("large", False) is large
    assert state.get("rejection", {}).get("code") == (None if large else "too_complex")


def test_the_reason_of_a_rejection_is_in_the_log_on_demand(
    s3: Any,
    context: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/a.gif", Body=b"text")
    monkeypatch.setattr(telemetry, "_LEVEL", "DEBUG")
    logger = telemetry.logger()
    monkeypatch.setattr(logger.registered_handler, "stream", sys.stdout)
    before = logger.log_level
    logger.setLevel(logging.DEBUG)
    try:
        serialize.handler(dict(STARTED), context)
    finally:
        logger.setLevel(before)
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["s3_key"], found["rejection"]) == ("incoming/a.gif", "not_an_image")
