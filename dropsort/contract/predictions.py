"""The output of a model, read into one form: every common way to write class probabilities.

====================================================  ==============================================================
output                                                example
====================================================  ==============================================================
a list                                                ``[0.9, 0.1]``
a list within lists (a batch of one)                  ``[[0.9, 0.1]]``
the same below a member                               ``{"predictions": [[0.9, 0.1]]}``; also `prediction`, `outputs`, `scores`,
                                                      `SageMakerOutput`, `probabilities`
probabilities with their labels, and more             ``{"probabilities": [...], "labels": [...], "familiarity": 0.4, "model": "v1"}``
labels with scores, as model hubs return them         ``[{"label": "a", "score": 0.9}, {"label": "b", "score": 0.1}]``
comma-separated values                                ``0.9,0.1``
one value: of class 1 of two                          ``0.1``, ``[0.1]``, ``{"predictions": [[0.1]]}``, ``{"score": 0.1}``
====================================================  ==============================================================

Values of a quantised softmax, multiples of 1/256 or 1/255, may miss a sum of 1 by half a step each, and are scaled to it. Logits and
percentages are no probabilities, and are named as what they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SUM_TOLERANCE = 1e-3  # a softmax in single precision over a thousand classes is off by less
_MEMBERS = ("SageMakerOutput", "probabilities", "predictions", "prediction", "outputs", "scores", "score")
_NESTING = 8  # lists and members within each other that are followed
_SHOWN = 200


class InvalidPrediction(ValueError):
    """The output holds no class probabilities; the message says what it holds."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Probabilities by class index, and what else the model returned.

    ``familiarity`` is from 0 to 1, ``model`` the version that the model gives itself; None where it does not.
    """

    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    familiarity: float | None = None
    model: str | None = None


def normalise(body: bytes, labels: Sequence[str] = ()) -> Prediction:
    """Read the output for one image.

    Parameters
    ----------
    body
        In one of the forms above.
    labels
        Labels by class index, for an output without any; without them the index is the label.

    Raises
    ------
    InvalidPrediction
        Neither JSON nor comma-separated numbers, empty, not finite, not a distribution, or labels that do not fit.

    Examples
    --------
    >>> normalise(b'{"predictions": [[0.25, 0.75]]}', ["a", "b"])
    Prediction(probabilities=(0.25, 0.75), labels=('a', 'b'), familiarity=None, model=None)
    """
    try:
        return _read(_parsed(body), labels)
    except InvalidPrediction:
        raise
    except (ValueError, RecursionError) as error:  # the latter also of showing what was found
        raise InvalidPrediction(f"It is neither JSON nor comma-separated numbers: {body[:100]!r}.") from error


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return [float(field) for field in body.decode().strip().split(",")]


def _read(output: Any, labels: Sequence[str]) -> Prediction:
    details = output if isinstance(output, dict) else {}
    values, names = output, details.get("labels", labels)
    for _ in range(_NESTING):
        if isinstance(values, dict):
            member = next((name for name in _MEMBERS if name in values), None)
            _check_named(values, member, labels)
            values = values[member] if member else None
        elif isinstance(values, list) and len(values) == 1 and isinstance(values[0], list):
            values = values[0]
        elif pairs := _pairs(values):
            names, values = [label for label, _ in pairs], [score for _, score in pairs]
        else:
            break
    one_class = (isinstance(names, list | tuple) and len(names) == 1) or details.get("probabilities") == [1]
    probabilities = _distribution(values, one_class=one_class)
    familiarity = details.get("familiarity")
    if familiarity is not None and not (_is_number(familiarity) and 0 <= familiarity <= 1):
        raise InvalidPrediction(f"Familiarity {familiarity!r} is not between 0 and 1.")
    model = details.get("model")
    return Prediction(
        probabilities,
        _labels(names, len(probabilities)),
        familiarity,
        None if model is None else _text(model)[:256],
    )


def _check_named(output: dict[str, Any], member: str | None, labels: Sequence[str]) -> None:
    """A score next to a label is that of the label, and of no use without the others; of the classes 0 and 1 it is that of class 1."""
    named = next(
        (output[name] for name in ("predicted_label", "label", "class") if output.get(name) is not None), None
    )
    if named is None or member is None or not _is_number(output[member]):
        return
    if str(named) not in ("0", "1", "0.0", "1.0") or len(labels) not in (0, 2):
        raise InvalidPrediction(f"It has the score of label {named!r:.50} alone, and not of every label.")


def _pairs(values: Any) -> list[tuple[Any, Any]] | None:
    """Labels and scores of a list of such pairs."""
    if not isinstance(values, list) or not values:
        return None
    if not all(isinstance(item, dict) and item.keys() == {"label", "score"} for item in values):
        return None
    return [(item["label"], item["score"]) for item in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """As text that can be written: JSON may carry half a surrogate pair."""
    return str(value).encode(errors="replace").decode()


def _distribution(values: Any, *, one_class: bool) -> tuple[float, ...]:
    if _is_number(values):
        values = [values]
    if not isinstance(values, list) or not values or not all(_is_number(value) for value in values):
        raise InvalidPrediction(f"Expected a list of probabilities, got {values!r:.100}.")
    if len(values) == 1 and not one_class and 0 <= values[0] <= 1:
        values = [1 - values[0], values[0]]
    if not all(-SUM_TOLERANCE <= value <= 1 + SUM_TOLERANCE for value in values):
        raise InvalidPrediction(_improbable(values))
    total = math.fsum(values)
    if abs(total - 1) > SUM_TOLERANCE:
        if not _is_quantised(values, total):
            raise InvalidPrediction(f"The values add up to {total:.6g}, not to 1.")
        values = [value / total for value in values]
    return tuple(min(max(float(value), 0.0), 1.0) for value in values)


def _is_quantised(values: Sequence[float], total: float) -> bool:
    """Whether they are multiples of 1/256 or 1/255 whose sum misses 1 by no more than rounding."""
    return any(
        abs(total - 1) <= len(values) / (2 * steps) + 1e-9
        and all(abs(value * steps - round(value * steps)) < 1e-3 for value in values)
        for steps in (256, 255)
    )


def _improbable(values: Sequence[float]) -> str:
    """What values outside 0 to 1 are."""
    if not all(math.isfinite(value) for value in values if isinstance(value, float)):
        return f"Not every value is a finite number: {values!r:.{_SHOWN}}."
    if min(values) >= 0 and abs(sum(values) - 100) < 0.5:
        return f"The values add up to 100: they are percentages, not probabilities: {values!r:.{_SHOWN}}."
    if len(values) > 1:
        return f"Not every value is between 0 and 1: they may be logits, which need a softmax in the model: {values!r:.{_SHOWN}}."
    return f"The value is not between 0 and 1: {values!r:.{_SHOWN}}."


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _labels(names: Any, count: int) -> tuple[str, ...]:
    if not names:
        return tuple(str(index) for index in range(count))
    if not isinstance(names, list | tuple) or not all(_is_name(name) for name in names):
        raise InvalidPrediction(f"Labels are not a list of names: {names!r:.{_SHOWN}}.")
    if len(names) != count or len(set(names)) != count:
        raise InvalidPrediction(f"{count} probabilities do not fit the labels {names!r:.{_SHOWN}}.")
    return tuple(names)
