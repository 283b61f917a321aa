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
SMALL = BUFFER // 4  # files below this are put into the buffer together
LONGEST_LINE = 16 * 1024 * 1024  # of lines that have to be parsed; a payload of 6 MB is 8 MB in base64
_BOM = b"\xef\xbb\xbf"
_LONGEST_PREFIX = 4096

# The beginning of a line of ASCII without control characters, up to the first byte of its input's data.
_PREFIX = re.compile(
    rb'\{ *"captureData" *: *\{ *"endpointInput" *: *\{ *(?:"[^"\\]*+" *: *(?:"[^"\\]*+"|null) *, *)*"data" *: *"'
)

ReadInto = Callable[[str, memoryview], int]  # reads the file of that name into a buffer as far as it fits
Fill = Callable[[memoryview], int]  # reads the next bytes of a file into a buffer: how many, 0 at the end


# Lines of one file that stand in the buffer: what `read` was given, begin of the first line, ends of all (where their
# newlines were), where the buffer's first byte stands in the file, whether these are the last ones.
Segment = tuple[Any, int, list[int], int, bool]


def prefix_of(line: bytes | bytearray) -> bytes:
    """Get the beginning of a line up to its input's data, or nothing if it begins in another way."""
    found = _PREFIX.match(line, 0, _LONGEST_PREFIX)
    return found[0] if found else b""


class Lines:
    """Finds lines and hands them on.

    Parameters
    ----------
    take
        Is called with segments of the buffer, and with the ends of those lines that hold control characters or bytes
        beyond ASCII, or have no newline.
    overlong
        Is called for each line that was given up.
    """

    def __init__(
        self, take: Callable[[list[Segment], set[int]], None], overlong: Callable[[Any], None]
    ) -> None:
        self._take = take
        self._overlong = overlong
        self._used = 0
        self._small: list[tuple[Any, int, int]] = []  # of, begin, end
        self._cut: set[int] = set()  # newlines that are ours
        self.buffer = bytearray()
        self._resize(BUFFER)

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
        ends, dirty = self._scan(0, 0, used)
        segments, at = [], 0
        for of, begin, end in small:
            first, at = at, bisect_left(ends, end, at)
            skip = 3 if self.buffer.startswith(_BOM, begin, end) else 0
            segments.append((of, begin + skip, ends[first:at], -begin, True))
        self._take(segments, dirty | cut)

    def _stream(self, of: Any, fill: Fill, start: int, stop: int | None) -> None:
        """Read piece by piece; the line at the end of one moves to the front for the next."""
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
            begin, fresh, have = 0, have, have + count
            if skipping:
                newline = self.buffer.find(b"\n", 0, have)
                if newline < 0:
                    base, have = base + have, 0
                    if stop is not None and base >= stop:
                        break  # no line begins in this stretch
                    continue
                begin = fresh = newline + 1
                skipping = False
            ends, dirty = self._scan(begin, fresh, have)
            if dropped and ends:
                self._take([(of, begin, ends[:1], base, False)], dirty)
                begin, base, dropped = ends.pop(0) + 1, base + dropped, 0
            if stop is not None:
                if base + begin >= stop:
                    have = 0
                    break
                ends = ends[: bisect_left(ends, stop - base - 1) + 1]
            if ends:
                self._take([(of, begin, ends, base, False)], dirty)
                begin = ends[-1] + 1
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
                elif have < LONGEST_LINE:
                    self._resize(have * 2)
                else:
                    self._overlong(of)
                    base, have, dropped, skipping = base + have + dropped, 0, 0, True
        last = [have] if have and not skipping else []
        self._take([(of, 0, last, base, True)], set(last))
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
        held = self.buffer[:size]
        self.buffer = bytearray(size)
        self.buffer[: len(held)] = held
        self._view = memoryview(self.buffer)
        self._bytes = np.frombuffer(self.buffer, np.int8)
