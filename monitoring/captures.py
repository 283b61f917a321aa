"""The reader of SageMaker's capture files: every line exactly as ``json.loads`` would have it, several times faster.

Nearly all bytes of a capture file are inputs, which monitoring does not need. Where a line begins as those before it
did, up to the opening quote of the input's data, the reader finds the closing quote, makes sure that nothing between
the two could mean anything else (no backslash, no control character, nothing beyond ASCII), and parses the rest alone.
Any other line goes to `monitoring.records.schema.read_line`, which is as fast as a full parse can be, and exact.

How lines are found in files of any size, in bounded memory, is in `monitoring.records.lines`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from monitoring.counting.cells import BAD_LINES_NAMED, UNKNOWN, BadLine, Series
from monitoring.records.batch import (
    BATCH_TRANSFORM,
    MERGED,
    NO_EVENT_ID,
    NO_INPUT,
    NO_TIME,
    Batch,
    Builder,
    PieceCount,
    Rows,
)
from monitoring.records.lines import LONGEST_LINE, SMALL, Fill, Lines, ReadInto, Segment, prefix_of
from monitoring.records.outputs import Prediction, Rich, clean, predictions, usable_labels
from monitoring.records.schema import Line, Malformed, decode_usual, hour_of, place_of, read_line

if TYPE_CHECKING:  # Pillow is only there where inputs are decoded
    from monitoring.records.images import Images

BATCH = 50_000
_NO_ROWS = Rows()
_REST = 4096  # longest rest of a line, behind its input, for the fast way
# Stands for the beginning of a line and its input; only a second "data" gives `Usual` an input.
_STUB = b'{"captureData":{"endpointInput":{"":"'
_MINUTES = frozenset(f":{minute:02}:{second:02}Z" for minute in range(60) for second in range(60))


_decode_vector = msgspec.json.Decoder(list[float]).decode
_decode_rich = msgspec.json.Decoder(Rich).decode


class Reader:
    """Reads files, or stretches of files, into batches.

    Parameters
    ----------
    labels
        Labels by class index, for endpoints that answer a bare list.
    sink
        Is given a batch whenever `BATCH` records have come together, even in the middle of a file.
    images
        Decodes the inputs, which are skipped without it.

    Examples
    --------
    >>> import io
    >>> reader = Reader(["bicycle", "motorcycle"])
    >>> line = b'{"captureData": {"endpointOutput": {"data": "[0.75, 0.25]", "encoding": "JSON"}}}'
    >>> reader.read("a.jsonl", io.BytesIO(line).readinto)
    >>> batch = reader.batch()
    >>> batch.keys[0].label, batch.confidence.tolist()
    ('bicycle', [750000000])
    """

    def __init__(
        self,
        labels: Sequence[str] = (),
        sink: Callable[[Batch], None] | None = None,
        images: Images | None = None,
    ) -> None:
        self._labels = tuple(labels)
        self._sink = sink
        self._images = images
        self._lines = Lines(self._take, self._overlong)
        self._prefix = b"\0"
        self._label_sets: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._fresh()

    def _fresh(self) -> None:
        self._builder = Builder(self._labels)
        self._hours: dict[tuple[str, str, str], dict[str, int]] = {}
        self._place = (UNKNOWN, UNKNOWN, UNKNOWN)

    @property
    def pending(self) -> int:
        """Records that were read since the last batch."""
        return len(self._builder.ids)

    def read(
        self, file: str, fill: Fill, *, path: str = "", start: int = 0, stop: int | None = None, size: int = 0
    ) -> None:
        """Read a file of any size, or the lines of it that begin in [start, stop).

        Parameters
        ----------
        file
            Name for the reports.
        fill
            Reads the next bytes into a buffer and says how many, 0 at the end. The first byte is that at `start`; if
            `start` is not 0, the one before it.
        path
            Full path or key, which tells endpoint, variant and hour; `file` by default.
        size
            Of the file, for the count of its batch.
        """
        self._lines.stream((PieceCount(file, start, size), place_of(path or file)), fill, start, stop)

    def read_small(self, file: str, read: ReadInto, size: int, place: tuple[str, str, str]) -> bool:
        """Read a file of `size` bytes, less than `SMALL`, in one call of `read`; `place` is what `place_of` gives.

        Returns
        -------
        bool
            False if `size` is negative (unknown) and the file turns out to be larger: nothing was read.
        """
        piece = PieceCount(file, 0)
        lines = self._lines
        piece.size = lines.whole((piece, place), file, read, SMALL if size < 0 else size)
        if size < 0 and piece.size == SMALL:
            lines.forget()
            return False
        return True

    def batch(self) -> Batch:
        """Hand over what was read, and begin anew."""
        self._lines.flush()
        return self._finish()

    def _finish(self) -> Batch:
        batch = self._builder.finish()
        self._fresh()
        return batch

    def _begin(self, piece: PieceCount, place: tuple[str, str, str]) -> dict[str, int]:
        """Note which file the next records are from; returns the known hours of its endpoint and variant."""
        builder = self._builder
        if not builder.files or builder.files[-1][1] != piece.file:
            builder.files.append((len(builder.ids), piece.file))
        self._place = place
        return self._hours.setdefault(place, {})

    def _take(self, segments: list[Segment], dirty: set[int]) -> None:
        """Read lines that stand in the buffer; `Lines` says what the arguments are."""
        buffer = self._lines.buffer
        find, startswith = buffer.find, buffer.startswith
        builder = self._builder
        ids, inference_ids = builder.ids, builder.inference_ids
        lines, offsets, series = builder.lines, builder.offsets, builder.record_series
        prefix, minutes = self._prefix, _MINUTES
        length, classes, rows = len(prefix), 0, _NO_ROWS
        last = next((ends[-1] for _, _, ends, _, _ in reversed(segments) if ends), 0)
        escapes = find(b"\\", segments[0][1], last) >= 0
        files, at = builder.files, None
        hours: dict[str, int] = {}
        for (piece, place), begin, ends, base, done in segments:
            if place is not at:
                hours, at = self._begin(piece, place), place
            elif files[-1][1] != piece.file:
                files.append((len(ids), piece.file))
            number, before, others = piece.newlines, len(ids), 0
            for end in ends:
                number += 1
                data_at = begin + length
                quote = find(b'"', data_at, end)
                try:
                    if (
                        not startswith(prefix, begin)
                        or end in dirty
                        or quote <= data_at
                        or end - quote > _REST
                        or (escapes and find(b"\\", data_at, quote) >= 0)
                    ):
                        raise _Unusual
                    wire = decode_usual(_STUB + buffer[quote:end])
                    capture, meta = wire.captureData, wire.eventMetadata
                    time, event_id, out = meta.inferenceTime, meta.eventId, capture.endpointOutput
                    data = out.data
                    code = hours.get(time[:13])
                    if code is None:
                        code = self._new_hour(time)
                    if (
                        time[13:] not in minutes
                        or not event_id
                        or out.encoding == "BASE64"
                        or wire.groundTruthData is not None
                        or len(capture.endpointInput.data)
                    ):
                        raise _Unusual
                    if data[0] == "[":
                        vector = _decode_vector(data)
                        if len(vector) != classes:
                            if not vector:
                                raise _Unusual
                            classes, rows = len(vector), builder.group(len(vector))
                        rows.records.append(len(ids))
                        rows.values += vector
                    else:
                        self._rich(_decode_rich(data), len(ids))
                except (_Unusual, msgspec.MsgspecError, UnicodeError, RecursionError, IndexError):
                    piece.newlines = number
                    others += self._other(
                        bytes(buffer[begin:end]), piece, begin + base, clean=end not in dirty
                    )
                    prefix = self._prefix
                    length = len(prefix)
                else:
                    ids.append(event_id)
                    inference_ids.append(meta.inferenceId)
                    series.append(code)
                    lines.append(number)
                    offsets.append(begin + base)
                begin = end + 1
            piece.newlines = number
            piece.lines += len(ids) - before - others
            piece.records += len(ids) - before - others
            if done:
                builder.pieces.append(piece)
        if self._sink is not None and len(ids) >= BATCH:
            self._sink(self._finish())

    def _new_hour(self, time: str) -> int:
        """Number the hour of `time` in the file at hand."""
        hour = hour_of(time)
        if hour is None or time[:13] != hour[:13]:
            raise _Unusual
        _, endpoint, variant = self._place
        code = self._builder.series_code(Series(hour, endpoint, variant))
        self._hours[self._place][time[:13]] = code
        return code

    def _rich(self, answer: Rich, record: int) -> None:
        """Take a Dropsort endpoint's verbose answer, of a record that is about to be appended."""
        familiarity = answer.familiarity
        if not answer.probabilities or (familiarity is not None and not 0 <= familiarity <= 1):
            raise _Unusual
        given = tuple(answer.labels)
        names = self._label_sets.get(given)
        if names is None or len(given) != len(answer.probabilities):
            names = usable_labels(given, len(answer.probabilities))
            if not names:
                raise _Unusual
            self._label_sets[given] = names
        rows = self._builder.group(len(answer.probabilities), names)
        if familiarity is not None:
            rows.familiarity[len(rows.records)] = familiarity
        rows.records.append(record)
        rows.values += answer.probabilities

    def _other(self, text: bytes, piece: PieceCount, offset: int, clean: bool) -> int:
        """Read one line the general way, and learn how such lines begin; returns the number of records, 0 or 1."""
        try:
            line = read_line(text)
        except Malformed as error:
            self._bad(piece, str(error))
            return 0
        if line is None:
            return 0
        piece.lines += 1
        if line.truth_only:
            piece.ground_truth += 1
            return 0
        piece.records += 1
        self._record(line, piece.newlines, offset, predictions(line.data, line.encoding, self._labels))
        if self._images is not None:
            statistics = self._images.of_line(text)
            if statistics is not None:
                self._builder.images[len(self._builder.ids) - 1] = statistics
        elif clean and line.has_input:
            self._prefix = prefix_of(text) or self._prefix
        return 1

    def _record(self, line: Line, number: int, offset: int, found: list[Prediction]) -> None:
        builder = self._builder
        path_hour, endpoint, variant = self._place
        hour = hour_of(line.time)
        code = builder.series_code(Series(hour or path_hour, endpoint, variant))
        flags = (
            NO_INPUT * (not line.has_input)
            | MERGED * line.merged
            | BATCH_TRANSFORM * line.batch_transform
            | NO_EVENT_ID * (not line.event_id)
            | NO_TIME * (hour is None)
        )
        if flags:
            builder.flags[len(builder.ids)] = flags
        builder.ids.append(line.event_id)
        builder.inference_ids.append(line.inference_id)
        builder.record_series.append(code)
        builder.lines.append(number)
        builder.offsets.append(offset)
        builder.add(found)

    def _overlong(self, of: tuple[PieceCount, tuple[str, str, str]]) -> None:
        piece, place = of
        self._begin(piece, place)
        piece.newlines += 1
        self._bad(piece, f"longer than {LONGEST_LINE // 2**20} MiB")

    def _bad(self, piece: PieceCount, reason: str) -> None:
        piece.lines += 1
        piece.bad_lines += 1
        if piece.bad_lines <= BAD_LINES_NAMED:
            self._builder.bad.append(BadLine(clean(piece.file), piece.newlines, reason))


class _Unusual(Exception):
    """A line for the general way."""
