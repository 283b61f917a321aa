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
_TIME_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])
# Of a time, padded to whole words; all but the digits is compared anyway
_HIGHEST = np.full(24, 255, np.uint8)
_HIGHEST[_TIME_DIGITS] = [9] * 10 + [5, 9, 5, 9]
_OF_THE_HOUR = np.frombuffer(b"\xff" * 13 + bytes(11), np.uint64)  # bytes of a time
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
        # Nearly always none of them differs, which is checked faster.
        fine[at : at + _AT_ONCE] = ~differs.any(axis=1) if differs.any() else True
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


def _contiguous(texts: np.ndarray) -> np.ndarray:
    """Copy `texts`, uint8 (n, length), into rows of whole words, padded with zeros: numpy is slow on short rows apart."""
    padded = np.zeros((len(texts), -(-texts.shape[1] // 8) * 8), np.uint8)
    padded[:, : texts.shape[1]] = texts
    return padded


def _plain(texts: np.ndarray) -> Any:
    """Return which of `texts`, uint8 (n, length), contain nothing that would end a JSON string."""
    texts = _contiguous(texts)
    ends = texts == ord('"')
    ends |= texts == ord("\\")
    return True if not ends.any() else ~ends.any(axis=1)


def _count(texts: np.ndarray, byte: bytes) -> np.ndarray:
    """Count `byte` in each of `texts`, uint8 (n, length)."""
    if texts.shape[1] > 255:
        found: np.ndarray = np.count_nonzero(texts == ord(byte), axis=1)
        return found
    words = (_contiguous(texts) == ord(byte)).view(np.uint64)
    counts = np.zeros(len(texts), np.uint64)
    for column in words.T:  # eight counts of up to 32 each in a word
        counts += column
    counts *= np.uint64(0x0101010101010101)  # their sum is in the highest byte
    return counts >> np.uint64(56)


def _hours(times: np.ndarray, fine: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Get the hours of `times`, uint8 (n, 20), which is whose, and the seconds since; `fine` becomes False without a time."""
    padded = _contiguous(times)
    digits = padded - 48
    fine &= _each(digits <= _HIGHEST)
    # Lines of one hour mostly follow one another.
    words = padded.view(np.uint64) & _OF_THE_HOUR
    differs = words[1:, 0] != words[:-1, 0]
    differs |= words[1:, 1] != words[:-1, 1]
    begins = [0, *(np.flatnonzero(differs) + 1).tolist()]
    numbers: dict[bytes, int] = {}
    codes = [numbers.setdefault(times[at, :13].tobytes(), len(numbers)) for at in begins]
    hour = np.repeat(np.array(codes, np.int64), np.diff([*begins, len(times)]))
    hours = [inference_hour(text.decode("latin-1") + ":00:00Z") for text in numbers]
    fine &= np.array([text is not None for text in hours])[hour]
    second = np.zeros(len(times), np.int16)
    for at, seconds in ((14, 600), (15, 60), (17, 10), (18, 1)):
        second += digits[:, at] * np.int16(seconds)
    return [text or "" for text in hours], hour, second


def _vectors(outputs: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Read `outputs`, uint8 (n, length), as vectors like the first: float64 (`fine`, classes), none if they are not."""
    if not outputs.shape[1]:
        return np.empty((0, 0))
    like = fine & (outputs[:, 0] == ord("[")) & (outputs[:, -1] == ord("]"))
    commas = _count(outputs, b",")
    like &= commas == commas[0]
    if commas[0] == 0:  # one value: a whole number may be a class
        like &= (outputs == ord(".")).any(axis=1)
    # Each begins with a comma and has as many of them: what is one list of numbers is a vector of each.
    values = _values(outputs, like)
    if values is None:
        like &= _each(_OF_A_VECTOR[outputs[:, 1:-1]])
        values = _values(outputs, like)
    if values is None:
        return np.empty((0, 0))
    fine &= like
    return values


def _values(outputs: np.ndarray, like: np.ndarray) -> np.ndarray | None:
    """Read those `outputs` that are `like` the first, all at once: float64 (`like`, classes); None if it cannot be done."""
    if not like[0]:
        return None
    listed = outputs.copy() if like.all() else outputs[like]
    listed[:, 0], listed[:, -1] = ord(","), ord(" ")
    listed[0, 0] = ord("[")
    try:
        found = _floats(listed.tobytes() + b"]")
    except msgspec.MsgspecError:
        return None
    return np.fromiter(found, np.float64, len(found)).reshape(len(listed), -1)


def _texts(outputs: np.ndarray, fine: np.ndarray) -> list[str]:
    """Read `outputs` as text; `fine` becomes False where a text would end early."""
    out = []
    for row in np.flatnonzero(fine).tolist():
        try:
            out.append(_text(b'"' + outputs[row].tobytes() + b'"'))
        except (msgspec.MsgspecError, UnicodeError):
            fine[row] = False
    return out
