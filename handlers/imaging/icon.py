"""ICO and CUR: a bitmap inside, in the form from which Pillow reads it."""

from __future__ import annotations


def alone(content: bytes, entry: bytes, width: int, height: int) -> bytes:
    """An icon of one bitmap; `entry` is what the directory says of it.

    Its own depth counts: the directory's is often 0, or of a cursor where it points, and Pillow leaves out the alpha channel then.
    """
    content = _bitmap(content, width, height)
    place = len(content).to_bytes(4, "little") + (22).to_bytes(4, "little")
    return b"\0\0\1\0\1\0" + entry[:6] + content[14:16] + place + content


def _bitmap(content: bytes, width: int, height: int) -> bytes:
    """An icon's bitmap up to the end of its mask, from where Pillow reads that; Pillow writes masks without filling their rows."""
    header, bits, colours = (
        int.from_bytes(content[at : at + size], "little") for at, size in ((0, 4), (14, 2), (32, 4))
    )
    palette = 4 * (colours or 1 << bits) if bits <= 8 else 0
    begin = header + palette + (width * bits + 31) // 32 * 4 * height
    filled, short = (width + 31) // 32 * 4, (width + 7) // 8
    mask = content[begin : begin + filled * height]
    if filled > short and mask and len(mask) == short * height:
        mask = b"".join(mask[at : at + short].ljust(filled, b"\0") for at in range(0, len(mask), short))
    return content[:begin] + mask
