"""Lines on their way into a `Batch`: collected as they come, measured at once.

Usual lines, of which only the rest behind the input is kept, are measured by `monitoring.ingest.fast_path`; those that turn
out otherwise, and all others, are read one by one.
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
    Key,
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
    Batch,
    PieceCount,
)
from monitoring.ingest.fast_path import STUB, Matrix, measure
from monitoring.ingest.lines import Segment
from monitoring.ingest.prediction_arrays import Answers
from monitoring.ingest.predictions import clean, predictions
from monitoring.ingest.schema import Line, Malformed, Place, hour_of, read_line


class _Stretch(msgspec.Struct, gc=False):
    """Lines one after another in a file, each of which is counted as a record."""

    first: int  # record of the first line
    piece: PieceCount
    place: Place
    number: int  # of the first line
    begin: int  # of the first line in the buffer
    ends: list[int]  # in the buffer
    at: int  # where the first line's is among them
    base: int  # where the buffer's first byte stands in the file

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
        Labels by class index, for endpoints that answer a bare list.
    """

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self._labels = tuple(labels)
        self._answers = Answers(labels)
        self._stretches: list[_Stretch] = []
        self._rests: list[bytearray | None] = []  # by record, of usual lines
        self._lines: dict[int, Line | None] = {}  # by record, of all others; None: no record after all
        self._images: dict[int, tuple[int, ...]] = {}
        self.pieces: list[PieceCount] = []
        self.bad: list[BadLine] = []
        self.size = 0  # bytes that are held

    def __len__(self) -> int:
        return len(self._rests)

    def add_usual(self, rests: list[bytearray], ends: list[int], segments: Sequence[Segment]) -> None:
        """Add lines by their rests; `segments` are what they make up."""
        record = len(self._rests)
        for (piece, place), begin, first, stop, base, _ in segments:
            count = stop - first
            if count:
                self._stretches.append(
                    _Stretch(record, piece, place, piece.newlines + 1, begin, ends, first, base)
                )
                piece.newlines += count
                piece.lines += count
                piece.records += count
                record += count
        self._rests += rests
        self.size += sum(map(len, rests))

    def add_line(
        self, line: Line, ends: list[int], segment: Segment, images: tuple[int, ...] | None = None
    ) -> None:
        """Add one line that was read, and counted among its file's."""
        (piece, place), begin, first, _, base, _ = segment
        piece.lines += 1
        if line.truth_only:
            piece.ground_truth += 1
            return
        piece.records += 1
        record = len(self._rests)
        self._stretches.append(_Stretch(record, piece, place, piece.newlines, begin, ends, first, base))
        self._rests.append(None)
        self._line(record, line)
        if images is not None:
            self._images[record] = images

    def add_bad(self, piece: PieceCount, number: int, reason: str) -> None:
        """Note a line that is no record."""
        piece.lines += 1
        self._bad(piece, number, reason)

    def _bad(self, piece: PieceCount, number: int, reason: str) -> None:
        piece.bad_lines += 1
        self.bad.append(BadLine(clean(piece.file), number, reason))
        if len(self.bad) > 2 * BAD_LINES_NAMED:
            self.bad = sorted(self.bad)[:BAD_LINES_NAMED]

    def _line(self, record: int, line: Line) -> None:
        self._lines[record] = line
        self._answers.add(record, predictions(line.data, line.encoding, self._labels))

    def finish(self) -> Batch:
        """Measure everything."""
        count = len(self._rests)
        usual = (
            np.flatnonzero([rest is not None for rest in self._rests]) if self._lines else np.arange(count)
        )
        matrices, others = measure([rest for rest in self._rests if rest is not None])
        for row in others:
            self._read(int(usual[row]))
        series: dict[Series, int] = {}
        record_series, flags = np.zeros(count, np.int32), np.zeros(count, np.uint8)
        ids = np.zeros(count, np.uint64)
        places, of_record = self._places()
        for matrix in matrices:
            records = usual[matrix.rows]
            record_series[records] = _codes(series, matrix, places, of_record[records])
            ids[records] = digests_of_rows(matrix.ids)
            if matrix.values.size:
                self._answers.add_vectors(records, matrix.values)
            for record, data in zip(records.tolist(), matrix.data, strict=False):
                self._answers.add(record, predictions(data, matrix.encoding, self._labels))
        lines = {record: line for record, line in self._lines.items() if line is not None}
        for record, line in lines.items():
            found, flags[record] = _series(line, places[of_record[record]])
            record_series[record] = series.setdefault(found, len(series))
        if lines:
            ids[list(lines)] = digests([line.event_id or self._identity(at) for at, line in lines.items()])
        return self._batch(list(series), record_series, ids, flags)

    def _read(self, record: int) -> None:
        """Read a line that is not as usual after all, by its rest."""
        rest = self._rests[record] or b""
        stretch = self._stretch(record)
        number, _, length = stretch.line(record)
        self._lines[record] = None
        try:
            line = read_line(STUB + rest, shift=length - len(STUB) - len(rest))
        except Malformed as error:
            stretch.piece.records -= 1
            self._bad(stretch.piece, number, str(error))
            return
        if line is None or line.truth_only:
            stretch.piece.records -= 1
            stretch.piece.ground_truth += 1
        else:
            self._line(record, line)

    def _stretch(self, record: int) -> _Stretch:
        return self._stretches[bisect_right(self._stretches, record, key=lambda stretch: stretch.first) - 1]

    def _identity(self, record: int) -> str:
        """What a record without an event id is known by: its place."""
        stretch = self._stretch(record)
        return f"{stretch.piece.file}\n{stretch.line(record)[1]}"

    def _places(self) -> tuple[list[Place], np.ndarray]:
        """Get the places of all stretches, and which of them each record is of."""
        places: dict[Place, int] = {}
        codes = [places.setdefault(stretch.place, len(places)) for stretch in self._stretches]
        bounds = [*(stretch.first for stretch in self._stretches), len(self._rests)]
        return list(places), np.repeat(np.array(codes, np.int64), np.diff(bounds))

    def _batch(
        self, series: list[Series], record_series: np.ndarray, ids: np.ndarray, flags: np.ndarray
    ) -> Batch:
        """Put it together, without what was no record after all."""
        keys: dict[Key, int] = {}
        found = self._answers.measure(series, record_series, keys)
        # Two copies of a record without a time may lie under different hours.
        hours = mix(digests([s.hour for s in series])) if series else np.zeros(1, np.uint64)
        digest = mix(ids + np.where(flags & NO_TIME, mix(digests([UNKNOWN])), hours[record_series]))
        arrived = np.arange(len(ids))
        if None in self._lines.values():
            kept = np.ones(len(ids), bool)
            kept[[record for record, line in self._lines.items() if line is None]] = False
            arrived = np.flatnonzero(kept)
            record_series, digest, flags = record_series[kept], digest[kept], flags[kept]
            found = found._replace(record=(np.cumsum(kept) - 1)[found.record])
        count = len(digest)
        flags[np.bincount(found.record, minlength=count) == 0] |= NO_PREDICTION
        batch = Batch(
            series, list(keys), record_series, digest, flags, _first(digest), found.record.astype(np.int32),
            found.key.astype(np.int32), found.confidence, found.margin, found.entropy, found.familiarity, [],
            self.pieces, self.bad, self._images,
        )  # fmt: skip
        batch.uncertain = self._uncertain(batch, found.nth, arrived)
        return batch

    def _uncertain(
        self, batch: Batch, index: np.ndarray, arrived: np.ndarray
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
                record = int(batch.record[prediction])
                arrival = int(arrived[record])
                line = self._lines.get(arrival) or read_line(STUB + (self._rests[arrival] or b"")) or Line()
                stretch = self._stretch(arrival)
                number, offset, _ = stretch.line(arrival)
                candidate = Uncertain(
                    margin=int(batch.margin[prediction]),
                    digest=f"{batch.record_digest[record]:016x}",
                    index=int(index[prediction]),
                    file=clean(stretch.piece.file),
                    line=number,
                    offset=offset,
                    label=batch.keys[batch.key[prediction]].label,
                    confidence=int(batch.confidence[prediction]),
                    event_id=clean(line.event_id),
                    inference_id=clean(line.inference_id),
                )
                out.append((record, series, candidate))
        return out


def _series(line: Line, place: Place) -> tuple[Series, int]:
    """Get the series of a line, and what is unusual about it."""
    path_hour, endpoint, variant = place
    hour = hour_of(line.time)
    flags = (
        NO_INPUT * (not line.has_input)
        | MERGED * line.merged
        | BATCH_TRANSFORM * line.batch_transform
        | NO_EVENT_ID * (not line.event_id)
        | NO_TIME * (hour is None)
    )
    return Series(hour or path_hour, endpoint, variant), flags


def _codes(series: dict[Series, int], matrix: Matrix, places: list[Place], of_line: np.ndarray) -> np.ndarray:
    """Number the series of a matrix's lines, which are of `places`: int64 (n,)."""
    combined = of_line * len(matrix.hours) + matrix.hour
    codes = np.zeros(len(places) * len(matrix.hours), np.int64)
    for at in np.flatnonzero(np.bincount(combined)).tolist():
        _, endpoint, variant = places[at // len(matrix.hours)]
        found = Series(matrix.hours[at % len(matrix.hours)], endpoint, variant)
        codes[at] = series.setdefault(found, len(series))
    out: np.ndarray = codes[combined]
    return out


def _first(digest: np.ndarray) -> np.ndarray:
    """Tell which of `digest` are not preceded by the same: bool (n,)."""
    in_order = np.sort(digest)
    if not (in_order[1:] == in_order[:-1]).any():
        return np.ones(len(digest), bool)
    first = np.zeros(len(digest), bool)
    first[np.unique(digest, return_index=True)[1]] = True
    return first
