"""The output of a model, read into one form: every common way to write class probabilities, for the workflow and monitoring alike.

====================================================  ==============================================================
output                                                example
====================================================  ==============================================================
a list                                                ``[0.9, 0.1]``
a list within lists (a batch of one)                  ``[[0.9, 0.1]]``
the same below a member                               ``{"predictions": [[0.9, 0.1]]}``; also `prediction`, `outputs`, `score`, `scores`,
                                                      `SageMakerOutput`, `probabilities`
probabilities with their labels, and more             ``{"probabilities": [...], "labels": [...], "familiarity": 0.4, "model": "v1"}``
labels with scores, as model hubs return them         ``[{"label": "a", "score": 0.9}, {"label": "b", "score": 0.1}]``
the first of many labels, best first                  ``[{"label": "a", "score": 0.7}, {"label": "b", "score": 0.2}]``
comma-separated values                                ``0.9,0.1``
one value: of class 1 of two                          ``0.1``, ``[0.1]``, ``{"predictions": [[0.1]]}``, ``{"score": 0.1}``
the same with its label                               ``{"predicted_label": 0, "score": 0.1}``
a label with its score alone                          ``{"label": "a", "score": 0.9}``, ``a,0.9``: incomplete
====================================================  ==============================================================

A label that an output names next to probabilities is that of the prediction; else it is that of the highest. Values of a quantised
softmax, multiples of 1/256 or 1/255, may miss a sum of 1 by half a step each, and are scaled to it. Logits and percentages are no
probabilities, and are named as what they are. One value of exactly 1, or a whole number, may be a class, or a softmax over one class: it
is not a prediction.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeGuard

# A softmax in single precision over a thousand classes is off by less; and 0.999 is within it, in whatever order it was added up.
SUM_TOLERANCE = 1e-3 + 1e-9
_VECTORS = ("probabilities", "score", "scores")
_SCORES = ("score", "probability", "prob", "probabilities", "scores")
_NAMES = ("predicted_label", "label", "class")
_WRAPPERS = ("SageMakerOutput", "predictions", "prediction", "outputs")
_NESTING = 8  # lists and members within each other that are followed
_SHOWN = 200
MAX_CLASSES = 100_000  # of one prediction; time and memory grow with them
MAX_MODEL = 256  # characters of a model's version that are read


class InvalidPrediction(ValueError):
    """The output holds no class probabilities; the message says what it holds."""


class Prediction(NamedTuple):
    """Probabilities by class index, and what else the model returned.

    ``familiarity`` is from 0 to 1, ``model`` the version that the model gives itself; None where it does not. Not ``complete``: the
    output has the highest probabilities alone, in descending order, and not those of every class. ``choice`` is the class that the model
    named itself, as it may have thresholds of its own; None: that of the highest probability.
    """

    probabilities: tuple[float, ...]
    labels: tuple[str, ...]
    familiarity: float | None = None
    model: str | None = None
    complete: bool = True
    choice: int | None = None


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
        Neither JSON nor comma-separated numbers, empty, not finite, not a distribution, labels that do not fit, the score of one
        label alone, or several predictions.

    Examples
    --------
    >>> normalise(b'{"predictions": [[0.25, 0.75]]}', ["a", "b"])
    Prediction(probabilities=(0.25, 0.75), labels=('a', 'b'), familiarity=None, model=None, complete=True, choice=None)
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidPrediction(f"It is neither JSON nor comma-separated numbers: {body[:100]!r}.") from error
    found = read(text, labels)
    predictions = [item for item in found if isinstance(item, Prediction)]
    if not predictions:
        raise next(
            (item for item in found if isinstance(item, InvalidPrediction)), InvalidPrediction("It is empty.")
        )
    if len(found) > 1:
        raise InvalidPrediction(
            f"It holds {len(found)} predictions. Expected a list of probabilities of one image."
        )
    prediction = predictions[0]
    if not prediction.complete and len(prediction.labels) == 1:
        raise InvalidPrediction(
            f"It has the score of label {prediction.labels[0]!r:.50} alone, and not of every label: "
            f"the values add up to {prediction.probabilities[0]:.6g}, not to 1."
        )
    return prediction


def read(text: str, labels: Sequence[str] = ()) -> list[Prediction | InvalidPrediction]:
    """Read an output for any number of images: JSON, JSON lines, or comma-separated values with one row each.

    Returns
    -------
    list
        In the order of the output: predictions, and errors for what is none.

    Examples
    --------
    >>> read("cat,0.8")
    [Prediction(probabilities=(0.8,), labels=('cat',), familiarity=None, model=None, complete=False, choice=None)]
    """
    context = _Context(tuple(labels))
    try:
        return [
            item for value in _values(text.removeprefix("\ufeff")) for item in _read(value, context, _NESTING)
        ]
    except RecursionError:  # also of showing what was found
        return [InvalidPrediction("It is nested too deeply.")]


class _Context(NamedTuple):
    """What is known about the values that are read next: configured labels, and members of the objects around them."""

    configured: tuple[str, ...]
    own: Any = None
    familiarity: Any = None
    model: Any = None
    one_class: bool = False  # a single 1 is the probability of the only class


def _values(text: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except ValueError:
        rows = [line for line in text.splitlines() if line.strip()]
    try:
        return [json.loads(row) for row in rows]
    except ValueError:
        return [_row(row) for row in rows]


def _row(row: str) -> Any:
    """A row of comma-separated values: numbers, or a label and its score; the text itself if it is JSON that was cut off."""
    if row.lstrip().startswith(("[", "{")):
        return row
    fields = [_field(field.strip().strip('"')) for field in row.split(",")]
    if len(fields) == 2 and isinstance(fields[0], str) and fields[0]:
        return {"label": fields[0], "score": fields[1]}
    return fields if not isinstance(fields[0], str) else row


def _field(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _read(value: Any, context: _Context, depth: int) -> Iterator[Prediction | InvalidPrediction]:
    if depth == 0:
        yield InvalidPrediction("It is nested too deeply.")
    elif isinstance(value, dict):
        yield from _read_object(value, context, depth)
    elif isinstance(value, list) and value and all(isinstance(item, list | dict) for item in value):
        if _is_ranking(value):
            ranking = _result(_ranking, value, context)
            if ranking is not None:
                yield ranking
                return
        for item in value:
            yield from _read(item, context, depth - 1)
    else:
        yield _result(_vector, value, context)


def _result(make: Callable[[Any, _Context], Any], value: Any, context: _Context) -> Any:
    """What `make` returns, or the error that it raises."""
    try:
        return make(value, context)
    except InvalidPrediction as error:
        return error


def _read_object(
    value: dict[str, Any], context: _Context, depth: int
) -> Iterator[Prediction | InvalidPrediction]:
    context = context._replace(
        own=value.get("labels", context.own),
        familiarity=value.get("familiarity", context.familiarity),
        model=value.get("model", context.model),
    )
    name = next((value[member] for member in _NAMES if value.get(member) is not None), None)
    vector = next((value[member] for member in _VECTORS if isinstance(value.get(member), list)), None)
    wrapper = next((member for member in _WRAPPERS if member in value), None)
    score = next((value[member] for member in _SCORES if _is_number(value.get(member))), None)
    confidence = value.get("confidence") if score is None else None
    if vector is not None:
        one_class = value.get("probabilities") == [1]
        for item in _read(vector, context._replace(one_class=one_class), depth - 1):
            yield item._replace(choice=_choice(name, item)) if isinstance(item, Prediction) else item
    elif wrapper is not None:
        inside = value[wrapper]
        if isinstance(inside, str):
            yield _result(_named, (inside, score if confidence is None else confidence), context)
        elif isinstance(inside, list | dict) or (score is None and confidence is None):
            yield from _read(inside, context, depth - 1)
        else:
            yield InvalidPrediction(f"{wrapper} {inside!r:.50} with a score is a class or a probability.")
    elif isinstance(name, list) and isinstance(value.get("prob"), list):
        # BlazingText: labels and their probabilities side by side, the best first.
        yield _result(_named, (next(iter(name), None), next(iter(value["prob"]), None)), context)
    elif confidence is None and index_of(name) in (0, 1) and len(context.configured) in (0, 2):
        found = _result(_score_of_class_1, score, context)
        yield found._replace(choice=index_of(name)) if isinstance(found, Prediction) else found
    elif name is not None:
        yield _result(_named, (name, score if confidence is None else confidence), context)
    elif score is not None:
        yield _result(_vector, score, context)
    else:
        yield InvalidPrediction(f"Expected a list of probabilities, got {value!r:.100}.")


def _vector(values: Any, context: _Context) -> Prediction:
    if _is_number(values):
        values = [values]
    if not isinstance(values, list) or not values or not all(map(_is_number, values)):
        raise InvalidPrediction(f"Expected a list of probabilities, got {values!r:.100}.")
    names = context.own or context.configured
    one_class = context.one_class or (isinstance(names, list | tuple) and len(names) == 1)
    if len(values) == 1 and not one_class:
        if not isinstance(values[0], float) or not 0 <= values[0] < 1:
            raise InvalidPrediction(_improbable(values))
        values = [1 - values[0], values[0]]
    return _prediction(_distribution(values), _labels(names, len(values)), context)


def _score_of_class_1(score: Any, context: _Context) -> Prediction:
    if not _is_number(score) or not 0 <= score <= 1:
        raise InvalidPrediction(f"The score of class 1 is {score!r:.50}, not between 0 and 1.")
    return _prediction((1.0 - score, float(score)), _labels(context.own or context.configured, 2), context)


def _named(item: tuple[Any, Any], context: _Context) -> Prediction:
    """A label with its own score; the others are not known."""
    label, score = label_of(item[0], context.configured), item[1]
    if not is_name(label):
        raise InvalidPrediction(f"Expected a list of probabilities, got the label {item[0]!r:.50}.")
    if not _is_number(score) or not 0 <= score <= 1:
        raise InvalidPrediction(f"The score of label {label!r:.50} is {score!r:.50}, not between 0 and 1.")
    return _prediction((float(score),), (label,), context, complete=False)


def _is_ranking(items: list[Any]) -> bool:
    """Whether these are the labels of one image with their scores, and not the best labels of several images."""
    if len(items) < 2 or not all(
        isinstance(item, dict) and item.keys() == {"label", "score"} for item in items
    ):
        return False
    names = [item["label"] for item in items]
    return all(map(is_name, names)) and len(set(names)) == len(names)


def _ranking(items: list[dict[str, Any]], context: _Context) -> Prediction | None:
    """Labels and scores of one image, in an order that does not depend on the scores; None if they are those of several."""
    scores = [item["score"] for item in items]
    if not all(map(_is_number, scores)):
        raise InvalidPrediction(f"Not every score is a number: {scores!r:.{_SHOWN}}.")
    names = [item["label"] for item in items]
    every = set(names) >= set(context.configured) and bool(context.configured)
    try:
        values = _distribution(scores)
    except InvalidPrediction:
        partial = not every and scores[-1] >= 0 and sum(scores) <= 1
        if partial and all(one >= other for one, other in itertools.pairwise(scores)):
            return _prediction(tuple(map(float, scores)), tuple(names), context, complete=False)
        if every:
            raise
        return None
    place = {name: index for index, name in enumerate(context.configured)} if every else {}
    order = sorted(range(len(names)), key=lambda at: (place.get(names[at], len(place)), names[at]))
    return _prediction(tuple(values[at] for at in order), tuple(names[at] for at in order), context)


def _prediction(
    probabilities: tuple[float, ...], labels: tuple[str, ...], context: _Context, *, complete: bool = True
) -> Prediction:
    if len(probabilities) > MAX_CLASSES:
        raise InvalidPrediction(f"It has {len(probabilities):,} classes, more than {MAX_CLASSES:,}.")
    familiarity = context.familiarity
    if familiarity is not None and not (_is_number(familiarity) and 0 <= familiarity <= 1):
        raise InvalidPrediction(f"Familiarity {familiarity!r:.50} is not between 0 and 1.")
    model = None if context.model is None else _text(context.model)[:MAX_MODEL]
    return Prediction(probabilities, labels, familiarity, model, complete)


def _distribution(values: list[Any]) -> tuple[float, ...]:
    if not all(-SUM_TOLERANCE <= value <= 1 + SUM_TOLERANCE for value in values):
        raise InvalidPrediction(_improbable(values))
    total = functools.reduce(operator.add, values, 0.0)  # from the left, which arrays can do too
    if abs(total - 1) > SUM_TOLERANCE:
        if not _is_quantised(values, total):
            raise InvalidPrediction(f"The values add up to {total:.6g}, not to 1.")
        values = [value / total for value in values]
    return tuple(min(max(float(value), 0.0), 1.0) for value in values)


def _is_quantised(values: Sequence[float], total: float) -> bool:
    """Whether they are multiples of 1/256 or 1/255 whose sum misses 1 by no more than rounding; what became 0 was rounded down."""
    above = sum(value > 0 for value in values)
    return total > 0 and any(
        -len(values) / (2 * steps) - 1e-9 <= total - 1 <= above / (2 * steps) + 1e-9
        and all(abs(value * steps - round(value * steps)) < 1e-3 for value in values)
        for steps in (256, 255)
    )


def _improbable(values: Sequence[float]) -> str:
    """What values that are not probabilities of classes are."""
    if not all(math.isfinite(value) for value in values):
        return f"Not every value is a finite number: {values!r:.{_SHOWN}}."
    if len(values) == 1 and 0 <= values[0] <= 1:
        return f"One value, {values[0]!r}, may be a class, or the only one of a softmax: return the probability of every class."
    if min(values) >= 0 and abs(sum(values) - 100) < 0.5:
        return f"The values add up to 100: they are percentages, not probabilities: {values!r:.{_SHOWN}}."
    if len(values) > 1:
        return f"Not every value is between 0 and 1: they may be logits, which need a softmax in the model: {values!r:.{_SHOWN}}."
    return f"The value is not between 0 and 1: {values!r:.{_SHOWN}}."


def _choice(name: Any, prediction: Prediction) -> int | None:
    """The class index of a label that is named next to probabilities."""
    if name in prediction.labels:
        return prediction.labels.index(name)
    index = index_of(name)
    return index if index is not None and 0 <= index < len(prediction.labels) else None


def label_of(value: Any, labels: Sequence[str] = ()) -> str | None:
    """Name a class: a whole number is an index of `labels`, text stands for itself, anything else is None."""
    index = index_of(value)
    if index is not None:
        return labels[index] if 0 <= index < len(labels) else str(index)
    return value if isinstance(value, str) and value else None


def index_of(value: Any) -> int | None:
    """Get a class index that is written as 1, 1.0, true or "1"; else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value) if abs(value) < 1e9 else None
    return None


def is_name(value: Any) -> TypeGuard[str]:
    """Whether a value can be a label: text that is visible and on one line."""
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float can hold; infinite ones are named as such later."""
    return isinstance(value, float) or (
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e300
    )


def _text(value: Any) -> str:
    """As text that can be written: JSON may carry half a surrogate pair."""
    return str(value).encode(errors="replace").decode()


def _labels(names: Any, count: int) -> tuple[str, ...]:
    if not names:
        return tuple(map(str, range(count)))
    if not isinstance(names, list | tuple) or not all(map(is_name, names)):
        raise InvalidPrediction(f"Labels are not a list of names: {names!r:.{_SHOWN}}.")
    if len(names) != count or len(set(names)) != count:
        raise InvalidPrediction(f"{count} probabilities do not fit the labels {names!r:.{_SHOWN}}.")
    return tuple(names)
