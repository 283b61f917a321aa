"""Aggregates of an hour: counts, sums and histograms that add up exactly, in any order.

A *cell* is one label that one model of one variant of one endpoint predicted in one hour of inference. Every value is an integer
(sums are in billionths), so merging partial aggregates is plain addition (of times, the later one) and never depends on the order. Means,
quantiles and the share above any threshold are computed from the sums and the histogram on request.

JSON form (`Aggregate.to_json`): ``{"schema": 1, "cells": [...], "volumes": [...], "uncertain": [...], "health": {...}}``,
one object per `Cell`, `Volume` and `Uncertain`, sorted by key; histograms are objects of bin number to count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from monitoring.aggregates.counts import BAD_LINES_NAMED, LEAST_CERTAIN, BadLine, Health, Uncertain, Volume
from monitoring.aggregates.histograms import (
    BINS,
    FAMILIARITY_BINS,
    UNIT,
    add,
    dense,
    quantile,
    share_at_least,
)

__all__ = [
    "BAD_LINES_NAMED", "IMAGE_STATISTICS", "IMAGE_UNITS", "LEAST_CERTAIN", "SCHEMA", "UNKNOWN", "Aggregate", "BadLine",
    "Cell", "Health", "CellKey", "Series", "Uncertain", "Volume",
]  # fmt: skip

SCHEMA = 1
UNKNOWN = "unknown"  # hour, endpoint or variant that neither record nor path names

# Image statistics, in this order wherever they are stored; sums are integers in these units.
IMAGE_STATISTICS = ("width", "height", "bytes", "brightness", "sharpness")
IMAGE_UNITS = (1, 1, 1, 1000, 1000)  # pixels, pixels, bytes, thousandths of a grey level, thousandths


class CellKey(NamedTuple):
    """Which cell: `hour` is UTC as ``2026-11-21T09:00:00Z``, or ``unknown``."""

    hour: str
    endpoint: str
    variant: str
    label: str
    model: str = ""  # version that the output names; "" if it names none


class Series(NamedTuple):
    """An hour of one variant of one endpoint, over all its labels."""

    hour: str
    endpoint: str
    variant: str


class Cell(msgspec.Struct, gc=False):
    """Predictions of one label in one hour. Build with `add` or merge; read with the methods."""

    count: int = 0
    confidence: int = 0  # sum, billionths
    histogram: dict[int, int] = {}
    # Predictions whose whole probability vector is known; entropy and margin are sums over these
    scored: int = 0
    entropy: int = 0  # sum of entropy / log(number of classes), billionths
    margin: int = 0  # sum of highest minus second highest probability, billionths
    familiar: int = 0  # predictions that came with a familiarity
    familiarity: int = 0  # sum, billionths
    familiarity_histogram: dict[int, int] = {}
    images: int = 0  # inputs that were decoded; the two below are sums over these, as in IMAGE_STATISTICS
    image_sums: list[int] = []
    image_squares: list[int] = []
    latest: int = -1  # second of the hour at which the last prediction was made; -1: unknown

    def merge(self, other: Cell) -> None:
        """Add `other`, which stays as it is."""
        for name in (
            "count",
            "confidence",
            "scored",
            "entropy",
            "margin",
            "familiar",
            "familiarity",
            "images",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latest = max(self.latest, other.latest)
        add(self.histogram, other.histogram)
        add(self.familiarity_histogram, other.familiarity_histogram)
        if other.images:
            nothing = [0] * len(IMAGE_STATISTICS)
            self.image_sums = [
                a + b for a, b in zip(self.image_sums or nothing, other.image_sums, strict=True)
            ]
            pairs = zip(self.image_squares or nothing, other.image_squares, strict=True)
            self.image_squares = [a + b for a, b in pairs]

    def bins(self) -> np.ndarray:
        """Histogram of confidence, int64 of shape (1000,)."""
        return dense(self.histogram, BINS)

    def familiarity_bins(self) -> np.ndarray:
        """Histogram of familiarity, int64 of shape (100,)."""
        return dense(self.familiarity_histogram, FAMILIARITY_BINS)

    def mean_confidence(self) -> float:
        """Mean confidence in [0, 1]; nan if the cell is empty."""
        return _mean(self.confidence, self.count)

    def quantile(self, q: float) -> float:
        """Confidence below which the share `q` of the predictions lies, to a thousandth; nan if empty."""
        return quantile(self.bins(), q)

    def share_at_least(self, threshold: float) -> float:
        """Share of the predictions with confidence >= `threshold` (a multiple of 0.001); nan if empty."""
        return share_at_least(self.bins(), threshold)


class Aggregate:
    """All cells, volumes, least certain predictions and health of a set of captures.

    Examples
    --------
    >>> total = Aggregate()
    >>> total.cell(CellKey("2026-11-21T09:00:00Z", "bikes", "AllTraffic", "bicycle")).merge(Cell(count=1))
    >>> Aggregate.from_json(total.to_json()) == total
    True
    """

    def __init__(self) -> None:
        self.cells: dict[CellKey, Cell] = {}
        self.volumes: dict[Series, Volume] = {}
        self.uncertain: dict[Series, list[Uncertain]] = {}
        self.health = Health()

    def cell(self, key: CellKey) -> Cell:
        """Get the cell of `key`; an empty one is put there if there is none."""
        found = self.cells.get(key)
        if found is None:
            found = self.cells[key] = Cell()
        return found

    def volume(self, series: Series) -> Volume:
        """Get the volume of `series`; an empty one is put there if there is none."""
        found = self.volumes.get(series)
        if found is None:
            found = self.volumes[series] = Volume()
        return found

    def add_uncertain(self, series: Series, found: Iterable[Uncertain]) -> None:
        """Keep the `LEAST_CERTAIN` lowest margins of what is there and `found`."""
        self.uncertain[series] = sorted({*self.uncertain.get(series, ()), *found})[:LEAST_CERTAIN]

    def merge(self, other: Aggregate) -> Aggregate:
        """Add `other`, of different records; returns self. The order of merging does not matter."""
        for key, cell in other.cells.items():
            self.cell(key).merge(cell)
        for series, volume in other.volumes.items():
            self.volume(series).merge(volume)
        for series, found in other.uncertain.items():
            self.add_uncertain(series, found)
        self.health.merge(other.health)
        return self

    def window(self, start: str, end: str) -> Aggregate:
        """Get the hours in [start, end), both as in `CellKey.hour`; health stays that of the whole."""
        part = Aggregate()
        part.cells = {k: v for k, v in self.cells.items() if k.hour != UNKNOWN and start <= k.hour < end}
        part.volumes = {k: v for k, v in self.volumes.items() if k.hour != UNKNOWN and start <= k.hour < end}
        part.uncertain = {
            k: v for k, v in self.uncertain.items() if k.hour != UNKNOWN and start <= k.hour < end
        }
        part.health = self.health
        return part

    def hours(self) -> list[str]:
        """Known hours with captures, sorted."""
        return sorted({s.hour for s in self.volumes if s.hour != UNKNOWN})

    def labels(self) -> list[str]:
        """Labels that were predicted, sorted."""
        return sorted({key.label for key in self.cells})

    def to_json(self) -> bytes:
        """Encode as documented at the top of this module."""
        document = {
            "schema": SCHEMA,
            "cells": [{**key._asdict(), **_fields(self.cells[key])} for key in sorted(self.cells)],
            "volumes": [{**s._asdict(), **_fields(self.volumes[s])} for s in sorted(self.volumes)],
            "uncertain": [
                {**s._asdict(), **_fields(u)} for s in sorted(self.uncertain) for u in self.uncertain[s]
            ],
            "health": self.health,
        }
        return msgspec.json.encode(document)

    @classmethod
    def from_json(cls, text: bytes) -> Aggregate:
        """Decode what `to_json` wrote.

        Raises
        ------
        ValueError
            It is not such a document, or one of another schema.
        """
        document = msgspec.json.decode(text)
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise ValueError(f"not an aggregate of schema {SCHEMA}")
        new = cls()
        for row in document["cells"]:
            new.cells[_take(row, CellKey)] = msgspec.convert(row, Cell, strict=False)
        for row in document["volumes"]:
            new.volumes[_take(row, Series)] = msgspec.convert(row, Volume)
        for row in document["uncertain"]:
            new.uncertain.setdefault(_take(row, Series), []).append(msgspec.convert(row, Uncertain))
        new.health = msgspec.convert(document["health"], Health)
        return new

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aggregate) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]


def _mean(total: int, count: int) -> float:
    return total / count / UNIT if count else float("nan")


def _fields(struct: Any) -> dict[str, Any]:
    """Fields of a struct; histograms sorted, so that equal aggregates are equal bytes."""
    out = msgspec.structs.asdict(struct)
    return {k: dict(sorted(v.items())) if isinstance(v, dict) else v for k, v in out.items()}


def _take(row: dict[str, Any], kind: Any) -> Any:
    # Aggregates of earlier versions have no model.
    return kind(*(row.pop(name) for name in kind._fields if name in row or name not in kind._field_defaults))
