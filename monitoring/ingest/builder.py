"""Builds a `CaptureBatch` from lines: collects them as they are read, then measures all of them at once.

Uniform lines, of which only the rest behind the input is held, are measured by `monitoring.ingest.fast_path`; those that
turn out to differ, and all others, are parsed one by one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec
import numpy as np

from monitoring.aggregates.cells import (
    BAD_LINES_NAMED,
    LEAST_CERTAIN,
    UNKNOWN,
    BadLine,
    CellKey,
    Series,
    Uncertain,
)
from monitoring.aggregates.digests import digests, digests_of_rows, mix
from monitoring.ingest.batch import (
    BATCH_TRANSFORM,
    MERGED,
    NO_EVENT_ID,
    NO_INPUT,
    NO_PREDICTION,
    NO_TIME,
    CaptureBatch,
    FileCounts,
    Source,
)
from monitoring.ingest.fast_path import STUB, Matrix, measure
from monitoring.ingest.lines import Segment
from monitoring.ingest.outputs import clean, predictions
from monitoring.ingest.prediction_arrays import PredictionArrays
from monitoring.ingest.schema import CaptureRecord, Malformed, inference_time, read_line


class _LineRange(msgspec.Struct, gc=False):
    """Lines one after another in a file, each of which is counted as a record."""

    first: int  # record of the first line
    source: Source
    number: int  # of the first line
    begin: int  # of the first line in the buffer
    ends: list[int]  # in the buffer
    at: int  # index of the first line's end in `ends`
    base: int  # offset of the buffer's first byte in the file

    def line(self, record: int) -> tuple[int, int, int]:
        """Number, offset in the file and length of a record's line."""
        nth = record - self.first
        at = self.at + nth
        begin = self.ends[at - 1] + 1 if nth else self.begin
        return self.number + nth, self.base + begin, self.ends[at] - begin


