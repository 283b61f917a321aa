"""Animations of AVIF: where the first frame of each track lies (ISO/IEC 14496-12, 8.7)."""

from __future__ import annotations

from collections.abc import Iterator

from handlers.imaging import av1_sequence
from handlers.imaging.boxes import Boxes, walk

_AROUND = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def first_samples(data: bytes) -> Iterator[tuple[int, int, int]]:
    """First byte and length of the first sample of each track, alpha included, and its configuration, as of `heif.av1_extents`.

    There is none of a track that has another form.
    """
    count = Boxes()
    pending = [(0, len(data), False)]
    while pending:
        begin, end, is_table = pending.pop()
        boxes = list(walk(data, begin, end, "AVIF", count))
        pending += [(at, stop, kind == b"stbl") for kind, at, stop in boxes if kind in _AROUND]
        if is_table:
            tables = {kind: data[at : min(stop, at + 256)] for kind, at, stop in boxes}
            offsets, sizes = tables.get(b"co64") or tables.get(b"stco", b""), tables.get(b"stsz", b"")
            width = 8 if b"co64" in tables else 4
            if len(offsets) >= 8 + width and len(sizes) >= 16:
                # One size of all samples, or a table of them
                size = int.from_bytes(sizes[4:8], "big") or int.from_bytes(sizes[12:16], "big")
                entry = tables.get(b"stsd", b"").partition(b"av1C")[2]
                first = int.from_bytes(offsets[8 : 8 + width], "big")
                yield first, size, av1_sequence.declared(entry)
