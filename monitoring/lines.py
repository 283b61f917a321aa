"""Lines of files of any size, found in one reused buffer.

`Lines` puts small files into the buffer together, one after another, so that they cost one pass, and streams large ones
through it. An input that is larger than the buffer is dropped while it streams by; what else is longer than
`LONGEST_LINE` is given up. Memory depends on neither files nor lines.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import numpy as np

BUFFER = 512 * 1024  # fits the second-level cache
LONGEST_LINE = 16 * 1024 * 1024  # of lines that have to be parsed; a payload of 6 MB is 8 MB in base64
_BOM = b"\xef\xbb\xbf"
_LONGEST_PREFIX = 4096

# The beginning of a line of ASCII without control characters, up to the first byte of its input's data.
_PREFIX = re.compile(
    rb'\{ *"captureData" *: *\{ *"endpointInput" *: *\{ *(?:"[^"\\]*+" *: *(?:"[^"\\]*+"|null) *, *)*"data" *: *"'
)

Fill = Callable[[memoryview], int]  # reads the next bytes of a file into a buffer: how many, 0 at the end
# Is given what `read` was given first, then begin of the first line, ends, dirty ends, offset of the buffer in the file.
Take = Callable[[Any, int, list[int], set[int], int], None]


def prefix_of(line: bytes | bytearray) -> bytes:
    """Get the beginning of a line up to its input's data, or nothing if it begins in another way."""
    found = _PREFIX.match(line, 0, _LONGEST_PREFIX)
    return found[0] if found else b""


class Lines:
    """Finds lines and hands them on.

    Parameters
    ----------
    take
        Is called with lines that stand in `buffer`.
    overlong
        Is called for each line that was given up.
    done
        Is called when the last line of a file, or of a stretch of it, was taken.
    """

    def __init__(self, take: Take, overlong: Callable[[Any], None], done: Callable[[Any], None]) -> None:
        self.buffer = bytearray(BUFFER)
        self._take = take
        self._overlong = overlong
        self._done = done
        self._bytes = np.frombuffer(self.buffer, np.int8)
        self._used = 0
        self._small: list[tuple[Any, int, int, bool]] = []  # of, begin, end, whether the last newline is ours

    def read(self, of: Any, fill: Fill, size: int, start: int = 0, stop: int | None = None) -> None:
        """Take the lines that begin in [start, stop) of a file of `size` bytes; small files wait for `flush`."""
        if start or stop is not None or size >= BUFFER // 4:
            self.flush()
            self._stream(of, fill, start, stop)
            self._done(of)
            return
        if self._used + size + 1 > BUFFER:
            self.flush()
        begin = self._used
        with memoryview(self.buffer) as view:
            end = begin
            while end < begin + size and (count := fill(view[end : begin + size])):
                end += count
        cut = end > begin and self.buffer[end - 1] != 10
        if cut:
            self.buffer[end] = 10
            end += 1
        self._used = end
        self._small.append((of, begin, end, cut))

    def flush(self) -> None:
        """Take the lines of the small files that are waiting."""
        if not self._small:
            return
        small, used, self._small, self._used = self._small, self._used, [], 0
        ends, dirty = self._scan(0, 0, used)
        at = 0
        for of, begin, end, cut in small:
            first, at = at, bisect_left(ends, end, at)
            if cut:
                dirty.add(end - 1)
            skip = 3 if self.buffer.startswith(_BOM, begin) and end - begin >= 3 else 0
            self._take(of, begin + skip, ends[first:at], dirty, -begin)
            self._done(of)

    def _stream(self, of: Any, fill: Fill, start: int, stop: int | None) -> None:
        """Read piece by piece; the line at the end of one moves to the front for the next."""
        have, base = 0, start  # bytes in the buffer, and where its first byte stands in the file
        dropped = 0  # bytes that the first line has lost
        skipping = start > 0  # the line that `start` lies in belongs to the stretch before
        base -= skipping
        while True:
            with memoryview(self.buffer) as view:
                count = fill(view[have:])
            if not count:
                break
            if base == 0 and have == 0 and count >= 3 and self.buffer.startswith(_BOM):
                self.buffer[: count - 3] = self.buffer[3:count]
                base, count = 3, count - 3
            begin, fresh, have = 0, have, have + count
            if skipping:
                newline = self.buffer.find(b"\n", 0, have)
                if newline < 0:
                    base, have = base + have, 0
                    continue
                begin = fresh = newline + 1
                skipping = False
            ends, dirty = self._scan(begin, fresh, have)
            if dropped and ends:
                self._take(of, begin, ends[:1], dirty, base)
                begin, base, dropped = ends.pop(0) + 1, base + dropped, 0
            if stop is not None:
                if base + begin >= stop:
                    have = 0
                    break
                ends = ends[: bisect_left(ends, stop - base - 1) + 1]
            if ends:
                self._take(of, begin, ends, dirty, base)
                begin = ends[-1] + 1
                if stop is not None and base + begin >= stop:
                    have = 0
                    break
            if begin:
                with memoryview(self.buffer) as view:
                    view[: have - begin] = view[begin:have]
                base, have = base + begin, have - begin
            if have == len(self.buffer):
                less = self._drop_input(have)
                if less:
                    dropped, have = dropped + less, have - less
                elif have < LONGEST_LINE:
                    self._resize(have * 2)
                else:
                    self._overlong(of)
                    base, have, dropped, skipping = base + have + dropped, 0, 0, True
        if have and not skipping:
            self._take(of, 0, [have], {have}, base)
        if len(self.buffer) > BUFFER:
            self._resize(BUFFER)

    def _scan(self, begin: int, fresh: int, have: int) -> tuple[list[int], set[int]]:
        """Find the newlines in [fresh, have), and which of the lines from `begin` on hold odd bytes."""
        buffer, find, ends = self.buffer, self.buffer.find, []
        end = find(b"\n", fresh, have)
        while end >= 0:
            buffer[end] = 32  # a blank, so that one pass over everything tells whether anything is odd
            ends.append(end)
            end = find(b"\n", end + 1, have)
        # As signed bytes, control characters and everything beyond ASCII are below 32.
        part = self._bytes[begin:have]
        if not len(part) or part.min() >= 32:
            return ends, set()
        lines = np.array(ends, np.int64)
        odd = np.flatnonzero(part < 32) + begin
        of = np.searchsorted(lines, odd)
        odd, of = odd[of < len(lines)], of[of < len(lines)]
        carriage_return = (self._bytes[odd] == 13) & (odd + 1 == lines[of])
        return ends, set(lines[of[~carriage_return]].tolist())

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
        self.buffer = self.buffer[:size] + bytes(max(0, size - len(self.buffer)))
        self._bytes = np.frombuffer(self.buffer, np.int8)
