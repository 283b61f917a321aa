"""Finds the lines of files of any size in one reused buffer, and yields them block by block.

Small files are put into the buffer together, one after another, so that they cost one pass; large ones are streamed
through it. An input that is larger than the buffer is dropped while it streams by; any other line longer than
`LONGEST_LINE` is skipped. Memory depends on neither files nor lines.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from monitoring.ingest.batch import Source
from monitoring.storage.base import Fill, ReadInto

BUFFER = 768 * 1024  # fits a second-level cache of 1 MiB
SMALL = BUFFER // 4  # files below this are put into the buffer together
LONGEST_LINE = 16 * 1024 * 1024  # of lines that have to be parsed; a payload of 6 MB is 8 MB in base64
_BOM = b"\xef\xbb\xbf"
_LONGEST_PREFIX = 4096
_REST = 4096  # longest rest of a uniform line, after its input

# The beginning of a line of ASCII without control characters, up to the first byte of its input's data.
_PREFIX = re.compile(
    rb'\{ *"captureData" *: *\{ *"endpointInput" *: *\{ *(?:(?!"data")"[^"\\]*+" *: *(?:"[^"\\]*+"|null) *, *)*+"data" *: *"'
)


class Segment(NamedTuple):
    """Lines of one file, one after another in the buffer."""

    source: Source
    begin: int  # of the first line
    first: int  # index of the first line in `LineBlock.ends`
    stop: int  # index after the last one
    base: int  # offset of the buffer's first byte in the file
    done: bool  # nothing of the file is left


class LineEnds(NamedTuple):
    """Where lines in the buffer end."""

    ends: list[int]  # where their newlines were
    quotes: list[int]  # which end their inputs, -1: a line that does not begin as the learned prefix
    # Ends of lines that hold control characters or bytes beyond ASCII, or have no newline. The input of any other line
    # with a quote is plain text, but for backslashes.
    dirty: set[int]


class LineBlock(NamedTuple):
    """Lines in the buffer and the segments that they make up; valid until the next block is requested."""

    lines: LineEnds
    segments: list[Segment]


class Overlong(NamedTuple):
    """A line that was skipped because it is longer than `LONGEST_LINE`."""

    source: Source


def prefix_of(line: bytes | bytearray) -> bytes:
    """Get the beginning of a line up to its input's data, or nothing if it begins in another way."""
    found = _PREFIX.match(line, 0, _LONGEST_PREFIX)
    return found[0] if found else b""


