"""Normalises the output of an endpoint, as a capture record holds it, into predictions.

Every known form of output is read: a list of probabilities, a list of such lists, one score of a binary
model, ``{"predictions": ...}``, ``{"probabilities": [...], "labels": [...], "familiarity": ...}``,
``{"predicted_label": ..., "score": ...}``, lists of ``{"label": ..., "score": ...}``; as JSON, JSON lines or CSV, plain or
in base64. Values that are no probabilities (a regression, logits) give no prediction: nothing is guessed or rescaled.
docs/reference/captures.md has the rules as a table.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import json
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

# As far as single precision over a thousand classes is off; and 0.999 is within it, in whatever order it was added up.
SUM_TOLERANCE = 1e-3 + 1e-9
_NESTING = 8  # lists within lists and wrappers that are followed


class Prediction(msgspec.Struct, gc=False):
    """One prediction of a record.

    `probabilities` is the whole vector where it is known, and `choice` the class the endpoint named (None: the
    highest). Otherwise `label` and `confidence` are all there is.
    """

    probabilities: list[float] | None = None
    labels: tuple[str, ...] = ()
    choice: int | None = None
    label: str = ""
    confidence: float = 0.0
    familiarity: float | None = None

    def clipped(self) -> list[float]:
        """Probabilities without the few millionths by which an endpoint's may lie outside [0, 1]."""
        return [min(max(p, 0.0), 1.0) for p in self.probabilities or ()]


class VerboseOutput(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The verbose output of a Dropsort endpoint, decoded a dozen times faster; any other is read by `_object`."""

    probabilities: list[float]
    labels: list[str] = []
    familiarity: float | None = None
    model: str | None = None


_decode_verbose = msgspec.json.Decoder(VerboseOutput).decode


def predictions(data: Any, encoding: Any, labels: Sequence[str] = ()) -> list[Prediction]:
    """Read the ``data`` of an ``endpointOutput`` or ``batchTransformOutput``.

    Parameters
    ----------
    data, encoding
        The two fields as they are; only a string is data, only ``BASE64`` is an encoding that changes it.
    labels
        Labels by class index, for outputs that name none.

    Returns
    -------
    list
        In the order of the output; empty if it holds no class probabilities.
    """
    if not isinstance(data, str):
        return []
    if isinstance(encoding, str) and encoding.upper() == "BASE64":
        decoded = _base64(data)
        if decoded is None:
            return []
        data = decoded
    if data.startswith('{"probabilities"'):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
            return _of_verbose(_decode_verbose(data), labels)
    try:
        return [p for value in _values(data) for p in _interpret(value, labels, _NESTING)]
    except RecursionError:
        return []


def _of_verbose(output: VerboseOutput, labels: Sequence[str]) -> list[Prediction]:
    """Read a verbose output as `_object` does."""
    found = list(_vector(output.probabilities, output.labels, labels))
    if output.familiarity is not None and 0 <= output.familiarity <= 1:
        for prediction in found:
            prediction.familiarity = output.familiarity
    return found


def distribution(values: list[Any]) -> list[float] | None:
    """Get `values` as probabilities that add up to 1 (within `SUM_TOLERANCE`), or None; one value is that of class 1."""
    numbers = [float(v) for v in values if is_number(v)]
    if not numbers or len(numbers) != len(values):
        return None
    if len(numbers) == 1:
        numbers = [1.0 - numbers[0], numbers[0]]
    if not all(-SUM_TOLERANCE <= v <= 1 + SUM_TOLERANCE for v in numbers):
        return None
    if (
        abs(functools.reduce(operator.add, numbers) - 1) > SUM_TOLERANCE
    ):  # from the left, as monitoring/ingest/prediction_arrays.py adds
        return None
    return numbers


def usable_labels(names: Any, count: int) -> tuple[str, ...]:
    """Get `names` as labels of `count` classes, or () if they do not fit."""
    if not isinstance(names, list | tuple) or len(names) != count:
        return ()
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) != count:
        return ()
    return tuple(clean(name) for name in names)


def label_of(value: Any, labels: Sequence[str] = ()) -> str | None:
    """Name a class: a whole number is an index of `labels`, text stands for itself, anything else is None."""
    index = index_of(value)
    if index is not None:
        return labels[index] if 0 <= index < len(labels) else str(index)
    return clean(value) if isinstance(value, str) and value else None


def index_of(value: Any) -> int | None:
    """Get a class index that is written as 1, 1.0, true or "1"; else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 1e9):
        return int(value) if abs(value) < 1e9 else None
    return None


def is_number(value: Any) -> bool:
    """True for a finite int or float that is no bool and fits a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300 and math.isfinite(value)


def clean(text: str) -> str:
    """Get `text` as it can be written as UTF-8: a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _base64(data: str) -> str | None:
    packed = "".join(data.split())
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-8-sig")
    except (binascii.Error, ValueError):
        return None


def _values(text: str) -> list[Any]:
    """Read JSON (one value), else JSON lines, else CSV (a value a row)."""
    try:
        return [json.loads(text)]
    except ValueError:
        pass
    rows = [line for line in text.splitlines() if line.strip()]
    try:
        return [json.loads(row) for row in rows]
    except ValueError:
        return [_csv_row(row) for row in rows]


