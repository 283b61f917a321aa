"""AV1, the data of AVIF: whether a tile ends where its data does, which dav1d does not report.

After changed bits the arithmetic code gives other symbols, which are all valid, and a tile then ends before its data or behind it. dav1d
rejects the second (AV1, 8.2.4). The last bit that is 1 follows the last symbol, so the bits before it must change what is decoded.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator

from PIL import Image

from handlers.imaging import heif
from handlers.rejections import Rejection

_MOST_PIXELS = 40_000_000  # of which two images fit into the function's memory
_FRAMES, _TILES = (3, 6), (4, 6)  # types of OBU: with a frame's header, with its tiles
# How many bits before the last one. So near, another value always makes another symbol, though it may not show; farther, it makes more.
_DISTANCES = (2, 34, 130, 514, 1026)


def check(data: bytes, image: Image.Image, decode: Callable[[bytes], Image.Image]) -> None:
    """Decode again with changed ends of the coded image and its alpha, which must change `image`.

    Nothing is checked of grids of tiles, animations, cropped or layered images, colour multiplied with alpha, coded images of less than
    257 bytes, more than 40 million pixels, and data elsewhere in the file; of several tiles in one coded image, only the last is.

    Raises
    ------
    Rejection
        ``corrupt_image``.
    """
    if image.width * image.height > _MOST_PIXELS or data[8:12] == b"avis":
        return
    ends: list[int] = []
    with contextlib.suppress(heif.NotUnderstood):
        ends = [_end(data, *extent) for extent in heif.av1_extents(data)]
    if not ends:
        return
    whole = _checksum(image)
    for end in ends:
        if end and all(_same(whole, _changed(data, end - distance), decode) for distance in _DISTANCES):
            raise Rejection(
                "corrupt_image", "AVIF: its data is damaged (a tile does not end where its data does)."
            )


def _end(data: bytes, begin: int, length: int) -> int:
    """The place of the last bit that is 1 of the only frame, in bits from the begin of the file; 0 if it has several."""
    frames, last = 0, (begin, begin)
    for kind, first, end in _units(data, begin, begin + length):
        frames += kind in _FRAMES
        if kind in _TILES:
            last = first, end
    content = data[last[0] : last[1]].rstrip(b"\0")
    if frames != 1 or len(content) * 8 < 2 * max(_DISTANCES):
        return 0
    lowest = content[-1] & -content[-1]
    return 8 * (last[0] + len(content)) - lowest.bit_length()


def _units(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Type, begin and end of the content of each OBU; none that the boxes cut off."""
    while at + 2 <= end:
        header = data[at]
        at += 2 if header & 4 else 1
        size = end - at
        if header & 2:
            size, shift = 0, 0
            while at < end:
                size |= (data[at] & 127) << shift
                shift += 7
                at += 1
                if not data[at - 1] & 128:
                    break
        if at + size > end:
            return
        yield header >> 3 & 15, at, at + size
        at += size


def _changed(data: bytes, bit: int) -> bytes:
    """The file with another value of one bit."""
    at = bit >> 3
    return data[:at] + bytes([data[at] ^ 128 >> (bit & 7)]) + data[at + 1 :]


def _same(whole: int, data: bytes, decode: Callable[[bytes], Image.Image]) -> bool:
    try:
        return _checksum(decode(data)) == whole
    except Exception:  # Pillow raises several of data that dav1d rejects
        return False


def _checksum(image: Image.Image) -> int:
    """In strips, so that no second copy of the pixels is held."""
    found = 0
    for top in range(0, image.height, 256):
        strip = image.crop((0, top, image.width, min(top + 256, image.height)))
        found = zlib.crc32(strip.tobytes(), found)
    return found
