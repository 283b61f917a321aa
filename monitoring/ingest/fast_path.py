"""The fast path for uniform (identically shaped) lines: what follows their inputs, compared and measured as matrices.

The lines of an endpoint differ in their ids, times and predictions, and hardly in anything else. `measure` parses one line
of those whose rest (what follows the input) has one length, and compares all others with it, byte by byte: where
everything but id, time and prediction is the same, and nothing in these could end them early, the others would be parsed
to the same structure. Lines that differ are left to `monitoring.ingest.schema.read_line`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from monitoring.ingest.schema import Malformed, inference_hour, read_line

# Replaces the beginning of a line and most of its input, of which only the presence matters.
STUB = b'{"captureData":{"endpointInput":{"data":"x'
_FEWEST = 16  # lines that are worth a matrix
_AT_ONCE = 1024  # lines that fit the cache
_PATTERNS = 4  # among lines of one length, after which the others are read one by one
_TIME = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-5][0-9]:[0-5][0-9]Z")
_HIGHEST = np.array([9] * 10 + [5, 9, 5, 9], np.uint8)
_TIME_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])
_DATA = re.compile(rb'"data" *: *"((?:[^"\\]|\\.)*)"')
_OF_A_VECTOR = np.isin(np.arange(256), list(b"0123456789+-.eE, "))

_floats = msgspec.json.Decoder(list[float]).decode
_text = msgspec.json.Decoder(str).decode


class Matrix(NamedTuple):
    """Lines of one pattern: n of them."""

    rows: np.ndarray  # int64 (n,), which of the rests
    ids: np.ndarray  # uint8 (n, length), event ids
    hours: list[str]  # as `inference_hour` gives them
    hour: np.ndarray  # int64 (n,), into `hours`
    second: np.ndarray  # int16 (n,), since the hour began
    values: np.ndarray  # float64 (n, classes), outputs that are vectors; no classes: see `data`
    data: list[str]  # outputs of any other kind
    encoding: str | None  # of these


class _Pattern(NamedTuple):
    """Where a line's variable parts are, and a mask of all others."""

    id: slice
    inference_id: slice
    time: slice
    data: slice
    mask: np.ndarray  # uint8, padded to whole words; 0 where lines may differ
    encoding: str | None


def measure(rests: Sequence[bytes | bytearray]) -> tuple[list[Matrix], list[int]]:
    """Measure lines by their rests, each of which begins with its input's closing quote and is clean ASCII.

    Returns
    -------
    list of Matrix
        Uniform lines.
    list of int
        All other lines.
    """
    lengths = np.fromiter(map(len, rests), np.int64, len(rests))
    order = np.argsort(lengths, kind="stable")
    bounds = np.flatnonzero(np.diff(lengths[order])) + 1
    found: list[Matrix] = []
    others: list[np.ndarray] = []
    for rows in np.split(order, bounds):
        for _ in range(_PATTERNS):
            if len(rows) < _FEWEST:
                break
            pattern = _pattern(rests[rows[0]])
            matrix = _matrix([rests[row] for row in rows.tolist()], rows, pattern) if pattern else None
            if matrix is None:
                others.append(rows[:1])
                rows = rows[1:]
            else:
                found.append(matrix)
                rows = np.setdiff1d(rows, matrix.rows, assume_unique=True)
        others.append(rows)
    return found, sorted(np.concatenate(others).tolist()) if others else []