class Builder:
    """Collects lines.

    Parameters
    ----------
    labels
        Labels by class index, for endpoints that return a bare list of probabilities.
    """

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self._labels = tuple(labels)
        self._predictions = PredictionArrays(labels)
        self._ranges: list[_LineRange] = []
        self._rests: list[bytearray | None] = []  # by record, of uniform lines
        # By record, of all others; None: not a record after all
        self._parsed: dict[int, CaptureRecord | None] = {}
        self._images: dict[int, tuple[int, ...]] = {}
        self.files: list[FileCounts] = []
        self.bad: list[BadLine] = []
        self.size = 0  # bytes that are held

    def __len__(self) -> int:
        return len(self._rests)

    def add_uniform(self, rests: list[bytearray], ends: list[int], segments: Sequence[Segment]) -> None:
        """Add uniform lines by their rests; `segments` are what they make up."""
        record = len(self._rests)
        for source, begin, first, stop, base, _ in segments:
            count = stop - first
            counts = source.counts
            self._ranges.append(_LineRange(record, source, counts.newlines + 1, begin, ends, first, base))
            counts.newlines += count
            counts.lines += count
            counts.records += count
            record += count
        self._rests += rests
        self.size += sum(map(len, rests))

    def add_record(
        self,
        record: CaptureRecord,
        ends: list[int],
        segment: Segment,
        images: tuple[int, ...] | None = None,
    ) -> None:
        """Add the record of one line, whose newline was counted; `images` are the statistics of its input."""
        source, begin, first, _, base, _ = segment
        counts = source.counts
        counts.lines += 1
        if record.truth_only:
            counts.ground_truth += 1
            return
        counts.records += 1
        number = len(self._rests)
        self._ranges.append(_LineRange(number, source, counts.newlines, begin, ends, first, base))
        self._rests.append(None)
        self._add_parsed(number, record)
        if images is not None:
            self._images[number] = images

    def add_bad(self, counts: FileCounts, number: int, reason: str) -> None:
        """Note a line that is not a record."""
        counts.lines += 1
        self._bad(counts, number, reason)

    def _bad(self, counts: FileCounts, number: int, reason: str) -> None:
        counts.bad_lines += 1
        self.bad.append(BadLine(clean(counts.file), number, reason))
        if len(self.bad) > 2 * BAD_LINES_NAMED:
            self.bad = sorted(self.bad)[:BAD_LINES_NAMED]

    def _add_parsed(self, number: int, record: CaptureRecord) -> None:
        self._parsed[number] = record
        self._predictions.add(number, predictions(record.data, record.encoding, self._labels))

    def finish(self) -> CaptureBatch:
        """Measure everything."""
        count = len(self._rests)
        uniform = (
            np.flatnonzero([rest is not None for rest in self._rests]) if self._parsed else np.arange(count)
        )
        matrices, others = measure([rest for rest in self._rests if rest is not None])
        for row in others:
            self._parse(int(uniform[row]))
        series: dict[Series, int] = {}
        record_series, flags = np.zeros(count, np.int32), np.zeros(count, np.uint8)
        seconds = np.full(count, -1, np.int16)
        ids = np.zeros(count, np.uint64)
        of_paths, path = self._paths()
        for matrix in matrices:
            records = uniform[matrix.rows]
            record_series[records] = _codes(series, matrix, of_paths, path[records])
            ids[records], seconds[records] = digests_of_rows(matrix.ids), matrix.second
            if matrix.values.size:
                self._predictions.add_vectors(records, matrix.values)
            for number, data in zip(records.tolist(), matrix.data, strict=False):
                self._predictions.add(number, predictions(data, matrix.encoding, self._labels))
        parsed = {number: record for number, record in self._parsed.items() if record is not None}
        for number, record in parsed.items():
            found, flags[number], seconds[number] = _series(record, of_paths[path[number]])
            record_series[number] = series.setdefault(found, len(series))
        if parsed:
            identities = [record.event_id or self._identity(at) for at, record in parsed.items()]
            ids[list(parsed)] = digests(identities)
        return self._batch(list(series), record_series, ids, flags, seconds)

    def _parse(self, number: int) -> None:
        """Parse a line that is not uniform after all, by its rest."""
        rest = self._rests[number] or b""
        lines = self._range_of(number)
        line_number, _, length = lines.line(number)
        counts = lines.source.counts
        self._parsed[number] = None
        try:
            record = read_line(STUB + rest, shift=length - len(STUB) - len(rest))
        except Malformed as error:
            counts.records -= 1
            self._bad(counts, line_number, str(error))
            return
        if record is None or record.truth_only:
            counts.records -= 1
            counts.ground_truth += 1
        else:
            self._add_parsed(number, record)

    def _range_of(self, number: int) -> _LineRange:
        """Get the range of lines that a record is in."""
        return self._ranges[bisect_right(self._ranges, number, key=lambda lines: lines.first) - 1]

    def _identity(self, number: int) -> str:
        """Identify a record without an event id: by its file and offset."""
        lines = self._range_of(number)
        return f"{lines.source.counts.file}\n{lines.line(number)[1]}"

    def _paths(self) -> tuple[list[Series], np.ndarray]:
        """Get the series that paths name, and which of them each record's path names: int64 (R,)."""
        of_paths: dict[Series, int] = {}
        codes = [of_paths.setdefault(lines.source.series, len(of_paths)) for lines in self._ranges]
        bounds = [*(lines.first for lines in self._ranges), len(self._rests)]
        return list(of_paths), np.repeat(np.array(codes, np.int64), np.diff(bounds))

    def _batch(
        self,
        series: list[Series],
        record_series: np.ndarray,
        ids: np.ndarray,
        flags: np.ndarray,
        seconds: np.ndarray,
    ) -> CaptureBatch:
        """Assemble the batch, without what was not a record after all."""
        keys: dict[CellKey, int] = {}
        found = self._predictions.measure(series, record_series, keys)
        # Two copies of a record without a time may lie under different hours.
        hours = mix(digests([s.hour for s in series])) if series else np.zeros(1, np.uint64)
        digest = mix(ids + np.where(flags & NO_TIME, mix(digests([UNKNOWN])), hours[record_series]))
        numbers = np.arange(len(ids))
        if None in self._parsed.values():
            valid = np.ones(len(ids), bool)
            valid[[number for number, record in self._parsed.items() if record is None]] = False
            numbers = np.flatnonzero(valid)
            record_series, digest, flags = record_series[valid], digest[valid], flags[valid]
            seconds = seconds[valid]
            found = found._replace(record=(np.cumsum(valid) - 1)[found.record])
        count = len(digest)
        flags[np.bincount(found.record, minlength=count) == 0] |= NO_PREDICTION
        batch = CaptureBatch(
            series, list(keys), record_series, digest, flags, seconds, _first(digest), found.record.astype(np.int32),
            found.key.astype(np.int32), found.confidence, found.margin, found.entropy, found.familiarity, [],
            self.files, self.bad, self._images,
        )  # fmt: skip
        batch.uncertain = self._uncertain(batch, found.nth, numbers)
        return batch

    def _uncertain(
        self, batch: CaptureBatch, index: np.ndarray, numbers: np.ndarray
    ) -> list[tuple[int, Series, Uncertain]]:
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
                row = int(batch.record[prediction])
                number = int(numbers[row])
                record = self._parsed.get(number) or read_line(STUB + (self._rests[number] or b""))
                lines = self._range_of(number)
                line_number, offset, _ = lines.line(number)
                candidate = Uncertain(
                    margin=int(batch.margin[prediction]),
                    digest=f"{batch.record_digest[row]:016x}",
                    index=int(index[prediction]),
                    file=clean(lines.source.counts.file),
                    line=line_number,
                    offset=offset,
                    label=batch.keys[batch.key[prediction]].label,
                    confidence=int(batch.confidence[prediction]),
                    event_id=clean(record.event_id) if record else "",
                    inference_id=clean(record.inference_id) if record else "",
                    model=batch.keys[batch.key[prediction]].model,
                )
                out.append((row, series, candidate))
        return out


