"""The reader of SageMaker's capture files: every line exactly as ``json.loads`` would have it, several times faster.

Where lines begin as those before them did, up to the opening quote of the input's data, the reader finds the closing
quotes, makes sure that nothing between the two could mean anything else (no backslash, no control character, nothing
beyond ASCII), and keeps the rests alone, which `monitoring.ingest.fast_path` measures many at a time. Any other line goes to
`monitoring.ingest.schema.read_line`, which is as fast as a full parse can be, and exact.

How lines are found in files of any size, in bounded memory, is in `monitoring.ingest.lines`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from monitoring.ingest.batch import Batch, PieceCount
from monitoring.ingest.builder import Builder
from monitoring.ingest.lines import LONGEST_LINE, SMALL, Fill, Found, Lines, ReadInto, Segment
from monitoring.ingest.schema import Malformed, Place, place_of, read_line

if TYPE_CHECKING:  # Pillow is only there where inputs are decoded
    from monitoring.ingest.image_statistics import Images

BATCH = 16_384
_HELD = 16 * 1024 * 1024  # bytes of lines that wait to be measured


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
        self._fresh()

    def _fresh(self) -> None:
        self._builder = Builder(self._labels)

    @property
    def pending(self) -> int:
        """Records that were read since the last batch."""
        return len(self._builder)

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

    def read_small(self, file: str, read: ReadInto, size: int, place: Place) -> bool:
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

    def _take(self, found: Found, segments: list[Segment]) -> None:
        """Take lines that stand in the buffer."""
        buffer, builder = self._lines.buffer, self._builder
        ends, quotes, dirty = found
        first, stop = segments[0].first, segments[-1].stop
        usual = first < stop and not dirty and min(quotes) >= 0
        if usual and buffer.find(b"\\", segments[0].begin, ends[stop - 1]) < 0:
            inputs = zip(quotes[first:stop], ends[first:stop], strict=True)
            builder.add_usual([buffer[quote:end] for quote, end in inputs], ends, segments)
        else:
            for segment in segments:
                self._mixed(found, segment)
        builder.pieces += [segment.of[0] for segment in segments if segment.done]
        if self._sink is not None and (len(builder) >= BATCH or builder.size >= _HELD):
            self._sink(self._finish())

    def _mixed(self, found: Found, segment: Segment) -> None:
        """Take lines of which some are not usual."""
        ends, quotes, dirty = found
        _, begin, first, stop, base, _ = segment
        buffer, builder = self._lines.buffer, self._builder
        rests: list[bytearray] = []
        since, start = first, begin  # line of the first rest, and where it begins
        for at in range(first, stop):
            end, quote = ends[at], quotes[at]
            if quote >= 0 and end not in dirty and buffer.find(b"\\", begin, quote) < 0:
                rests.append(buffer[quote:end])
            else:
                if rests:
                    builder.add_usual(rests, ends, [Segment(segment.of, start, since, at, base, False)])
                    rests = []
                self._other(Segment(segment.of, begin, at, at + 1, base, False), ends, clean=end not in dirty)
                since, start = at + 1, end + 1
            begin = end + 1
        if rests:
            builder.add_usual(rests, ends, [Segment(segment.of, start, since, stop, base, False)])

    def _other(self, segment: Segment, ends: list[int], clean: bool) -> None:
        """Read a line the general way, and learn how such lines begin."""
        piece, _ = segment.of
        piece.newlines += 1
        text = bytes(self._lines.buffer[segment.begin : ends[segment.first]])
        try:
            line = read_line(text)
        except Malformed as error:
            self._builder.add_bad(piece, piece.newlines, str(error))
            return
        if line is None:
            return
        statistics = self._images.of_line(text) if self._images is not None and not line.truth_only else None
        self._builder.add_line(line, ends, segment, statistics)
        if clean and line.has_input and self._images is None:
            self._lines.learn(text)

    def _overlong(self, of: tuple[PieceCount, Place]) -> None:
        piece, _ = of
        piece.newlines += 1
        self._builder.add_bad(piece, piece.newlines, f"longer than {LONGEST_LINE // 2**20} MiB")
