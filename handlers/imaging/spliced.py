"""Opens parts of buffers as one image file, which copies none of them if they are large."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image


class SplicedFile(io.RawIOBase):
    """Reads `parts` one after another.

    Parameters
    ----------
    parts
        Buffers; a slice of a memoryview costs nothing.
    """

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        super().__init__()
        self._parts = parts
        self._size = sum(map(len, parts))
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        end = self._size if size is None or size < 0 else min(self._size, self._at + size)
        found: list[bytes | memoryview] = []
        begin = 0
        for part in self._parts:
            if begin >= end:
                break
            low, high = max(self._at - begin, 0), min(end - begin, len(part))
            if low < high:
                found.append(part[low:high])
            begin += len(part)
        self._at = max(self._at, end)
        return b"".join(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; returns the new position."""
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at


def as_file(parts: Sequence[bytes | memoryview]) -> io.BytesIO | SplicedFile:
    """The parts as one file, copied where that is faster."""
    return io.BytesIO(b"".join(parts)) if sum(map(len, parts)) < 16_000_000 else SplicedFile(parts)


def open_image(file: io.BytesIO | SplicedFile, name: str) -> Image.Image:
    return Image.open(file, formats=(name,))  # type: ignore[arg-type]  # it has what Pillow calls
