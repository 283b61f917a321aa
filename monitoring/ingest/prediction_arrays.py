"""Predictions of many records, collected and then measured together: label, confidence, margin, entropy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dropsort.contract.predictions import MAX_CLASSES, SUM_TOLERANCE, Prediction, is_name, read
from monitoring.aggregates.cells import CellKey, Series
from monitoring.aggregates.histograms import units
from monitoring.ingest.outputs import clean

# A value of a class by which the sum of a quantised softmax may miss 1, and a little more
QUANTISED = 0.5 / 255 + 1e-6


class MeasuredPredictions(NamedTuple):
    """Predictions, in no particular order: P of them."""

    record: np.ndarray  # int64 (P,)
    nth: np.ndarray  # int64 (P,), which of its record's
    key: np.ndarray  # int64 (P,), into the keys
    confidence: np.ndarray  # int64 (P,), billionths
    margin: np.ndarray  # int64 (P,), billionths, -1: unknown
    entropy: np.ndarray  # int64 (P,), billionths, -1: unknown
    familiarity: np.ndarray  # int64 (P,), billionths, -1: unknown


class _Vectors:
    """Probability vectors of one length and one set of labels."""

    __slots__ = ("blocks", "choices", "familiarity", "index", "records", "values")

    def __init__(self) -> None:
        self.values: list[float] = []  # one vector after another
        self.records: list[int] = []
        # By row; most have none of these.
        self.index: dict[int, int] = {}
        self.choices: dict[int, int] = {}
        self.familiarity: dict[int, float] = {}
        self.blocks: list[tuple[np.ndarray, np.ndarray]] = []  # records and vectors that follow these rows


class PredictionArrays:
    """Collects predictions.

    Parameters
    ----------
    labels
        Labels by class index, for vectors without their own.
    """

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self._labels = tuple(labels)
        self._labels_fit = all(map(is_name, self._labels)) and len(set(self._labels)) == len(self._labels)
        self._vectors: dict[tuple[tuple[str, ...], str], _Vectors] = {}  # by labels and model
        self._named: list[tuple[int, int, str, float, str]] = []  # record, index, label, confidence, model

    def add(self, record: int, predictions: Sequence[Prediction]) -> None:
        """Add the predictions of a record."""
        for index, prediction in enumerate(predictions):
            vector, model = prediction.probabilities, prediction.model or ""
            if not prediction.complete:  # the best comes first
                self._named.append((record, index, prediction.labels[0], vector[0], model))
                continue
            rows = self._of(prediction.labels, model)
            at = len(rows.records)
            rows.values += vector
            rows.records.append(record)
            if index:
                rows.index[at] = index
            if prediction.choice is not None:
                rows.choices[at] = prediction.choice
            if prediction.familiarity is not None:
                rows.familiarity[at] = prediction.familiarity

    def add_vectors(self, records: np.ndarray, values: np.ndarray) -> None:
        """Add the vectors `values`, float64 (n, classes), of n records; one value is the probability of class 1 of two.

        They are read as `dropsort.contract.predictions.read` reads each of them: the usual ones at once, the others by it.
        """
        classes = values.shape[1]
        if classes > MAX_CLASSES:
            return
        if classes == 1 and len(self._labels) != 1:
            usual, unusual = (values[:, 0] >= 0) & (values[:, 0] < 1), np.zeros(len(values), bool)
            values, classes = np.concatenate((1.0 - values, values), axis=1), 2
        else:
            # Column by column, from the left: as one by one, and nothing depends on how many rows there are.
            total, usual, unusual = (
                np.zeros(len(values)),
                np.ones(len(values), bool),
                np.ones(len(values), bool),
            )
            for column in np.ascontiguousarray(values.T):
                total += column
                usual &= (column >= 0) & (column <= 1)
                unusual &= (column >= -SUM_TOLERANCE) & (column <= 1 + SUM_TOLERANCE)
            off = np.abs(total - 1)
            usual &= off <= SUM_TOLERANCE
            unusual &= ~usual & (off <= max(SUM_TOLERANCE, QUANTISED * classes))
        for row in np.flatnonzero(unusual).tolist():
            found = read(str(values[row].tolist()), self._labels)
            self.add(int(records[row]), [item for item in found if isinstance(item, Prediction)])
        if not self._labels or (self._labels_fit and len(self._labels) == classes):
            labels = self._labels or tuple(map(str, range(classes)))
            whole = bool(usual.all())
            self._of(labels).blocks.append((records, values) if whole else (records[usual], values[usual]))

    def _of(self, labels: tuple[str, ...], model: str = "") -> _Vectors:
        found = self._vectors.get((labels, model))
        if found is None:
            found = self._vectors[labels, model] = _Vectors()
        return found

    def measure(
        self, series: Sequence[Series], record_series: np.ndarray, keys: dict[CellKey, int]
    ) -> MeasuredPredictions:
        """Measure all.

        Parameters
        ----------
        series, record_series
            Series, and which of them each record is of.
        keys
            Numbers keys, and is added to.
        """
        parts = [
            self._measure(labels, clean(model), rows, series, record_series, keys)
            for (labels, model), rows in self._vectors.items()
            if rows.records or rows.blocks
        ]
        if self._named:
            parts.append(self._scalars(series, record_series, keys))
        if not parts:
            return MeasuredPredictions(*(np.empty(0, np.int64) for _ in MeasuredPredictions._fields))
        return MeasuredPredictions(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _measure(
        self,
        names: tuple[str, ...],
        model: str,
        rows: _Vectors,
        series: Sequence[Series],
        record_series: np.ndarray,
        keys: dict[CellKey, int],
    ) -> MeasuredPredictions:
        classes = len(names)
        listed = np.array(rows.values, np.float64).reshape(len(rows.records), classes)
        values = np.concatenate([listed, *(values for _, values in rows.blocks)])
        record = np.concatenate([np.array(rows.records, np.int64), *(records for records, _ in rows.blocks)])
        count = len(values)
        columns = np.ascontiguousarray(values.T)
        entropy, best, second, choice = (
            _by_row(values) if classes > max(count, _MANY) else _by_column(columns)
        )
        confidence = best.copy()
        if rows.choices:
            at = list(rows.choices)
            choice[at] = list(rows.choices.values())
            confidence[at] = columns[choice[at], at]
        familiarity = np.full(count, -1, np.int64)
        if rows.familiarity:
            familiarity[list(rows.familiarity)] = units(list(rows.familiarity.values()))
        of_record = np.zeros(count, np.int64)
        if rows.index:
            of_record[list(rows.index)] = list(rows.index.values())
        combined = record_series[record].astype(np.int64) * classes + choice
        present = np.flatnonzero(np.bincount(combined))
        codes = np.zeros(present[-1] + 1 if len(present) else 0, np.int64)
        for code in present.tolist():
            codes[code] = keys.setdefault(
                _key(series[code // classes], names[code % classes], model), len(keys)
            )
        if classes == 1:  # sure of the only class there is
            second, share = np.zeros(count), np.zeros(count, np.int64)
        else:
            share = units(np.clip(entropy / np.log(classes), 0.0, 1.0))
        return MeasuredPredictions(
            record, of_record, codes[combined], units(confidence), units(best - second), share, familiarity
        )

    def _scalars(
        self, series: Sequence[Series], record_series: np.ndarray, keys: dict[CellKey, int]
    ) -> MeasuredPredictions:
        """Predictions of which only label and confidence are known."""
        record = np.array([row[0] for row in self._named], np.int64)
        index = np.array([row[1] for row in self._named], np.int64)
        of = [_key(series[record_series[row[0]]], row[2], clean(row[4])) for row in self._named]
        key = np.array([keys.setdefault(k, len(keys)) for k in of], np.int64)
        unknown = np.full(len(of), -1, np.int64)
        return MeasuredPredictions(
            record, index, key, units([row[3] for row in self._named]), unknown, unknown, unknown
        )


_MANY = 64  # classes, of which columns of few rows take longer than rows
_Figures = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Entropy, highest value, second highest and the class of the highest, of each row."""


def _by_column(columns: np.ndarray) -> _Figures:
    """Column by column, from the left: nothing depends on how many rows there are."""
    count = columns.shape[1]
    entropy = np.zeros(count)
    best, second = np.full(count, -1.0), np.full(count, -1.0)
    choice = np.zeros(count, np.int64)
    for index, column in enumerate(columns):
        entropy -= column * np.log(np.where(column > 0, column, 1.0))
        choice[column > best] = index
        np.maximum(second, np.minimum(best, column), out=second)
        np.maximum(best, column, out=best)
    return entropy, best, second, choice


def _by_row(values: np.ndarray) -> _Figures:
    """The same figures for few rows of many classes, of which `_by_column` would take microseconds each."""
    # From the left
    entropy = -np.add.accumulate(values * np.log(np.where(values > 0, values, 1.0)), axis=1)[:, -1]
    second = np.partition(values, -2, axis=1)[:, -2] if values.shape[1] > 1 else np.full(len(values), -1.0)
    return entropy, values.max(axis=1), second, values.argmax(axis=1)


def _key(series: Series, label: str, model: str) -> CellKey:
    return CellKey(series.hour, series.endpoint, series.variant, label, model)
