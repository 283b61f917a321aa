"""Reads a result document, whoever wrote it last: either it has the form that every reader relies on, or it is not a result."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from dropsort.contract import keys

MAX_BYTES = 1024 * 1024  # a result of a thousand labels has a tenth of it


def parse(body: bytes, key: str | None = None) -> dict[str, Any]:
    """The document of a result's object.

    Parameters
    ----------
    body
        The object's bytes.
    key
        Key of the upload whose result this is; None if any will do.

    Raises
    ------
    ValueError
        It is not a result: no JSON object, nested too deeply, longer than `MAX_BYTES`, of another upload, or one of the members that
        readers rely on (``outcome``, ``source``, ``label``, ``confidence``, ``reason``, ``times``) has a wrong type.

    Examples
    --------
    >>> parse(b'{"outcome": "classified"}')
    Traceback (most recent call last):
    ...
    ValueError: source is not an object
    """
    return check(load(body), key)


def load(body: bytes, most: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object in at most so many bytes.

    Raises
    ------
    ValueError
        It is longer, nested too deeply, or not a JSON object.
    """
    if len(body) > most:
        raise ValueError(f"it is longer than {most} bytes")
    try:
        document = json.loads(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    return document


def check(document: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """The document, which is one of a result as `parse` says.

    Raises
    ------
    ValueError
        It is not: a member that readers rely on has a wrong type, or it is of another upload than `key`.
    """
    if document.get("outcome") not in keys.OUTCOMES:
        raise ValueError(f"outcome is {document.get('outcome')!r:.100}")
    source, times = _object(document, "source"), _object(document, "times")
    expect(isinstance(source.get("key"), str), "source.key is not text")
    expect(key is None or source["key"] == key, f"source.key is {source['key']!r:.100}")
    for name in ("etag", "version_id", "sequencer"):
        expect(is_text(source.get(name)), f"source.{name} is not text")
    expect(is_text(document.get("label")), "label is not text")
    expect(is_number(document.get("confidence")), "confidence is not a number")
    _moment(times.get("recorded"), "recorded")
    if times.get("uploaded") is not None:
        _moment(times["uploaded"], "uploaded")
    if document.get("reason"):
        reason = _object(document, "reason")
        expect(isinstance(reason.get("code"), str), "reason.code is not text")
        expect(isinstance(reason.get("retryable", False), bool), "reason.retryable is neither true nor false")
    return document


def _object(document: dict[str, Any], name: str) -> dict[str, Any]:
    member = document.get(name)
    if not isinstance(member, dict):
        raise ValueError(f"{name} is not an object")
    return member


def expect(holds: bool, otherwise: str) -> None:
    """Raise ValueError, with this sentence, if it does not hold."""
    if not holds:
        raise ValueError(otherwise)


def is_text(value: Any) -> bool:
    """Whether it is a text or None."""
    return value is None or isinstance(value, str)


def is_number(value: Any) -> bool:
    """Whether it is a number or None."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _moment(value: Any, name: str) -> None:
    expect(is_moment(value), f"times.{name} is not a moment with an offset from UTC")


def is_moment(value: Any) -> bool:
    """Whether it is a time in ISO 8601 with its offset from UTC: times are compared with those of S3, which know theirs."""
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False
