"""AV1, the data of AVIF: whether each tile ends where its data does, which dav1d does not report.

After changed bits the arithmetic code gives other symbols, which are all valid, and a tile then ends before its data or behind it. dav1d
rejects the second. In whole data, the last bit that is 1 is the one after the last symbol (AV1, 8.2.4). So without that bit the tile
must not decode, or to other pixels. Of several tiles this takes as many decodings, so first the bits before are changed, of all at once:
tiles that have other pixels then are whole.
"""

from __future__ import annotations

import contextlib
from typing import Any

from PIL import Image

from handlers.imaging import av1_sequence, av1_tiles, dav1d, heif, tracks
from handlers.rejections import NotUnderstood, Rejection

_MOST_PIXELS = 40_000_000  # of which two images fit into the function's memory
# Types of OBU: of the sequence's header, with a frame's header, with its tiles
_SEQUENCE, _FRAMES, _TILES = 1, (3, 6), (4, 6)
_NO_SIZE = (0, 0)
_ALL = 1 << 16  # pixels; no image is larger
# Bytes that are cut off in addition to that with the last bit, as fewer symbols may then give the same pixels
_CUTS = (0, 1)
# Pixels that are decoded to see whether tiles end there, and tiles at least
_WORK, _LEAST_CUTS = (8_000_000, 2)
_CHANGED = 0xFF << 1  # bits of the end of a tile, of which bit 0 is the last that is 1
_OTHER_SIZE = "AVIF: its data has another number of pixels than its header."  # libavif stretches it
_OTHER_LAYOUT = (
    "AVIF: its data has another depth or sampling than its header."  # libavif takes that of the header
)
_MORE = b"\x55" * 64  # behind a changed end, which may make more symbols


def check(data: bytes, image: Image.Image) -> None:
    """Decode again with changed ends of the tiles of the coded image and of its alpha.

    Where the library is not found or has another version, nothing is checked, nor of layered images and images in several pieces. Of an
    animation, the first frame is. Of images with film grain or in other sizes than they are shown, only the last tile is; of those with
    many tiles whose ends do not show, some.

    Raises
    ------
    Rejection
        ``corrupt_image``.
    """
    library = dav1d.library()
    if library is None or image.width * image.height > _MOST_PIXELS:
        return
    # Of an animation, the decoder takes the tracks.
    first = tracks.first_samples(data) if data[8:12] == b"avis" else ()
    parts = [(begin, length, _NO_SIZE, configuration) for begin, length, configuration in first]
    with contextlib.suppress(NotUnderstood):
        for begin, length, size, configuration in parts or heif.av1_extents(data):
            layout = _layout(data, begin, begin + length)
            if layout is None:
                continue
            if size != _NO_SIZE and layout.size not in (size, _NO_SIZE):
                raise Rejection("corrupt_image", _OTHER_SIZE)
            if -1 not in (configuration, layout.configuration) and layout.configuration != configuration:
                raise Rejection("corrupt_image", _OTHER_LAYOUT)
            if _Ends(library, data, layout).damaged():
                raise Rejection(
                    "corrupt_image", "AVIF: its data is damaged (a tile does not end where its data does)."
                )


def _layout(data: bytes, begin: int, end: int) -> av1_tiles.Layout | None:
    """Where its tiles are; if that is not understood, its last tile alone; None if there are several frames."""
    try:
        return av1_tiles.layout(data, begin, end)
    except NotUnderstood:
        units = list(av1_tiles.units(data, begin, end))
        sequences = [unit for unit in units if unit.kind == _SEQUENCE]
        places = [index for index, unit in enumerate(units) if unit.kind in _TILES]
        if not places or sum(unit.kind in _FRAMES for unit in units) != 1:
            return None
        last = units[places[-1]]
        tile = av1_tiles.Av1Tile(last.begin, last.end, 0, 0, _ALL, _ALL)
        found = av1_tiles.Layout(units, {places[-1]: [tile]}, 0)
        if sequences:
            first = av1_sequence.read(av1_sequence.Bits(data, sequences[0].begin, sequences[0].end))
            found.size, found.configuration = first.size, first.configuration
        return found


class _Ends:
    """The ends of the tiles of one coded image."""

    def __init__(self, library: Any, data: bytes, layout: av1_tiles.Layout) -> None:
        self._library, self._data, self._layout = library, data, layout
        self._tiles = layout.tiles()
        self._rectangles = [(tile.left, tile.top, tile.right, tile.bottom) for tile in self._tiles]
        self._pixels = sum((tile.right - tile.left) * (tile.bottom - tile.top) for tile in self._tiles)
        self._whole: list[int] | None = None

    def damaged(self) -> bool:
        """Whether a tile decodes without its end."""
        contents = [self._data[tile.begin : tile.end].rstrip(b"\0") for tile in self._tiles]
        if not all(contents):
            return True
        left = set(range(len(contents)))
        if len(left) > 1:
            left -= self._others({number: _changed(contents[number]) for number in left})
        order = sorted(left, key=lambda number: -len(contents[number]))
        return any(
            not self._ends(contents[number], number)
            for number in order[: max(_LEAST_CUTS, _WORK // self._pixels)]
        )

    def _decoded(self, new: dict[int, bytes]) -> list[int] | None:
        """Checksums of all tiles with others in the place of some."""
        stream = av1_tiles.replaced(self._data, self._layout, new)
        return dav1d.checksums(self._library, stream, self._rectangles)

    def _others(self, new: dict[int, bytes]) -> set[int]:
        """Tiles whose pixels differ with others in the place of some; if they do not decode, the only one."""
        found = self._decoded(new)
        if found is None:
            return set(new) if len(new) == 1 else set()
        if self._whole is None:
            self._whole = self._decoded({}) or []
        return {number for number in new if self._whole[number : number + 1] != [found[number]]}

    def _ends(self, content: bytes, number: int) -> bool:
        """Whether a tile does not decode without its end, or to other pixels; True if it is too short to see that."""
        cuts = [content[: -1 - size] for size in _CUTS if len(content) > size + 1]
        return not cuts or any(self._others({number: cut}) for cut in cuts)


def _changed(content: bytes) -> bytes:
    """A tile with other bits before the last, and more behind it."""
    number = int.from_bytes(content[-4:])
    changed = number ^ _CHANGED * (number & -number) & (1 << 8 * len(content[-4:])) - 1
    return content[:-4] + changed.to_bytes(len(content[-4:])) + _MORE
