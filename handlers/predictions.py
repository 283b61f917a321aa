"""What an endpoint answered, read into one form: the three answers that are known, held to be a probability distribution."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handlers.rejections import Rejection

# A softmax in single precision over a thousand classes is off by less.
_SUM_TOLERANCE = 1e-3
# As JSON; a thousand classes with their names are half of it. It travels in the workflow's state, of at most 262,144 bytes.
MAX_TRAVEL_BYTES = 96 * 1024


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probabilities by class index, and what else the model said.

    ``familiarity`` is from 0 to 1, ``model`` the version that the model gives itself; None where it does not say.
    """

    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    familiarity: float | None = None
    model: str | None = None


def parse(body: bytes, labels: Sequence[str] = ()) -> Prediction:
    """Read an endpoint's answer.

    Parameters
    ----------
    body
        ``[0.9, 0.1]`` (the built-in algorithm), ``{"prediction": [...]}``, or ``{"probabilities": [...], "labels": [...], ...}``.
    labels
        Labels by class index, for an answer without any; without them the index is the label.

    Raises
    ------
    Rejection
        ``invalid_prediction``: no JSON, empty, not finite, not a distribution, too large, or labels that do not fit.
    """
    try:
        return _read(json.loads(body), labels)
    except (ValueError, RecursionError) as error:  # the latter also of telling what was found
        raise Rejection("invalid_prediction", f"It is no JSON: {body[:100]!r}.") from error


def _read(answer: Any, labels: Sequence[str]) -> Prediction:
    rich = answer if isinstance(answer, dict) else {}
    probabilities = rich.get("probabilities", rich.get("prediction")) if rich else answer
    values = _distribution(probabilities)
    names = _labels(rich.get("labels", labels), len(values))
    familiarity = rich.get("familiarity")
    if familiarity is not None and not (_is_number(familiarity) and 0 <= familiarity <= 1):
        raise Rejection("invalid_prediction", f"Familiarity {familiarity!r} is not between 0 and 1.")
    if len(json.dumps((values, names))) > MAX_TRAVEL_BYTES:
        raise Rejection(
            "invalid_prediction", f"{len(values)} probabilities and their labels are too large to travel."
        )
    model = rich.get("model")
    return Prediction(values, names, familiarity, None if model is None else _text(model)[:256])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """As text that can be written: JSON may carry half a surrogate pair."""
    return str(value).encode(errors="replace").decode()


def _distribution(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or not values:
        raise Rejection("invalid_prediction", f"Expected a list of probabilities, got {values!r:.100}.")
    if not all(_is_number(value) and -_SUM_TOLERANCE <= value <= 1 + _SUM_TOLERANCE for value in values):
        raise Rejection("invalid_prediction", f"Not every value is between 0 and 1: {values!r:.200}.")
    total = math.fsum(values)
    if abs(total - 1) > _SUM_TOLERANCE:
        raise Rejection("invalid_prediction", f"The values add up to {total:.6g}, not to 1.")
    return tuple(min(max(float(value), 0.0), 1.0) for value in values)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _labels(names: Any, count: int) -> tuple[str, ...]:
    if not names:
        return tuple(str(index) for index in range(count))
    if not isinstance(names, list | tuple) or not all(_is_name(name) for name in names):
        raise Rejection("invalid_prediction", f"Labels are not a list of names: {names!r:.200}.")
    if len(names) != count or len(set(names)) != count:
        raise Rejection("invalid_prediction", f"{count} probabilities do not fit the labels {names!r:.200}.")
    return tuple(names)
