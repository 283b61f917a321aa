"""Predictions of a capture record: its output, decoded, through the normaliser that the workflow has too.

`dropsort.contract.predictions` has the forms that are read. The verbose output of a Dropsort endpoint and, in
`monitoring.ingest.prediction_arrays`, plain lists are read a dozen times faster where nothing is unusual about them, to the same effect;
tests compare both.
"""

from __future__ import annotations

import base64
import functools
import operator
from collections.abc import Sequence
from typing import Any

import msgspec

from dropsort.contract.predictions import MAX_MODEL, SUM_TOLERANCE, Prediction, is_name, read


class VerboseOutput(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The verbose output of a Dropsort endpoint."""

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
    if data.startswith('{"probabilities"') and (found := _verbose(data)) is not None:
        return [found]
    return [item for item in read(data, labels) if isinstance(item, Prediction)]


def _verbose(data: str) -> Prediction | None:
    """Read the verbose output; None if anything about it is unusual."""
    try:
        output = _decode_verbose(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    values, familiarity = output.probabilities, output.familiarity
    names = _names(tuple(output.labels))
    if output.model is not None and len(output.model) > MAX_MODEL:
        return None
    if len(values) < 2 or len(names) != len(values) or not (familiarity is None or 0 <= familiarity <= 1):
        return None
    if min(values) < 0 or max(values) > 1 or abs(functools.reduce(operator.add, values) - 1) > SUM_TOLERANCE:
        return None
    return Prediction(tuple(values), names, familiarity, output.model)


@functools.lru_cache(64)
def _names(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Labels of different classes; () if they are not."""
    return labels if all(map(is_name, labels)) and len(set(labels)) == len(labels) else ()


def clean(text: str) -> str:
    """Get `text` as it can be written as UTF-8: a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _base64(data: str) -> str | None:
    packed = "".join(data.split())
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-8-sig")
    except ValueError:
        return None
