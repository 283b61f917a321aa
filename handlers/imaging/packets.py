"""JPEG 2000: whether the packets of each tile end exactly where its data does, which OpenJPEG does not report.

:mod:`.packet_headers` reads them. Files that it does not understand are decoded with other ends: after a damaged header of a packet,
the decoder takes other bytes for headers. It then ends before the data of the tile does, or wants more. It rejects a packet whose data
is cut off, but not what follows the last packet, and takes headers that are missing for empty ones. So more data after each tile must
change nothing, and with another end it must be rejected. The headers are all read even at the lowest resolution, at which there is
little to decode.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable

from handlers.imaging import codestream, packet_headers
from handlers.imaging.jpeg2000 import Jpeg2000, load
from handlers.rejections import NotUnderstood, Rejection

_END = b"\xff\xd9"
# As the header of a packet, this has a length of more than 32 bits, which is rejected.
_MORE = b"\xff\x7f" * 2048
_MOST_PIXELS = 16_000_000  # at the lowest resolution
_MOST_TILES = 256
_MOST_WORK = 64_000_000  # pixels that are decoded, over all tiles and ends
# The end of a tile is replaced by these: a packet that has data lacks it then, and one that has none gets a header that is rejected.
_OTHER_ENDS = (b"", _MORE, b"\xff")
# Bytes; packets without blocks, which may be the last ones, take any header
_REPLACED = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def check(data: bytes, found: Jpeg2000) -> None:
    """Read the packets of every tile.

    Of what :mod:`.packet_headers` does not understand, nothing is checked if the main header holds the headers of packets, nor of files
    with more than 16 million pixels at the lowest resolution at which Pillow reads them. Of more than 256 tiles, it is only checked
    whether packets are missing.

    Raises
    ------
    Rejection
        ``truncated_image``, ``corrupt_image``.
    """
    with contextlib.suppress(NotUnderstood):
        packet_headers.check(data, codestream.read(data, found))
        return
    level = next(level for level in range(found.resolutions, -1, -1) if found.size_at(level))
    width, height = found.size_at(level) or (0, 0)
    pixels = width * height
    if found.packed or pixels > _MOST_PIXELS:
        return
    if not _reads(found, _stream(data, found, found.parts, more=_MORE), level):
        if _reads(found, _stream(data, found, found.parts), level):
            raise Rejection("truncated_image", "JPEG2000: a part of the data of a tile is missing.")
        return
    if len(found.parts) > _MOST_TILES:
        return
    work = 0
    for tile in found.parts:
        begin, end = found.parts[tile][-1]
        longest = end - data.find(b"\xff\x93", begin + 12, end) - 2
        others = [(less, more) for less in _REPLACED if less <= longest for more in _OTHER_ENDS]
        for less, more in others:
            work += pixels // len(found.parts) + pixels // 16  # the canvas
            if work > _MOST_WORK:
                return
            if not _reads(found, _stream(data, found, [tile], less=less, more=more), level):
                break
        else:
            if others:
                raise Rejection("corrupt_image", "JPEG2000: the data of a tile is damaged.")


def _stream(data: bytes, found: Jpeg2000, tiles: Iterable[int], *, more: bytes = b"", less: int = 0) -> bytes:
    """The file with these tiles alone, without the last bytes of each, and with `more` after them."""
    parts = [found.head]
    for tile in tiles:
        *others, (begin, end) = found.parts[tile]
        parts += [data[first:last] for first, last in others]
        length = struct.pack(">I", end - begin - less + len(more))
        parts += [data[begin : begin + 6], length, data[begin + 10 : end - less], more]
    return b"".join([*parts, _END])


def _reads(found: Jpeg2000, data: bytes, level: int) -> bool:
    """Whether it can be decoded, at a size halved `level` times."""
    try:
        load(data, found, level)
    except OSError:
        return False
    return True