def _series(record: CaptureRecord, of_path: Series) -> tuple[Series, int, int]:
    """Get the series of a record, its flags, and the second of its hour (-1: unknown)."""
    path_hour, endpoint, variant = of_path
    hour, second = inference_time(record.time) or (None, -1)
    flags = (
        NO_INPUT * (not record.has_input)
        | MERGED * record.merged
        | BATCH_TRANSFORM * record.batch_transform
        | NO_EVENT_ID * (not record.event_id)
        | NO_TIME * (hour is None)
    )
    return Series(hour or path_hour, endpoint, variant), flags, second


def _codes(series: dict[Series, int], matrix: Matrix, of_paths: list[Series], path: np.ndarray) -> np.ndarray:
    """Number the series of a matrix's lines, whose paths name `of_paths[path]`: int64 (n,)."""
    combined = path * len(matrix.hours) + matrix.hour
    codes = np.zeros(len(of_paths) * len(matrix.hours), np.int64)
    for at in np.flatnonzero(np.bincount(combined)).tolist():
        _, endpoint, variant = of_paths[at // len(matrix.hours)]
        found = Series(matrix.hours[at % len(matrix.hours)], endpoint, variant)
        codes[at] = series.setdefault(found, len(series))
    out: np.ndarray = codes[combined]
    return out


def _first(digest: np.ndarray) -> np.ndarray:
    """Return which of `digest` are not preceded by the same: bool (n,)."""
    in_order = np.sort(digest)
    if not (in_order[1:] == in_order[:-1]).any():
        return np.ones(len(digest), bool)
    first = np.zeros(len(digest), bool)
    first[np.unique(digest, return_index=True)[1]] = True
    return first
