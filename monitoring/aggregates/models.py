"""Which models an aggregate has predictions of, and the part of one of them.

Figures of two models are never added up: their confidences have different distributions, and their labels may differ. A model is what
the output names as its version; all outputs without one are taken as those of one model, "".
"""

from __future__ import annotations

from typing import NamedTuple

from monitoring.aggregates.cells import UNKNOWN, Aggregate, Series
from monitoring.aggregates.counts import Volume


class ModelPeriod(NamedTuple):
    """A model, and the hours of its predictions (as in `CellKey.hour`; "" if none is known)."""

    model: str
    first: str
    last: str
    predictions: int


def models(aggregate: Aggregate) -> list[ModelPeriod]:
    """The models in the order in which they took over; the last one is the current one.

    That is the model of the latest hour, and of several in that hour the one of the latest prediction, so that a roll-out and
    going back to the former model count at once; where an aggregate has no times within the hour, the one that began last.
    Outputs without a version do not take over while one with a version goes on: a client may request a form of
    output that has no place for it.
    """
    times: dict[str, list[tuple[str, int]]] = {}  # hours, and the second of the last prediction in each
    counts: dict[str, int] = {}
    for key, cell in aggregate.cells.items():
        found = times.setdefault(key.model, [])
        if key.hour != UNKNOWN:
            found.append((key.hour, cell.latest))
        counts[key.model] = counts.get(key.model, 0) + cell.count
    ordered = []
    for model, found in times.items():
        unknown = ("", -1)
        (first, _), (last, second) = min(found, default=unknown), max(found, default=unknown)
        period = ModelPeriod(model, first, last, counts[model])
        ordered.append(((last, model != "", second, first, model), period))
    return [period for _, period in sorted(ordered)]


def current_model(aggregate: Aggregate) -> str | None:
    """The current model; None without predictions."""
    found = models(aggregate)
    return found[-1].model if found else None


def of_model(aggregate: Aggregate, model: str | None) -> Aggregate:
    """The predictions of one model, which also are its volumes: a record without a prediction belongs to no model.

    Health stays that of the whole. An aggregate of one model is returned as it is.
    """
    if model is None or all(key.model == model for key in aggregate.cells):
        return aggregate
    part = Aggregate()
    part.cells = {key: cell for key, cell in aggregate.cells.items() if key.model == model}
    for key, cell in part.cells.items():
        series = Series(key.hour, key.endpoint, key.variant)
        part.volume(series).merge(Volume(records=cell.count, predictions=cell.count))
    uncertain = {
        series: [one for one in found if one.model == model] for series, found in aggregate.uncertain.items()
    }
    part.uncertain = {series: found for series, found in uncertain.items() if found}
    part.health = aggregate.health
    return part