class LineFinder:
    """Finds lines; each block has to be processed before the next is requested, as both use the same buffer."""

    def __init__(self) -> None:
        self.used = 0  # bytes of the buffer that hold small files
        self._small: list[tuple[Source, int, int]] = []  # source, begin, end
        self._cut: set[int] = set()  # newlines that were added here
        self.buffer = bytearray()
        self._prefix = b"\0"  # of uniform lines
        # Of an unfinished line at the front of the buffer: bytes without control characters or non-ASCII, and bytes of
        # its input without a quote.
        self._clean = self._unquoted = 0
        self._resize(BUFFER)

    def learn(self, line: bytes) -> None:
        """Learn from a clean line with an input how uniform lines begin."""
        if not line.startswith(self._prefix):
            self._prefix, self._unquoted = prefix_of(line) or self._prefix, 0

    def stream(
        self, source: Source, fill: Fill, start: int = 0, stop: int | None = None
    ) -> Iterator[LineBlock | Overlong]:
        """Find the lines of a file of any size that begin in [start, stop), after those of waiting small files."""
        yield from self.flush()
        yield from self._stream(source, fill, start, stop)

    def add(self, source: Source, name: str, read: ReadInto, most: int) -> int:
        """Add a file of at most `most` bytes, by one call of `read`.

        Its lines wait for `flush`. It fits if `used` and it stay below `BUFFER`.

        Returns
        -------
        int
            Its size; if that is `most` there may be more of it.
        """
        begin = self.used
        size = read(name, self._view[begin : begin + most])
        end = begin + size
        if size and self.buffer[end - 1] != 10:
            self.buffer[end] = 10  # or its last line would run into the next file
            self._cut.add(end)
            end += 1
        self.used = end
        self._small.append((source, begin, end))
        return size

    def remove_last(self) -> None:
        """Take back the file that was added last."""
        _, begin, end = self._small.pop()
        self._cut.discard(end - 1)
        self.used = begin

    def flush(self) -> Iterator[LineBlock]:
        """Find the lines of the small files that were added."""
        if not self._small:
            return
        small, used, self._small, self.used = self._small, self.used, [], 0
        cut, self._cut = self._cut, set()
        self._clean = self._unquoted = 0
        found = self._scan(0, used)
        found.dirty.update(cut)
        ends, startswith = found.ends, self.buffer.startswith
        segments, at = [], 0
        for source, begin, end in small:
            first, at = at, bisect_left(ends, end, at)
            skip = 3 if startswith(_BOM, begin, end) else 0
            segments.append(Segment(source, begin + skip, first, at, -begin, True))
        yield LineBlock(found, segments)

    def _stream(
        self, source: Source, fill: Fill, start: int, stop: int | None
    ) -> Iterator[LineBlock | Overlong]:
        """Read buffer by buffer; the unfinished line at the end moves to the front for the next."""
        self._clean = self._unquoted = 0
        have, base = 0, start  # bytes in the buffer, and where its first byte stands in the file
        dropped = 0  # bytes that the first line has lost
        skipping = start > 0  # the line that `start` lies in belongs to the range before
        base -= skipping
        while True:
            count = fill(self._view[have:])
            if not count:
                break
            if base == 0 and have == 0 and count >= 3 and self.buffer.startswith(_BOM):
                self.buffer[: count - 3] = self.buffer[3:count]
                base, count = 3, count - 3
            begin, have = 0, have + count
            if skipping:
                newline = self.buffer.find(b"\n", 0, have)
                if newline < 0:
                    base, have = base + have, 0
                    if stop is not None and base >= stop:
                        break  # no line begins in this range
                    continue
                begin = newline + 1
                skipping = False
            found = self._scan(begin, have)
            ends, first, last = found.ends, 0, len(found.ends)
            if dropped and last:
                yield LineBlock(found, [Segment(source, begin, 0, 1, base, False)])
                begin, base, dropped, first = ends[0] + 1, base + dropped, 0, 1
            if stop is not None:
                if base + begin >= stop:
                    have = 0
                    break
                last = min(last, bisect_left(ends, stop - base - 1) + 1)
            if first < last:
                yield LineBlock(found, [Segment(source, begin, first, last, base, False)])
                begin = ends[last - 1] + 1
                if stop is not None and base + begin >= stop:
                    have = 0
                    break
            if begin:
                self._view[: have - begin] = self._view[begin:have]
                base, have = base + begin, have - begin
            if have == len(self.buffer):
                less = self._drop_input(have)
                if less:
                    dropped, have = dropped + less, have - less
                    self._clean = self._unquoted = 0
                elif have < LONGEST_LINE:
                    self._resize(have * 2)
                else:
                    yield Overlong(source)
                    base, have, dropped, skipping = base + have + dropped, 0, 0, True
                    self._clean = self._unquoted = 0
        rest = [have] if have and not skipping else []
        yield LineBlock(
            LineEnds(rest, [-1] * len(rest), set(rest)), [Segment(source, 0, 0, len(rest), base, True)]
        )
        if len(self.buffer) > BUFFER:
            self._resize(BUFFER)

    def _scan(self, begin: int, have: int) -> LineEnds:
        """Find the lines in [begin, have), and note what is known of the unfinished line after them for the next scan."""
        clean = self._clean
        ends, quotes = self._ends(begin, have)
        # As signed bytes, control characters and everything beyond ASCII are below 32.
        part = self._bytes[begin + clean : have]
        if not len(part) or part.min() >= 32:
            self._clean = have - (ends[-1] + 1 if ends else begin)
            return LineEnds(ends, quotes, set())
        self._clean = self._unquoted = 0
        for end in ends:  # perhaps a newline was taken for a part of an input
            self.buffer[end] = 10
        ends = self._newlines(begin, have)
        lines = np.array(ends, np.int64)
        odd = np.flatnonzero(part < 32) + begin + clean
        of = np.searchsorted(lines, odd)
        odd, of = odd[of < len(lines)], of[of < len(lines)]
        carriage_return = (self._bytes[odd] == 13) & (odd + 1 == lines[of])
        dirty = set(lines[of[~carriage_return]].tolist())
        begins = [begin] + [end + 1 for end in ends]
        quotes = [self._quote(at, end) for at, end in zip(begins, ends, strict=False)]
        return LineEnds(ends, quotes, dirty)

    def _ends(self, begin: int, have: int) -> tuple[list[int], list[int]]:
        """Find the newlines in [begin, have), and where the inputs end, as if no line had a control character in it.

        Newlines become blanks, so that one pass over everything finds control characters and bytes beyond ASCII.
        """
        buffer, find, startswith = self.buffer, self.buffer.find, self.buffer.startswith
        prefix, length = self._prefix, len(self._prefix)
        ends: list[int] = []
        quotes: list[int] = []
        unquoted = self._unquoted
        while True:
            if startswith(prefix, begin):
                data = begin + length
                quote = find(b'"', data + unquoted, have)
                end = find(b"\n", quote, have) if quote >= 0 else -1
                if end < 0:
                    self._unquoted = max(0, have - data) if quote < 0 else 0
                    return ends, quotes
                if quote == data or end - quote > _REST:
                    quote = -1
            else:
                quote = -1
                end = find(b"\n", begin, have)
                if end < 0:
                    self._unquoted = 0
                    return ends, quotes
            buffer[end] = 32
            ends.append(end)
            quotes.append(quote)
            begin, unquoted = end + 1, 0

    def _newlines(self, begin: int, have: int) -> list[int]:
        """Find the newlines in [begin, have), and make them blanks."""
        ends = []
        end = self.buffer.find(b"\n", begin, have)
        while end >= 0:
            self.buffer[end] = 32
            ends.append(end)
            end = self.buffer.find(b"\n", end + 1, have)
        return ends

    def _quote(self, begin: int, end: int) -> int:
        """Find where the input of the line [begin, end) ends, as for `LineEnds`."""
        data = begin + len(self._prefix)
        quote = self.buffer.find(b'"', data, end) if self.buffer.startswith(self._prefix, begin, end) else -1
        return quote if quote > data and end - quote <= _REST else -1

    def _drop_input(self, have: int) -> int:
        """Remove what is there of an input's data from the line that fills the buffer: how many bytes; 0 if that is not certain."""
        data = len(prefix_of(self.buffer))
        if not data or self.buffer.find(b'"', data, have) >= 0 or self.buffer.find(b"\\", data, have) >= 0:
            return 0
        if self._bytes[:have].min() < 32:
            return 0
        return have - (data + 1)  # one byte stays: there was an input

    def _resize(self, size: int) -> None:
        """Go on with a buffer of another size, which holds what fits of the old one."""
        held = self.buffer[:size]
        self.buffer = bytearray(size)
        self.buffer[: len(held)] = held
        self._view = memoryview(self.buffer)
        self._bytes = np.frombuffer(self.buffer, np.int8)
