"""The capture record of SageMaker, and the parser of one line of a capture file.

`read_line` is exact: it accepts and rejects what ``json.loads`` of the decoded line would. msgspec parses nearly every
line several times faster; the few that it is stricter or laxer about are left to ``json``.
"""

from __future__ import annotations

import functools
import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from monitoring.aggregates.cells import UNKNOWN, Series
from monitoring.ingest.outputs import clean

_WHITESPACE = b" \t\r\n"
_HOUR = re.compile(
    # Not 24:00:00, which Python from 3.14 on understands.
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3])):[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_LONG_NUMBER = re.compile(rb"[0-9]{4300}")  # json rejects longer integers, msgspec does not
_DEEP = 400  # brackets in a line from which the two parsers may disagree on how deep is too deep


class Output(msgspec.Struct, gc=False):
    """``endpointOutput`` or ``batchTransformOutput``."""

    data: str | None = None
    encoding: str | None = None


class Input(msgspec.Struct, gc=False):
    """``endpointInput``, of which only the presence matters here."""

    data: msgspec.Raw = msgspec.Raw(b"")


class Capture(msgspec.Struct, gc=False):
    """``captureData``."""

    endpointInput: Input | None = None
    endpointOutput: Output | None = None
    batchTransformOutput: Output | None = None


class Metadata(msgspec.Struct, gc=False):
    """``eventMetadata``."""

    eventId: str | None = None
    inferenceId: str | None = None
    inferenceTime: str | None = None


class RawLine(msgspec.Struct, gc=False):
    """A line as it stands in the file."""

    captureData: Capture | None = None
    eventMetadata: Metadata | None = None
    groundTruthData: msgspec.Raw = msgspec.Raw(b"")


class CaptureRecord(msgspec.Struct, gc=False):
    """A capture record, or ground truth alone, with the fields that monitoring uses."""

    event_id: str = ""
    inference_id: str = ""
    time: str | None = None
    data: str | None = None
    encoding: str | None = None
    has_input: bool = False
    merged: bool = False  # with ground truth
    batch_transform: bool = False
    truth_only: bool = False


class Malformed(Exception):
    """A line that is not a record; the message says why in a few words."""


_decode = msgspec.json.Decoder(RawLine).decode


def read_line(line: bytes, shift: int = 0) -> CaptureRecord | None:
    """Read one line.

    Parameters
    ----------
    line
        Without its newline; a carriage return and blanks around it are fine.
    shift
        Bytes of the line, all in its input, that are left out here: for the positions that errors name.

    Returns
    -------
    CaptureRecord or None
        None for a blank line.

    Raises
    ------
    Malformed
        Not UTF-8, not JSON, no object, or an object without ``captureData`` and ``groundTruthData``.
    """
    line = line.strip(_WHITESPACE)
    if not line:
        return None
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8: byte 0x{line[error.start]:02x} at character {error.start + 1}") from None
    if not (line.count(b"[") + line.count(b"{") > _DEEP or (len(line) > 4300 and _LONG_NUMBER.search(line))):
        try:
            raw = _decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass
        else:
            if raw.captureData is not None:
                return _record_of(raw)
    return _of_json(text, shift)


def _record_of(raw: RawLine) -> CaptureRecord:
    """Get the fields of a line that has ``captureData``."""
    capture, meta = raw.captureData or Capture(), raw.eventMetadata or Metadata()
    out = capture.endpointOutput or capture.batchTransformOutput or Output()
    given = bytes(capture.endpointInput.data) if capture.endpointInput is not None else b""
    return CaptureRecord(
        event_id=meta.eventId or "",
        inference_id=meta.inferenceId or "",
        time=meta.inferenceTime,
        data=out.data,
        encoding=out.encoding,
        has_input=given.startswith(b'"') and given != b'""',
        merged=bytes(raw.groundTruthData).startswith(b"{"),
        batch_transform=capture.endpointOutput is None and capture.batchTransformOutput is not None,
    )


def inference_hour(time: str | None) -> str | None:
    """Get the UTC hour of an ``inferenceTime`` as ``2026-11-21T09:00:00Z``; None if it is absent or no time."""
    found = inference_time(time)
    return found[0] if found else None


def inference_time(time: str | None) -> tuple[str, int] | None:
    """Get the UTC hour of an ``inferenceTime``, and the seconds since it began; None if it is absent or no time.

    Fractions of a second and offsets are understood; a time without an offset is UTC.
    """
    found = _HOUR.fullmatch(time) if time is not None else None
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(found[0])
        if found[3] not in (None, "Z"):
            moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    hour = f"{moment.year:04}-{moment.month:02}-{moment.day:02}T{moment.hour:02}:00:00Z"
    return hour, moment.minute * 60 + moment.second


def series_of_path(path: str) -> Series:
    """Get the hour, endpoint and variant that a path ``.../{endpoint}/{variant}/yyyy/mm/dd/hh/...`` names.

    Examples
    --------
    >>> series_of_path("captures/bikes/AllTraffic/2026/11/21/09/00-01-002-ab.jsonl")
    Series(hour='2026-11-21T09:00:00Z', endpoint='bikes', variant='AllTraffic')
    >>> series_of_path("collected/a.jsonl")
    Series(hour='unknown', endpoint='unknown', variant='unknown')
    """
    return _series_of_folder(path.rpartition("/")[0])


@functools.lru_cache(4096)
def _series_of_folder(folder: str) -> Series:
    parts = folder.split("/")
    if len(parts) < 6 or [len(p) for p in parts[-4:]] != [4, 2, 2, 2]:
        return Series(UNKNOWN, UNKNOWN, UNKNOWN)
    hour = inference_hour("{}-{}-{}T{}:00:00Z".format(*parts[-4:]))
    if hour is None or not parts[-6] or not parts[-5]:
        return Series(UNKNOWN, UNKNOWN, UNKNOWN)
    return Series(hour, clean(parts[-6]), clean(parts[-5]))  # names of folders may not be UTF-8


def _of_json(text: str, shift: int) -> CaptureRecord:
    try:
        value = json.loads(text)
    except RecursionError:
        raise Malformed("not JSON: nested too deeply") from None
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text) or error.msg.startswith("Unterminated string")
        kind = "cut off" if cut else "not JSON"
        raise Malformed(f"{kind}: {error.msg} at character {error.pos + shift + 1}") from None
    except ValueError:
        raise Malformed("not JSON: a number is too long") from None
    if not isinstance(value, dict):
        manifest = isinstance(value, list) and value and isinstance(value[0], dict) and "prefix" in value[0]
        raise Malformed(
            "a manifest (of batch transform?), not a JSON object" if manifest else "not a JSON object"
        )
    capture, meta = value.get("captureData"), as_dict(value.get("eventMetadata"))
    merged = isinstance(value.get("groundTruthData"), dict)
    ids = {"event_id": _str(meta.get("eventId")) or "", "inference_id": _str(meta.get("inferenceId")) or ""}
    if not isinstance(capture, dict):
        if merged:
            return CaptureRecord(**ids, truth_only=True)  # type: ignore[arg-type]
        raise Malformed("no captureData")
    endpoint, batch = capture.get("endpointOutput"), capture.get("batchTransformOutput")
    out = as_dict(endpoint) if isinstance(endpoint, dict) else as_dict(batch)
    return CaptureRecord(
        **ids,  # type: ignore[arg-type]
        time=_str(meta.get("inferenceTime")),
        data=_str(out.get("data")),
        encoding=_str(out.get("encoding")),
        has_input=bool(_str(as_dict(capture.get("endpointInput")).get("data"))),
        merged=merged,
        batch_transform=not isinstance(endpoint, dict) and isinstance(batch, dict),
    )


def as_dict(value: Any) -> dict[str, Any]:
    """The value, if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _str(value: Any) -> str | None:
    return value if isinstance(value, str) else None
