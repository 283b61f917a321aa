"""Lines of files of any size, found in one reused buffer.

`Lines` puts small files into the buffer together, one after another, so that they cost one pass, and streams large ones
through it. An input that is larger than the buffer is dropped while it streams by; what else is longer than
`LONGEST_LINE` is given up. Memory depends on neither files nor lines.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

BUFFER = 768 * 1024  # fits a second-level cache of 1 MiB
SMALL = BUFFER // 4  # files below this are put into the buffer together
LONGEST_LINE = 16 * 1024 * 1024  # of lines that have to be parsed; a payload of 6 MB is 8 MB in base64
_BOM = b"\xef\xbb\xbf"
_LONGEST_PREFIX = 4096
_REST = 4096  # longest rest of a usual line, behind its input

# The beginning of a line of ASCII without control characters, up to the first byte of its input's data.
_PREFIX = re.compile(
    rb'\{ *"captureData" *: *\{ *"endpointInput" *: *\{ *(?:"[^"\\]*+" *: *(?:"[^"\\]*+"|null) *, *)*"data" *: *"'
)

ReadInto = Callable[[str, memoryview], int]  # reads the file of that name into a buffer as far as it fits
Fill = Callable[[memoryview], int]  # reads the next bytes of a file into a buffer: how many, 0 at the end


class Segment(NamedTuple):
    """Lines of one file, one after another in the buffer."""

    of: Any  # what `Lines` was given with the file
    begin: int  # of the first line
    first: int  # of `Found`
    stop: int
    base: int  # where the buffer's first byte stands in the file
    done: bool  # nothing of the file is left


class Found(NamedTuple):
    """Lines in the buffer."""

    ends: list[int]  # where their newlines were
    quotes: list[int]  # which end their inputs, -1: a line that does not begin in the usual way
    # Ends of lines that hold control characters or bytes beyond ASCII, or have no newline. The input of any other line
    # with a quote is plain text, but for backslashes.
    dirty: set[int]


def prefix_of(line: bytes | bytearray) -> bytes:
    """Get the beginning of a line up to its input's data, or nothing if it begins in another way."""
    found = _PREFIX.match(line, 0, _LONGEST_PREFIX)
    return found[0] if found else b""


class Lines:
    """Finds lines and hands them on.

    Parameters
    ----------
    take
        Is called with lines and the segments that they make up.
    overlong
        Is called for each line that was given up.
    """

    def __init__(self, take: Callable[[Found, list[Segment]], None], overlong: Callable[[Any], None]) -> None:
        self._take = take
        self._overlong = overlong
        self._used = 0
        self._small: list[tuple[Any, int, int]] = []  # of, begin, end
        self._cut: set[int] = set()  # newlines that are ours
        self.buffer = bytearray()
        self._prefix = b"\0"  # of the usual line
        # Of an unfinished line at the front of the buffer: bytes that hold nothing odd, and bytes of its input that
        # hold no quote.
        self._clean = self._unquoted = 0
        self._resize(BUFFER)

    def learn(self, line: bytes) -> None:
        """Take a clean line that has an input for one of the usual kind."""
        self._prefix, self._unquoted = prefix_of(line) or self._prefix, 0

    def stream(self, of: Any, fill: Fill, start: int = 0, stop: int | None = None) -> None:
        """Take the lines of a file of any size that begin in [start, stop)."""
        self.flush()
        self._stream(of, fill, start, stop)

    def whole(self, of: Any, name: str, read: ReadInto, most: int) -> int:
        """Take a file of at most `most` bytes (below `SMALL`), which one call of `read` reads; its lines
        wait for `flush`.

        Returns
        -------
        int
            Its size; if that is `most` there may be more of it.
        """
        begin = self._used
        if begin + most >= BUFFER:
            self.flush()
            begin = 0
        size = read(name, self._view[begin : begin + most])
        end = begin + size
        if size and self.buffer[end - 1] != 10:
            self.buffer[end] = 10  # or its last line would run into the next file
            self._cut.add(end)
            end += 1
        self._used = end
        self._small.append((of, begin, end))
        return size

    def forget(self) -> None:
        """Do as if the last file that `whole` took had not been there."""
        _, begin, end = self._small.pop()
        self._cut.discard(end - 1)
        self._used = begin

    def flush(self) -> None:
        """Take the lines of the small files that are waiting."""
        if not self._small:
            return
        small, used, self._small, self._used = self._small, self._used, [], 0
        cut, self._cut = self._cut, set()
        self._clean = self._unquoted = 0
        found = self._scan(0, used)
        found.dirty.update(cut)
        ends, startswith = found.ends, self.buffer.startswith
        segments, at = [], 0
        for of, begin, end in small:
            first, at = at, bisect_left(ends, end, at)
            skip = 3 if startswith(_BOM, begin, end) else 0
            segments.append(Segment(of, begin + skip, first, at, -begin, True))
        self._take(found, segments)

    def _stream(self, of: Any, fill: Fill, start: int, stop: int | None) -> None:
        """Read piece by piece; the line at the end of one moves to the front for the next."""
        self._clean = self._unquoted = 0
        have, base = 0, start  # bytes in the buffer, and where its first byte stands in the file
        dropped = 0  # bytes that the first line has lost
        skipping = start > 0  # the line that `start` lies in belongs to the stretch before
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
                        break  # no line begins in this stretch
                    continue
                begin = newline + 1
                skipping = False
            found = self._scan(begin, have)
            ends, first, last = found.ends, 0, len(found.ends)
            if dropped and last:
                self._take(found, [Segment(of, begin, 0, 1, base, False)])
                begin, base, dropped, first = ends[0] + 1, base + dropped, 0, 1
            if stop is not None:
                if base + begin >= stop:
                    have = 0
                    break
                last = min(last, bisect_left(ends, stop - base - 1) + 1)
            if first < last:
                self._take(found, [Segment(of, begin, first, last, base, False)])
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
                    self._overlong(of)
                    base, have, dropped, skipping = base + have + dropped, 0, 0, True
                    self._clean = self._unquoted = 0
        rest = [have] if have and not skipping else []
        self._take(Found(rest, [-1] * len(rest), set(rest)), [Segment(of, 0, 0, len(rest), base, True)])
        if len(self.buffer) > BUFFER:
            self._resize(BUFFER)

    def _scan(self, begin: int, have: int) -> Found:
        """Find the lines in [begin, have). What is learned of the unfinished line behind them serves the next scan."""
        clean = self._clean
        ends, quotes = self._ends(begin, have)
        # As signed bytes, control characters and everything beyond ASCII are below 32.
        part = self._bytes[begin + clean : have]
        if not len(part) or part.min() >= 32:
            self._clean = have - (ends[-1] + 1 if ends else begin)
            return Found(ends, quotes, set())
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
        return Found(ends, quotes, dirty)

    def _ends(self, begin: int, have: int) -> tuple[list[int], list[int]]:
        """Find the lines in [begin, have) if there is nothing odd in them: where their newlines are, which become
        blanks so that one pass over everything tells whether anything is odd, and where their inputs end.
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
        """Find where the input of the line [begin, end) ends, as for `Found`."""
        data = begin + len(self._prefix)
        quote = self.buffer.find(b'"', data, end) if self.buffer.startswith(self._prefix, begin, end) else -1
        return quote if quote > data and end - quote <= _REST else -1

    def _drop_input(self, have: int) -> int:
        """Remove what is there of an input's data from the line that fills the buffer: how many bytes, 0 if unsure."""
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
