"""Capture records on their way into an aggregate: collected one by one in lists, then turned into arrays at once.

`Builder` takes records; `Builder.finish` gives a `Batch`, small and made of arrays, which one process can hand to
another. Everything about a prediction is an integer from here on (billionths), computed in the same way whatever else
is in the batch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from monitoring.counting.cells import LEAST_CERTAIN, UNKNOWN, BadLine, Key, Series, Uncertain
from monitoring.counting.digests import digests, mix
from monitoring.counting.histograms import units
from monitoring.records.outputs import SUM_TOLERANCE, Prediction, clean

# What is unusual about a record, as bits.
NO_INPUT, MERGED, BATCH_TRANSFORM, NO_EVENT_ID, NO_TIME, NO_PREDICTION = 1, 2, 4, 8, 16, 32


@dataclass(slots=True)
class PieceCount:
    """What one file, or one stretch of a large file, held."""

    file: str
    start: int
    size: int = 0  # bytes of the file, if it was read whole
    lines: int = 0  # not blank
    records: int = 0
    bad_lines: int = 0
    ground_truth: int = 0
    newlines: int = 0  # blank lines too: what the line numbers of the next stretch begin at


@dataclass(slots=True)
class Batch:
    """Records and predictions as arrays: R records, P predictions."""

    series: list[Series]
    keys: list[Key]
    record_series: np.ndarray  # int32 (R,), into `series`
    record_digest: np.ndarray  # uint64 (R,), of hour and event id
    record_flags: np.ndarray  # uint8 (R,)
    record_first: np.ndarray  # bool (R,), False: a duplicate within this batch
    record: np.ndarray  # int32 (P,), which record
    key: np.ndarray  # int32 (P,), into `keys`
    confidence: np.ndarray  # int64 (P,), billionths
    margin: np.ndarray  # int64 (P,), -1: unknown
    entropy: np.ndarray  # int64 (P,), -1: unknown
    familiarity: np.ndarray  # int64 (P,), -1: unknown
    uncertain: list[tuple[int, Series, Uncertain]]  # record, series, candidate
    pieces: list[PieceCount]
    bad: list[BadLine]
    images: dict[int, tuple[int, ...]] = field(default_factory=dict)  # record to statistics
    relative: str = ""  # the file in which line numbers count from the beginning of a stretch of it
    failed: list[BadLine] = field(default_factory=list)  # files that could not be read


class Rows:
    """Probability vectors of one length and one set of labels."""

    __slots__ = ("choices", "familiarity", "index", "records", "values")

    def __init__(self) -> None:
        self.values: list[float] = []  # the vectors one after another
        self.records: list[int] = []
        # By row; most have none of these.
        self.index: dict[int, int] = {}
        self.choices: dict[int, int] = {}
        self.familiarity: dict[int, float] = {}


class Builder:
    """Collects records. The reader's inner loop appends to the lists itself; `add` is for all other records."""

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self.labels = tuple(labels)
        self.series: dict[Series, int] = {}
        self.ids: list[str] = []
        self.inference_ids: list[str | None] = []
        self.record_series: list[int] = []
        self.lines: list[int] = []
        self.offsets: list[int] = []
        self.flags: dict[int, int] = {}
        self.files: list[tuple[int, str]] = []  # first record and name of each file
        self.groups: dict[tuple[int, tuple[str, ...]], Rows] = {}
        self.named: list[tuple[int, int, str, float]] = []  # record, index, label, confidence
        self.pieces: list[PieceCount] = []
        self.bad: list[BadLine] = []
        self.images: dict[int, tuple[int, ...]] = {}

    def series_code(self, series: Series) -> int:
        """Number of `series` within this batch."""
        return self.series.setdefault(series, len(self.series))

    def group(self, length: int, labels: tuple[str, ...] = ()) -> Rows:
        """Where vectors of `length` classes named `labels` are collected."""
        found = self.groups.get((length, labels))
        if found is None:
            found = self.groups[length, labels] = Rows()
        return found

    def add(self, predictions: list[Prediction]) -> None:
        """Add the predictions of the record that was appended last."""
        record = len(self.ids) - 1
        for index, prediction in enumerate(predictions):
            if prediction.probabilities is None:
                self.named.append((record, index, prediction.label, prediction.confidence))
                continue
            rows = self.group(len(prediction.probabilities), prediction.labels)
            at = len(rows.records)
            rows.values += prediction.probabilities
            rows.records.append(record)
            if index:
                rows.index[at] = index
            if prediction.choice is not None:
                rows.choices[at] = prediction.choice
            if prediction.familiarity is not None:
                rows.familiarity[at] = prediction.familiarity

    def finish(self) -> Batch:
        """Turn everything into arrays."""
        count = len(self.ids)
        series = list(self.series)
        record_series = np.array(self.record_series, np.int32)
        flags = np.zeros(count, np.uint8)
        if self.flags:
            flags[list(self.flags)] = list(self.flags.values())
        digest = self._digests(series, record_series, flags)
        first = np.zeros(count, bool)
        first[np.unique(digest, return_index=True)[1]] = True
        keys: dict[Key, int] = {}
        parts = [self._vectors(g, series, record_series, keys) for g in self.groups.items() if g[1].records]
        parts += [self._scalars(series, keys)] if self.named else []
        nothing = [np.empty(0, np.int64) for _ in range(7)]
        record, index, key, confidence, margin, entropy, familiarity = (
            [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else nothing
        )
        flags[np.bincount(record, minlength=count) == 0] |= NO_PREDICTION
        batch = Batch(
            series, list(keys), record_series, digest, flags, first,
            record.astype(np.int32), key.astype(np.int32), confidence, margin, entropy, familiarity,
            [], self.pieces, self.bad, self.images,
        )  # fmt: skip
        batch.uncertain = self._uncertain(batch, index)
        return batch

    def _digests(self, series: list[Series], record_series: np.ndarray, flags: np.ndarray) -> np.ndarray:
        """Digest hour and id; a record without an id is identified by its place."""
        ids = self.ids
        if (flags & NO_EVENT_ID).any():
            places = enumerate(zip(ids, self.offsets, strict=True))
            ids = [id_ or f"{self._file_of(at)}\n{offset}" for at, (id_, offset) in places]
        hours = mix(digests([s.hour for s in series])) if series else np.empty(0, np.uint64)
        hour = hours[record_series] if len(ids) else np.empty(0, np.uint64)
        # Two copies of a record without a time may lie under different hours.
        hour = np.where(flags & NO_TIME, mix(digests([UNKNOWN])), hour)
        return mix(digests(ids) + hour)

    def _file_of(self, record: int) -> str:
        return self.files[bisect_right(self.files, record, key=lambda file: file[0]) - 1][1]

    def _vectors(
        self,
        group: tuple[tuple[int, tuple[str, ...]], Rows],
        series: list[Series],
        record_series: np.ndarray,
        keys: dict[Key, int],
    ) -> tuple[np.ndarray, ...]:
        """Check and measure the vectors of one group; those that are no distribution drop out."""
        (classes, own), rows = group
        count = len(rows.records)
        values = np.array(rows.values, np.float64).reshape(count, classes)
        if classes == 1:  # one score of a binary model: that of class 1
            values = np.concatenate((1.0 - values, values), axis=1)
            classes = 2
        # Column by column, from the left: nothing depends on how many rows there are.
        columns = np.ascontiguousarray(values.T)
        total, entropy = np.zeros(count), np.zeros(count)
        best, second = np.full(count, -1.0), np.full(count, -1.0)
        choice, fine = np.zeros(count, np.int64), np.ones(count, bool)
        for index, column in enumerate(columns):
            total += column
            fine &= (column >= -SUM_TOLERANCE) & (column <= 1 + SUM_TOLERANCE)
            np.clip(column, 0.0, 1.0, out=column)
            entropy -= column * np.log(np.where(column > 0, column, 1.0))
            choice[column > best] = index
            np.maximum(second, np.minimum(best, column), out=second)
            np.maximum(best, column, out=best)
        fine &= ~(np.abs(total - 1) > SUM_TOLERANCE)
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
        record = np.array(rows.records, np.int64)
        names = own or (self.labels if len(self.labels) == classes else tuple(map(str, range(classes))))
        combined = record_series[record].astype(np.int64) * classes + choice
        combined = combined[fine]
        present = np.flatnonzero(np.bincount(combined))
        codes = np.zeros(present[-1] + 1 if len(present) else 0, np.int64)
        for code in present.tolist():
            codes[code] = keys.setdefault(_key(series[code // classes], names[code % classes]), len(keys))
        margin, share = units(best - second), units(np.clip(entropy / np.log(classes), 0.0, 1.0))
        return (
            record[fine], of_record[fine], codes[combined], units(confidence)[fine], margin[fine], share[fine],
            familiarity[fine],
        )  # fmt: skip

    def _scalars(self, series: list[Series], keys: dict[Key, int]) -> tuple[np.ndarray, ...]:
        """Predictions of which only label and confidence are known."""
        record = np.array([row[0] for row in self.named], np.int64)
        index = np.array([row[1] for row in self.named], np.int64)
        of = [_key(series[self.record_series[row[0]]], row[2]) for row in self.named]
        key = np.array([keys.setdefault(k, len(keys)) for k in of], np.int64)
        unknown = np.full(len(of), -1, np.int64)
        return record, index, key, units([row[3] for row in self.named]), unknown, unknown, unknown

    def _uncertain(self, batch: Batch, index: np.ndarray) -> list[tuple[int, Series, Uncertain]]:
        """Name the predictions of lowest margin, per series, that are not duplicates within the batch."""
        out = []
        usable = np.flatnonzero((batch.margin >= 0) & batch.record_first[batch.record])
        of = batch.record_series[batch.record[usable]]
        for code, series in enumerate(batch.series):
            at = usable[of == code]
            if len(at) > LEAST_CERTAIN:
                highest = np.partition(batch.margin[at], LEAST_CERTAIN - 1)[LEAST_CERTAIN - 1]
                at = at[batch.margin[at] <= highest]
            order = np.lexsort((index[at], batch.record_digest[batch.record[at]], batch.margin[at]))
            for prediction in at[order][:LEAST_CERTAIN].tolist():
                record = int(batch.record[prediction])
                candidate = Uncertain(
                    margin=int(batch.margin[prediction]),
                    digest=f"{batch.record_digest[record]:016x}",
                    index=int(index[prediction]),
                    file=clean(self._file_of(record)),
                    line=self.lines[record],
                    offset=self.offsets[record],
                    label=batch.keys[batch.key[prediction]].label,
                    confidence=int(batch.confidence[prediction]),
                    event_id=clean(self.ids[record]),
                    inference_id=clean(self.inference_ids[record] or ""),
                )
                out.append((record, series, candidate))
        return out


def _key(series: Series, label: str) -> Key:
    return Key(series.hour, series.endpoint, series.variant, label)
