"""Adds batches to the state: drops duplicates, adds all other records to the hours of their inference."""

from __future__ import annotations

import numpy as np

from monitoring.aggregates.cells import BAD_LINES_NAMED, IMAGE_STATISTICS, UNKNOWN, Aggregate, Cell
from monitoring.aggregates.histograms import BINS, FAMILIARITY_BINS, bin_of
from monitoring.ingest.batch import (
    BATCH_TRANSFORM,
    MERGED,
    NO_EVENT_ID,
    NO_INPUT,
    NO_PREDICTION,
    NO_TIME,
    CaptureBatch,
)
from monitoring.storage.state import AggregationState

# Limits of what is held in memory before it is written to the state.
_IDS_HELD = 4_000_000  # 8 bytes each
_CELLS_HELD = 10_000

_PLACES = 4_000_000  # bins of all keys up to which each is counted in a place of its own
_EXACT = 9_000_000  # values of up to a billion whose sum a float holds exactly: integers up to 2**53


class Accumulator:
    """Adds batches to the hours of a `AggregationState`, holding a bounded part of it in memory."""

    def __init__(self, state: AggregationState) -> None:
        self._state = state
        self._hours: dict[str, Aggregate] = {}
        self._ids: dict[str, np.ndarray] = {}
        self._changed: set[str] = set()  # hours
        self._known: set[str] = set()  # hours of ids that are to be written
        self.days: set[str] = set()  # days whose cells changed since the last commit

    def add(self, batch: CaptureBatch) -> None:
        """Add what is new in `batch`."""
        keep = self._first(batch)
        self._count(batch, keep)
        self._cells(batch, keep[batch.record])
        for record, series, found in batch.uncertain:
            if keep[record]:
                self._hour(series.hour).add_uncertain(series, [found])
        health = self._state.manifest.health
        health.bad = sorted({*health.bad, *batch.bad})[:BAD_LINES_NAMED]
        held = sum(len(ids) for ids in self._ids.values())
        if held > _IDS_HELD or sum(len(a.cells) for a in self._hours.values()) > _CELLS_HELD:
            self.flush()

    def flush(self) -> None:
        """Write everything that is held."""
        for hour in self._changed:
            self._state.save("hours", hour, self._hours[hour].to_json())
            self.days.add(hour[:10])
        for hour in self._known:
            self._state.save("ids", hour, self._ids[hour].tobytes())
        self._hours, self._ids, self._changed, self._known = {}, {}, set(), set()

    def _first(self, batch: CaptureBatch) -> np.ndarray:
        """Which records have not been seen before, in this batch or earlier: bool (R,)."""
        keep = np.zeros(len(batch.record_digest), bool)
        hours = sorted({series.hour for series in batch.series} | {UNKNOWN})
        of_series = np.array([hours.index(series.hour) for series in batch.series], np.int64)
        of = of_series[batch.record_series]
        # As in `Builder`: a record without a time may lie under any hour.
        of[(batch.record_flags & NO_TIME) != 0] = hours.index(UNKNOWN)
        candidates = np.flatnonzero(batch.record_first)
        order = candidates[np.argsort(of[candidates], kind="stable")]
        bounds = np.searchsorted(of[order], np.arange(len(hours) + 1))
        for hour, start, end in zip(hours, bounds[:-1], bounds[1:], strict=True):
            if start == end:
                continue
            records = order[start:end]
            known, new = self._known_ids(hour), batch.record_digest[records]
            if len(known):
                at = np.minimum(np.searchsorted(known, new), len(known) - 1)
                fresh = known[at] != new
                records, new = records[fresh], new[fresh]
            if len(new):
                merged = np.concatenate((known, new))
                merged.sort(kind="stable")
                self._ids[hour] = merged
                self._known.add(hour)
                keep[records] = True
        return keep

    def _known_ids(self, hour: str) -> np.ndarray:
        if hour not in self._ids:
            self._ids[hour] = np.frombuffer(self._state.load("ids", hour), np.uint64)
        return self._ids[hour]

    def _hour(self, hour: str) -> Aggregate:
        """Get the part of the state that is to be added to."""
        found = self._hours.get(hour)
        if found is None:
            data = self._state.load("hours", hour)
            found = self._hours[hour] = Aggregate.from_json(data) if data else Aggregate()
        self._changed.add(hour)
        return found

    def _count(self, batch: CaptureBatch, keep: np.ndarray) -> None:
        """Volumes and health of the records that are new."""
        series, flags = batch.record_series[keep], batch.record_flags[keep]
        count = len(batch.series)
        predictions = np.bincount(batch.record_series[batch.record[keep[batch.record]]], minlength=count)
        columns = {
            "records": np.bincount(series, minlength=count),
            "predictions": predictions,
            "without_prediction": np.bincount(series[flags & NO_PREDICTION != 0], minlength=count),
            "without_input": np.bincount(series[flags & NO_INPUT != 0], minlength=count),
        }
        for code in np.flatnonzero(columns["records"]).tolist():
            volume = self._hour(batch.series[code].hour).volume(batch.series[code])
            for name, column in columns.items():
                setattr(volume, name, getattr(volume, name) + int(column[code]))
        health = self._state.manifest.health
        for name, column in columns.items():
            setattr(health, name, getattr(health, name) + int(column.sum()))
        health.merged += int(np.count_nonzero(flags & MERGED))
        health.batch_transform += int(np.count_nonzero(flags & BATCH_TRANSFORM))
        health.without_event_id += int(np.count_nonzero(flags & NO_EVENT_ID))
        health.without_time += int(np.count_nonzero(flags & NO_TIME))

    def _cells(self, batch: CaptureBatch, keep: np.ndarray) -> None:
        """Sums and histograms of the predictions that are new, by key."""
        key, confidence = batch.key[keep], batch.confidence[keep]
        margin, entropy, familiarity = batch.margin[keep], batch.entropy[keep], batch.familiarity[keep]
        scored, familiar = margin >= 0, familiarity >= 0
        count = len(batch.keys)
        bins = _histograms(key, confidence, BINS)
        familiarity_bins = _histograms(key[familiar], familiarity[familiar], FAMILIARITY_BINS)
        columns = {
            "count": np.bincount(key, minlength=count),
            "confidence": _sums(key, confidence, count),
            "scored": np.bincount(key[scored], minlength=count),
            "margin": _sums(key[scored], margin[scored], count),
            "entropy": _sums(key[scored], entropy[scored], count),
            "familiar": np.bincount(key[familiar], minlength=count),
            "familiarity": _sums(key[familiar], familiarity[familiar], count),
        }
        latest = np.full(count, -1, np.int16)
        np.maximum.at(latest, key.astype(np.intp), batch.record_second[batch.record[keep]])
        for code in np.flatnonzero(columns["count"]).tolist():
            cell = Cell(histogram=bins.get(code, {}), familiarity_histogram=familiarity_bins.get(code, {}))
            for name, column in columns.items():
                setattr(cell, name, int(column[code]))
            cell.latest = int(latest[code])
            self._hour(batch.keys[code].hour).cell(batch.keys[code]).merge(cell)
        if batch.images:
            self._images(batch, keep)

    def _images(self, batch: CaptureBatch, keep: np.ndarray) -> None:
        for record, key in zip(batch.record[keep].tolist(), batch.key[keep].tolist(), strict=True):
            values = batch.images.get(record)
            if values is not None and len(values) == len(IMAGE_STATISTICS):
                squares = [value * value for value in values]
                cell = Cell(images=1, image_sums=list(values), image_squares=squares)
                self._hour(batch.keys[key].hour).cell(batch.keys[key]).merge(cell)


def _sums(key: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Sum `values` (billionths) by key, exactly."""
    if len(values) < _EXACT:
        return np.bincount(key, weights=values, minlength=count)
    out = np.zeros(count, np.int64)
    np.add.at(out, key, values)
    return out


def _histograms(key: np.ndarray, values: np.ndarray, bins: int) -> dict[int, dict[int, int]]:
    """Histogram of `values` (billionths) of each key."""
    combined = key.astype(np.int64) * bins + bin_of(values, bins)
    if len(combined) and int(combined.max()) < _PLACES:
        every = np.bincount(combined)
        present = np.flatnonzero(every)
        counts = every[present]
    else:
        present, counts = np.unique(combined, return_counts=True)
    out: dict[int, dict[int, int]] = {}
    for at, count in zip(present.tolist(), counts.tolist(), strict=True):
        out.setdefault(at // bins, {})[at % bins] = count
    return out
