"""JPEG 2000: whether every tile-part is there to its end, and how much work decoding makes."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from PIL import Image

from handlers.imaging import limits
from handlers.rejections import Rejection

_END = b"\xff\xd9"
WITHOUT_LENGTH = range(0xFF30, 0xFF40)  # markers
_CINEMA = range(3, 8)  # profiles of digital cinema
_EXPOUNDED = 2  # the last style of quantisation
_SPREAD = 3  # of the exponents in one level; of encoders, 1
_PLANES = 31  # of bits in a coefficient
_MAX_PACKETS = 4_000_000  # layers x resolutions x components x tiles


@dataclass(slots=True)
class Jpeg2000:
    """What the main header says; ``resolutions`` are the times by which the decoder can halve the size.

    ``head`` is everything before the first tile, without the lengths of tiles (TLM). ``parts`` are begin and end of the parts of each tile.
    ``axes`` has begin and end of the image, and begin and size of the first tile, across and down; ``samples`` the pixels of one sample
    of each component, across and down. ``packed`` is whether packets have their headers in the main header (PPM). ``begin``
    is where the code stream begins, ``lacks`` what is missing of the marker that ends it.
    """

    width: int = 0
    height: int = 0
    tiles: int = 1
    components: list[int] = field(default_factory=list)  # bits of each
    resolutions: int = 0
    layers: int = 1
    head: bytes = b""
    parts: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    axes: tuple[tuple[int, int, int, int], ...] = ()
    samples: list[tuple[int, int]] = field(default_factory=list)
    packed: bool = False
    begin: int = 0
    lacks: bytes = b""

    def size_at(self, level: int) -> tuple[int, int] | None:
        """Width and height in pixels when halved `level` times; None where Pillow does not put every sample in its place then.

        Pillow takes the image to begin where it does at full size, reads no tile that vanishes, and rounds the samples of a component
        down where the standard rounds up.
        """
        sizes = []
        for (begin, end, first, size), steps in zip(self.axes, zip(*self.samples, strict=True), strict=True):
            edges = [begin, *range(first + size, end, size), end]
            halved = [-(-edge >> level) for edge in edges]
            if halved[0] != begin or any(left >= right for left, right in pairwise(halved)):
                return None
            for step in set(steps) - {1}:
                samples = [-(-edge // step >> level) for edge in edges]
                if any(
                    (more - few) * step != right - left
                    for (few, more), (left, right) in zip(pairwise(samples), pairwise(halved), strict=True)
                ):
                    return None
            sizes.append(halved[-1] - begin)
        return sizes[0], sizes[1]


def _check_header(found: Jpeg2000, missing: set[int]) -> None:
    if not found.components:
        raise Rejection("truncated_image", "JPEG2000: it ends within its header.")
    if missing:
        raise Rejection("truncated_image", f"JPEG2000: {len(missing)} of {found.tiles} tiles are missing.")
    packets = found.tiles * found.layers * (found.resolutions + 1) * len(found.components)
    limits.check_count("JPEG2000", "packets", packets, _MAX_PACKETS)
    # Of fewer than three components, Pillow reads none that is subsampled.
    if not found.size_at(0) or (len(found.components) < 3 and set(found.samples) != {(1, 1)}):
        raise Rejection(
            "unsupported_format",
            "It is JPEG 2000 with subsampled components of grey, or whose tiles are not a multiple of the subsampling.",
        )


def inspect(data: bytes) -> Jpeg2000:
    """Read the markers of the code stream.

    Raises
    ------
    Rejection
        ``unsupported_format``, ``truncated_image``, ``corrupt_image``, ``too_complex``.
    """
    before, begin, end = _codestream(data)
    found = Jpeg2000(begin=begin)
    at = begin + 2
    head = [before, data[begin:at]]
    missing: set[int] = set()
    transforms: dict[int, bytes] = {}  # of components, of all others at -1
    styles: dict[int, int] = {}
    segments = 0
    while at + 4 <= end:
        marker, length = struct.unpack_from(">HH", data, at)
        segments += 1
        limits.check_count("JPEG2000", "marker segments", segments, limits.MAX_STRIPS)
        content = data[at + 4 : at + 2 + length]
        if marker == 0xFF51:
            _size(content, found)
            missing = set(range(found.tiles))
        elif marker == 0xFF52 and len(content) >= 6:
            found.layers, found.resolutions = int.from_bytes(content[2:4], "big"), content[5]
            transforms[-1] = content[9:]
        elif marker == 0xFF53 and len(content) >= 7:
            transforms[content[0]] = content[6:]
        elif marker in (0xFF5C, 0xFF5D) and len(content) > 3:
            quantisation = content[marker & 1 :]
            _check_quantisation(quantisation)
            styles[-1 if marker == 0xFF5C else content[0]] = quantisation[0] & 31
        elif marker == 0xFF90 and len(content) >= 8:
            tile, size = struct.unpack_from(">HI", content)
            missing.discard(tile)
            size = size or end - at - 2
            if at + size > end:
                raise Rejection("truncated_image", "JPEG2000: it ends within a tile.")
            found.parts.setdefault(tile, []).append((at, at + size))
            at += max(size, 14)
            continue
        elif marker == 0xFFD9:
            break
        elif marker in WITHOUT_LENGTH:
            length = 0
        elif marker < 0xFF00:
            raise Rejection("corrupt_image", "JPEG2000: there is no marker where one must be.")
        found.packed |= marker == 0xFF60
        if marker != 0xFF55 and not found.parts:
            head.append(data[at : at + 2 + length])
        at += 2 + length
    _check_transforms(len(found.components), transforms, styles)
    found.head = b"".join(head)
    _check_header(found, missing)
    if at <= end and data[at:end] == _END[: end - at]:
        found.lacks = _END[end - at :]
    if data.endswith(bytes(64), 0, at):
        raise Rejection("truncated_image", "JPEG2000: the end of its data is zero bytes.")
    return found


def load(data: bytes, found: Jpeg2000, level: int) -> Image.Image:
    """Decode at a size halved `level` times: as Pillow's ``reduce`` does, which does not round up as the standard does.

    Raises
    ------
    Rejection
        ``corrupt_image``.
    OSError
        The data is damaged, or a tile cannot be halved as often.
    """
    image: Any = Image.open(io.BytesIO(data), formats=("JPEG2000",))
    if image.size != found.size_at(0):
        raise Rejection("corrupt_image", "JPEG2000: its headers contradict each other.")
    image._size = found.size_at(level)
    (tile,) = image.tile
    image.tile = [tile._replace(extents=(0, 0, *image.size), args=(tile.args[0], level, *tile.args[2:]))]
    image.load()
    return image  # type: ignore[no-any-return]


def _codestream(data: bytes) -> tuple[bytes, int, int]:
    """What comes before the code stream, with a box that goes on to the end, and where the code stream begins and ends."""
    if data.startswith(b"\xff\x4f\xff\x51"):
        return b"", 0, len(data)
    at = 12
    boxes = 0
    while at + 8 <= len(data):
        boxes += 1
        limits.check_count("JPEG2000", "boxes", boxes, limits.MAX_SEGMENTS)
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        if kind == b"jp2c":
            end = at + size if size else len(data)
            if end > len(data) + len(_END):
                raise Rejection(
                    "truncated_image", f"JPEG2000: {end} bytes are declared, {len(data)} are there."
                )
            return data[:at] + b"\0\0\0\0jp2c", at + head, min(end, len(data))
        if size < head:
            break
        at += size
    raise Rejection("truncated_image", "JPEG2000: it ends before its image data.")


def _size(content: bytes, found: Jpeg2000) -> None:
    if len(content) < 39:
        raise Rejection("truncated_image", "JPEG2000: it ends within its header.")
    right, bottom, left, top, wide, high, x, y, count = struct.unpack_from(">IIIIIIIIH", content, 2)
    if right <= left or bottom <= top or not x <= left < x + wide or not y <= top < y + high:
        raise Rejection("corrupt_image", "JPEG2000: its header is damaged.")
    if int.from_bytes(content[:2], "big") in _CINEMA:
        raise Rejection("unsupported_format", "It is JPEG 2000 of digital cinema, whose colours are XYZ.")
    if count > 4:
        raise Rejection("unsupported_format", f"It is JPEG 2000 with {count} components.")
    found.width, found.height = right - left, bottom - top
    found.axes = (left, right, x, wide), (top, bottom, y, high)
    found.tiles = -(-(right - x) // wide) * -(-(bottom - y) // high)
    limits.check_count("JPEG2000", "tiles", found.tiles, limits.MAX_STRIPS)
    end = 36 + 3 * count
    found.samples = list(zip(content[37:end:3], content[38:end:3], strict=False))  # it may end early
    if any(0 in steps for steps in found.samples):
        raise Rejection("corrupt_image", "JPEG2000: its header is damaged.")
    found.components = [1 + (depth & 127) for depth in content[36:end:3]]
    if len(set(found.components)) > 1:
        raise Rejection("unsupported_format", "It is JPEG 2000 whose components have different depths.")


def _check_quantisation(content: bytes) -> None:
    """Check its style and the exponents of the sub-bands' steps, which no decoder holds against anything.

    Encoders give the sub-bands of one level nearly the same exponent: the sub-bands have nearly the same norm, and visual weights differ
    by a factor of few.
    """
    style, guard = content[0] & 31, content[0] >> 5
    if style > _EXPOUNDED:
        raise Rejection("corrupt_image", "JPEG2000: its header is damaged.")
    exponents = [byte >> 3 for byte in content[1 :: 2 if style else 1]]
    levels = [exponents[:4], *(exponents[at : at + 3] for at in range(4, len(exponents), 3))]
    if any(max(level) - min(level) > _SPREAD or guard + max(level) - 1 > _PLANES for level in levels):
        raise Rejection("corrupt_image", "JPEG2000: its quantisation is damaged.")


def _check_transforms(components: int, transforms: dict[int, bytes], styles: dict[int, int]) -> None:
    """Without quantisation, the transform of a component must be the reversible one, and only then."""
    for component in range(components):
        transform = transforms.get(component, transforms.get(-1))
        style = styles.get(component, styles.get(-1))
        if transform and style is not None and transform[0] != (style == 0):
            raise Rejection(
                "corrupt_image", "JPEG2000: its transform and its quantisation contradict each other."
            )
