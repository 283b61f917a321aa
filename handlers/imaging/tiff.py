"""TIFF: camera raw files, compressions that are not read, and bounds, from the directories of tags."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handlers.imaging import limits
from handlers.rejections import Rejection

if TYPE_CHECKING:
    from PIL import Image

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _MAKE, _OFFSETS = 256, 257, 258, 259, 262, 271, 273
_SAMPLES, _COUNTS, _ROWS_PER_STRIP, _MAX_VALUE, _TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS = (
    277,
    279,
    278,
    281,
    322,
    323,
    324,
)
_PLANES, _COLOURS = 284, 320
_YCBCR = 6  # its chroma may have fewer samples
_FAX_TAGS = (266, 292, 293)  # order of bits, options of CCITT
_TILE_COUNTS, _SUB_IFDS, _FORMAT, _JPEG_TABLES, _NO_DATA, _DNG_VERSION = 325, 330, 339, 347, 42113, 50706

_READ = {1, 2, 3, 4, 5, 7, 8, 32773, 32946, 32771, 34925, 50000}
_NAMES = {
    6: "old-style JPEG",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32767: "Sony ARW",
    32769: "packed raw",
    32770: "Samsung SRW",
    32809: "ThunderScan",
    32895: "IT8 CT",
    32908: "Pixar film",
    32909: "Pixar log",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv 24",
    34712: "JPEG 2000",
    34713: "Nikon NEF",
    34715: "JBIG2",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
    65000: "Kodak DCR",
    65535: "Pentax PEF",
}
_RAW_COMPRESSIONS = {32767, 32769, 32770, 34713, 34892, 65000, 65535}
_RAW_PHOTOMETRICS = {32803: "the values of a colour filter array", 34892: "linear raw values"}
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_USED = frozenset({
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _MAKE, _OFFSETS, _SAMPLES, _COUNTS, _ROWS_PER_STRIP, _MAX_VALUE, _TILE_WIDTH,
    _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _SUB_IFDS, _FORMAT, _JPEG_TABLES, _NO_DATA, _DNG_VERSION, _PLANES, _COLOURS,
    *_FAX_TAGS,
})  # fmt: skip
_OF_PIXELS = frozenset({_BITS, _OFFSETS, _COUNTS, _TILE_OFFSETS, _TILE_COUNTS, _COLOURS})
_FEW = 256  # values of a tag, of a directory other than the first
_DIRECTORIES = 24  # that are read


@dataclass(slots=True)
class Tiff:
    """What the tags of the first page say; ``tags`` has integers and bytes by number."""

    width: int
    height: int
    tags: dict[int, Any] = field(default_factory=dict)

    @property
    def bits(self) -> tuple[int, ...]:
        """Bits of each sample."""
        return tuple(self.tags.get(_BITS, (1,)))

    @property
    def significant_bits(self) -> int | None:
        """Bits that the largest value needs, where the file gives it."""
        largest = int(max(self.tags.get(_MAX_VALUE, (0,))))
        # The largest of the type is a default of encoders, and says nothing.
        if not largest or largest == 2 ** max(self.bits) - 1 or not self._is_integer:
            return None
        return largest.bit_length()

    @property
    def no_data(self) -> float | None:
        """The value of pixels without data, as GDAL writes it."""
        text = self.tags.get(_NO_DATA)
        try:
            return float(text.rstrip(b"\0 "))  # type: ignore[union-attr]  # not a text, or not there
        except (AttributeError, ValueError):
            return None

    @property
    def _is_integer(self) -> bool:
        return all(kind in (1, 2) for kind in self.tags.get(_FORMAT, (1,)))

    def layout(self) -> str:
        """Bits, samples and photometric interpretation, in words."""
        kinds = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex floating-point"}
        kind = kinds.get(next(iter(self.tags.get(_FORMAT, (1,))), 1), "undefined")
        samples = _one(self.tags, _SAMPLES, 1)
        return (
            f"{samples} {kind} samples of {'/'.join(map(str, self.bits[:5]))} bits, "
            f"photometric interpretation {_one(self.tags, _PHOTOMETRIC)}, compression {self.compression}"
        )

    @property
    def parts(self) -> tuple[Sequence[int], Sequence[int]]:
        """Offsets and numbers of bytes of the tiles, or of the strips where it has no tiles."""
        offsets = self.tags.get(_TILE_OFFSETS) or self.tags.get(_OFFSETS) or ()
        return offsets, self.tags.get(_TILE_COUNTS) or self.tags.get(_COUNTS) or ()

    @property
    def compression(self) -> int:
        """The number of the compression."""
        return _one(self.tags, _COMPRESSION, 1)

    @property
    def _part(self) -> tuple[int, int, bool]:
        """Width and height of a tile, or else of a strip, and whether it is a tile."""
        across, down = _one(self.tags, _TILE_WIDTH), _one(self.tags, _TILE_HEIGHT)
        if across and down and _TILE_OFFSETS in self.tags:
            return across, down, True
        return self.width, min(_one(self.tags, _ROWS_PER_STRIP) or self.height, self.height), False

    @property
    def _planes(self) -> int:
        return _one(self.tags, _SAMPLES, 1) if _one(self.tags, _PLANES) == 2 else 1

    @property
    def needed_parts(self) -> int:
        """How many tiles or strips the pixels take, of all planes."""
        across, down, _ = self._part
        return -(-self.width // across) * -(-self.height // down) * self._planes

    @property
    def plain_lengths(self) -> list[int]:
        """Bytes that the tiles or strips take without compression."""
        samples = _one(self.tags, _SAMPLES, 1) if self._planes == 1 else 1
        bits = sum(self.bits) if len(self.bits) == samples else self.bits[0] * samples
        across, down, is_tile = self._part
        row = (across * bits + 7) // 8
        if is_tile:
            return [row * down] * self.needed_parts
        return [row * min(down, self.height - top) for top in range(0, self.height, down)] * self._planes

    @property
    def plain_rows(self) -> tuple[int, int, int] | None:
        """First byte of the pixels, bytes of a row, and number of rows, if they are not compressed and follow each other; else None.

        Rows of tiles are those of one tile after another.
        """
        offsets, lengths = self.parts[0][: self.needed_parts], self.plain_lengths
        if self.compression != 1 or _one(self.tags, _PHOTOMETRIC) == _YCBCR:
            return None
        if any(
            begin + length != then for begin, length, then in zip(offsets, lengths, offsets[1:], strict=False)
        ):
            return None
        row = lengths[0] // self._part[1]
        return (offsets[0], row, sum(lengths) // row) if row else None

    def jpeg_streams(self, data: bytes) -> Iterator[bytes]:
        """Each strip or tile as a file of its own, if they are JPEG."""
        if self.compression != 7:
            return
        tables = self.tags.get(_JPEG_TABLES, b"")
        for begin, length in zip(*self.parts, strict=False):
            stream = data[begin : begin + length]
            yield b"\xff\xd8" + tables[2:].removesuffix(b"\xff\xd9") + stream[2:] if tables else stream


def inspect(data: bytes) -> Tiff:
    """Read the directories.

    Raises
    ------
    Rejection
        ``unsupported_format``, ``truncated_image``, ``corrupt_image``, ``too_complex``, ``too_many_pixels``.
    """
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    if data[8:10] == b"CR" and order == "<" and not big:
        raise Rejection("unsupported_format", "It is a camera raw file (Canon CR2): export it as JPEG.")
    first = (
        struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)[0]
        if len(data) >= 16
        else len(data)
    )
    if not 0 < first < len(data) - 1:
        raise Rejection("truncated_image", "TIFF: it ends before its directory.")
    pending, seen = [first], {0}  # no directory
    directories: list[dict[int, Any]] = []
    while pending and len(directories) < _DIRECTORIES:
        at = pending.pop(0)
        if at in seen:
            continue
        seen.add(at)
        tags, following = _directory(data, at, order, big, limits.MAX_STRIPS if not directories else _FEW)
        directories.append(tags)
        _check_raw(tags)
        pending += [*tags.get(_SUB_IFDS, ())[:8], following]
    page = directories[0]
    tiff = Tiff(_one(page, _WIDTH), _one(page, _HEIGHT), page)
    if not tiff.width or not tiff.height:
        raise Rejection("corrupt_image", "TIFF: its first page has no size.")
    _check_bounds(tiff)
    # Strips may overlap, and each is read and decoded. Of uncompressed ones, the number of bytes counts for nothing.
    read = sum(tiff.parts[1])
    if read > 4 * len(data) + 65536 and tiff.compression != 1:
        raise Rejection("too_complex", f"TIFF: its strips or tiles have {read} bytes, the file {len(data)}.")
    return tiff


def leave_out_further_strips(image: Image.Image, found: Tiff) -> None:
    """Pillow decodes uncompressed strips that the pixels do not need on top of the first ones.

    Parameters
    ----------
    image
        Opened by Pillow, not loaded yet.
    """
    offsets, tiles = found.parts[0], image.tile  # type: ignore[attr-defined]  # of an ImageFile
    if len(offsets) > found.needed_parts and tiles[0].codec_name == "raw":
        needed = zip(tiles[: found.needed_parts], offsets, strict=False)
        image.tile = [tile._replace(offset=offset) for tile, offset in needed]  # type: ignore[attr-defined]


def _directory(data: bytes, at: int, order: str, big: bool, most: int) -> tuple[dict[int, Any], int]:
    """Tags of one directory that matter here, with up to `most` values each, and the offset of the next."""
    head, width, value = ("Q", 20, 8) if big else ("H", 12, 4)
    size = struct.calcsize(order + head)
    count = struct.unpack_from(order + head, data, at)[0] if at + size <= len(data) else 0
    limits.check_count("TIFF", "tags", count, 4096)
    tags: dict[int, Any] = {}
    for entry in range(at + size, at + size + count * width, width):
        if entry + width > len(data):
            raise Rejection("truncated_image", "TIFF: it ends within its directory.")
        number, kind = struct.unpack_from(order + "HH", data, entry)
        if number not in _USED or number in tags:
            continue
        length = struct.unpack_from(order + ("Q" if big else "I"), data, entry + 4)[0]
        total = length * _SIZES.get(kind, 1)
        where = entry + width - value
        if total > value:
            where = struct.unpack_from(order + ("Q" if big else "I"), data, where)[0]
        if number in (_OFFSETS, _TILE_OFFSETS, _COUNTS, _TILE_COUNTS):
            limits.check_count("TIFF", "strips or tiles", length, limits.MAX_STRIPS)
        if number in _OF_PIXELS and most == limits.MAX_STRIPS and where + total > len(data):
            raise Rejection(
                "truncated_image", f"TIFF: tag {number} has {length} values, but the file ends before."
            )
        if kind in _INTEGERS and length <= most and where + total <= len(data):
            tags[number] = struct.unpack_from(f"{order}{length}{_INTEGERS[kind]}", data, where)
        elif kind in (2, 7) and (length <= 256 or number == _JPEG_TABLES):
            tags[number] = data[where : where + length]
    after = at + size + count * width
    following = 0
    if after + value <= len(data):
        following = struct.unpack_from(order + ("Q" if big else "I"), data, after)[0]
    return tags, following


def _one(tags: dict[int, Any], number: int, default: int = 0) -> int:
    values = tags.get(number)
    return int(values[0]) if values and not isinstance(values, bytes) else default


def _check_raw(tags: dict[int, Any]) -> None:
    make = tags.get(_MAKE)
    make = make.rstrip(b"\0 ").decode("ascii", "replace") if isinstance(make, bytes) else ""
    camera = f" of a {make[:40]} camera" if make and make.isprintable() else ""
    compression, photometric = _one(tags, _COMPRESSION), _one(tags, _PHOTOMETRIC)
    if _DNG_VERSION in tags:
        raise Rejection("unsupported_format", f"It is a camera raw file (DNG){camera}: export it as JPEG.")
    if photometric in _RAW_PHOTOMETRICS or compression in _RAW_COMPRESSIONS:
        what = _RAW_PHOTOMETRICS.get(photometric) or f"compression {compression} ({_NAMES[compression]})"
        raise Rejection(
            "unsupported_format", f"It is a camera raw file{camera}, with {what}: export it as JPEG."
        )


def _check_bounds(tiff: Tiff) -> None:
    if tiff.compression not in _READ:
        name = _NAMES.get(tiff.compression, "unknown")
        raise Rejection("unsupported_format", f"It is TIFF with compression {tiff.compression} ({name}).")
    tile = _one(tiff.tags, _TILE_WIDTH) * _one(tiff.tags, _TILE_HEIGHT)
    # A tile may be larger than its image, and is decoded whole.
    if tile > 4 * tiff.width * tiff.height + 16_777_216:
        raise Rejection("too_complex", f"TIFF: a tile has {tile} pixels, more than the image.")
    if sum(tiff.bits[:16]) > 256:
        raise Rejection("unsupported_format", f"It is TIFF with {tiff.layout()}.")
    _check_parts(tiff)


def _check_plain_lengths(tiff: Tiff) -> None:
    """Hold the bytes of several strips or tiles without compression against those of their rows; a single length counts for nothing.

    With other lengths, the size, the depth or the compression is not that of the pixels.
    """
    lengths = tiff.parts[1][: tiff.needed_parts]
    if tiff.compression != 1 or len(lengths) < 2 or _one(tiff.tags, _PHOTOMETRIC) == _YCBCR:
        return
    needed = tiff.plain_lengths
    for part, (length, least) in enumerate(zip(lengths, needed, strict=False)):
        if 0 < length < least:
            raise Rejection("corrupt_image", f"TIFF: its part {part} has {length} of {least} bytes.")
    # They may be longer, but all by as much, except for a strip of fewer rows.
    full = {length for length, least in zip(lengths, needed, strict=False) if least == needed[0]}
    if len(full) > 1:
        raise Rejection("corrupt_image", "TIFF: it is not compressed, but its parts have different lengths.")


def _check_parts(tiff: Tiff) -> None:
    """Whether there is a strip or tile for every row and plane, and a colour for every value of a palette."""
    tags = tiff.tags
    offsets, counts = tiff.parts
    expected = tiff.needed_parts
    if len(offsets) < expected:
        raise Rejection("truncated_image", f"TIFF: it has {len(offsets)} of {expected} strips or tiles.")
    _check_plain_lengths(tiff)
    # Compressed parts that were left out (0 bytes) are left to the decoder.
    lengths = counts if tiff.compression != 1 else (True,) * expected
    if any(offset < 8 and length for offset, length in zip(offsets, lengths, strict=False)):
        raise Rejection("corrupt_image", "TIFF: its pixels would begin within its header.")
    colours = tags.get(_COLOURS, ())
    if _one(tags, _PHOTOMETRIC) == 3 and tiff.bits[0] <= 8 and len(colours) != 3 << tiff.bits[0]:
        raise Rejection("corrupt_image", f"TIFF: its palette has {len(colours)} values.")
