"""Reads SageMaker's capture files into batches: every line exactly as ``json.loads`` would have it, several times faster.

Lines that begin as those before them did, up to the opening quote of the input's data, are uniform: the reader finds the
closing quote, makes sure that nothing between the two could mean anything else (no backslash, no control character,
nothing beyond ASCII), and keeps only the rest of the line, which `monitoring.ingest.fast_path` measures for many lines at
a time. Any other line goes to `monitoring.ingest.schema.read_line`, which is as fast as a full parse can be, and exact.

How lines are found in files of any size, in bounded memory, is in `monitoring.ingest.lines`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from monitoring.aggregates.cells import Series
from monitoring.ingest.batch import CaptureBatch, FileCounts, Source
from monitoring.ingest.builder import Builder
from monitoring.ingest.lines import (
    BUFFER,
    LONGEST_LINE,
    SMALL,
    LineBlock,
    LineEnds,
    LineFinder,
    Overlong,
    Segment,
)
from monitoring.ingest.schema import Malformed, read_line, series_of_path
from monitoring.storage.base import Fill, ReadInto

if TYPE_CHECKING:  # Pillow is only there where inputs are decoded
    from monitoring.ingest.image_statistics import ImageStatistics

BATCH = 16_384  # records of a batch
_HELD = 16 * 1024 * 1024  # bytes of lines that wait to be measured


class Reader:
    """Reads files, or ranges of files, into batches of about `BATCH` records, which may end in the middle of a file.

    Parameters
    ----------
    labels
        Labels by class index, for endpoints that return a bare list of probabilities.
    images
        Decodes the inputs, which are skipped without it.

    Examples
    --------
    >>> import io
    >>> reader = Reader(["bicycle", "motorcycle"])
    >>> line = b'{"captureData": {"endpointOutput": {"data": "[0.75, 0.25]", "encoding": "JSON"}}}'
    >>> list(reader.read("a.jsonl", io.BytesIO(line).readinto))
    []
    >>> [batch] = reader.finish()
    >>> batch.keys[0].label, batch.confidence.tolist()
    ('bicycle', [750000000])
    """

    def __init__(self, labels: Sequence[str] = (), images: ImageStatistics | None = None) -> None:
        self._labels = tuple(labels)
        self._images = images
        self._lines = LineFinder()
        self._builder = Builder(self._labels)

    def read(
        self, file: str, fill: Fill, *, path: str = "", start: int = 0, stop: int | None = None, size: int = 0
    ) -> Iterator[CaptureBatch]:
        """Read a file of any size, or the lines of it that begin in [start, stop); yields the batches that are full.

        Parameters
        ----------
        file
            Name for the reports.
        fill
            Reads the next bytes into a buffer and returns their number, 0 at the end. The first byte is that at `start`;
            if `start` is not 0, the one before it.
        path
            Full path or key, from which endpoint, variant and hour are read; `file` by default.
        size
            Size of the file in bytes, for its counts.
        """
        source = Source(FileCounts(file, start, size), series_of_path(path or file))
        yield from self._batches(self._lines.stream(source, fill, start, stop))

    def has_space(self, size: int) -> bool:
        """Return whether `read_small` may be called for a file of `size` bytes (negative: unknown) before `flush`."""
        return self._lines.used + (SMALL if size < 0 else size) < BUFFER

    def read_small(self, file: str, read: ReadInto, size: int, series: Series) -> bool:
        """Read a file of `size` bytes, less than `SMALL`, in one call of `read`; its lines wait for `flush`.

        Parameters
        ----------
        series
            What `series_of_path` returns for the file's path.

        Returns
        -------
        bool
            False if `size` is negative (unknown) and the file turns out to be larger: nothing was read.
        """
        counts = FileCounts(file, 0)
        counts.size = self._lines.add(Source(counts, series), file, read, SMALL if size < 0 else size)
        if size < 0 and counts.size == SMALL:
            self._lines.remove_last()
            return False
        return True

    def flush(self) -> Iterator[CaptureBatch]:
        """Process the lines of small files that wait; yields the batches that are full."""
        yield from self._batches(self._lines.flush())

    def finish(self) -> Iterator[CaptureBatch]:
        """Process everything that was read, and start from an empty batch; the last batch is there even if it is empty."""
        yield from self.flush()
        yield self._finished()

    def _finished(self) -> CaptureBatch:
        batch = self._builder.finish()
        self._builder = Builder(self._labels)
        return batch

    def _batches(self, blocks: Iterable[LineBlock | Overlong]) -> Iterator[CaptureBatch]:
        for block in blocks:
            if isinstance(block, Overlong):
                self._skip(block.source.counts)
                continue
            self._add(block)
            if len(self._builder) >= BATCH or self._builder.size >= _HELD:
                yield self._finished()

    def _add(self, block: LineBlock) -> None:
        """Add the lines of a block, all at once if every one of them is uniform."""
        buffer, builder = self._lines.buffer, self._builder
        (ends, quotes, dirty), segments = block
        first, stop = segments[0].first, segments[-1].stop
        uniform = first < stop and not dirty and min(quotes) >= 0
        if uniform and buffer.find(b"\\", segments[0].begin, ends[stop - 1]) < 0:
            inputs = zip(quotes[first:stop], ends[first:stop], strict=True)
            builder.add_uniform([buffer[quote:end] for quote, end in inputs], ends, segments)
        else:
            for segment in segments:
                self._add_mixed(block.lines, segment)
        builder.files += [segment.source.counts for segment in segments if segment.done]

    def _add_mixed(self, lines: LineEnds, segment: Segment) -> None:
        """Add lines of which some are not uniform."""
        ends, quotes, dirty = lines
        source, begin, first, stop, base, _ = segment
        buffer, builder = self._lines.buffer, self._builder
        rests: list[bytearray] = []
        since, start = first, begin  # line of the first rest, and where it begins
        for at in range(first, stop):
            end, quote = ends[at], quotes[at]
            if quote >= 0 and end not in dirty and buffer.find(b"\\", begin, quote) < 0:
                rests.append(buffer[quote:end])
            else:
                if rests:
                    builder.add_uniform(rests, ends, [Segment(source, start, since, at, base, False)])
                    rests = []
                self._add_parsed(
                    Segment(source, begin, at, at + 1, base, False), ends, clean=end not in dirty
                )
                since, start = at + 1, end + 1
            begin = end + 1
        if rests:
            builder.add_uniform(rests, ends, [Segment(source, start, since, stop, base, False)])

    def _add_parsed(self, segment: Segment, ends: list[int], clean: bool) -> None:
        """Parse one line completely, and learn how such lines begin."""
        counts = segment.source.counts
        counts.newlines += 1
        text = bytes(self._lines.buffer[segment.begin : ends[segment.first]])
        try:
            record = read_line(text)
        except Malformed as error:
            self._builder.add_bad(counts, counts.newlines, str(error))
            return
        if record is None:
            return
        statistics = None
        if self._images is not None and not record.truth_only:
            statistics = self._images.of_line(text)
        self._builder.add_record(record, ends, segment, statistics)
        if clean and record.has_input and self._images is None:
            self._lines.learn(text)

    def _skip(self, counts: FileCounts) -> None:
        """Count a line that was too long to be read."""
        counts.newlines += 1
        self._builder.add_bad(counts, counts.newlines, f"longer than {LONGEST_LINE // 2**20} MiB")
