"""Animations of AVIF: where the first frame of each track lies (ISO/IEC 14496-12, 8.7)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from handlers.imaging import av1_sequence
from handlers.imaging.boxes import Boxes, walk

_AROUND = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def first_samples(data: bytes) -> Iterator[tuple[int, int, int]]:
    """First byte and length of the first sample of each track, alpha included, and its configuration, as of `heif.av1_extents`.

    There is none of a track that has another form.
    """
    count = Boxes("AVIF")
    pending = [(0, len(data), False)]
    while pending:
        begin, end, is_table = pending.pop()
        boxes = list(walk(data, begin, end, count))
        pending += [(at, stop, kind == b"stbl") for kind, at, stop in boxes if kind in _AROUND]
        if is_table:
            tables = defaultdict(bytes, ((kind, data[at:stop]) for kind, at, stop in boxes))
            offsets, sizes = tables[b"co64"] or tables[b"stco"], tables[b"stsz"]
            width = 8 if tables[b"co64"] else 4
            if len(offsets) >= 8 + width and len(sizes) >= 16:
                # One size of all samples, or a table of them
                size = int.from_bytes(sizes[4:8]) or int.from_bytes(sizes[12:16])
                entry = tables[b"stsd"].partition(b"av1C")[2]
                yield int.from_bytes(offsets[8 : 8 + width]), size, av1_sequence.declared(entry)
