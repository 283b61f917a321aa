"""JPEG: which kind it is, how much work it makes, and whether its data covers every row.

libjpeg invents what is missing (grey rows, or coefficients of zero) and only warns; Pillow does not pass the warnings on. What is invented
shows nevertheless:

- The decoder is given the data without the marker that ends it and with a few bytes in its place, as many as it reads ahead. If it wants
  more of them, it has not had all rows yet. Their bits cannot contain the code that ends a block, so that what is missing takes many.
- A small file is decoded a second time with other such bytes. Pixels that differ were made of them. So is a file with restart markers,
  with such bytes before each of them.
- A progressive file must refine every coefficient to its last bit, and each of its scans must be whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from handlers.imaging import limits
from handlers.rejections import Rejection

# After a scan, in place of the marker: libjpeg fills a bit buffer of 64 bits to at least 57 before it decodes.
READ_AHEAD = 7
_BITS = 8 * READ_AHEAD
_PATTERNS = ("0", "011", "01", "0111", "00001")
OTHER_FILL = b"\xa5" * READ_AHEAD
END = b"\xff\xd9"

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# From the first byte of a run on: a search from each of them would take the square of its length.
_RESTART = re.compile(rb"(?<!\xff)\xff+[\xd0-\xd7]")
_NO_FILL = re.compile(rb"[^\xff]")
_UNSUPPORTED = {
    0xC3: "lossless JPEG", 0xC5: "hierarchical JPEG", 0xC6: "hierarchical JPEG", 0xC7: "lossless hierarchical JPEG",
    0xC9: "JPEG with arithmetic coding", 0xCA: "JPEG with arithmetic coding", 0xCB: "lossless JPEG with arithmetic coding",
    0xCD: "hierarchical JPEG", 0xCE: "hierarchical JPEG", 0xCF: "lossless hierarchical JPEG", 0xF7: "JPEG-LS", 0xF8: "JPEG-LS",
}  # fmt: skip
_ZERO_RUN = bytes(512)


@dataclass(slots=True)
class Scan:
    """One scan: its components, coefficients, bits, and where its data lies."""

    components: tuple[int, ...]
    first: int
    last: int
    high: int
    low: int
    begin: int
    end: int
    restart: int
    zero_run: bool
    fill: bytes = bytes(READ_AHEAD)


@dataclass(slots=True)
class Jpeg:
    """What the markers say.

    ``sampling`` has horizontal and vertical factors by component; ``closed`` is whether an end marker follows the last scan.
    """

    width: int = 0
    height: int = 0
    progressive: bool = False
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    scans: list[Scan] = field(default_factory=list)
    closed: bool = False

    @property
    def one_scan(self) -> bool:
        """Whether a decoder gives rows as it reads, rather than after the last scan."""
        return not self.progressive and len(self.scans) == 1

    @property
    def has_restarts(self) -> bool:
        """Whether any scan has restart markers."""
        return any(scan.restart for scan in self.scans)


def filled(data: memoryview, scan: Scan, begin: int, fill: bytes) -> bytes | memoryview:
    """The bytes from `begin` to the end of a scan, with `fill` before each restart marker."""
    if not scan.restart:
        return data[begin : scan.end]
    return bytes(data[begin : scan.begin]) + _RESTART.sub(
        lambda found: fill + found[0], data[scan.begin : scan.end]
    )


def inspect(data: bytes) -> Jpeg:
    """Read the markers.

    Raises
    ------
    Rejection
        ``unsupported_format``, ``truncated_image``, ``corrupt_image``, ``too_complex``.
    """
    jpeg = Jpeg()
    tables: dict[int, _Table] = {}
    restart = 0
    at = 2
    segments = between = 0
    while True:
        at = data.find(b"\xff", at)
        follows = _NO_FILL.search(data, at) if at >= 0 else None
        if follows is None:
            break
        marker = follows[0][0]
        bare = marker in (0x00, 0x01, 0xD8) or 0xD0 <= marker <= 0xD7
        between += follows.start() - at - 1 + 2 * bare
        limits.check_count("JPEG", "bytes between segments", between, limits.MAX_SLOW_BYTES)
        at = follows.end()
        if marker == 0xD9:
            jpeg.closed = True
            break
        if bare:
            continue
        segments += 1
        limits.check_count("JPEG", "marker segments", segments, limits.MAX_SEGMENTS)
        length = int.from_bytes(data[at : at + 2])
        content = data[at + 2 : at + length] if marker in _READ else b""
        if at + length > len(data) and not jpeg.scans and marker != 0xDA:
            break
        if marker == 0xDA:
            _scan(data, at + length, content, jpeg, restart, tables)
            limits.check_work("JPEG", "scans", len(jpeg.scans), jpeg.width * jpeg.height)
            at = jpeg.scans[-1].end
            continue
        if marker in _FRAMES:
            _frame(jpeg, marker, content)
        elif marker == 0xDD:
            restart = int.from_bytes(content[:2])
        else:  # of all other markers, nothing is read
            _tables(content, tables)
        at += max(length, 2)
    if not jpeg.scans:
        raise Rejection("truncated_image", "JPEG: it ends before its first scan.")
    _strip_zeros(data, jpeg)
    _check_scans(data, jpeg)
    return jpeg


_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7, 0xF8} - {0xC4, 0xC8, 0xCC})
_READ = _FRAMES | {0xC4, 0xDA, 0xDD}


def _frame(jpeg: Jpeg, marker: int, content: bytes) -> None:
    if jpeg.sampling:
        raise Rejection("corrupt_image", "JPEG: it has a second frame header.")
    if marker in _UNSUPPORTED:
        raise Rejection("unsupported_format", f"It is {_UNSUPPORTED[marker]}.")
    if len(content) < 6:
        raise Rejection("corrupt_image", "JPEG: its frame header is damaged.")
    if content[0] != 8:
        raise Rejection("unsupported_format", f"It is {content[0]}-bit JPEG.")
    jpeg.height, jpeg.width = int.from_bytes(content[1:3]), int.from_bytes(content[3:5])
    if not jpeg.height:
        raise Rejection("unsupported_format", "It is JPEG that gives its height after its data (DNL).")
    jpeg.progressive = marker == 0xC2
    for at in range(6, min(6 + 3 * content[5], len(content) - 2), 3):
        jpeg.sampling[content[at]] = (content[at + 1] >> 4, content[at + 1] & 15)
    if not jpeg.width or not all(0 < h < 5 and 0 < v < 5 for h, v in jpeg.sampling.values()):
        raise Rejection("corrupt_image", "JPEG: its frame header is damaged.")


class _Table(NamedTuple):
    """Of a Huffman table for AC coefficients: the symbol whose code is all zeros, and the code that ends a block, as digits."""

    zeros: int
    end: str


def _tables(content: bytes, tables: dict[int, _Table]) -> None:
    at = 0
    while at < len(content):
        counts = content[at + 1 : at + 17]
        symbols = content[at + 17 : at + 17 + sum(counts)]
        if content[at] >> 4 and symbols:
            tables[content[at] & 15] = _Table(symbols[0], _code(counts, symbols, 0))
        at += 17 + sum(counts)


def _code(counts: bytes, symbols: bytes, symbol: int) -> str:
    """The canonical code of a symbol, as binary digits; empty if it has none."""
    index, code = symbols.find(symbol), 0
    for length, count in enumerate(counts, 1):
        if 0 <= index < count:
            return f"{code + index:0{length}b}"
        index -= count
        code = (code + count) << 1
    return ""


def _fill(ends: set[str]) -> bytes:
    """Bytes whose bits contain none of the codes, if any of the patterns does not."""
    for pattern in _PATTERNS:
        bits = (pattern * _BITS)[:_BITS]
        if not any(end and end in bits for end in ends):
            return int(bits, 2).to_bytes(READ_AHEAD)
    return bytes(READ_AHEAD)


def _scan(
    data: bytes, begin: int, content: bytes, jpeg: Jpeg, restart: int, tables: dict[int, _Table]
) -> None:
    count = int.from_bytes(content[:1])
    if len(content) < 4 + 2 * count or not count or not jpeg.sampling:
        raise Rejection("truncated_image" if begin >= len(data) else "corrupt_image", "JPEG: the header of a scan is damaged.")  # fmt: skip
    components = tuple(content[1 : 1 + 2 * count : 2])
    if not all(component in jpeg.sampling for component in components):
        raise Rejection("corrupt_image", "JPEG: a scan is of a component that the frame does not have.")
    first, last, bits = content[1 + 2 * count : 4 + 2 * count]
    found = _MARKER.search(data, begin)
    end = found.start() if found else len(data)
    while found and end > begin and data[end - 1] == 0xFF:
        end -= 1
    used = [
        tables[number] for number in {content[at] & 15 for at in range(2, 2 + 2 * count, 2)} & tables.keys()
    ]
    # A long run of zero bytes is not data where a code of zeros stands for a coefficient, and not for the end of a block.
    zero_run = not jpeg.progressive and any(table.zeros for table in used)
    fill = _fill({table.end for table in used})
    jpeg.scans.append(
        Scan(components, first, last, bits >> 4, bits & 15, begin, end, restart, zero_run, fill)
    )  # fmt: skip


def _strip_zeros(data: bytes, jpeg: Jpeg) -> None:
    """Zeros at the end of a file without an end marker are not data: the file was allocated and not filled; nor is half a marker."""
    last = jpeg.scans[-1]
    if last.end < len(data):
        return
    if data.endswith(bytes(16)):
        last.end = max(last.begin, len(data.rstrip(b"\0")))
    if data[last.end - 1] == 0xFF:
        last.end = max(last.begin, last.end - 1)


def _check_scans(data: bytes, jpeg: Jpeg) -> None:
    for scan in jpeg.scans:
        if scan.restart:
            found = _restarts(data, scan)
            if found < _ceil(_units(jpeg, scan), scan.restart) - 1:
                raise Rejection("truncated_image", "JPEG: restart markers are missing, and with them data.")
        if scan.zero_run and data.find(_ZERO_RUN, scan.begin, scan.end) != -1:
            raise Rejection("corrupt_image", "JPEG: a part of its data is zero bytes.")
    if jpeg.progressive:
        _check_refinement(jpeg)
    elif len({component for scan in jpeg.scans for component in scan.components}) < len(jpeg.sampling):
        raise Rejection("truncated_image", "JPEG: the scan of a component is missing.")


def _restarts(data: bytes, scan: Scan) -> int:
    """Restart markers of a scan, which must be numbered from 0 to 7 again and again."""
    count = 0
    for found in _RESTART.finditer(memoryview(data)[scan.begin : scan.end]):
        if found[0][-1] != 0xD0 + count % 8:
            raise Rejection("truncated_image", "JPEG: a restart marker is missing, and with it data.")
        count += 1
    return count


def _units(jpeg: Jpeg, scan: Scan) -> int:
    """Minimum coded units of a scan."""
    widest, tallest = (max(factors) for factors in zip(*jpeg.sampling.values(), strict=True))
    if len(scan.components) > 1:
        return _ceil(jpeg.width, 8 * widest) * _ceil(jpeg.height, 8 * tallest)
    h, v = jpeg.sampling[scan.components[0]]
    return _ceil(jpeg.width * h, 8 * widest) * _ceil(jpeg.height * v, 8 * tallest)


def _ceil(value: int, unit: int) -> int:
    return -(-value // unit)


def _check_refinement(jpeg: Jpeg) -> None:
    """Every coefficient of every component must have come with all its bits."""
    bits = {component: [99] * 64 for component in jpeg.sampling}
    for scan in jpeg.scans:
        for component in scan.components:
            for coefficient in range(scan.first, min(scan.last, 63) + 1):
                bits[component][coefficient] = scan.low
    if any(max(of_component) for of_component in bits.values()):
        raise Rejection("truncated_image", "JPEG: its last scans, which refine it, are missing.")