def _csv_row(row: str) -> Any:
    if row.lstrip().startswith(("[", "{")):  # JSON that was cut off
        return []
    fields = [field.strip().strip('"') for field in row.split(",")]
    numbers = [_float(field) for field in fields]
    if len(fields) == 2 and numbers[0] is None and fields[0]:
        return {"label": fields[0], "score": numbers[1]}
    return numbers


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _interpret(value: Any, labels: Sequence[str], depth: int) -> Iterator[Prediction]:
    if depth == 0:
        return
    if is_number(value):
        yield from _vector([value], (), labels)
    elif isinstance(value, list):
        if not all(isinstance(v, list | dict) for v in value):
            yield from _vector(value, (), labels)
        elif (ranking := _ranking(value)) is not None:
            yield ranking
        else:
            for item in value:
                yield from _interpret(item, labels, depth - 1)
    elif isinstance(value, dict):
        yield from _object(value, labels, depth)


def _object(value: dict[str, Any], labels: Sequence[str], depth: int) -> Iterator[Prediction]:
    named = next((k for k in ("predicted_label", "label", "class") if value.get(k) is not None), None)
    vector = next(
        (value[k] for k in ("probabilities", "score", "scores") if isinstance(value.get(k), list)), None
    )
    score = next((value[k] for k in ("score", "probability", "prob") if is_number(value.get(k))), None)
    confidence = value.get("confidence") if score is None else None
    wrapped = next(
        (k for k in ("SageMakerOutput", "predictions", "prediction", "outputs") if k in value), None
    )
    if wrapped is not None and vector is None:
        inside = value[wrapped]
        if isinstance(inside, str):
            yield from _confident(inside, score if confidence is None else confidence, labels)
        elif (score is None and confidence is None) or isinstance(inside, list | dict):
            yield from _interpret(inside, labels, depth - 1)
        # A number next to a score may be a class or a probability.
    elif vector is not None:
        for row in vector if vector and all(isinstance(r, list) for r in vector) else [vector]:
            found = list(_vector(row, value.get("labels", ()), labels))
            for prediction in found:
                if is_number(value.get("familiarity")) and 0 <= value["familiarity"] <= 1:
                    prediction.familiarity = float(value["familiarity"])
                if named is not None:
                    prediction.choice = _choice(value[named], prediction)
            yield from found
    elif named is not None and isinstance(value[named], list) and isinstance(value.get("prob"), list):
        # BlazingText: labels and their probabilities side by side, the best first.
        yield from _named(next(iter(value[named]), None), next(iter(value["prob"]), None), labels)
    elif named is not None and confidence is not None:
        yield from _confident(value[named], confidence, labels)
    elif named is not None:
        yield from _named(value[named], score, labels)
    elif score is not None:
        yield from _vector([score], (), labels)


def _vector(values: list[Any], own: Any, labels: Sequence[str]) -> Iterator[Prediction]:
    probabilities = distribution(values)
    if probabilities is not None:
        names = usable_labels(own, len(probabilities)) or usable_labels(labels, len(probabilities))
        yield Prediction(probabilities, names)


def _named(name: Any, score: Any, labels: Sequence[str]) -> Iterator[Prediction]:
    """Read a label with its score; for the classes 0 and 1 of a binary model the score is that of class 1."""
    if index_of(name) in (0, 1) and len(labels) in (0, 2):
        if is_number(score) and 0 <= score <= 1:
            for prediction in _vector([score], (), labels):
                prediction.choice = index_of(name)
                yield prediction
    else:
        yield from _confident(name, score, labels)


def _confident(name: Any, confidence: Any, labels: Sequence[str]) -> Iterator[Prediction]:
    """Read a label with its own confidence."""
    label = label_of(name, labels)
    if label is not None and is_number(confidence) and 0 <= confidence <= 1:
        yield Prediction(label=label, confidence=float(confidence))


def _ranking(items: list[Any]) -> Prediction | None:
    """Read ``[{"label": ..., "score": ...}, ...]`` over the classes of one input: labels differ, scores add up to <= 1."""
    if len(items) < 2 or not all(isinstance(i, dict) and i.keys() == {"label", "score"} for i in items):
        return None
    names = [i["label"] for i in items]
    scores = [i["score"] for i in items]
    if not all(isinstance(n, str) and n for n in names) or len(set(names)) != len(names):
        return None
    if not all(is_number(s) and 0 <= s <= 1 for s in scores) or sum(scores) > 1 + SUM_TOLERANCE:
        return None
    probabilities = distribution(scores)
    if probabilities is not None:
        return Prediction(probabilities, usable_labels(names, len(names)))
    best = max(range(len(scores)), key=scores.__getitem__)
    return Prediction(label=clean(names[best]), confidence=float(scores[best]))


def _choice(name: Any, prediction: Prediction) -> int | None:
    if isinstance(name, str) and name in prediction.labels:
        return prediction.labels.index(name)
    index = index_of(name)
    classes = len(prediction.probabilities or ())
    return index if index is not None and 0 <= index < classes else None
