"""Opens parts of buffers as one image file, which copies none of them if they are large."""

from __future__ import annotations

import io
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from PIL import Image


class SplicedFile(io.RawIOBase):
    """Reads `parts` one after another.

    Parameters
    ----------
    parts
        Buffers; a slice of a memoryview costs nothing.
    """

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        self._parts = parts
        self._ends = list(accumulate(map(len, parts)))
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = None) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        last = self._ends[-1]
        end = last if size is None or size < 0 else min(last, self._at + size)
        found: list[bytes | memoryview] = []
        for number in range(bisect_right(self._ends, self._at), bisect_left(self._ends, end) + 1):
            part = self._parts[number]
            begin = self._ends[number] - len(part)
            found.append(part[max(self._at - begin, 0) : end - begin])
        content = b"".join(found)
        self._at += len(content)
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; returns the new position."""
        self._at = max(0, offset + (0, self._at, self._ends[-1])[whence])
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at


def as_file(parts: Sequence[bytes | memoryview]) -> io.BytesIO | SplicedFile:
    """The parts as one file, copied where that is faster."""
    return io.BytesIO(b"".join(parts)) if sum(map(len, parts)) < 16_000_000 else SplicedFile(parts)


def open_image(file: io.BytesIO | SplicedFile, name: str) -> Image.Image:
    return Image.open(file, formats=(name,))  # type: ignore[arg-type]  # it has what Pillow calls