def _pattern(rest: bytes | bytearray) -> _Pattern | None:
    """Find the parts of a line that vary; None if it is not a real-time capture with all of them, each once."""
    try:
        line = read_line(STUB + rest)
    except Malformed:
        return None
    if line is None or not line.event_id or line.time is None or line.data is None:
        return None
    if line.merged or line.batch_transform or line.truth_only or not line.has_input:
        return None
    outputs = list(_DATA.finditer(rest))
    if len(outputs) != 1 or rest.count(b'"data"') != 1 or _TIME.fullmatch(line.time.encode()) is None:
        return None
    id_, inference_id, time = (_part(rest, value) for value in (line.event_id, line.inference_id, line.time))
    if id_ is None or inference_id is None or time is None:
        return None
    data = slice(*outputs[0].span(1))
    mask = np.full(-(-len(rest) // 8) * 8, 255, np.uint8)
    for part in (id_, inference_id, data):
        mask[part] = 0
    mask[time.start + _TIME_DIGITS] = 0
    return _Pattern(id_, inference_id, time, data, mask, line.encoding)


def _part(rest: bytes | bytearray, value: str) -> slice | None:
    """Find where `value` stands; None if not exactly once."""
    if not value:
        return slice(0, 0)
    quoted = b'"' + value.encode("utf-8", "surrogatepass") + b'"'
    at = rest.find(quoted) + 1
    return slice(at, at + len(quoted) - 2) if rest.count(quoted) == 1 else None


def _matrix(rests: list[bytes | bytearray], rows: np.ndarray, pattern: _Pattern) -> Matrix | None:
    """Measure those lines that are as the pattern; None if these do not include the first."""
    pad = bytes(len(pattern.mask) - len(rests[0]))
    lines = np.frombuffer(pad.join(rests) + pad, np.uint8).reshape(len(rests), -1)
    words, mask = lines.view(np.uint64), pattern.mask.view(np.uint64)
    fine = np.empty(len(rests), bool)
    for at in range(0, len(rests), _AT_ONCE):
        differs = words[at : at + _AT_ONCE] ^ words[0]
        differs &= mask
        fine[at : at + _AT_ONCE] = ~differs.any(axis=1)
    fine &= _plain(lines[:, pattern.id]) & _plain(lines[:, pattern.inference_id])
    hours, hour, second = _hours(lines[:, pattern.time], fine)
    outputs = lines[:, pattern.data]
    values = _vectors(outputs, fine) if (pattern.encoding or "").upper() != "BASE64" else np.empty((0, 0))
    data = [] if values.size else _texts(outputs, fine)
    if not fine[0]:
        return None
    return Matrix(
        rows[fine], lines[:, pattern.id][fine], hours, hour[fine], second[fine], values, data, pattern.encoding
    )  # fmt: skip


def _each(fine: np.ndarray) -> Any:
    """Return which rows of bool (n, m) are true everywhere; nearly always all are, which is checked much faster."""
    return True if fine.all() else fine.all(axis=1)


def _plain(texts: np.ndarray) -> Any:
    """Return which of `texts`, uint8 (n, length), contain nothing that would end a JSON string."""
    return _each((texts != ord('"')) & (texts != ord("\\")))


def _hours(times: np.ndarray, fine: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Get the hours of `times`, uint8 (n, 20), which is whose, and the seconds since; `fine` becomes False without a time."""
    digits = times[:, _TIME_DIGITS] - 48
    fine &= _each(digits <= _HIGHEST)
    number = digits[:, :10].astype(np.int64) @ 10 ** np.arange(9, -1, -1)
    if (number == number[0]).all():
        first, hour = np.zeros(1, np.int64), np.zeros(len(times), np.int64)
    else:
        _, first, hour = np.unique(number, return_index=True, return_inverse=True)
    hours = [inference_hour(times[at, :13].tobytes().decode("latin-1") + ":00:00Z") for at in first.tolist()]
    fine &= np.array([text is not None for text in hours])[hour]
    second = digits[:, 10:].astype(np.int16) @ np.array([600, 60, 10, 1], np.int16)
    return [text or "" for text in hours], hour, second


def _vectors(outputs: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Read `outputs`, uint8 (n, length), as vectors like the first: float64 (`fine`, classes), none if they are not."""
    like = fine & (outputs[:, 0] == ord("[")) & (outputs[:, -1] == ord("]"))
    like &= _each(_OF_A_VECTOR[outputs[:, 1:-1]])
    commas = np.count_nonzero(outputs == ord(","), axis=1)
    like &= commas == commas[0]
    if commas[0] == 0:  # one value: a whole number may be a class
        like &= (outputs == ord(".")).any(axis=1)
    if not like[0]:
        return np.empty((0, 0))
    listed = outputs[like]
    listed[:, 0], listed[:, -1] = ord(","), ord(" ")
    listed[0, 0] = ord("[")
    try:
        values = np.array(_floats(listed.tobytes() + b"]"), np.float64)
    except msgspec.MsgspecError:
        return np.empty((0, 0))
    fine &= like
    return values.reshape(len(listed), -1)


def _texts(outputs: np.ndarray, fine: np.ndarray) -> list[str]:
    """Read `outputs` as text; `fine` becomes False where a text would end early."""
    out = []
    for row in np.flatnonzero(fine).tolist():
        try:
            out.append(_text(b'"' + outputs[row].tobytes() + b'"'))
        except (msgspec.MsgspecError, UnicodeError):
            fine[row] = False
    return out
